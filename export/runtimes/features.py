"""Model files with a second output: the pooled features (N, D) in front of the classifier, which
are what people search, cluster and compare clips by.

The files that ship have logits alone. The tensor is found by walking back from them to the layer
that multiplies by the classes' weights, and becomes an output of a copy in memory.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from teachers.errors import ExportMismatch
from teachers.weights import pir_files

# What may stand between the classifier and the logits, and passes its first input on.
ONNX_PASSED = ("Add", "Cast", "Flatten", "Identity", "Reshape", "Softmax", "Squeeze")
ONNX_CLASSIFIERS = ("Conv", "Gemm", "MatMul")
PADDLE_PASSED = ("elementwise_add", "flatten_contiguous_range", "reshape2", "scale", "squeeze2")
PADDLE_CLASSIFIERS = ("conv2d", "fc", "matmul", "matmul_v2", "mul")
PIR_PASSED = ("1.add", "1.flatten", "1.reshape", "1.scale", "1.softmax", "1.squeeze")
PIR_CLASSIFIERS = ("1.conv2d", "1.fc", "1.matmul")


def onnx_with_features(data: bytes, model: Path) -> bytes:
    """The ONNX file with the features as its second output.

    Raises:
        ExportMismatch: no classifier in front of the logits, or weights in a file of their own.
    """
    import onnx

    content = onnx.load_model_from_string(data)
    graph = content.graph
    weights = {tensor.name for tensor in graph.initializer}
    # A copy in memory has no folder in which weights could lie.
    if any(tensor.external_data for tensor in graph.initializer):
        raise ExportMismatch(
            f"{model}: keeps weights in a file of their own, and features are read of a file that"
            " has them inside; save the model in one file"
        )
    makers = {name: node for node in graph.node for name in node.output}
    name = graph.output[0].name
    while name in makers:
        node = makers[name]
        name = next((each for each in node.input if each not in weights), "")
        if node.op_type in ONNX_CLASSIFIERS:
            # By name alone: the runtime infers its type and shape.
            graph.output.append(onnx.ValueInfoProto(name=name))
            return bytes(content.SerializeToString())
        if node.op_type not in ONNX_PASSED:
            break
    raise _no_classifier(model)


def program_with_features(program: Any, model: Path) -> bytes:
    """Paddle's program with the features as its second output.

    Raises:
        ExportMismatch: no classifier in front of the logits.
    """
    operators = program.blocks[0].ops
    makers = {
        name: operator
        for operator in operators
        for slot in operator.outputs
        for name in slot.arguments
    }
    fetch = next(operator for operator in operators if operator.type == "fetch")
    name = fetch.inputs[0].arguments[0]
    while name in makers:
        operator = makers[name]
        name = _first_input(operator)
        if operator.type in PADDLE_CLASSIFIERS:
            second = operators.add()
            second.CopyFrom(fetch)
            second.inputs[0].arguments[0] = name
            for attribute in second.attrs:
                # The number of the output.
                if attribute.name == "col":
                    attribute.i = 1
            return bytes(program.SerializeToString())
        if operator.type not in PADDLE_PASSED:
            break
    raise _no_classifier(model)


def pir_with_features(program: pir_files.Program, model: Path) -> bytes:
    """A program of Paddle 3 with the features as its second output.

    Raises:
        ExportMismatch: no classifier in front of the logits.
    """
    makers = {value: operator for operator in program.operators for value in operator.outputs}
    weights = {parameter.value for parameter in program.parameters}
    fetch = next(operator for operator in program.operators if operator.name == "1.fetch")
    value = fetch.inputs[0]
    while value in makers:
        operator = makers[value]
        value = next((each for each in operator.inputs if each not in weights), 0)
        if operator.name in PIR_CLASSIFIERS:
            second = json.loads(json.dumps(fetch.tree))
            second["I"][0]["%"] = value
            second["O"][0]["%"] = max(makers) + 1
            for attribute in second["A"]:
                # The name and the number of the output.
                if attribute["N"] in ("name", "col"):
                    attribute["AT"]["D"] = "fetch_name_1" if attribute["N"] == "name" else 1
            program.tree["program"]["regions"][0]["blocks"][0]["ops"].append(second)
            return json.dumps(program.tree).encode()
        if operator.name not in PIR_PASSED:
            break
    raise _no_classifier(model)


def _first_input(operator: Any) -> str:
    for slot in operator.inputs:
        if slot.parameter in ("X", "Input") and slot.arguments:
            return str(slot.arguments[0])
    return ""


def split(outputs: list[np.ndarray], model: Path) -> tuple[np.ndarray, np.ndarray]:
    """Both outputs of a run; features of a convolution (N, D, 1, 1) as (N, D).

    Raises:
        ExportMismatch: features that are not pooled yet.
    """
    logits, features = outputs
    if features.size != features.shape[0] * features.shape[1]:
        raise ExportMismatch(
            f"{model}: its classifier takes features of shape {features.shape[1:]}, which are not"
            " pooled; export the network again to have its embeddings"
        )
    return logits, features.reshape(features.shape[:2])


def _no_classifier(model: Path) -> ExportMismatch:
    return ExportMismatch(
        f"{model}: no matrix product or convolution stands right in front of its logits, so nothing"
        " says what its embeddings are; export the network with this project, or leave them out"
    )
