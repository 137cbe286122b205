"""The format "paddle": `model.pdmodel` and `model.pdiparams` for Paddle Inference."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import paddle
from paddle import nn

from export.formats import paddle_absent, paddle_model, paddle_version, paddle_weights
from export.formats.options import USUAL, Options
from export.quantize.bits import Plan
from teachers.networks import Spec
from teachers.weights import paddle_files

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
    # Not `options.skips_absent`: profile and batch are those of `model.onnx`.
    skips = options.skip_absent is not False
    if plan is None:
        return paddle_model.save(
            paddle_absent.skipping(flat, spec) if skips else flat, spec, folder
        )
    return paddle_weights.save(flat, spec, folder, plan, skips)


def needs(files: Sequence[Path], options: Options = USUAL) -> dict[str, str]:
    """See `export.formats.contract.Format`."""
    model, _ = files
    # Paddle reads programs of older versions, 3.x those of 2.x by a translator, and promises nothing
    # for newer ones.
    return {
        "paddlepaddle": _written_by(model),
        "checked_with": f"paddlepaddle {paddle.__version__}",
    }


def _written_by(model: Path) -> str:
    if model.suffix == Path(paddle_version.PROGRAMS[3]).suffix:
        # The format's own version is in it, not the release's.
        return paddle.__version__
    stamp = paddle_files.read_program(model).version.version
    return f"{stamp // 1_000_000}.{stamp // 1000 % 1000}.{stamp % 1000}"
