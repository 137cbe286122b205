"""What float16 holds, of weights and of the scales of int4: folded weights of real networks lie
beyond it on both sides."""

from __future__ import annotations

import numpy as np

_FLOAT16 = np.finfo("float16")
LARGEST = float(_FLOAT16.max)  # 65,504
# From here downwards numbers are whole multiples of STEP, ever less exact.
NORMAL = float(_FLOAT16.tiny)  # 0.00006
STEP = float(_FLOAT16.smallest_subnormal)
# Fractions of the largest weight of a group that are tried as its largest level
SHRINK = np.linspace(0.6, 1.0, 21)
WHOLE = 1e-4  # of a level, what rounded weights may be off a whole one


def reach(values: np.ndarray) -> bool:
    """Whether no value is too large for float16."""
    return bool(np.isfinite(rounded(values)).all())


def hold(values: np.ndarray) -> bool:
    """Whether float16 holds an array: nothing is too large for it, and the largest is exact. What is
    small beside that may become zero."""
    largest = float(np.abs(values).max(initial=0.0))
    return reach(values) and (largest == 0 or largest >= NORMAL)


def rounded(values: np.ndarray) -> np.ndarray:
    """The nearest float16 numbers, as float64; infinite where there is none."""
    with np.errstate(over="ignore"):
        return values.astype("float16").astype("float64")


def scales(parts: np.ndarray, limit: int) -> np.ndarray:
    """The scale of each group of weights (channels, groups, inputs of a group) with the least squared
    error of levels up to `limit`, a float16 number as float64, (channels, groups, 1).

    Groups that are rounded already keep a scale that gives them again exactly.
    """
    largest = np.abs(parts).max(axis=2, keepdims=True)
    found, known = _rounded_already(parts, largest, limit)
    if known.all():
        return found
    whole = _scale(largest / limit)
    # Of a multiple of few steps, the next one may be much nearer.
    more = np.where(whole < NORMAL, whole + STEP, whole)
    tried = [_scale(whole * factor) for factor in SHRINK] + [_scale(more)]
    errors = [
        np.square(np.clip(np.round(parts / one), -limit, limit) * one - parts).sum(2)
        for one in tried
    ]
    best = np.take_along_axis(np.stack(tried), np.argmin(errors, axis=0)[None, :, :, None], 0)[0]
    return np.where(known, found, best)


def _scale(wanted: np.ndarray) -> np.ndarray:
    """The nearest float16 numbers by which levels can be divided."""
    return np.clip(rounded(wanted), STEP, LARGEST)


def _rounded_already(
    parts: np.ndarray, largest: np.ndarray, limit: int
) -> tuple[np.ndarray, np.ndarray]:
    """(scales, whether the group is whole levels of it), (channels, groups, 1) each.

    The largest weight of a group has the largest level, but of scales that are few steps of float16.
    """
    found = np.full_like(largest, STEP)
    known = np.zeros(largest.shape, bool)
    for level in range(limit, 0, -1):
        tried = _scale(largest / level)
        exact = parts / tried
        off = np.abs(exact - np.round(exact)).max(axis=2, keepdims=True)
        new = ~known & (off <= WHOLE) & (np.round(largest / tried) <= limit)
        found = np.where(new, tried, found)
        known |= new
    return found, known
