"""Windows: the part of a recording that a network was trained to answer, and how a short one is filled
up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def valid_length(clip: np.ndarray) -> int:
    """Index of the last frame that is not all zero, plus one; 1 for a clip of nothing but zeros."""
    present = np.flatnonzero((clip != 0).any(axis=(0, 2, 3)))
    return int(present[-1]) + 1 if present.size else 1


def window(clip: np.ndarray, frames: int, least: int = 1, pad: str | None = None) -> np.ndarray:
    """At most `frames` frames of a clip (C, T, V, M): of a longer one those in the middle, the all-zero
    frames at its end not counted.

    Args:
        least: frames that the network was trained down to; `trained` reads it, and nothing is done
            here.
        pad: what fills up fewer frames to `frames`: "loop", the window again and again, or "hold", its
            last frame; None: they stay fewer, and the steps behind bring them to the network's.
    """
    valid = valid_length(clip)
    start = max(0, valid - frames) // 2
    kept = clip[:, start : start + min(valid, frames)]
    if pad is None:
        return kept
    if pad not in ("loop", "hold"):
        raise ValueError(f"unknown pad {pad!r} (known: loop, hold)")
    places = np.arange(frames)
    T = kept.shape[1]
    return kept[:, places % T if pad == "loop" else np.minimum(places, T - 1)]


def trained(steps: Iterable[Mapping[str, Any]]) -> tuple[int, int] | None:
    """(fewest, most) frames of the windows that a network was trained on, by its preprocessing; None
    where it was trained on clips as they come."""
    for step in steps:
        if step.get("op") == window.__name__:
            return int(step.get("least", 1)), int(step["frames"])
    return None
