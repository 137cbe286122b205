"""Preprocessing of a stream, one frame after the other: the steps that need no later frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from export.preprocess import ops
from teachers.errors import DataError, quoted

Steps = Sequence[Mapping[str, Any]]
# They choose frames of a clip; a stream is paced instead.
CHOOSING = ("trim", "window", "sample", "crop_resize", "loop", "fit", "uniform")
# Those that squeeze a longer clip, and those that stretch a shorter one, too.
SQUEEZING = ("sample", "crop_resize", "uniform")
STRETCHING = ("sample", "crop_resize")


def of_stream(steps: Steps) -> tuple[Mapping[str, Any], ...]:
    """The steps of a clip that are left for a frame of a stream.

    Raises:
        DataError: a step that needs frames which a stream does not have yet.
    """
    left = tuple(step for step in steps if step.get("op") not in CHOOSING)
    for step in left:
        if not _is_framewise(step):
            raise DataError(
                f"preprocessing: {quoted(dict(step))} needs a whole clip, and a continual network"
                " gets a frame at a time; follow live poses by the format onnx, or train with an"
                " input whose steps look at one frame (uniform, with an image where it has one)"
            )
    return left


def _is_framewise(step: Mapping[str, Any]) -> bool:
    """Whether a step makes of a frame the same, whatever frames are behind it."""
    name = step.get("op")
    if name == "stream":
        return step.get("kind") in ("joint", "bone")
    # Without an image, the box around all frames.
    if name == "normalise_2d":
        return step.get("image") is not None
    if name == "centre":
        return step.get("frame", 0) == 0
    return name in ("centre_seen", "drop_empty", "map_joints", "normalise_3d")


def pace(steps: Steps, window: int, frames: int) -> float | None:
    """Frames of the network for a frame of a stream, where `window` frames are answered together;
    None where the steps do not bring so many to the network's `frames`, and only a window of as many
    is answered alike."""
    names = {step.get("op") for step in steps}
    followed = SQUEEZING if window > frames else STRETCHING
    if window == frames or names.intersection(followed):
        return frames / window
    return None


def prepared(first: np.ndarray, newest: np.ndarray, steps: Steps) -> np.ndarray | None:
    """A frame (C, V, M) of a stream after `of_stream`; None for one that a step drops.

    Args:
        first: the stream's first frame that shows anybody: where a step moves or turns a clip as its
            first frame says, it moves and turns the stream.
    Raises:
        DataError: see `ops.apply`.
    """
    made = ops.apply(np.stack([first, newest], axis=1), steps)
    return made[:, 1] if made.shape[1] == 2 else None
