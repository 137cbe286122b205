"""What a channel is worth: criteria for channel pruning.

L1 norm (Li et al., arXiv 1608.08710) and distance to the geometric median (FPGM, He et al., arXiv 1811.00250), both of the
weights with their BatchNorm folded in, and BatchNorm scale (Liu et al., arXiv 1708.06519).
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from teachers.errors import RecipeError

CRITERIA = ("bn_scale", "l1", "fpgm")


@dataclass(frozen=True)
class Producer:
    """A layer that computes the channels `start`, `start + 1`, ... of a group.

    Attributes:
        weight: (n, inputs), its filters with the BatchNorm behind them folded in.
        scale: (n,), the scale of that BatchNorm.
    """

    start: int
    weight: np.ndarray
    scale: np.ndarray


def folded(start: int, weight: np.ndarray, *norms: Mapping[str, np.ndarray]) -> Producer:
    """The producer of a conv's weight (n, ...) and the BatchNorms behind it, {weight, _variance}; the last one says the scale."""
    gain = np.ones(len(weight))
    for norm in norms:
        gain = gain * norm["weight"] / np.sqrt(norm["_variance"].astype("float64") + 1e-5)
    return Producer(start, weight.reshape(len(weight), -1) * gain[:, None], norms[-1]["weight"])


def score(size: int, producers: Sequence[Producer], criterion: str) -> np.ndarray:
    """What each of a group's channels is worth, (size,) float64: the mean over the layers that produce it.

    `l1` and `fpgm` are relative to the layer's own mean, for layers have inputs of all sizes.

    Raises:
        RecipeError: an unknown criterion.
    """
    if criterion not in CRITERIA:
        raise RecipeError(f"prune_channels.criterion: unknown criterion {criterion!r} (known: {', '.join(CRITERIA)})")
    total, count = np.zeros(size), np.zeros(size)
    for one in producers:
        rows = slice(one.start, one.start + len(one.weight))
        total[rows] += {"bn_scale": _scale, "l1": _l1, "fpgm": _fpgm}[criterion](one)
        count[rows] += 1
    return total / np.maximum(count, 1)


def _scale(one: Producer) -> np.ndarray:
    return np.abs(one.scale)


def _l1(one: Producer) -> np.ndarray:
    return _relative(np.abs(one.weight).mean(1))


def _fpgm(one: Producer) -> np.ndarray:
    squares = (one.weight ** 2).sum(1)
    return _relative(np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * one.weight @ one.weight.T, 0)).mean(1))


def _relative(values: np.ndarray) -> np.ndarray:
    return values / max(values.mean(), 1e-30)
