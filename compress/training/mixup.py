"""Mixup on soft labels (Zhang et al., ICLR 2018, arXiv 1710.09412)."""

from __future__ import annotations

import numpy as np
import paddle


def blend(x, lam: float, permutation):
    """x (N, ...), clips or soft labels, blended with its permuted self: lam * x + (1 - lam) *
    x[permutation]. Of fewer indices than N, the first so many are blended.

    With soft labels blended alike, cross-entropy equals lam * CE(a) + (1 - lam) * CE(b).
    """
    first = x if len(permutation) == len(x) else x[: len(permutation)]
    return lam * first + (1.0 - lam) * paddle.index_select(x, permutation)


def draw(alpha: float, size: int, rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """One lambda ~ Beta(alpha, alpha) and one permutation (size,) int64 for a batch."""
    # NumPy's generator, not Paddle's: its numbers are the same on CPU and GPU and in every
    # version.
    lam = float(rng.beta(alpha, alpha))
    return lam, rng.permutation(size).astype("int64")


def soft_labels(y, classes: int, smoothing: float = 0.0):
    """Integer labels (N,) -> (N, K) float32; label smoothing spreads `smoothing` evenly over all
    classes."""
    return paddle.nn.functional.one_hot(y, classes) * (1.0 - smoothing) + smoothing / classes
