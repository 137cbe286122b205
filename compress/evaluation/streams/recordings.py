"""Clips joined into long recordings, with people who do nothing in between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compress.data.dataset import Split
from export.preprocess import ops
from export.serve.track import between

# Seconds between two actions, drawn evenly; the last of them are the way to the next one.
IDLE = (1.0, 4.0)
WAY = 1.0
# Of how far a joint moves from frame to frame in the clip before: nobody stands like a statue.
SWAY = 0.25


@dataclass(frozen=True)
class Action:
    """Seconds from the start of its recording, and its class, from 0."""

    start: float
    end: float
    label: int


@dataclass(frozen=True)
class Recording:
    """Poses (T, P, V, C) at `rate` frames a second, and what is done in them."""

    poses: np.ndarray
    actions: tuple[Action, ...]
    rate: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.poses) / self.rate

    def time(self, frame: int) -> float:
        """Seconds of a frame."""
        return frame / self.rate


def joined(split: Split, rate: float, most: int, each: int, seed: int) -> list[Recording]:
    """Clips of a split in random order, `each` a recording, at most `most` of them.

    Idle is not recorded but made: the last pose of an action with a little sway, then a straight
    way to the first pose of the next. False alarms of what strangers do besides are not counted.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(split))[:most]
    return [
        _joined(split, order[start : start + each], rate, generator)
        for start in range(0, len(order), each)
    ]


def _joined(
    split: Split, numbers: np.ndarray, rate: float, generator: np.random.Generator
) -> Recording:
    parts: list[np.ndarray] = []
    actions: list[Action] = []
    frames = 0
    for number in numbers:
        # (C, T, V, M) -> (T, M, V, C)
        clip = ops.trim(np.asarray(split.clips[number], np.float32)).transpose(1, 3, 2, 0)
        if parts:
            pause = _idle(parts[-1], clip[0], rate, generator)
            parts.append(pause)
            frames += len(pause)
        actions.append(
            Action(frames / rate, (frames + len(clip)) / rate, int(split.labels[number]))
        )
        parts.append(clip)
        frames += len(clip)
    return Recording(np.concatenate(parts), tuple(actions), rate)


def _idle(
    before: np.ndarray, after: np.ndarray, rate: float, generator: np.random.Generator
) -> np.ndarray:
    """(T, P, V, C) from the last pose of a clip to the first of the next."""
    # At few frames a second none would be left.
    count = max(1, round(generator.uniform(*IDLE) * rate))
    way = min(count, round(WAY * rate))
    last = before[-1]
    weights = np.concatenate([np.zeros(count - way), (np.arange(way) + 1) / (way + 1)])
    poses = np.stack([between(last, after, np.float32(weight)) for weight in weights])
    moved = np.abs(np.diff(before, axis=0))
    size = SWAY * float(np.median(moved[moved > 0])) if (moved > 0).any() else 0.0
    sway = generator.normal(0, size, poses.shape).astype(np.float32)
    # A missing joint, all zero, stays missing.
    return np.where((poses != 0).any(axis=-1, keepdims=True), poses + sway, poses)
