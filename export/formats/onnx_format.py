"""The format "onnx": `model.onnx` for ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import onnxruntime
from paddle import nn

from export.formats import onnx_absent, onnx_int8, onnx_model, onnx_qoperator, onnx_weights
from export.formats.options import USUAL, Integers, Options
from export.quantize.bits import Plan
from teachers.networks import Spec

ROUNDS_ACTIVATIONS = True
# The first ONNX Runtime that surely knows an opset, of those that files here have: 15 by the matrix
# of its releases; 21 has four-bit integers, whose kernels came a release after the opset.
OLDEST_RUNTIME = {15: "1.10", 21: "1.19"}
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
    if options.skip_absent:
        onnx_absent.skip(model, spec)
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
    usual: Integers = "qoperator" if spec.network in FASTER_AS_QOPERATOR else "qdq"
    return options.onnx or usual


def needs(files: Sequence[Path]) -> dict[str, str]:
    """See `export.formats.contract.Format`."""
    (path,) = files
    model = onnx.load(path, load_external_data=False)
    # "" is ai.onnx, the standard operators.
    opset = next(each.version for each in model.opset_import if each.domain == "")
    integers = {"integers": form} if (form := form_of(model)) else {}
    return integers | {
        "opset": str(opset),
        "ir_version": str(model.ir_version),
        "onnxruntime": OLDEST_RUNTIME.get(opset, "the newest"),
        "checked_with": f"onnxruntime {onnxruntime.__version__}",
    }


def form_of(model: onnx.ModelProto) -> Integers | None:
    """How a file writes its integers; None: it computes in float32."""
    if any(each.domain == onnx_qoperator.MICROSOFT for each in model.opset_import):
        return "qoperator"
    # Weights alone are made float32 by Cast and Mul, and need no QuantizeLinear.
    kinds = {node.op_type for node in model.graph.node}
    return "qdq" if "QuantizeLinear" in kinds else None
