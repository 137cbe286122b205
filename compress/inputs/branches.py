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
from compress.inputs.view import Vectorised, View, at_least, length_notes, view
from compress.inputs.windows import Window
from export.preprocess import normalise, ops, streams
from export.preprocess.normalise import Pair
from export.preprocess.ops import valid_length
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
        window: frames of training windows, the same for every input.
    """

    frames: int = 288
    view_transform: bool = False
    spine: Pair | None = None
    shoulders: Pair | None = None
    augment: Augmentation = field(default=Augmentation(), repr=False, metadata=ADDED)
    window: Window | None = field(default=None, repr=False, metadata=ADDED)

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
    notes = [
        *length_notes(dataset, config.frames, config.window),
        *_padding(dataset, config.frames),
    ]
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
    def together(clips: list[np.ndarray], rngs: list[np.random.Generator]) -> np.ndarray:
        fitted = []
        for clip, rng in zip(clips, rngs, strict=True):
            extra_rng = extra.generator(rng)
            joint = ops.apply(extra.on_recorded(clip, extra_rng), joints_of(clip))
            fitted.append(extra.on_normalised(joint, extra_rng))
        return padded_branches(fitted, config.frames, around["centre"], bones)

    # Padding says nothing, and is most of a clip: only the view transform, which repeats the clip
    # over it, and steps that draw frames by their number need it.
    plain = not turned and config.augment == Augmentation()

    def joints_of(clip: np.ndarray) -> tuple[dict, ...]:
        return () if plain and clip.shape[1] <= config.frames else joints

    # Twice the coordinates for each branch: positions and relative ones, two velocities, bones and
    # their angles.
    return view(
        config,
        dataset,
        (*joints, *made),
        Vectorised(together),
        channels=6 * dataset.channels,
        notes=notes,
    )


def padded_branches(
    clips: list[np.ndarray], frames: int, centre: int, bones: list[list[int]]
) -> np.ndarray:
    """Branches of clips (C, T, V, M) with zeros behind them up to `frames`: (N, 6 C, frames, V, M),
    as `export.preprocess.streams.branches` makes them of padded clips.

    Frames and persons that are zero have branches of zero, and angles of a right angle; they are
    written, not computed.
    """
    C, _, V, M = clips[0].shape
    made = np.zeros((len(clips), 6 * C, frames, V, M), np.float32)
    made[:, 5 * C :] = np.arccos(0.0)
    for clip, target in zip(clips, made, strict=True):
        persons = np.array([_is_there(clip[..., person]) for person in range(M)])
        # Velocity reaches two frames ahead, into the padding.
        valid = clip.shape[1] if clip[:, -1].any() else valid_length(clip)
        length = min(valid + 2, frames)
        shown = clip[:, :length]
        missing = length - shown.shape[1]
        if missing:
            shown = np.pad(shown, ((0, 0), (0, missing), (0, 0), (0, 0)))
        if persons.all():
            target[:, :length] = streams.branches(shown, centre, bones)
        elif persons.any():
            some = np.ascontiguousarray(shown[..., persons])
            target[:, :length, :, persons] = streams.branches(some, centre, bones)
    return made


def _is_there(person: np.ndarray) -> bool:
    # Most who are there are so from the first frame on, and need not be searched for.
    return bool(person[:, 0].any() or person.any())


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
