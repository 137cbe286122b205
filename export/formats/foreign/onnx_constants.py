"""What an ONNX graph computes of its constants alone, computed beforehand."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import numpy_helper

from export.formats import onnx_model
from export.formats.foreign.arithmetic import ARITHMETIC, absorbed, combine, pays

RESHAPING = ("Reshape", "Transpose", "Unsqueeze", "Squeeze")


def compute(graph: onnx.GraphProto) -> int:
    """Nodes on constants alone become initialisers, where that takes no more room."""
    stored = {each.name: each for each in graph.initializer}
    read = _readers(graph)
    outputs = {each.name for each in graph.output}
    nodes = []
    for node in graph.node:
        known = (*(name.title() for name in ARITHMETIC), *RESHAPING)
        constant = node.input and all(name in stored for name in node.input)
        value, gone = None, []
        if constant and node.op_type in known and node.output[0] not in outputs:
            inputs = [numpy_helper.to_array(stored[name]) for name in node.input]
            gone = [each for name, each in zip(node.input, inputs, strict=True) if read[name] == 1]
            value = _value(node, inputs)
        if value is None or not pays(value.nbytes, gone):
            nodes.append(node)
            continue
        name = node.output[0]
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        stored[name] = graph.initializer[-1]
    count = len(graph.node) - len(nodes)
    del graph.node[:]
    graph.node.extend(nodes)
    return count


def _readers(graph: onnx.GraphProto) -> Counter[str]:
    # An output of the model is read by whoever runs it.
    read = Counter(name for node in graph.node for name in node.input)
    read.update(each.name for each in graph.output)
    return read


def _value(node: onnx.NodeProto, inputs: Sequence[np.ndarray]) -> np.ndarray | None:
    """What a node makes of these values; None where that is not known here."""
    if node.op_type.lower() in ARITHMETIC:
        # Before opset 7 shapes were matched by an attribute.
        return None if node.attribute else combine(node.op_type.lower(), inputs[0], inputs[1])
    attributes = {each.name: each for each in node.attribute}
    # A stranger's sizes may fit nothing: the runtime then says so, to the original as well.
    with contextlib.suppress(ValueError, IndexError):
        if node.op_type == "Transpose":
            order = attributes.get("perm")
            return inputs[0].transpose(list(order.ints) if order is not None else None)
        return _reshaped(node.op_type, inputs, attributes)
    return None


def _reshaped(
    kind: str, inputs: Sequence[np.ndarray], attributes: dict[str, onnx.AttributeProto]
) -> np.ndarray | None:
    value = inputs[0]
    key = "shape" if kind == "Reshape" else "axes"
    # An input from opset 13 on (5 for Reshape), an attribute before.
    if len(inputs) == 2:
        numbers = [int(each) for each in inputs[1].reshape(-1)]
    elif key in attributes:
        numbers = [int(each) for each in attributes[key].ints]
    else:
        return None
    if kind == "Reshape":
        # Paddle2ONNX 2.1 writes it with its default, 0.
        if "allowzero" in attributes and attributes["allowzero"].i:
            return None
        sizes = [value.shape[place] if size == 0 else size for place, size in enumerate(numbers)]
        return value.reshape(sizes)
    if kind == "Squeeze":
        return value.squeeze(tuple(numbers))
    return np.expand_dims(value, tuple(numbers))


def fold_batch_norms(graph: onnx.GraphProto) -> int:
    """Convolution, perhaps with a bias in it or behind it, BatchNormalization -> convolution with a
    bias."""
    count = 0
    for node in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        count += _fold(graph, node)
    onnx_model.drop_unread(graph)
    return count


def _fold(graph: onnx.GraphProto, norm: onnx.NodeProto) -> bool:
    stored = {each.name: each for each in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    read = _readers(graph)
    conv = makers.get(norm.input[0])
    add, constant = None, ""
    if conv is not None and conv.op_type == "Add":
        add = conv
        source, constant = conv.input
        if constant not in stored:
            source, constant = constant, source
        conv = makers.get(source)
    if conv is None or conv.op_type != "Conv" or len(norm.output) != 1:
        return False
    between = [conv.output[0], *([] if add is None else [add.output[0]])]
    constants = [*conv.input[1:], *norm.input[1:], *([constant] if add is not None else [])]
    if any(read[name] > 1 for name in (*between, conv.input[1])):
        return False
    if any(
        name not in stored or stored[name].data_type != onnx.TensorProto.FLOAT for name in constants
    ):
        return False
    if any(each.name == "training_mode" and each.i for each in norm.attribute):
        return False
    weight = numpy_helper.to_array(stored[conv.input[1]])
    bias = None
    if len(conv.input) == 3:
        bias = numpy_helper.to_array(stored[conv.input[2]])
    if add is not None:
        more = numpy_helper.to_array(stored[constant])
        if not onnx_model.is_bias(more.shape, weight.shape):
            return False
        bias = more.reshape(-1) if bias is None else bias + more.reshape(-1)
    epsilon = next((each.f for each in norm.attribute if each.name == "epsilon"), 1e-5)
    values = [numpy_helper.to_array(stored[name]) for name in norm.input[1:]]
    if len(values) != 4 or any(each.shape != weight.shape[:1] for each in values):
        return False
    weight, bias = absorbed(weight, bias, values, epsilon)
    # In place: an initialiser keeps its name and its order.
    stored[conv.input[1]].CopyFrom(numpy_helper.from_array(weight, conv.input[1]))
    name = f"{conv.input[1]}.bias"
    while name in stored or name in makers:
        name += "_"
    graph.initializer.append(numpy_helper.from_array(bias, name))
    conv.input[1:] = [conv.input[1], name]
    conv.output[0] = norm.output[0]
    graph.node.remove(norm)
    if add is not None:
        graph.node.remove(add)
    return True
