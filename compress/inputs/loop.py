"""The older ST-GCN input (arXiv 1801.07455, as PYSKL trains it): normalise, stream, repeat the clip
until `frames` are full.

Longer clips are cut. Training and testing see the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from compress.data.dataset import Dataset
from compress.inputs import augmentation, normalised
from compress.inputs.augmentation import Augmentation
from compress.inputs.normalised import Normalise
from compress.inputs.view import View, at_least, check_normalise, length_notes, view
from compress.inputs.windows import Window
from export.preprocess import ops, streams
from export.preprocess.normalise import Pair
from export.preprocess.streams import Stream
from teachers.skeleton import Skeleton
from teachers.weights.identity import ADDED


@dataclass(frozen=True)
class Config:
    """Recipe keys; all but `frames` as in `uniform`."""

    # As published: prepared NTU files pad every clip to 300 frames.
    frames: int = 300
    normalise: Normalise = "auto"
    stream: Stream = "joint"
    spine: Pair | None = None
    shoulders: Pair | None = None
    image: Pair | None = None
    augment: Augmentation = field(default=Augmentation(), repr=False, metadata=ADDED)
    window: Window | None = field(default=None, repr=False, metadata=ADDED)

    def __post_init__(self):
        at_least(self, frames=1)
        check_normalise(self)


def build(config: Config, dataset: Dataset, skeleton: Skeleton) -> View:
    """The view of a data set's clips; see the module.

    Raises:
        RecipeError: `normalise` does not fit the clips, a joint is none of the skeleton's, or
            the skeleton cannot be mirrored.
    """
    normalise = normalised.steps(config, skeleton, dataset)
    made = (
        *streams.steps(config.stream, skeleton, absent=True, score=dataset.scored),
        # After the stream: motion from the last frame to the first would be a jump.
        {"op": "loop", "frames": config.frames},
    )

    extra = augmentation.steps(config.augment, dataset, skeleton)

    # Nothing is random in the published training: without `augment`, a training view is the
    # evaluation view.
    def augment(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        extra_rng = extra.generator(rng)
        joints = ops.apply(extra.on_recorded(clip, extra_rng), normalise)
        return ops.apply(extra.on_normalised(joints, extra_rng), made)

    notes = [
        *normalised.notes(config, skeleton, dataset),
        *length_notes(dataset, config.frames, config.window),
    ]
    return view(config, dataset, (*normalise, *made), augment, notes=notes)
