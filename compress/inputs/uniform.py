"""PYSKL's input (arXiv 2205.09443; sampling after PoseConv3D, arXiv 2104.13586): normalise, stream,
frames from equal segments.

Training: a random frame of each segment. Testing: `clips` views, view i with the frame at (i + 1/2)
/ clips of each segment. Clips shorter than `frames` start at some frame and go round. The stream is
made of every frame, before sampling.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from compress.data.dataset import Dataset
from compress.inputs import augmentation, normalised
from compress.inputs.augment import random_uniform
from compress.inputs.augmentation import Augmentation
from compress.inputs.normalised import Normalise
from compress.inputs.view import View, at_least, check_normalise, view
from compress.inputs.windows import Window
from export.preprocess import ops, streams
from export.preprocess.normalise import Pair
from export.preprocess.streams import Stream
from teachers.skeleton import Skeleton
from teachers.weights.identity import ADDED


@dataclass(frozen=True)
class Config:
    """Recipe keys.

    Attributes:
        normalise: "3d", "2d" or "none", see `export.preprocess.normalise`; "auto": "3d" for clips
            of x y z, "2d" for key points of images.
        clips: views that a clip is tested with.
        spine, shoulders: (bottom, top) and (right, left) joints, counted from 1, that "3d" turns to
            z and to x; known for NTU.
        image: (width, height) that "2d" divides by, the data set's by default; where that knows
            none, every clip by its own extent.
        augment: further training steps, the same for every input.
        window: frames of training windows, the same for every input.
    """

    frames: int = 100
    normalise: Normalise = "auto"
    # PYSKL tests with 10; one is the default, since a deployed network pays for every view.
    clips: int = 1
    stream: Stream = "joint"
    spine: Pair | None = None
    shoulders: Pair | None = None
    image: Pair | None = None
    augment: Augmentation = field(default=Augmentation(), repr=False, metadata=ADDED)
    window: Window | None = field(default=None, repr=False, metadata=ADDED)

    def __post_init__(self):
        at_least(self, frames=1, clips=1)
        check_normalise(self)


def build(config: Config, dataset: Dataset, skeleton: Skeleton) -> View:
    """The view of a data set's clips; see the module.

    Raises:
        RecipeError: `normalise` does not fit the clips, a joint is none of the skeleton's, or
            the skeleton cannot be mirrored.
    """
    # Before sampling: motion between neighbouring frames, not between sampled ones.
    normalise = normalised.steps(config, skeleton, dataset)
    stream = streams.steps(config.stream, skeleton, absent=True, score=dataset.scored)
    extra = augmentation.steps(config.augment, dataset, skeleton)

    # Only the frames are random; nobody is turned or scaled, as PYSKL trains it.
    def augment(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        extra_rng = extra.generator(rng)
        joints = ops.apply(extra.on_recorded(clip, extra_rng), normalise)
        every_frame = ops.apply(extra.on_normalised(joints, extra_rng), stream)
        return np.ascontiguousarray(random_uniform(every_frame, rng, config.frames))

    return view(
        config,
        dataset,
        (
            *normalise,
            *stream,
            {"op": "uniform", "frames": config.frames, "clip": 0, "clips": config.clips},
        ),
        augment,
        clips=config.clips,
        notes=normalised.notes(config, skeleton, dataset),
    )
