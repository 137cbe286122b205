"""Values that no trained network has, and that Paddle computes with all the same: its ReLU of NaN
is 0, and so a damaged tensor becomes a network that answers, wrongly, without a word."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from teachers.errors import CheckpointError

# A BatchNorm variance as Paddle, torch and this project name it.
VARIANCES = ("_variance", "running_var", "moving_variance")


def require_usable(arrays: Mapping[str, np.ndarray], where: str) -> None:
    """
    Args:
        arrays: weights and BatchNorm statistics by name.
        where: the file, for the message.
    Raises:
        CheckpointError: a tensor that holds no floating-point numbers, NaN or an infinity, also one
            that it becomes in float32, or a negative variance.
    """
    for name, value in arrays.items():
        problem = _problem(name, value)
        if problem is not None:
            raise CheckpointError(
                f"{where}: {name} {problem}; the training that wrote it diverged or the file is"
                " damaged: give an earlier checkpoint, or copy the file again"
            )


def _problem(name: str, value: np.ndarray) -> str | None:
    # Paddle casts whatever it is given: complex numbers lose their imaginary part, and integers are
    # rounded weights without their scale, or the bits of another format (Paddle hands out bfloat16
    # as uint16).
    if value.dtype.kind != "f":
        return f"holds {value.dtype} values, not floating-point weights"
    # Networks compute in float32, where a large float64 becomes infinite.
    with np.errstate(over="ignore"):
        finite = np.isfinite(value.astype(np.float32, copy=False))
    if not finite.all():
        return (
            f"holds {_kind(value[~finite])}, in {np.count_nonzero(~finite)} of {value.size} values"
        )
    if name.endswith(VARIANCES) and (value < 0).any():
        return f"holds a negative BatchNorm variance ({float(value.min()):g})"
    return None


def _kind(values: np.ndarray) -> str:
    if np.isnan(values).any():
        return "NaN (not a number)"
    if np.isinf(values).any():
        return "infinity"
    return "numbers too large for float32"
