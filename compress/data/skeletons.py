"""Which known skeleton some joints are: by their number, their edges and their names, never by the
number alone.

Numbers of joints repeat: Kinect and OpenPose's BODY_25 both have 25, COCO and Human3.6M 17. A graph
of other joints trains without an error, and to less.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from teachers.skeleton import (
    COCO_17,
    DRAWN,
    JOINT_NAMES,
    NTU_25,
    OPENPOSE_18,
    SKELETONS,
    UCLA_20,
    Skeleton,
)

# What files of PYSKL, mmaction2, NTU and NW-UCLA hold where they do not say it: (joints,
# coordinates) -> skeleton.
_USUAL = {
    (25, 3): NTU_25,
    (20, 3): UCLA_20,
    (17, 2): COCO_17,
    (18, 2): OPENPOSE_18,
}
# Parts that every vocabulary has the same word for. Kinect's hand is another's palm, its spine_base
# the pelvis, root or mid hip, its head the nose.
_PARTS = {"shoulder", "elbow", "wrist", "knee", "ankle"}
_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}


def usual(joints: int, coordinates: int) -> Skeleton | None:
    """What so many joints of so many coordinates are by convention; None where there is none."""
    return _USUAL.get((joints, coordinates))


def candidates(joints: int) -> list[str]:
    """The names of all known skeletons of so many joints."""
    return sorted(name for name, known in SKELETONS.items() if known.joints == joints)


def recognise(skeleton: Skeleton, names: Sequence[str] | None = None) -> Skeleton:
    """The known skeleton that a described one is, else itself.

    Args:
        names: of the joints, where the data have them; a left knee where a known skeleton has a
            right elbow makes this another one.
    """
    for known in SKELETONS.values():
        if _same_graph(skeleton, known) and not contradict(names, JOINT_NAMES.get(known.name)):
            return known
    return skeleton


def same_joints(one: Skeleton, other: Skeleton) -> bool:
    """Whether joint numbers mean the same in both: the same edges, in whichever direction, or two
    graphs of one recording."""
    if one.joints != other.joints:
        return False
    if _same_graph(one, other):
        return True
    recording = drawn_by(one) or one.name
    return recording in DRAWN and recording == (drawn_by(other) or other.name)


def _same_graph(one: Skeleton, other: Skeleton) -> bool:
    # NTU's joints have two published graphs.
    both_ntu = {one.name, other.name} <= {"ntu_25", "ntu_25_pyskl"}
    return one.joints == other.joints and (both_ntu or edges(one) == edges(other))


def drawn_by(skeleton: Skeleton) -> str | None:
    """The known skeleton whose estimator draws these edges, which are not those of its graph."""
    for name, text in DRAWN.items():
        pairs = [pair.split("-") for pair in text.split()]
        if edges(skeleton) == {frozenset((int(a) + 1, int(b) + 1)) for a, b in pairs}:
            return name
    return None


def edges(skeleton: Skeleton) -> set[frozenset[int]]:
    """The edges without direction; which joint is the root differs between authors."""
    return {frozenset(bone) for bone in skeleton.bones}


def contradict(names: Sequence[str] | None, known: Sequence[str] | None) -> bool:
    """Whether names say that joints are others: a left knee where `known` has a right elbow."""
    if names is None or known is None:
        return False
    return any(_differ(_words(a), _words(b)) for a, b in zip(names, known, strict=True))


def _differ(one: tuple[set[str], set[str]], other: tuple[set[str], set[str]]) -> bool:
    return any(a and b and not a & b for a, b in zip(one, other, strict=True))


def _words(name: str) -> tuple[set[str], set[str]]:
    """(sides, parts) in a joint's name: LKnee, l_knee, "knee left" -> ({"left"}, {"knee"})."""
    # A word begins where a capital follows small letters, or is the last of several.
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    words = set(re.split(r"[^a-z]+", apart.lower()))
    return {_SIDES[word] for word in words & _SIDES.keys()}, words & _PARTS
