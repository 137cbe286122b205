"""The format "onnx": `model.onnx` for ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

from paddle import nn

from export.formats import onnx_int8, onnx_model, onnx_weights
from export.quantize.bits import Plan

ROUNDS_ACTIVATIONS = True


def save(flat: nn.Sequential, spec, folder: Path, plan: Plan | None = None) -> list[Path]:
    """See `export.formats.contract.Format`."""
    if plan is None:
        return onnx_model.save(flat, spec, folder)
    # Without ranges there is nothing to compute in integers: the float form is the faster one then
    writer = onnx_int8 if plan.ranges else onnx_weights
    return writer.save(flat, spec, folder, plan)
