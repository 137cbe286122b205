"""Windows in training: `input.window`, the same key for every input.

Whoever follows live poses shows a network the newest frames of a person: a part of an action, and few
frames at first. A network of T frames that was trained on whole clips answers such a window like a
clip that it has never seen. With `window` every training clip is cut to a stretch of random length, and
the step `window` (`export.preprocess.windows`) in front of all others fills short ones up in training,
evaluation and serving by one rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from compress.data.dataset import Dataset
from export.preprocess import windows


@dataclass(frozen=True)
class Window:
    """Recipe keys.

    Attributes:
        min, max: frames of a training window, drawn evenly between them; of a clip with fewer than
            `max` as many as it has. Longer ones are cut to `max` in evaluation, too.
        pad: how fewer than `max` become the network's frames. "input": as the input does (it
            stretches, repeats or pads); "loop" and "hold": first to `max` frames, by repeating the
            window or its last frame, so that its pace stays.
    """

    min: int
    max: int
    pad: Literal["input", "loop", "hold"] = "input"

    def __post_init__(self):
        if not 1 <= self.min <= self.max:
            raise ValueError("min, max: must be frames, at least 1 and min at most max")


def step(window: Window) -> dict[str, Any]:
    """The evaluation step, as data."""
    said: dict[str, Any] = {"op": "window", "frames": window.max, "least": window.min}
    # Keys only where they say something, as in all steps.
    return said if window.pad == "input" else {**said, "pad": window.pad}


def drawn(clip: np.ndarray, rng: np.random.Generator, window: Window) -> np.ndarray:
    """A stretch of random length anywhere in a clip (C, T, V, M), the empty frames at its end not
    counted."""
    valid = windows.valid_length(clip)
    longest = min(window.max, valid)
    length = int(rng.integers(min(window.min, longest), longest + 1))
    start = int(rng.integers(valid - length + 1))
    return clip[:, start : start + length]


def notes(window: Window, dataset: Dataset) -> Sequence[str]:
    """What the window means for the clips of a data set, in words."""
    lengths = dataset.lengths
    found = []
    longer = sum(length > window.max for length in lengths)
    shorter = sum(length < window.min for length in lengths)
    if longer:
        found.append(
            f"input.window.max: {longer} of {len(lengths)} clips have more than {window.max} frames, and"
            " are judged by those in the middle; take longer windows, or cut clips to the action"
        )
    if shorter:
        found.append(
            f"input.window.min: {shorter} of {len(lengths)} clips have fewer than {window.min} frames,"
            " and are taken whole"
        )
    return found
