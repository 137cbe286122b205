"""Skeletons as data: joints, bones and the adjacency matrices that graph networks start from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from teachers.errors import RecipeError


@dataclass(frozen=True)
class Skeleton:
    """A named skeleton.

    Attributes:
        name: what recipes and deployed folders call it.
        joints: number of joints V.
        bones: (child, parent) pairs, 1-based as in the literature, pointing inward to the centre;
            the edges of the graph.
        centre: the root joint, 1-based.
        stream_bones: the pairs that bone streams subtract, where the literature takes others than
            the edges; () for the edges.
    """

    name: str
    joints: int
    bones: tuple[tuple[int, int], ...]
    centre: int
    stream_bones: tuple[tuple[int, int], ...] = ()

    def adjacency(self) -> np.ndarray:
        """A (3, V, V) float32: identity, inward and outward, each column-normalised (CTR-GCN,
        `graph/tools.py`)."""
        inward = np.zeros((self.joints, self.joints))
        for child, parent in self.bones:
            # Row parent, column child: the published `edge2mat` transposes its links.
            inward[parent - 1, child - 1] = 1
        # Normalised before the cast: the published code does it in float64.
        subsets = [np.eye(self.joints), column_normalise(inward), column_normalise(inward.T)]
        return np.stack(subsets).astype("float32")

    def hops(self) -> np.ndarray:
        """(V, V) number of bones on the shortest way between two joints; infinity where there is
        none."""
        steps = np.eye(self.joints, dtype=bool)
        for child, parent in self.bones:
            steps[child - 1, parent - 1] = True
            steps[parent - 1, child - 1] = True
        distance = np.full((self.joints, self.joints), np.inf)
        reached = np.eye(self.joints, dtype=bool)
        # No shortest way has as many bones as there are joints.
        for hop in range(self.joints):
            distance[reached & np.isinf(distance)] = hop
            # `steps` has the diagonal, so what is reached stays reached; joints of another
            # component stay at infinity.
            reached = (reached.astype(int) @ steps.astype(int)) > 0
        return distance

    def bone_pairs(self) -> tuple[tuple[int, int], ...]:
        """(child, parent), 1-based, of bone streams; a joint that is no child has bone zero."""
        return self.stream_bones or self.bones

    def checked(self) -> Skeleton:
        """Itself.

        Raises:
            RecipeError: an edge or the centre names a joint that does not exist, or an edge joins a
                joint to itself.
        """
        # Not in __post_init__: only a skeleton that a person describes needs it, and there the
        # error is a RecipeError.
        for pair in (*self.bones, *self.stream_bones):
            inside = all(1 <= joint <= self.joints for joint in pair)
            if not inside or pair[0] == pair[1]:
                raise RecipeError(
                    f"skeleton {self.name!r}: bone {list(pair)} does not join two of its"
                    f" {self.joints} joints (counted from 1)"
                )
        if not 1 <= self.centre <= self.joints:
            raise RecipeError(
                f"skeleton {self.name!r}: centre {self.centre} is none of its {self.joints} joints"
                " (counted from 1)"
            )
        return self


def other_side(names: Sequence[str]) -> tuple[int, ...]:
    """For each joint, 0-based, the one on the other side of the body; itself for one in the middle.

    Sides are read from names: `left_hand`, `hand_l`, `LeftHand`, `L Hand`.

    Raises:
        ValueError: no joint has a side, or one has no counterpart.
    """
    # By (side, rest of the name); a joint in the middle has the side "".
    number_of = {_side(name): number for number, name in enumerate(names)}
    if not any(side for side, _ in number_of):
        raise ValueError("no joint's name says left or right")
    other = {"left": "right", "right": "left", "": ""}
    pairs = []
    for name in names:
        side, rest = _side(name)
        if (other[side], rest) not in number_of:
            raise ValueError(f"joint {name!r} has no counterpart on the {other[side]}")
        pairs.append(number_of[other[side], rest])
    # Two names that read alike would both be swapped with one joint.
    if len(set(pairs)) != len(names):
        raise ValueError("several joints have the same side and name")
    return tuple(pairs)


def _side(name: str) -> tuple[str, str]:
    # LeftHand and leftHand are two words, as left_hand is.
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    words = re.sub(r"[\W_]+", " ", spaced).lower().split()
    for side in ("left", "right"):
        for word in (side, side[0]):
            if word in words:
                words.remove(word)
                return side, " ".join(words)
    return "", " ".join(words)


def column_normalise(matrix: np.ndarray) -> np.ndarray:
    """Every column divided by its sum; columns of zeros stay zero."""
    total = matrix.sum(0)
    return matrix / np.where(total == 0, 1, total)


# The pairs of the literature, in its order; they are counted from 1 so that they can be compared
# with it.
_NTU_BODY = (
    (1, 2),
    (2, 21),
    (3, 21),
    (4, 3),
    (5, 21),
    (6, 5),
    (7, 6),
    (8, 7),
    (9, 21),
    (10, 9),
    (11, 10),
    (12, 11),
    (13, 1),
    (14, 13),
    (15, 14),
    (16, 15),
    (17, 1),
    (18, 17),
    (19, 18),
    (20, 19),
)

NTU_25 = Skeleton("ntu_25", 25, (*_NTU_BODY, (22, 23), (23, 8), (24, 25), (25, 12)), centre=21)

# PYSKL and mmaction2 hang hand tips and thumbs on the hands; their bone streams use the published
# pairs all the same.
NTU_25_PYSKL = Skeleton(
    "ntu_25_pyskl",
    25,
    (*_NTU_BODY, (22, 8), (23, 8), (24, 12), (25, 12)),
    centre=21,
    stream_bones=NTU_25.bones,
)

UCLA_20 = Skeleton(
    "ucla_20",
    20,
    (
        (1, 2),
        (2, 3),
        (4, 3),
        (5, 3),
        (6, 5),
        (7, 6),
        (8, 7),
        (9, 3),
        (10, 9),
        (11, 10),
        (12, 11),
        (13, 1),
        (14, 13),
        (15, 14),
        (16, 15),
        (17, 1),
        (18, 17),
        (19, 18),
        (20, 19),
    ),
    centre=3,
)

# Key points of 2D pose estimators; graph and bone pairs as PYSKL has them.
COCO_17 = Skeleton(
    "coco_17",
    17,
    (
        (16, 14),
        (14, 12),
        (17, 15),
        (15, 13),
        (12, 6),
        (13, 7),
        (10, 8),
        (8, 6),
        (11, 9),
        (9, 7),
        (6, 1),
        (7, 1),
        (2, 1),
        (4, 2),
        (3, 1),
        (5, 3),
    ),
    centre=1,
    stream_bones=(
        (2, 1),
        (3, 1),
        (4, 2),
        (5, 3),
        (6, 1),
        (7, 1),
        (8, 6),
        (9, 7),
        (10, 8),
        (11, 9),
        (12, 1),
        (13, 1),
        (14, 12),
        (15, 13),
        (16, 14),
        (17, 15),
    ),
)

OPENPOSE_18 = Skeleton(
    "openpose_18",
    18,
    (
        (5, 4),
        (4, 3),
        (8, 7),
        (7, 6),
        (14, 13),
        (13, 12),
        (11, 10),
        (10, 9),
        (12, 6),
        (9, 3),
        (6, 2),
        (3, 2),
        (1, 2),
        (16, 1),
        (15, 1),
        (18, 16),
        (17, 15),
    ),
    centre=2,
    stream_bones=(
        (2, 1),
        (3, 2),
        (4, 3),
        (5, 4),
        (6, 2),
        (7, 6),
        (8, 7),
        (9, 3),
        (10, 9),
        (11, 10),
        (12, 6),
        (13, 12),
        (14, 13),
        (15, 1),
        (16, 1),
        (17, 15),
        (18, 16),
    ),
)

# OpenPose's BODY_25: the pairs it draws, towards the neck as in its model of 18 key points.
OPENPOSE_25 = Skeleton(
    "openpose_25",
    25,
    (
        (1, 2),
        (3, 2),
        (4, 3),
        (5, 4),
        (6, 2),
        (7, 6),
        (8, 7),
        (9, 2),
        (10, 9),
        (11, 10),
        (12, 11),
        (13, 9),
        (14, 13),
        (15, 14),
        (16, 1),
        (17, 1),
        (18, 16),
        (19, 17),
        (20, 15),
        (21, 20),
        (22, 15),
        (23, 12),
        (24, 23),
        (25, 12),
    ),
    centre=2,
)

SKELETONS = {
    skeleton.name: skeleton
    for skeleton in (NTU_25, NTU_25_PYSKL, UCLA_20, COCO_17, OPENPOSE_18, OPENPOSE_25)
}

_LIMBS = """
    left_shoulder left_elbow left_wrist left_hand right_shoulder right_elbow right_wrist right_hand
    left_hip left_knee left_ankle left_foot right_hip right_knee right_ankle right_foot
