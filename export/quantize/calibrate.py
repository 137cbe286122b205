"""Ranges of activations for eight bits, from real clips: min_max, percentile, entropy (KL
divergence) and mse.

A range always holds zero. Entropy and mse shrink the observed range; both choose among the same
shrunk ranges.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
from paddle import nn

from export.flat.layers import FlatLayer
from teachers.errors import DataError, RecipeError

METHODS = ("min_max", "percentile", "entropy", "mse")
BINS = 2048
# A ten-thousandth of the values, both ends together
KEEP = 0.9999  # of all values: what `percentile` keeps inside
SHRINK = np.linspace(0.25, 1.0, 31)  # fractions of the observed range that `entropy` and `mse` try
LEVELS = 256
BATCH = 8

Range = tuple[float, float]


def observe(flat: nn.Layer, observer: Callable | None) -> None:
    """Let every layer's points be seen by `observer(name, value) -> value`; None: by nobody."""
    for layer in flat.sublayers():
        if isinstance(layer, FlatLayer):
            layer.observer = observer


def calibrate(flat: nn.Sequential, clips: np.ndarray, method: str = "mse") -> dict[str, Range]:
    """(lowest, highest) of every point of a flat network, in the form it has, on clips (n, C, T, V,
    M).

    Raises:
        DataError: no clips, or clips that are not finite.
        RecipeError: an unknown method, or a network without points.
    """
    if method not in METHODS:
        raise RecipeError(f"calibration {method!r}: unknown (one of {', '.join(METHODS)})")
    if not len(clips):
        raise DataError(
            "calibration: no clips to calibrate with; give at least one clip of the training split"
        )
    extremes: dict[str, Range] = {}

    def see(name: str, value):
        # One NaN would make every range NaN, and the file fail far from its cause
        if not bool(paddle.isfinite(value).all()):
            raise DataError(
                f"calibration: {name} is not finite on these clips; check the clips and the weights"
            )
        low, high = extremes.get(name, (0.0, 0.0))
        extremes[name] = (min(low, float(value.min())), max(high, float(value.max())))
        return value

    run(flat, clips, see)
    if not extremes:
        raise RecipeError(
            "calibration: this network marks no values that could be kept in eight bits; take"
            " int8_weights for it"
        )
    if method == "min_max":
        return extremes
    counts = {name: np.zeros(BINS) for name in extremes}

    def count(name: str, value):
        counts[name] += np.histogram(
            value.numpy(), BINS, extremes[name] if extremes[name][1] > extremes[name][0] else (0, 1)
        )[0]
        return value

    # A second pass: bins need the range, and activations of all clips do not fit in memory
    run(flat, clips, count)
    choose = {"percentile": percentile, "entropy": entropy, "mse": mse}[method]
    return {name: choose(counts[name], *extremes[name]) for name in extremes}


def run(flat: nn.Layer, clips: np.ndarray, observer: Callable) -> None:
    """Forward all clips with this observer, and take it away again."""
    observe(flat, observer)
    try:
        with paddle.no_grad():
            for start in range(0, len(clips), BATCH):
                flat(
                    paddle.to_tensor(
                        np.ascontiguousarray(clips[start : start + BATCH], dtype="float32")
                    )
                )
    finally:
        observe(flat, None)


def percentile(counts: np.ndarray, low: float, high: float, keep: float = KEEP) -> Range:
    """The range that leaves out the same share of values at either end, `keep` in between; counts
    are of equal bins."""
    share = np.cumsum(counts) / max(counts.sum(), 1.0)
    edges = np.linspace(low, high, len(counts) + 1)
    first = int(np.searchsorted(share, (1 - keep) / 2, side="right"))
    last = int(np.searchsorted(share, 1 - (1 - keep) / 2, side="left"))
    return min(float(edges[min(first, len(counts) - 1)]), 0.0), max(
        float(edges[min(last, len(counts) - 1) + 1]), 0.0
    )


def mse(counts: np.ndarray, low: float, high: float) -> Range:
    """The shrunk range, either end by itself, with the least squared error of 256 levels."""
    if not high > low:
        return low, high
    edges = np.linspace(low, high, len(counts) + 1)
    # The bins' centres stand for what lies in them
    values, best = (edges[1:] + edges[:-1]) / 2, (np.inf, low, high)
    for bottom in SHRINK if low < 0 else (1.0,):
        for top in SHRINK if high > 0 else (1.0,):
            rounded = round_to(values, bottom * low, top * high)
            error = float(counts @ np.square(values - rounded))
            if error < best[0]:
                best = (error, bottom * low, top * high)
    return best[1:]


def entropy(counts: np.ndarray, low: float, high: float) -> Range:
    """The shrunk range whose 256 levels keep the distribution best (Kullback-Leibler divergence)."""
    if not high > low:
        return low, high
    edges = np.linspace(low, high, len(counts) + 1)
    values = (edges[1:] + edges[:-1]) / 2
    counts = counts.copy()
    counts[int(np.abs(values).argmin())] = (
        0  # what ReLU cut off is exact in every range, and would outweigh all else
    )
    losses = [_divergence(counts, values, factor * low, factor * high) for factor in SHRINK]
    factor = float(SHRINK[int(np.argmin(losses))])
    return factor * low, factor * high


def _divergence(counts: np.ndarray, values: np.ndarray, low: float, high: float) -> float:
    inside = (values >= low) & (values <= high)
    kept = np.where(inside, counts, 0.0)
    ends = np.flatnonzero(inside)
    kept[ends[0]] += counts[: ends[0]].sum()  # what is cut off ends up in the outermost levels
    kept[ends[-1]] += counts[ends[-1] + 1 :].sum()
    # The last bin's upper edge would be a 257th level
    level = np.clip(((values - low) / (high - low) * LEVELS).astype(int), 0, LEVELS - 1)
    filled = inside & (counts > 0)
    total = np.bincount(level[inside], counts[inside], LEVELS)
    bins = np.maximum(np.bincount(level[filled], minlength=LEVELS), 1)
    spread = np.where(filled, (total / bins)[level], 0.0)
    p, q = kept / max(kept.sum(), 1e-12), spread / max(spread.sum(), 1e-12)
    both = p > 0
    return float(np.sum(p[both] * np.log(p[both] / np.maximum(q[both], 1e-9))))


def scale_and_zero(low: float, high: float) -> tuple[float, int]:
    """The step and the zero point (0 to 255) of a range; the same everywhere, in float32."""
    # In float32, as it is stored: a float64 step would put ties elsewhere than the file does
    scale = np.float32(max(high - low, 1e-8) / (LEVELS - 1))
    return float(scale), int(np.clip(np.round(-low / float(scale)), 0, LEVELS - 1))


def round_to(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values at the nearest of the 256 levels of a range."""
    scale, zero = scale_and_zero(low, high)
    return (np.clip(np.round(values / scale) + zero, 0, LEVELS - 1) - zero) * scale
