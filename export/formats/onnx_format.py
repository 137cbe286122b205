"""The format "onnx": `model.onnx` for ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from paddle import nn

from export.formats import (
    onnx_absent,
    onnx_int8,
    onnx_model,
    onnx_needs,
    onnx_place,
    onnx_qoperator,
    onnx_weights,
)
from export.formats.options import USUAL, Integers, Options
from export.quantize.bits import Plan
from teachers.networks import Spec

ROUNDS_ACTIVATIONS = True
# Networks whose file in eight bits ONNX Runtime runs faster as its own operators, as measured
# (`benchmarks/LOG.md`); for all others it is pairs.
FASTER_AS_QOPERATOR = frozenset({"efficientgcn", "stgcn", "stgcnpp"})


def save(
    flat: nn.Sequential,
    spec: Spec,
    folder: Path,
    plan: Plan | None = None,
    options: Options = USUAL,
) -> list[Path]:
    """See `export.formats.contract.Format`."""
    model = convert(flat, spec, plan, options)
    # Last, on the finished model: it computes the features of nobody with the model itself.
    if options.skips_absent:
        onnx_absent.skip(model, spec)
    onnx_place.fit(model, spec, options)
    return onnx_model.write(model, folder)


def convert(
    flat: nn.Sequential, spec: Spec, plan: Plan | None, options: Options = USUAL
) -> onnx.ModelProto:
    """The model with everybody computed."""
    if plan is None:
        return onnx_model.convert(flat, spec)
    # Without ranges there is nothing to compute in integers: the float form is the faster one then
    if not plan.ranges:
        return onnx_weights.convert(flat, spec, plan)
    model = onnx_int8.convert(flat, spec, plan)
    if integers_of(spec, options) == "qoperator":
        onnx_qoperator.convert(model)
    return model


def integers_of(spec: Spec, options: Options) -> Integers:
    """How a network's file in eight bits is written."""
    if options.onnx is not None:
        return options.onnx
    # An ensemble as its members.
    parts = {getattr(block, "network", spec.network) for block in spec.blocks}
    faster = parts <= set(FASTER_AS_QOPERATOR)
    return "qoperator" if faster and not options.place.qdq else "qdq"


def needs(files: Sequence[Path], options: Options = USUAL) -> dict[str, str]:
    """See `export.formats.contract.Format`."""
    (path,) = files
    model = onnx.load(path, load_external_data=False)
    form = form_of(model)
    return ({"integers": form} if form else {}) | onnx_needs.needs(model, options.profile)


def form_of(model: onnx.ModelProto) -> Integers | None:
    """How a file writes its integers; None: it computes in float32."""
    if any(each.domain == onnx_qoperator.MICROSOFT for each in model.opset_import):
        return "qoperator"
    # Weights alone are made float32 by Cast and Mul, and need no QuantizeLinear.
    kinds = {node.op_type for node in model.graph.node}
    return "qdq" if "QuantizeLinear" in kinds else None
