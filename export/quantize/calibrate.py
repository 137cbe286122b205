"""Ranges of activations for eight bits, from real clips: min_max, percentile, entropy (KL
divergence), mse and gradient.

A range always holds zero. Entropy, mse and gradient shrink the observed range. Gradient is mse with
every value counted by how much it matters, the squared gradient of the logits (the diagonal of the
Fisher matrix, as BRECQ weighs errors: Li et al., ICLR 2021, arXiv 2102.05426): what Swish flattens
or a small weight takes up may be cut off, whatever its size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
from paddle import nn

from export.flat.layers import FlatLayer
from teachers.errors import DataError, RecipeError

METHODS = ("min_max", "percentile", "entropy", "mse", "gradient")
BINS = 2048
# Of `gradient`, whose ranges may be a small part of what was observed
FINE_BINS = 8192
# The same, of the observed range
FRACTIONS = np.geomspace(0.04, 1.0, 24)
# Clips times random combinations of logits, each of them a backward pass
GRADIENTS = 16
# A ten-thousandth of the values, both ends together
KEEP = 0.9999  # of all values: what `percentile` keeps inside
SHRINK = np.linspace(0.25, 1.0, 31)  # fractions of the observed range that `entropy` and `mse` try
LEVELS = 256
BATCH = 8
# A range that is less of its histogram is found again in a histogram of itself: behind a single
# enormous value all others lie in one bin.
NARROW = 1 / 32
# A billion times what the others are; each is one more run of the network
ZOOMS = 3
# Ranges below it are none: bins of float32 numbers so small are not distinct
NOTHING = 1e-30

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
    if method == "gradient":
        weights = squared_gradients(flat, clips, extremes)
        # What has no gradient is a constant, or reaches no logit
        return {
            name: mse(weights[name], *ends, FRACTIONS) if weights[name].any() else ends
            for name, ends in extremes.items()
        }
    # A second pass: bins need the range, and activations of all clips do not fit in memory
    counts = histograms(flat, clips, extremes)
    choose = {"percentile": percentile, "entropy": entropy, "mse": mse}[method]
    found = {name: choose(counts[name], *extremes[name]) for name in extremes}
    # The others take a part of the observed range that bins are fine enough for
    return zoomed(flat, clips, extremes, found) if method == "percentile" else found


def histograms(flat: nn.Layer, clips: np.ndarray, ends: dict[str, Range]) -> dict[str, np.ndarray]:
    """(BINS,) of every point of `ends`: how many of its values lie in each equal bin between its
    ends; what is beyond an end counts as the end."""
    counts = {name: np.zeros(BINS) for name in ends}

    def count(name: str, value):
        if name in counts:
            between = _between(ends[name])
            counts[name] += np.histogram(np.clip(value.numpy(), *between), BINS, between)[0]
        return value

    run(flat, clips, count)
    return counts


def zoomed(
    flat: nn.Layer, clips: np.ndarray, seen: dict[str, Range], found: dict[str, Range]
) -> dict[str, Range]:
    """Ranges of `percentile`, found again where they are so small a part of what was seen that a bin
    is much of them. One stays as it was found where nearly all values are zero."""
    known = dict(found)
    for _ in range(ZOOMS):
        narrow = {name: found[name] for name in found if _is_narrow(found[name], seen[name])}
        if not narrow:
            break
        counts = histograms(flat, clips, narrow)
        seen, found = narrow, {name: percentile(counts[name], *narrow[name]) for name in narrow}
        known |= {name: ends for name, ends in found.items() if not _is_narrow(ends, narrow[name])}
    return known


def _is_narrow(ends: Range, seen: Range) -> bool:
    return _width(seen) > NOTHING and _width(ends) < NARROW * _width(seen)


def _width(ends: Range) -> float:
    return ends[1] - ends[0]


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


def _between(ends: Range) -> Range:
    """What a histogram goes over; all values of a point may be zero."""
    return ends if _width(ends) > NOTHING else (0.0, 1.0)


def squared_gradients(
    flat: nn.Sequential, clips: np.ndarray, extremes: dict[str, Range]
) -> dict[str, np.ndarray]:
    """(FINE_BINS,) of every point: the squared gradients of the logits in equal bins of its values.

    All logits' squared gradients together are expected of one gradient, that of their sum with
    random signs (Hutchinson's estimate).
    """
    chosen = clips[np.linspace(0, len(clips) - 1, min(GRADIENTS, len(clips))).astype(int)]
    generator = np.random.default_rng(0)
    weights = {name: np.zeros(FINE_BINS) for name in extremes}
    seen: list[tuple] = []

    def see(name: str, value):
        if not value.stop_gradient:
            value.retain_grads()
            seen.append((name, value))
        return value

    observe(flat, see)
    try:
        # One by one: the gradients of all points are many times a clip's activations
        for clip in chosen:
            x = paddle.to_tensor(np.ascontiguousarray(clip[None], dtype="float32"))
            x.stop_gradient = False
            logits = flat(x)
            squares = [np.zeros(value.shape, "float32") for _, value in seen]
            for _ in range(-(-GRADIENTS // len(chosen))):
                signs = generator.choice([-1.0, 1.0], logits.shape).astype("float32")
                (logits * paddle.to_tensor(signs)).sum().backward(retain_graph=True)
                for square, (_, value) in zip(squares, seen, strict=True):
                    # None: it reaches no logit
                    if value.grad is not None:
                        square += np.square(value.grad.numpy())
                        value.clear_gradient()
            for square, (name, value) in zip(squares, seen, strict=True):
                weights[name] += _weighed(value.numpy(), square, extremes[name])
            seen.clear()
    finally:
        observe(flat, None)
    return weights


def _weighed(values: np.ndarray, weights: np.ndarray, ends: Range) -> np.ndarray:
    """Weights (FINE_BINS,) in equal bins of the values; ten times as fast as NumPy's histogram."""
    low, high = _between(ends)
    bins = ((values - low) * (FINE_BINS / (high - low))).astype("int32")
    bins = np.clip(bins, 0, FINE_BINS - 1)
    return np.bincount(bins.reshape(-1), weights.reshape(-1), FINE_BINS)


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


def mse(counts: np.ndarray, low: float, high: float, fractions: np.ndarray = SHRINK) -> Range:
    """The shrunk range, either end by itself, with the least squared error of 256 levels."""
    if not high > low:
        return low, high
    edges = np.linspace(low, high, len(counts) + 1)
    # The bins' centres stand for what lies in them
    values, best = (edges[1:] + edges[:-1]) / 2, (np.inf, low, high)
    for bottom in fractions if low < 0 else (1.0,):
        for top in fractions if high > 0 else (1.0,):
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
