"""Weights of an ONNX file in int8, int4 (two in a byte, a scale for each group of inputs) or
float16.

Weights of integer layers pass a DequantizeLinear, which ONNX Runtime fuses. All others are made
float32 by Cast and Mul, which it computes once when it loads the file, so that the file is as fast
as a float32 one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from paddle import nn

from export.flat.layers import prepared
from export.formats import onnx_model
from export.quantize import bits
from export.quantize.bits import Plan
from teachers.errors import ExportMismatch

# Nibbles are packed by two in a byte from this opset on
INT4_OPSET = 21  # the first with int4


def save(flat: nn.Sequential, spec, folder: Path, plan: Plan) -> list[Path]:
    """Write `model.onnx` with weights stored by the plan; it computes in float32. The flat
    network stays as it is."""
    return onnx_model.write(convert(flat, spec, plan), folder)


def convert(flat: nn.Sequential, spec, plan: Plan) -> onnx.ModelProto:
    """The model; see `save`."""
    rounded = bits.quantize_weights(prepared(flat), plan)
    model = onnx_model.traced(rounded, spec)
    store(model, rounded, plan)
    return model


def store(model: onnx.ModelProto, flat: nn.Sequential, plan: Plan) -> None:
    """Store the initialisers of a model by the plan; they must be rounded by it already.

    Raises:
        ExportMismatch: a weight that is not, or a graph with none of the plan's weights.
    """
    wanted = {one.name: (plan.precision[one.layer], one.axis) for one in bits.weights(flat)}
    # Counted on names: a transform before the operator would hide a weight silently
    if not any(tensor.name in wanted for tensor in model.graph.initializer):
        raise ExportMismatch(
            "none of the plan's weights is in the ONNX graph; make the plan for this network"
        )
    others = {one.name: (plan.others, 0) for one in bits.others(flat)}
    store_as(model.graph, others | wanted, plan.group)
    if "int4_weights" in plan.precision.values():
        upgrade(model)


def store_as(
    graph: onnx.GraphProto, wanted: dict[str, tuple[str, int]], group: int = bits.GROUP
) -> int:
    """Store initialisers, rounded already, as other kinds; returns how many.

    Args:
        wanted: name -> (one of `bits.KINDS`, axis of the output channels).
    """
    front, count = [], 0
    for tensor in [one for one in graph.initializer if one.name in wanted]:
        kind, axis = wanted[tensor.name]
        weight = numpy_helper.to_array(tensor)
        if bits.stays(weight, kind):
            continue
        graph.initializer.remove(tensor)
        make = {
            "float16": _halves,
            "int8": _integers,
            "int8_weights": _bytes,
            "int4_weights": _nibbles,
        }[kind]
        tensors, nodes = make(tensor.name, weight, axis, kind, group)
        graph.initializer.extend(tensors)
        front += nodes
        count += 1
    rest = list(graph.node)
    del graph.node[:]
    # In front: ONNX wants nodes in the order of computation
    graph.node.extend(front + rest)
    return count


def _halves(name: str, weight: np.ndarray, axis: int, kind: str, group: int):
    return (
        [numpy_helper.from_array(weight.astype("float16"), f"{name}h")],
        [helper.make_node("Cast", [f"{name}h"], [name], to=TensorProto.FLOAT)],
    )


def _integers(name: str, weight: np.ndarray, axis: int, kind: str, group: int):
    found, scales = bits.stored(weight, name, axis, kind, group)
    return (
        [
            numpy_helper.from_array(_placed(found, weight, axis), f"{name}q"),
            numpy_helper.from_array(scales.reshape(-1), f"{name}s"),
        ],
        [helper.make_node("DequantizeLinear", [f"{name}q", f"{name}s"], [name], axis=axis)],
    )


def _bytes(name: str, weight: np.ndarray, axis: int, kind: str, group: int):
    found, scales = bits.stored(weight, name, axis, kind, group)
    shape = [1] * weight.ndim
    shape[axis] = len(scales)
    return (
        [
            numpy_helper.from_array(_placed(found, weight, axis), f"{name}q"),
            numpy_helper.from_array(scales.reshape(shape), f"{name}s"),
        ],
        [
            helper.make_node("Cast", [f"{name}q"], [f"{name}f"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}f", f"{name}s"], [name]),
        ],
    )


def _nibbles(name: str, weight: np.ndarray, axis: int, kind: str, group: int):
    """int4 of shape (channels, groups, inputs of a group), times float16 scales, in the shape and
    order of the weight."""
    found, scales = bits.stored(weight, name, axis, kind, group)
    # Two's complement in four bits, the first level in the low half, as ONNX lays int4 out
    flat = found.reshape(-1).astype("uint8") & 15
    flat = np.append(flat, np.zeros(len(flat) % 2, "uint8"))
    packed = TensorProto(
        name=f"{name}q",
        data_type=TensorProto.INT4,
        dims=found.shape,
        raw_data=(flat[::2] | flat[1::2] << 4).tobytes(),
    )
    moved = [weight.shape[axis], *np.delete(weight.shape, axis)]
    tensors = [
        packed,
        numpy_helper.from_array(scales.astype("float16"), f"{name}s"),
        numpy_helper.from_array(np.array(moved, "int64"), f"{name}n"),
    ]
    nodes = [
        helper.make_node("Cast", [f"{name}q"], [f"{name}f"], to=TensorProto.FLOAT),
        helper.make_node("Cast", [f"{name}s"], [f"{name}t"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"{name}f", f"{name}t"], [f"{name}g"]),
        helper.make_node("Reshape", [f"{name}g", f"{name}n"], [f"{name}r" if axis else name]),
    ]
    if axis:
        order = np.argsort([axis, *np.delete(np.arange(weight.ndim), axis)])
        nodes.append(helper.make_node("Transpose", [f"{name}r"], [name], perm=order.tolist()))
    return tensors, nodes


def _placed(found: np.ndarray, weight: np.ndarray, axis: int) -> np.ndarray:
    """Levels in the shape of the weight."""
    return np.ascontiguousarray(
        np.moveaxis(found.reshape([weight.shape[axis], *np.delete(weight.shape, axis)]), 0, axis)
    )


def upgrade(model: onnx.ModelProto) -> None:
    """Bring a model to the first opset with int4; of the operators in our files only ReduceMean is
    written in another way there."""
    for node in model.graph.node:
        if node.op_type == "ReduceMean" and len(node.input) == 1:
            # From opset 18 on the axes are an input, no longer an attribute
            axes = [one for one in node.attribute if one.name == "axes"]
            for one in axes:
                name = "axes" + "_".join(str(number) for number in one.ints)
                if all(tensor.name != name for tensor in model.graph.initializer):
                    model.graph.initializer.append(
                        numpy_helper.from_array(np.array(one.ints, "int64"), name)
                    )
                node.input.append(name)
                node.attribute.remove(one)
        elif node.op_type == "Split" and len(node.input) == 1:
            # Required from opset 18 on where no sizes are given
            node.attribute.append(helper.make_attribute("num_outputs", len(node.output)))
    model.opset_import[0].version = INT4_OPSET
    # int4 came with IR version 10
    model.ir_version = max(model.ir_version, 10)
