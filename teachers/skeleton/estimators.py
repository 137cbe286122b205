"""The skeletons of pose estimators that came after OpenPose: joints in the estimator's order, bones
towards the centre.

MediaPipe: `PoseLandmark` and `POSE_CONNECTIONS` (github.com/google-ai-edge/mediapipe,
python/solutions/pose.py, pose_connections.py). Halpe: github.com/Fang-Haoshu/Halpe-FullBody. COCO-
WholeBody: arXiv 2007.11858 (github.com/jin-s13/COCO-WholeBody). Human3.6M: the 17 of its 32 joints
that 3D estimators use (arXiv 1811.11742).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from teachers.skeleton.graph import Skeleton
from teachers.skeleton.published import COCO_NAMES

Bones = tuple[tuple[int, int], ...]


def _both(text: str) -> Iterator[list[str]]:
    """Words of a line, for each side where they begin with `S_`."""
    if "S_" not in text:
        yield text.split()
        return
    for side in ("left", "right"):
        yield text.replace("S_", f"{side}_").split()


def _chains(names: Sequence[str], *lines: str) -> Bones:
    """(child, parent), counted from 1, of joints that hang on each other, outermost first."""
    pairs: list[tuple[int, int]] = []
    for line in lines:
        for chain in _both(line):
            numbers = [names.index(name) + 1 for name in chain]
            pairs += itertools.pairwise(numbers)
    # Chains may share their inner bones.
    return tuple(dict.fromkeys(pairs))


_MEDIAPIPE = """
    nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear
    right_ear mouth_left mouth_right left_shoulder right_shoulder left_elbow right_elbow
    left_wrist right_wrist left_pinky right_pinky left_index right_index left_thumb right_thumb
    left_hip right_hip left_knee right_knee left_ankle right_ankle left_heel right_heel
    left_foot_index right_foot_index
"""
MEDIAPIPE_NAMES = tuple(_MEDIAPIPE.split())
# `POSE_CONNECTIONS` leaves the face apart from the body and closes circles at hands, feet and trunk.
# The graph is a tree, joined at the nose as PYSKL joins COCO's.
MEDIAPIPE_33 = Skeleton(
    "mediapipe_33",
    33,
    _chains(
        MEDIAPIPE_NAMES,
        "S_ear S_eye_outer S_eye S_eye_inner nose",
        "mouth_left nose",
        "mouth_right nose",
        "S_pinky S_wrist S_elbow S_shoulder nose",
        "S_index S_wrist",
        "S_thumb S_wrist",
        "S_foot_index S_ankle S_knee S_hip S_shoulder",
        "S_heel S_ankle",
    ),
    centre=1,
)

_HALPE = """
    head_top neck middle_hip left_big_toe right_big_toe left_small_toe right_small_toe
    left_heel right_heel
"""
HALPE_NAMES = (*COCO_NAMES, *_HALPE.split())
# AlphaPose draws the face apart; here the nose hangs on the neck, as in OpenPose's models.
HALPE_26 = Skeleton(
    "halpe_26",
    26,
    _chains(
        HALPE_NAMES,
        "head_top neck",
        "S_ear S_eye nose neck",
        "S_wrist S_elbow S_shoulder neck",
        "S_big_toe S_heel S_ankle S_knee S_hip middle_hip neck",
        "S_small_toe S_heel",
    ),
    centre=19,
)

_H36M = """
    pelvis right_hip right_knee right_ankle left_hip left_knee left_ankle spine thorax nose
    head_top left_shoulder left_elbow left_wrist right_shoulder right_elbow right_wrist
"""
H36M_NAMES = tuple(_H36M.split())
H36M_17 = Skeleton(
    "h36m_17",
    17,
    _chains(
        H36M_NAMES,
        "head_top nose thorax spine pelvis",
        "S_wrist S_elbow S_shoulder thorax",
        "S_ankle S_knee S_hip pelvis",
    ),
    centre=1,
)


# Of the 68 points of a face, in 300-W's order: each has a side, so that clips can be mirrored.
_FACE = """
    right_jaw_0 right_jaw_1 right_jaw_2 right_jaw_3 right_jaw_4 right_jaw_5 right_jaw_6 right_jaw_7
    chin left_jaw_7 left_jaw_6 left_jaw_5 left_jaw_4 left_jaw_3 left_jaw_2 left_jaw_1 left_jaw_0
    right_brow_0 right_brow_1 right_brow_2 right_brow_3 right_brow_4
    left_brow_4 left_brow_3 left_brow_2 left_brow_1 left_brow_0
    nose_bridge_0 nose_bridge_1 nose_bridge_2 nose_bridge_3
    right_nostril_0 right_nostril_1 nose_base left_nostril_1 left_nostril_0
    right_lid_0 right_lid_1 right_lid_2 right_lid_3 right_lid_4 right_lid_5
    left_lid_3 left_lid_2 left_lid_1 left_lid_0 left_lid_5 left_lid_4
    right_lip_0 right_lip_1 right_lip_2 lip_top left_lip_2 left_lip_1 left_lip_0
    left_lip_3 left_lip_4 lip_bottom right_lip_4 right_lip_3
    right_mouth_0 right_mouth_1 mouth_top left_mouth_1 left_mouth_0
    left_mouth_2 mouth_bottom right_mouth_2
"""
_FINGERS = ("thumb", "index", "middle", "ring", "pinky")


def _hand(side: str) -> Iterable[str]:
    yield f"{side}_hand_root"
    for finger in _FINGERS:
        for joint in range(1, 5):
            yield f"{side}_{finger}_{joint}"


_FEET = "left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"
WHOLEBODY_NAMES = (
    *COCO_NAMES,
    *_FEET.split(),
    *_FACE.split(),
    *_hand("left"),
    *_hand("right"),
)
# The body as PYSKL has COCO's; the face hangs on the nose, a hand on its wrist.
COCO_WHOLEBODY_133 = Skeleton(
    "coco_wholebody_133",
    133,
    _chains(
        WHOLEBODY_NAMES,
        "S_ear S_eye nose",
        "S_hand_root S_wrist S_elbow S_shoulder nose",
        "S_big_toe S_ankle S_knee S_hip S_shoulder",
        "S_small_toe S_ankle",
        "S_heel S_ankle",
        *(f"{point} nose" for point in _FACE.split()),
        *(
            " ".join((*(f"S_{finger}_{joint}" for joint in (4, 3, 2, 1)), "S_hand_root"))
            for finger in _FINGERS
        ),
    ),
    centre=1,
)

# What estimators draw and people copy into their descriptions, where that is no tree or leaves the
# face apart, counted from 0 as published: such edges say which joints these are, too.
DRAWN = {
    MEDIAPIPE_33.name: """
        0-1 1-2 2-3 3-7 0-4 4-5 5-6 6-8 9-10 11-12 11-13 13-15 15-17 15-19 15-21 17-19 12-14 14-16
        16-18 16-20 16-22 18-20 11-23 12-24 23-24 23-25 24-26 25-27 26-28 27-29 28-30 29-31 30-32
        27-31 28-32
    """,
    "coco_17": """
        15-13 13-11 16-14 14-12 11-12 5-11 6-12 5-6 5-7 6-8 7-9 8-10 1-2 0-1 0-2 1-3 2-4 3-5 4-6
    """,
    HALPE_26.name: """
        0-1 0-2 1-3 2-4 5-18 6-18 5-7 7-9 6-8 8-10 17-18 18-19 19-11 19-12 11-13 12-14 13-15 14-16
        20-24 21-25 23-25 22-24 15-24 16-25
    """,
}
