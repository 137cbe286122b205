"""EfficientGCN's input (arXiv 2106.15125): the first frames of a padded clip as joint, velocity and
bone branch.

Clips are padded with zeros to `frames`, or cut there; only the view transform sees 12 frames more.
Training and testing see the same. C is 18 for clips of three coordinates: 6 of each branch, in that
order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from compress.data.dataset import Dataset
from compress.inputs import augmentation, normalised
from compress.inputs.augmentation import Augmentation
from compress.inputs.view import View, at_least, length_notes, view
from export.preprocess import normalise, ops
from export.preprocess.normalise import Pair
from export.preprocess.published import EXTRA, NTU_BONES
from teachers.errors import RecipeError
from teachers.skeleton import Skeleton
from teachers.weights.identity import ADDED


@dataclass(frozen=True)
class Config:
    """Recipe keys.

    Attributes:
        view_transform: repeat the clip over its padding, centre every frame and turn spine and
            shoulders to z and x, as the published X-View weights expect; X-Sub weights expect the
            clip as it is.
        spine, shoulders: (bottom, top) and (right, left) joints, counted from 1, that the view
            transform turns; known for NTU.
        augment: training steps, the same for every input.
    """

    frames: int = 288
    view_transform: bool = False
    spine: Pair | None = None
    shoulders: Pair | None = None
    augment: Augmentation = field(default=Augmentation(), repr=False, metadata=ADDED)

    def __post_init__(self):
        at_least(self, frames=1)
        for key in ("spine", "shoulders"):
            if getattr(self, key) is not None and not self.view_transform:
                raise ValueError(f"{key}: needs view_transform: true, which turns the clip by it")


def build(config: Config, dataset: Dataset, skeleton: Skeleton) -> View:
    """The view of a data set's clips; see the module.

    Raises:
        RecipeError: the view transform of clips of two coordinates, by a joint that is none of the
            skeleton's, or a skeleton that cannot be mirrored.
    """
    if config.view_transform and dataset.coordinates != 3:
        raise RecipeError(
            f"input.view_transform: needs x y z, the clips of {dataset.name!r} have"
            f" {dataset.coordinates} coordinates; leave it out"
        )
    ntu = normalise.is_ntu(skeleton)
    # The centre joint is needed without the view transform too: positions are relative to it.
    around = normalise.frame_of(skeleton, config.spine, config.shoulders)
    # Lists, as JSON gives them back: the steps of a view and of its saved file are equal.
    bones = [list(pair) for pair in (NTU_BONES if ntu else skeleton.bone_pairs())]
    turned: tuple[dict, ...] = ()
    notes = [*length_notes(dataset, config.frames), *_padding(dataset, config.frames)]
    # A data set that comes transformed has the step among its own; twice would turn it further.
    transformed = any(step["op"] == "view_transform" for step in dataset.base_ops)
    if transformed and not (config.spine or config.shoulders):
        # It turns nothing then, so a network that was trained without the key is the same network.
        config = replace(config, view_transform=False)
    if config.view_transform and not transformed:
        notes += normalised.unturned("input.view_transform", around, skeleton)
        turned = (
            {"op": "fit", "frames": config.frames + EXTRA},
            {"op": "view_transform", **around},
        )
    joints = (*turned, {"op": "fit", "frames": config.frames})
    made = ({"op": "branches", "centre": around["centre"], "bones": bones},)
    extra = augmentation.steps(config.augment, dataset, skeleton)

    # The published training has no augmentation.
    def augment(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        extra_rng = extra.generator(rng)
        fitted = ops.apply(extra.on_recorded(clip, extra_rng), joints)
        return ops.apply(extra.on_normalised(fitted, extra_rng), made)

    # Twice the coordinates for each branch: positions and relative ones, two velocities, bones and
    # their angles.
    return view(
        config,
        dataset,
        (*joints, *made),
        augment,
        channels=6 * dataset.channels,
        notes=notes,
    )


def _padding(dataset: Dataset, frames: int) -> list[str]:
    # Half of it at least: padding is part of the published way, which is fed 288 frames whatever
    # a clip has.
    if not dataset.lengths or 2 * dataset.lengths[-1] > frames:
        return []
    note = (
        f"input.frames: is {frames}, and the longest clip has {dataset.lengths[-1]} frames; the rest"
        f" is padding, which costs as much arithmetic: set it to {dataset.lengths[-1]} for networks"
        " that are trained here"
    )
    return [note]