"""
_NTU_NAMES = f"""
    spine_base spine_middle neck head {_LIMBS} spine_top
    left_hand_tip left_thumb right_hand_tip right_thumb
"""
_COCO_NAMES = """
    nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow
    left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle
"""
_OPENPOSE_ARMS = """
    nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist
"""
_OPENPOSE_LEGS = """
    right_hip right_knee right_ankle left_hip left_knee left_ankle
    right_eye left_eye right_ear left_ear
"""
_OPENPOSE_NAMES = _OPENPOSE_ARMS + _OPENPOSE_LEGS
_BODY_25_NAMES = f"""
    {_OPENPOSE_ARMS} middle_hip {_OPENPOSE_LEGS} left_big_toe left_small_toe left_heel
    right_big_toe right_small_toe right_heel
"""
# What the joints of known skeletons are called, in order. Beside the skeletons and not in them: a
# network's identity is made of its skeleton, and names change no network.
JOINT_NAMES = {
    NTU_25.name: tuple(_NTU_NAMES.split()),
    NTU_25_PYSKL.name: tuple(_NTU_NAMES.split()),
    UCLA_20.name: tuple(f"hip_centre spine shoulder_centre head {_LIMBS}".split()),
    COCO_17.name: tuple(_COCO_NAMES.split()),
    OPENPOSE_18.name: tuple(_OPENPOSE_NAMES.split()),
    OPENPOSE_25.name: tuple(_BODY_25_NAMES.split()),
}
