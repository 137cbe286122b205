"""CTR-GCN's input on NTU RGB+D (arXiv 2107.12213): crop in time, resize, turn.

Training: a random part of the clip, resized to `frames`, and one rotation for the whole clip.
Testing: the central 95 %. The stream is made last, of the resized clip.

Neither the network nor the rotation bears people who stand anywhere in a room: prepared NTU clips
are centred, and clips of other data sets are here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from compress.data.dataset import Dataset
from compress.inputs import augmentation
from compress.inputs.augment import random_crop_resize
from compress.inputs.augmentation import Augmentation
from compress.inputs.view import View, at_least, view
from export.preprocess import normalise, ops, streams
from export.preprocess.published import TEST_CROP
from export.preprocess.streams import Stream
from teachers.skeleton import Skeleton
from teachers.weights.identity import ADDED


@dataclass(frozen=True)
class Config:
    """Recipe keys.

    Attributes:
        crop: the shortest part of a clip that is trained on, but at least `frames` frames where
            there are as many.
        rotation: the largest training rotation around each axis, in radians; clips of two
            coordinates turn in their plane.
        augment: further training steps, the same for every input.
        centre: people who stand where they were recorded are moved to the origin first, by the
            skeleton's centre where it is seen first (of NTU's joints by joint 2, as its prepared
            clips are).
    """

    frames: int = 64
    crop: float = 0.5
    rotation: float = 0.3
    stream: Stream = "joint"
    augment: Augmentation = field(default=Augmentation(), repr=False, metadata=ADDED)
    centre: bool = field(default=True, repr=False, metadata=ADDED)

    def __post_init__(self):
        at_least(self, frames=1)
        if not 0 < self.crop <= 1:
            raise ValueError("crop: must be above 0 and at most 1")
        if not 0 <= self.rotation <= np.pi:
            raise ValueError("rotation: must be between 0 and pi (radians)")


def build(config: Config, dataset: Dataset, skeleton: Skeleton) -> View:
    """The view of a data set's clips; see the module.

    Raises:
        RecipeError: a skeleton that cannot be mirrored.
    """
    # Last, of the resized clip, as published: bones and motion are made of interpolated joints.
    stream = streams.steps(config.stream, skeleton, score=dataset.scored)
    extra = augmentation.steps(config.augment, dataset, skeleton)
    place: tuple[dict, ...] = ()
    notes = []
    if config.centre and dataset.as_recorded:
        joint = normalise.frame_of(skeleton, None, None)["centre"]
        place = ({"op": "centre_seen", "joint": joint, "coordinates": dataset.coordinates},)
        notes.append(
            f"input.centre: people are moved to the origin by joint {joint + 1}, where it is seen"
            " first, as prepared NTU clips are; false leaves them where they were recorded"
        )

    def augment(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        extra_rng = extra.generator(rng)
        recorded = extra.on_recorded(clip, extra_rng)
        # Turned before it is cut: one rotation for the whole clip, in the published order.
        placed = ops.apply(recorded, place)
        turned = turn(placed, rng, config.rotation, dataset.coordinates)
        cut = random_crop_resize(
            turned, rng, config.frames, low=config.crop, shortest=config.frames
        )
        return ops.apply(extra.on_normalised(cut, extra_rng), stream)

    return view(
        config,
        dataset,
        (*place, {"op": "crop_resize", "ratio": TEST_CROP, "frames": config.frames}, *stream),
        augment,
        notes=notes,
    )


def turn(
    clip: np.ndarray, rng: np.random.Generator, largest: float, coordinates: int = 3
) -> np.ndarray:
    """The whole clip (C, T, V, M) rotated alike, by up to `largest` radians around x, y and z; two
    coordinates in their plane, a score behind them as it is."""
    # Key points lie in the plane of the image, and their score is no coordinate.
    if coordinates == 2:
        matrix = np.eye(clip.shape[0])
        matrix[:2, :2] = ops.rotation(0, 0, rng.uniform(-largest, largest))[:2, :2]
        return ops.rotate(clip, matrix)
    # One angle for each axis, from one draw of three, in the published order Rz Ry Rx.
    return ops.rotate(clip, ops.rotation(*rng.uniform(-largest, largest, size=3)))
