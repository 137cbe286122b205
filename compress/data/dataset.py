"""What a data set is to the rest of the project."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Sequence

import numpy as np

from compress.data import transforms
from teachers.skeleton import Skeleton


@dataclass(frozen=True)
class Split:
    """Clips of one split, in a fixed order.

    Attributes:
        names: one unique name a clip.
        clips: raw clips, each (C, T, V, M) float32, every clip with its own T; a list or a memory map.
        labels: (n,) int64, from 0.
    """

    names: tuple[str, ...]
    clips: Sequence[np.ndarray]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Dataset:
    """A loaded data set.

    Attributes:
        frames, persons, channels: T, M and C of the network input.
        eval_ops: evaluation preprocessing as data (`compress.data.transforms`); it travels with the deployed model.
        augment: a raw clip and a generator -> a training view (C, T, V, M) float32.
        fingerprint: SHA-256 of all that decides what the network sees.
        notes: what was repaired or counted while reading, in words.
    """

    name: str
    train: Split
    val: Split
    classes: tuple[str, ...]
    skeleton: Skeleton
    frames: int
    persons: int
    eval_ops: tuple[dict, ...]
    augment: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    fingerprint: str
    channels: int = 3
    notes: tuple[str, ...] = ()

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """(C, T, V, M) of one network input."""
        return self.channels, self.frames, self.skeleton.joints, self.persons

    def prepare(self, clip: np.ndarray) -> np.ndarray:
        """A raw clip as the network sees it in evaluation, (C, T, V, M) float32."""
        return transforms.apply(clip, self.eval_ops)
