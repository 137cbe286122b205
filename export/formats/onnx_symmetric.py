"""Eight bits as TensorRT has them: int8 around zero, exactly the same numbers.

Its documents: QuantizeLinear and DequantizeLinear take INT8 with a zero point of 0 alone, UINT8 is
for the network's input and output only, and Cast takes no INT8.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from export.formats import onnx_graph_tools as tools

# The uint8 level that is zero in a symmetric range, see `export.quantize.quantized.symmetric`.
MIDDLE = 128


def centre(model: onnx.ModelProto) -> None:
    """Change a model in place: uint8 levels around 128 become int8 levels around 0; a Cast and Mul
    of int8 weights become one DequantizeLinear. What is not symmetric stays, for `onnx_rules`."""
    _signed_levels(model.graph)
    _dequantised_weights(model.graph)
    tools.drop_unread(model.graph)


def _signed_levels(graph: onnx.GraphProto) -> None:
    kinds = ("QuantizeLinear", "DequantizeLinear")
    nodes = [node for node in graph.node if node.op_type in kinds and len(node.input) == 3]
    for node in nodes:
        zero = tools.constant(graph, node.input[2])
        if zero is None or zero.dtype != np.uint8 or not (zero == MIDDLE).all():
            continue
        node.input[2] = tools.add_constant(graph, "zero", np.zeros_like(zero, "int8"))
        levels = tools.constant(graph, node.input[0])
        # Once: what two nodes read is signed already when the second comes.
        if levels is not None and levels.dtype == np.uint8:
            signed = (levels.astype("int16") - MIDDLE).astype("int8")
            tools.change_constant(graph, node.input[0], signed)


def _dequantised_weights(graph: onnx.GraphProto) -> None:
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for cast in [each for each in graph.node if each.op_type == "Cast"]:
        weight = stored.get(cast.input[0])
        found = tools.readers(graph, cast.output[0])
        if weight is None or weight.data_type != onnx.TensorProto.INT8 or len(found) != 1:
            continue
        scales = tools.constant(graph, found[0].input[1]) if found[0].op_type == "Mul" else None
        # A scale for each place on one axis, of as many axes as the weight.
        if scales is None or scales.ndim != len(weight.dims) or scales.size != max(scales.shape):
            continue
        axis = int(np.argmax(scales.shape))
        name = found[0].input[1]
        if weight.dims[axis] != scales.size or len(tools.readers(graph, name)) > 1:
            continue
        tools.change_constant(graph, name, scales.reshape(-1))
        node = helper.make_node(
            "DequantizeLinear", [cast.input[0], name], list(found[0].output), axis=axis
        )
        tools.replace(graph, [cast, found[0]], [node])
