"""The format "paddle": `model.pdmodel` and `model.pdiparams` for Paddle Inference."""

from __future__ import annotations

from pathlib import Path

from paddle import nn

from export.formats import paddle_model, paddle_weights
from export.formats.options import USUAL, Options
from export.quantize.bits import Plan
from teachers.networks import Spec

# Paddle 2.6.2's integer predictors return wrong logits for these networks, so files store few bits
# and compute in float32.
ROUNDS_ACTIVATIONS = False


def save(
    flat: nn.Sequential,
    spec: Spec,
    folder: Path,
    plan: Plan | None = None,
    options: Options = USUAL,
) -> list[Path]:
    """See `export.formats.contract.Format`."""
    if plan is None:
        return paddle_model.save(flat, spec, folder)
    return paddle_weights.save(flat, spec, folder, plan)
