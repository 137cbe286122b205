"""How the joints of one skeleton are made of another's, by the parts of the body that their names
say (`parts.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from teachers.errors import RecipeError, did_you_mean
from teachers.skeleton.graph import Skeleton
from teachers.skeleton.known import JOINT_NAMES, named
from teachers.skeleton.parts import derived, inward, parts_of

# The weighted points that a joint lies between, each the mean of source joints, 0-based.
Points = tuple[tuple[float, tuple[int, ...]], ...]


@dataclass(frozen=True)
class JointMap:
    """How each joint of a target skeleton is made.

    Attributes:
        joints: for each target joint, its points.
        derived: target joints that are no joint of the source: means, and points between others.
        filled: (target joint, source joints) that cannot be had, and what stands in for them.
    """

    joints: tuple[Points, ...]
    derived: tuple[str, ...] = ()
    filled: tuple[tuple[str, str], ...] = ()

    def weights(self) -> list[list[tuple[int, float]]]:
        """For each target joint its (source joint, weight), 0-based, summing to 1, as long as no
        source joint is missing."""
        return [
            [(joint, weight / len(group)) for weight, group in points for joint in group]
            for points in self.joints
        ]


def matching(source: Sequence[str], target: Sequence[str]) -> tuple[int | None, ...]:
    """For each joint of `target` the same joint of `source`, 0-based, by their names; None where
    the source has no such joint.

    Names may be of different authors: Kinect's `spine_base` is OpenPose's `middle_hip`. Nothing is
    derived: what is learned about a joint holds for that joint alone.
    """
    numbers = _numbers(parts_of(source))
    return tuple(numbers.get(part) for part in parts_of(target))


def between(source: str, target: str) -> JointMap:
    """The map from one known skeleton to another, by their names or aliases.

    Raises:
        RecipeError: a name that is not known.
    """
    skeleton = named(target)
    return mapping(JOINT_NAMES[named(source).name], JOINT_NAMES[skeleton.name], skeleton)


def mapping(
    source: Sequence[str],
    target: Sequence[str],
    skeleton: Skeleton,
    chosen: Mapping[str, Sequence[str]] | None = None,
) -> JointMap:
    """How the joints `target` of `skeleton` are made of the joints `source`, all by name.

    A joint that both have is selected; one that the source lacks is derived where its place follows
    from others (`parts.py`); for the rest the nearest joint on the body stands in.

    Args:
        chosen: for target joints by name, the source joints by name that they are the mean of,
            whatever the tables say.
    Raises:
        RecipeError: a chosen joint that does not exist, or skeletons that have no joint in common.
    """
    parts = parts_of(target)
    maker = _Maker(_numbers(parts_of(source)))
    joints: list[Points | None] = [maker.points(part) for part in parts]
    made = [
        name
        for name, part, points in zip(target, parts, joints, strict=True)
        if points is not None and part not in maker.numbers
    ]
    for name, sources in (chosen or {}).items():
        number = _number(name, target, "target")
        joints[number] = ((1.0, tuple(_number(each, source, "source") for each in sources)),)
    if not any(joints):
        raise RecipeError(
            f"none of the joints {', '.join(source[:8])}, ... is a joint of {skeleton.name!r}"
            f" ({', '.join(target[:8])}, ...); name them alike, or say which they are in"
            " skeleton.map"
        )
    lacking = [number for number, points in enumerate(joints) if points is None]
    for number in lacking:
        joints[number] = maker.stand_in(parts[number])
    complete = _from_neighbours(joints, skeleton)
    return JointMap(
        complete,
        tuple(name for name in made if name not in (chosen or {})),
        tuple((target[number], _named(complete[number], source)) for number in lacking),
    )


class _Maker:
    """Parts out of the joints {part: number} that there are."""

    def __init__(self, numbers: Mapping[str, int]):
        self.numbers = numbers

    def points(self, part: str, above: tuple[str, ...] = ()) -> Points | None:
        """The points of a part; None where it cannot be had. `above`: parts that are being made of
        this one, and of which it cannot be made."""
        if part in self.numbers:
            return ((1.0, (self.numbers[part],)),)
        if part in above:
            return None
        for mean in derived(part):
            made = [self._mean(weight, words, (*above, part)) for weight, words in mean]
            if all(points is not None for points in made):
                return tuple(point for points in made if points is not None for point in points)
        return None

    def _mean(self, weight: float, words: Sequence[str], above: tuple[str, ...]) -> Points | None:
        if len(words) > 1:
            # One point of several joints: where one of them is missing, the other is near.
            if not all(word in self.numbers for word in words):
                return None
            return ((weight, tuple(self.numbers[word] for word in words)),)
        points = self.points(words[0], above)
        if points is None:
            return None
        return tuple((weight * share, group) for share, group in points)

    def stand_in(self, part: str) -> Points | None:
        """The points of the nearest part towards the pelvis that can be had."""
        nearest = inward(part)
        while nearest is not None:
            points = self.points(nearest)
            if points is not None:
                return points
            nearest = inward(nearest)
        return None


def _from_neighbours(joints: Sequence[Points | None], skeleton: Skeleton) -> tuple[Points, ...]:
    """Joints that are still open take the points of the nearest one on the graph."""
    made = [number for number, points in enumerate(joints) if points is not None]
    hops = skeleton.hops()
    complete = []
    for number, points in enumerate(joints):
        if points is None:
            points = joints[made[int(np.argmin(hops[number, made]))]]
        assert points is not None
        complete.append(points)
    return tuple(complete)


def _numbers(parts: Sequence[str]) -> dict[str, int]:
    # Backwards, so that of two joints of one part the first is meant.
    return {part: number for number, part in reversed(list(enumerate(parts)))}


def _number(name: str, names: Sequence[str], which: str) -> int:
    if name not in names:
        raise RecipeError(
            f"skeleton.map: {name!r} is no joint of the {which}"
            f"{did_you_mean(name, names, always_list=True)}"
        )
    return names.index(name)


def _named(points: Points, names: Sequence[str]) -> str:
    joints = [joint for _, group in points for joint in group]
    return " and ".join(names[joint] for joint in dict.fromkeys(joints))
