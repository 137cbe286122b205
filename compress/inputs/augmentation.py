"""The training steps that every input can switch on: `input.augment` in a recipe.

An input has two places for them. On the clip as recorded: what a camera or a pose estimator can do
to a recording, so that normalisation sees it as well. On the normalised clip, before streams: what
is dropped is zero, the middle of the input, and every stream of a clip is made of the same joints.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compress.data.dataset import Dataset
from compress.inputs import augment
from teachers import skeleton as skeletons
from teachers.errors import RecipeError
from teachers.skeleton import Skeleton

Shares = tuple[float, float]


@dataclass(frozen=True)
class DropJoint:
    """Joints that are zero in some frames (SkateFormer, arXiv 2403.09508; Hyper-GCN, arXiv
    2411.14796).

    Attributes:
        probability: of a clip to lose joints.
        joints, frames: the smallest and the largest share that is lost, of all joints and of the
            frames in which somebody is there.
    """

    probability: float = 0.5
    # As shares, so that they mean the same on every skeleton and for any number of frames; as
    # published, 4 to 12 of 20 joints in 16 to 32 of 64 frames.
    joints: Shares = (0.2, 0.6)
    frames: Shares = (0.25, 0.5)

    def __post_init__(self):
        _check_probability(self, "probability")
        for key in ("joints", "frames"):
            smallest, largest = getattr(self, key)
            if not 0 < smallest <= largest <= 1:
                raise ValueError(
                    f"{key}: must be the smallest and the largest share, above 0 and at most 1, for"
                    " example [0.2, 0.6]"
                )


@dataclass(frozen=True)
class Augmentation:
    """Recipe keys; every step is off by default.

    Attributes:
        mirror: the probability of a clip to be mirrored, left and right joints changed over.
        joint_jitter: standard deviation of noise on every joint, in mean bone lengths of the clip.
        drop_frames: a clip loses up to this share of its frames.
        drop_axis: the probability of a clip to have one coordinate zero throughout (as
            `drop_joint`'s source).
        drop_joint: joints that are zero for a while.
    """

    mirror: float = 0.0
    joint_jitter: float = 0.0
    drop_frames: float = 0.0
    drop_axis: float = 0.0
    drop_joint: DropJoint | None = None

    def __post_init__(self):
        _check_probability(self, "mirror")
        _check_probability(self, "drop_axis")
        if self.joint_jitter < 0:
            raise ValueError("joint_jitter: must not be negative")
        if not 0 <= self.drop_frames < 1:
            raise ValueError("drop_frames: must be at least 0 and below 1")


@dataclass(frozen=True)
class Steps:
    """The steps of one input on the clips of one data set; see the module.

    Attributes:
        swapped: for each joint, 0-based, the one on the other side; () where nothing is mirrored.
        middle: x that clips are mirrored about; None: the middle of each.
    """

    config: Augmentation
    coordinates: int
    bones: tuple[tuple[int, int], ...]
    swapped: tuple[int, ...]
    middle: float | None

    def generator(self, rng: np.random.Generator) -> np.random.Generator:
        """The generator of these steps, made of the state of the sample's, which stays as it is."""
        # Nothing is drawn where nothing is on, and a generator for every sample has its price.
        if self.config == Augmentation():
            return rng
        # Not the sample's itself: without these steps, training is what it was before there were
        # any, and a teacher and a student of which only one has them see the same crop of a clip.
        # Drawn and put back: a copy of the generator would cost more than preparing the clip.
        before = rng.bit_generator.state
        seed = rng.integers(2**63)
        rng.bit_generator.state = before
        return np.random.default_rng(seed)

    def on_recorded(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A clip of the data set mirrored, jittered and with frames lost, as far as that is on."""
        config = self.config
        if config.mirror and rng.random() < config.mirror:
            clip = augment.mirror(clip, self.swapped, self.coordinates, self.middle)
        if config.joint_jitter:
            clip = augment.joint_jitter(
                clip, rng, config.joint_jitter, self.bones, self.coordinates
            )
        if config.drop_frames:
            clip = augment.drop_frames(clip, rng, config.drop_frames)
        return clip

    def on_normalised(self, clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A normalised clip of joints with an axis and joints dropped, as far as that is on."""
        config = self.config
        if config.drop_axis and rng.random() < config.drop_axis:
            clip = augment.drop_axis(clip, rng, self.coordinates)
        lost = config.drop_joint
        if lost is not None and rng.random() < lost.probability:
            clip = augment.drop_joint(clip, rng, lost.joints, lost.frames)
        return clip


def steps(config: Augmentation, dataset: Dataset, skeleton: Skeleton) -> Steps:
    """The steps of an input's `augment`.

    Raises:
        RecipeError: mirroring a skeleton of which nobody knows left and right.
    """
    swapped: tuple[int, ...] = ()
    if config.mirror:
        swapped = _swapped(dataset, skeleton)
    middle = None
    if dataset.coordinates == 3:
        # The camera's axis, as a mirror beside the camera would have it.
        middle = 0.0
    elif dataset.image:
        middle = dataset.image[0] / 2
    return Steps(config, dataset.coordinates, skeleton.bones, swapped, middle)


def _swapped(dataset: Dataset, skeleton: Skeleton) -> tuple[int, ...]:
    # The recipe's skeleton may have another name than the data's, or be the only one with a name.
    names = (
        dataset.joint_names
        or skeletons.JOINT_NAMES.get(skeleton.name)
        or skeletons.JOINT_NAMES.get(dataset.skeleton.name)
    )
    try:
        return skeletons.other_side(names or ())
    except ValueError as error:
        known = ", ".join(skeletons.JOINT_NAMES)
        raise RecipeError(
            f"input.augment.mirror: skeleton {skeleton.name!r} of {dataset.name!r}: {error}; name"
            f" the joints (`names` in dataset.yaml: left_hand, right_hand, ...), take a skeleton"
            f" whose joints are known ({known}), or leave mirror out"
        ) from None


def _check_probability(config: object, key: str) -> None:
    if not 0 <= getattr(config, key) <= 1:
        raise ValueError(f"{key}: is a probability, and must be between 0 and 1")
