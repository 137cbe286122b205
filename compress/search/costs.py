"""What a point costs, before anything is trained: its bytes, its multiply-accumulates, and its
latency on this machine.

Bytes are those of `compress.rehearsal`. Latency comes from a line through a dozen such files that were
timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compress.recipe.search import Bits
from compress.search.space import Shape
from teachers import networks
from teachers.networks import Spec

# The published count has BatchNorm's scales and shifts, which are folded when a network is
# deployed; the rest of a file only adds to it.
FOLDED = 0.85
BITS = {"float32": 32, "float16": 16, "int8": 8, "mixed": 4, "int4": 4}
# Networks are fitted apart by what their files compute in.
INTEGERS = ("int8",)


def least_bytes(spec: Spec, bits: str) -> int:
    """What the weights alone come to, so that nothing is exported that surely does not fit."""
    return int(networks.parameters(spec) * BITS[bits] / 8 * FOLDED)


@dataclass(frozen=True)
class Timed:
    """A file that was timed.

    Attributes:
        ms: of one clip, see `compress.evaluation.latency.undisturbed`.
    """

    shape: Shape
    bits: Bits
    size_bytes: int
    macs: int
    blocks: int
    ms: float


@dataclass(frozen=True)
class LatencyModel:
    """Milliseconds of a clip = a call + multiply-accumulates + work that grows with blocks and
    frames alone.

    Attributes:
        weights: of these three, by what files compute in.
        error: median of |predicted / timed - 1|, each file predicted from the others.
        largest: the largest of them.
    """

    weights: dict[str, tuple[float, ...]]
    error: float
    largest: float

    def predict(self, bits: str, macs: int, blocks: int, frames: int) -> float:
        """Milliseconds of one clip."""
        return float(_features(macs, blocks, frames) @ np.array(self.weights[kind_of(bits)]))


def kind_of(bits: str) -> str:
    """What files compute in."""
    return "integers" if bits in INTEGERS else "floats"


def fit(rows: Sequence[Timed]) -> LatencyModel:
    """The model of timed files, by least squares of the relative error; no part of it is
    negative."""
    weights: dict[str, tuple[float, ...]] = {}
    errors: list[float] = []
    for kind in sorted({kind_of(row.bits) for row in rows}):
        own = [row for row in rows if kind_of(row.bits) == kind]
        x = np.stack([_features(row.macs, row.blocks, row.shape.frames) for row in own])
        y = np.array([row.ms for row in own])
        weights[kind] = tuple(_non_negative(x, y).tolist())
        for left_out in range(len(own)):
            others = np.arange(len(own)) != left_out
            if others.any():
                predicted = x[left_out] @ _non_negative(x[others], y[others])
                errors.append(abs(float(predicted) / float(y[left_out]) - 1))
    median = float(np.median(errors)) if errors else 1.0
    return LatencyModel(weights, median, max(errors, default=1.0))


def _features(macs: int, blocks: int, frames: int) -> np.ndarray:
    return np.array([1.0, macs / 1e9, blocks * frames / 1e3])


def _non_negative(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least squares of x @ w / y against 1 with w >= 0: the best of all choices of columns."""
    # Three columns, so that all seven choices are tried: no solver is needed.
    best = np.array([float(np.median(y)), 0.0, 0.0])
    least = float(np.square(x @ best / y - 1).sum())
    for choice in range(1, 2 ** x.shape[1]):
        columns = [column for column in range(x.shape[1]) if choice >> column & 1]
        some, *_ = np.linalg.lstsq(x[:, columns] / y[:, None], np.ones(len(y)), rcond=None)
        if (some < 0).any():
            continue
        weights = np.zeros(x.shape[1])
        weights[columns] = some
        error = float(np.square(x @ weights / y - 1).sum())
        if error < least - 1e-12:
            best, least = weights, error
    return best
