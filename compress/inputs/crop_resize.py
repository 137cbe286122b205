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
from compress.inputs.augment import random_crop, rotations, turn_and_resize
from compress.inputs.augmentation import Augmentation
from compress.inputs.view import Vectorised, View, at_least, view
from compress.inputs.windows import Window
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
        window: frames of training windows, the same for every input.
        centre: people who stand where they were recorded are moved to the origin first, by the
            skeleton's centre where it is seen first (of NTU's joints by joint 2, as its prepared
            clips are).
    """

    frames: int = 64
    crop: float = 0.5
    rotation: float = 0.3
    stream: Stream = "joint"
    augment: Augmentation = field(default=Augmentation(), repr=False, metadata=ADDED)
    window: Window | None = field(default=None, repr=False, metadata=ADDED)
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

    def together(clips: list[np.ndarray], rngs: list[np.random.Generator]) -> np.ndarray:
        extra_rngs = [extra.generator(rng) for rng in rngs]
        placed = []
        crops = []
        angles = []
        for clip, rng, extra_rng in zip(clips, rngs, extra_rngs, strict=True):
            clip = ops.apply(extra.on_recorded(clip, extra_rng), place)
            placed.append(clip)
            # One rotation for the whole clip, drawn before the cut: the published order.
            angles.append(turn(rng, config.rotation, dataset.coordinates))
            crops.append(random_crop(_valid(clip), rng, config.crop, shortest=config.frames))
        matrices = rotations(np.stack(angles))
        if dataset.coordinates == 2:
            matrices = _in_plane(matrices, len(placed[0]))
        cut = turn_and_resize(placed, crops, matrices, config.frames)
        if not stream and config.augment == Augmentation():
            return cut
        return np.stack(
            [
                ops.apply(extra.on_normalised(clip, extra_rng), stream)
                for clip, extra_rng in zip(cut, extra_rngs, strict=True)
            ]
        )

    return view(
        config,
        dataset,
        (*place, {"op": "crop_resize", "ratio": TEST_CROP, "frames": config.frames}, *stream),
        Vectorised(together),
        notes=notes,
    )


def turn(rng: np.random.Generator, largest: float, coordinates: int = 3) -> np.ndarray:
    """Angles (3,) up to `largest` radians around x, y and z; of two coordinates in their plane."""
    if coordinates == 2:
        return np.array([0, 0, rng.uniform(-largest, largest)])
    # One angle for each axis, from one draw of three, in the published order Rz Ry Rx.
    return rng.uniform(-largest, largest, size=3)


def _in_plane(rotations: np.ndarray, channels: int) -> np.ndarray:
    # Key points lie in the plane of the image, and their score is no coordinate.
    matrices = np.tile(np.eye(channels), (len(rotations), 1, 1))
    matrices[:, :2, :2] = rotations[:, :2, :2]
    return matrices


def _valid(clip: np.ndarray) -> int:
    # Most clips end with somebody in them, and need not be searched.
    return clip.shape[1] if clip[:, -1].any() else ops.valid_length(clip)
