"""The public NW-UCLA input (CTR-GCN, arXiv 2107.12213): centre, turn the camera, scale to [-1, 1],
sample frames.

Training: yaw and pitch within 60 degrees, scale 0.5-1.5, random frames in order. Testing: frames
evenly from first to last. The stream is made last, of the sampled frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from compress.data.dataset import Dataset
from compress.inputs import augmentation
from compress.inputs.augment import random_sample
from compress.inputs.augmentation import Augmentation
from compress.inputs.view import View, at_least, view
from compress.inputs.windows import Window
from export.preprocess import ops, streams
from export.preprocess.published import UCLA_CENTRE
from export.preprocess.streams import Stream
from teachers.errors import RecipeError
from teachers.skeleton import Skeleton
from teachers.weights.identity import ADDED


@dataclass(frozen=True)
class Config:
    """Recipe keys.

    Attributes:
        turns: how training views are turned. "public": yaw, then pitch, so that nobody leans
            sideways. "any_lean": pitch, then yaw, so that people lean sideways too, a stronger
            augmentation that generalised better to NW-UCLA's third view.
        augment: further training steps, the same for every input.
        window: frames of training windows, the same for every input.
    """

    frames: int = 52
    turns: Literal["public", "any_lean"] = "public"
    stream: Stream = "joint"
    augment: Augmentation = field(default=Augmentation(), repr=False, metadata=ADDED)
    window: Window | None = field(default=None, repr=False, metadata=ADDED)

    def __post_init__(self):
        at_least(self, frames=1)


def build(config: Config, dataset: Dataset, skeleton: Skeleton) -> View:
    """The view of a data set's clips; see the module.

    Raises:
        RecipeError: clips of two coordinates, which no camera can go around, or a skeleton
            that cannot be mirrored.
    """
    # A picture cannot be seen from the side.
    if dataset.coordinates != 3:
        raise RecipeError(
            f"input.name: min_max_sample needs x y z, the clips of {dataset.name!r} have"
            f" {dataset.coordinates} coordinates; take uniform"
        )
    stream = streams.steps(config.stream, skeleton)
    # Nothing is turned in testing: invented cameras are what prepares a network for the third one.
    steps = (
        # On skeletons other than NW-UCLA's any joint does: scaling to [-1, 1] undoes a shift.
        {"op": "centre", "joint": UCLA_CENTRE, "frame": 0},
        {"op": "min_max", "low": -1.0, "high": 1.0},
        {"op": "sample", "frames": config.frames},
        *stream,
    )
    extra = augmentation.steps(config.augment, dataset, skeleton)

    def augment(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        extra_rng = extra.generator(rng)
        recorded = extra.on_recorded(clip, extra_rng)
        # min_max undoes the camera's scale again. It is drawn all the same, as published: without
        # it, the generator's later draws would be others.
        moved = ops.rotate(ops.centre(recorded, joint=UCLA_CENTRE), camera(rng, config.turns))
        sampled = random_sample(ops.min_max(moved), rng, config.frames)
        return ops.apply(extra.on_normalised(sampled, extra_rng), stream)

    return view(config, dataset, steps, augment)


def camera(rng: np.random.Generator, turns: str) -> np.ndarray:
    """(3, 3): yaw and pitch within 60 degrees in the order of `turns`, times a scale of 0.5-1.5."""
    pitch, yaw = rng.uniform(-np.pi / 3, np.pi / 3, size=2)
    first = ops.rotation(0, yaw, 0)
    last = ops.rotation(pitch, 0, 0)
    if turns == "any_lean":
        first, last = last, first
    return last @ first * rng.uniform(0.5, 1.5)
