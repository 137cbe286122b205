"""The format "onnx": `model.onnx` for ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import onnxruntime
from paddle import nn

from export.formats import onnx_absent, onnx_int8, onnx_model, onnx_weights
from export.formats.options import USUAL, Options
from export.quantize.bits import Plan
from teachers.networks import Spec

ROUNDS_ACTIVATIONS = True
# The first ONNX Runtime that surely knows an opset, of those that files here have: 15 by the matrix
# of its releases; 21 has four-bit integers, whose kernels came a release after the opset.
OLDEST_RUNTIME = {15: "1.10", 21: "1.19"}


def save(
    flat: nn.Sequential,
    spec: Spec,
    folder: Path,
    plan: Plan | None = None,
    options: Options = USUAL,
) -> list[Path]:
    """See `export.formats.contract.Format`."""
    model = convert(flat, spec, plan)
    # Last, on the finished model: it computes the features of nobody with the model itself.
    if options.skip_absent:
        onnx_absent.skip(model, spec)
    return onnx_model.write(model, folder)


def convert(flat: nn.Sequential, spec: Spec, plan: Plan | None) -> onnx.ModelProto:
    """The model with everybody computed."""
    if plan is None:
        return onnx_model.convert(flat, spec)
    # Without ranges there is nothing to compute in integers: the float form is the faster one then
    writer = onnx_int8 if plan.ranges else onnx_weights
    return writer.convert(flat, spec, plan)


def needs(files: Sequence[Path]) -> dict[str, str]:
    """See `export.formats.contract.Format`."""
    (path,) = files
    model = onnx.load(path, load_external_data=False)
    # "" is ai.onnx, the standard operators.
    opset = next(each.version for each in model.opset_import if each.domain == "")
    return {
        "opset": str(opset),
        "ir_version": str(model.ir_version),
        "onnxruntime": OLDEST_RUNTIME.get(opset, "the newest"),
        "checked_with": f"onnxruntime {onnxruntime.__version__}",
    }
