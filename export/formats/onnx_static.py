"""`model.onnx` with a fixed batch: every shape is known before a clip comes, and nothing in the graph
computes one."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from export.formats import onnx_graph_tools as tools

# Of a shape that is computed in the graph: more axes no runtime has.
LARGEST_SHAPE = 64


def fix(model: onnx.ModelProto, batch: int) -> None:
    """Change a model in place so that it takes `batch` clips; exactly the same logits."""
    graph = model.graph
    for end in (*graph.input, *graph.output):
        end.type.tensor_type.shape.dim[0].dim_value = batch
    # They name a free batch; runtimes infer shapes by themselves.
    del graph.value_info[:]
    _pad_ones(model)
    _fold_shapes(model)
    tools.drop_unread(graph)


def _pad_ones(model: onnx.ModelProto) -> None:
    """Concat of a value and as many ones -> Pad with ones.

    EfficientGCN's attention puts a row of ones beside each factor, and makes it by the factor's
    shape: as constants of fixed shape they would be as large as the network's weights.
    """
    graph = model.graph
    known = tools.shapes(model)
    for node in [each for each in graph.node if each.op_type == "Concat" and len(each.input) == 2]:
        value, ones = node.input
        sizes = known.get(ones)
        if sizes is None or None in sizes or not _is_ones(graph, ones):
            continue
        axis = int(str(tools.attribute(node, "axis"))) % len(sizes)
        pads = np.zeros(2 * len(sizes), "int64")
        pads[len(sizes) + axis] = sizes[axis]
        inputs = [
            value,
            tools.add_constant(graph, "ones.pads", pads),
            tools.add_constant(graph, "ones.value", np.array(1, "float32")),
        ]
        tools.replace(graph, [node], [helper.make_node("Pad", inputs, list(node.output))])
    tools.drop_unread(graph)


def _is_ones(graph: onnx.GraphProto, name: str) -> bool:
    """Whether a value is made of ones alone, by Expand, perhaps behind Unsqueeze."""
    node = tools.maker(graph, name)
    while node is not None and node.op_type in ("Unsqueeze", "Reshape"):
        node = tools.maker(graph, node.input[0])
    if node is None or node.op_type not in ("Expand", "ConstantOfShape"):
        return False
    if node.op_type == "ConstantOfShape":
        filled = tools.attribute(node, "value")
        return filled is not None and bool((onnx.numpy_helper.to_array(filled) == 1).all())
    filled = tools.constant(graph, node.input[0])
    return filled is not None and bool((filled == 1).all())


def _fold_shapes(model: onnx.ModelProto) -> None:
    """What follows from Shape alone becomes a constant."""
    graph = model.graph
    known = tools.shapes(model)
    # Only what a Shape leads to: weights that are stored in fewer bits are constants, too, and
    # would grow back.
    folded: dict[str, np.ndarray] = {}
    for node in list(graph.node):
        if node.op_type == "Shape":
            sizes = known.get(node.input[0])
            if sizes is None or None in sizes:
                continue
            # `start` and `end` of opset 15.
            start, end = tools.attribute(node, "start", 0), tools.attribute(node, "end", len(sizes))
            folded[node.output[0]] = np.array(sizes, "int64")[start:end]
        elif any(name in folded for name in node.input):
            found = [folded.get(name, tools.constant(graph, name)) for name in node.input if name]
            values = [value for value in found if value is not None]
            if len(values) < len(found):
                continue
            result = _evaluate(model, node, values)
            if result.dtype == np.int64 and result.size <= LARGEST_SHAPE:
                folded[node.output[0]] = result
    for name, value in folded.items():
        kept = tools.add_constant(graph, name, value)
        for node in tools.readers(graph, name):
            node.input[:] = [kept if each == name else each for each in node.input]
    for node in [each for each in graph.node if each.output[0] in folded]:
        graph.node.remove(node)


def _evaluate(model: onnx.ModelProto, node: onnx.NodeProto, values: list[np.ndarray]) -> np.ndarray:
    names = [name for name in node.input if name]
    inputs = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape
        )
        for name, value in zip(names, values, strict=True)
    ]
    output = onnx.ValueInfoProto(name=node.output[0])
    graph = helper.make_graph([node], "shape", inputs, [output])
    small = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    result = ReferenceEvaluator(small).run(None, dict(zip(names, values, strict=True)))
    return np.asarray(result[0])
