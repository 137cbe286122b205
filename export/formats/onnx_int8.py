"""ONNX with eight-bit weights and activations: Q/DQ pairs that ONNX Runtime fuses into integer
convolutions, products and sums; `export/formats/onnx_qoperator.py` writes its operators itself.

The flat network is traced with every point of the plan cut off at its range; each such Clip then
becomes one QuantizeLinear + DequantizeLinear. Weights become int8 initialisers with a scale for
each channel. Biases stay float32 in the file; ONNX Runtime makes them int32 when it loads it, so
there has to be room for them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from paddle import nn

from export.flat.layers import prepared
from export.formats import onnx_model, onnx_weights
from export.quantize import bits, saturation
from export.quantize.bits import Plan
from export.quantize.calibrate import observe, scale_and_zero
from teachers.errors import ExportMismatch

# In levels: half of what 32 bits hold, as much again is left for the products.
LARGEST_BIAS = 2**30


def save(flat: nn.Sequential, spec, folder: Path, plan: Plan) -> list[Path]:
    """Write `model.onnx` of a flat network whose points have ranges. It stays as it is."""
    return onnx_model.write(convert(flat, spec, plan), folder)


def convert(flat: nn.Sequential, spec, plan: Plan) -> onnx.ModelProto:
    """The quantised model; see `save`.

    Raises:
        ExportMismatch: a weight that not every CPU would compute with alike; see `require_pairs`.
    """
    # Rounded before tracing, so that float32 arithmetic on the way cannot move a level
    rounded = bits.quantize_weights(prepared(flat, integers=True), plan)
    observe(rounded, cutting(plan))
    model = onnx_model.traced(rounded, spec)
    quantize_points(model.graph, plan)
    onnx_weights.store(model, rounded, plan)
    room_for_biases(model.graph)
    require_pairs(model)
    return model


def room_for_biases(graph: onnx.GraphProto) -> None:
    """Make weights coarser where a bias would not fit into 32 bits.

    An integer convolution counts its bias in steps of its input times those of its weights. Of a
    channel whose weights are almost nothing beside its bias (a BatchNorm that has unlearnt it), or of
    an input that calibration saw at rest, these are too many, and runtimes cut them off silently. The
    products of such weights are less than a thousandth of the bias, and less exact now.
    """
    stored = {one.name: one for one in graph.initializer}
    maker = {name: node for node in graph.node for name in node.output}
    nodes = []
    for node in graph.node:
        makers = [maker[name] for name in node.input[:2] if name in maker]
        if (
            node.op_type in ("Conv", "Gemm")
            and len(node.input) > 2
            and [one.op_type for one in makers] == ["DequantizeLinear"] * 2
        ):
            data, weight = makers
            names = (node.input[2], data.input[1], *weight.input[:2])
            wider = _wider(*(numpy_helper.to_array(stored[name]) for name in names))
            if wider is not None:
                name = f"{node.output[0]}w"
                levels, scales = wider
                graph.initializer.append(numpy_helper.from_array(levels, f"{name}q"))
                graph.initializer.append(numpy_helper.from_array(scales, f"{name}s"))
                coarser = onnx.NodeProto()
                coarser.CopyFrom(weight)
                coarser.input[:2] = [f"{name}q", f"{name}s"]
                coarser.output[0] = node.input[1] = name
                nodes.append(coarser)
        nodes.append(node)
    if len(nodes) > len(graph.node):
        del graph.node[:]
        graph.node.extend(nodes)
        onnx_model.drop_unread(graph)


def _wider(
    bias: np.ndarray, step: np.ndarray, levels: np.ndarray, scales: np.ndarray
) -> tuple[np.ndarray, np.ndarray] | None:
    """(levels, scales) of weights (C, ...) with room for the biases (C,) of inputs in such steps; None:
    there is."""
    least = np.abs(bias.astype("float64").reshape(-1)) / (step.astype("float64") * LARGEST_BIAS)
    if (least <= scales).all():
        return None
    raised = np.maximum(scales, least).astype("float32")
    factors = (scales / raised).reshape([-1] + [1] * (levels.ndim - 1))
    return np.round(levels * factors).astype(levels.dtype), raised


def require_pairs(model: onnx.ModelProto) -> None:
    """Make sure of the pair rule (`export/quantize/saturation.py`) on the finished model: any
    machine can.

    Raises:
        ExportMismatch: names the first weight that breaks it.
    """
    for name, largest in saturation.broken(model.graph):
        # What a recipe calls the layer, so that the message can be followed
        layer = name.removesuffix("q").removesuffix(".w")
        raise ExportMismatch(
            f"{name}: two neighbouring int8 weights add up to {largest}, more than "
            f"{saturation.LEVELS}; CPUs without VNNI would compute wrong products with them. Round "
            f"the weights with export.quantize, or keep the layer in float32 (skip: [{layer}])"
        )


def cutting(plan: Plan):
    """An observer that marks a point with the two ends of its range."""
    ends = _ends(plan)
    return lambda name, value: value.clip(*ends[name]) if name in ends else value


def _ends(plan: Plan) -> dict[str, tuple[float, float]]:
    """Point -> the two ends of its levels."""
    ends = {}
    for name, given in plan.ranges.items():
        scale, zero = scale_and_zero(*given)
        # The ends of the levels, not of the range: `scale_and_zero` of them gives the same levels
        # again
        ends[name] = (-zero * scale, (255 - zero) * scale)
    return ends


def quantize_points(graph: onnx.GraphProto, plan: Plan) -> None:
    """Every Clip that `cutting` has put there -> QuantizeLinear, DequantizeLinear to uint8."""
    # By its ends: a ReLU6 is a Clip of the network's own, and is not rounded.
    marked = {(np.float32(low), np.float32(high)) for low, high in _ends(plan).values()}
    stored = {one.name: one for one in graph.initializer}
    shared: dict[tuple, tuple[str, str]] = {}
    nodes = []
    for node in graph.node:
        if (
            node.op_type != "Clip"
            or len(node.input) != 3
            or not all(name in stored for name in node.input[1:])
        ):
            nodes.append(node)
            continue
        low, high = (float(numpy_helper.to_array(stored[name])) for name in node.input[1:])
        if (low, high) not in marked:
            nodes.append(node)
            continue
        scale, zero = scale_and_zero(low, high)
        # A point that is marked several times has one range, which is stored once
        if (scale, zero) not in shared:
            shared[scale, zero] = names = (f"s{len(shared)}", f"z{len(shared)}")
            graph.initializer.append(numpy_helper.from_array(np.float32(scale), names[0]))
            graph.initializer.append(numpy_helper.from_array(np.uint8(zero), names[1]))
        names = shared[scale, zero]
        level = f"{node.output[0]}q"
        if node.input[0] in stored:  # a constant: stored in eight bits
            values = np.clip(
                np.round(numpy_helper.to_array(stored[node.input[0]]) / np.float32(scale)) + zero,
                0,
                255,
            ).astype("uint8")
            graph.initializer.append(numpy_helper.from_array(values, level))
            nodes.append(helper.make_node("DequantizeLinear", [level, *names], [node.output[0]]))
            continue
        nodes.append(helper.make_node("QuantizeLinear", [node.input[0], *names], [level]))
        nodes.append(helper.make_node("DequantizeLinear", [level, *names], [node.output[0]]))
    del graph.node[:]
    graph.node.extend(nodes)
    # The ends of the Clips are read by nobody now
    onnx_model.drop_unread(graph)
