"""The format "paddle": `model.pdmodel` and `model.pdiparams` for Paddle Inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import paddle
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


def needs(files: Sequence[Path]) -> dict[str, str]:
    """See `export.formats.contract.Format`."""
    # Paddle promises nothing between versions, and 3.x runs programs of 2.x through a translator.
    return {"checked_with": f"paddlepaddle {paddle.__version__}"}
