"""The skeletons of published data sets and networks, with the pairs of their papers and programs."""

from __future__ import annotations

from teachers.skeleton.graph import Skeleton

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

_LIMBS = """
    left_shoulder left_elbow left_wrist left_hand right_shoulder right_elbow right_wrist right_hand
    left_hip left_knee left_ankle left_foot right_hip right_knee right_ankle right_foot
"""
NTU_NAMES = tuple(
    f"""
    spine_base spine_middle neck head {_LIMBS} spine_top
    left_hand_tip left_thumb right_hand_tip right_thumb
    """.split()
)
UCLA_NAMES = tuple(f"hip_centre spine shoulder_centre head {_LIMBS}".split())
_COCO = """
    nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow
    left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle
"""
COCO_NAMES = tuple(_COCO.split())
_OPENPOSE_ARMS = """
    nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist
"""
_OPENPOSE_LEGS = """
    right_hip right_knee right_ankle left_hip left_knee left_ankle
    right_eye left_eye right_ear left_ear
"""
OPENPOSE_NAMES = tuple((_OPENPOSE_ARMS + _OPENPOSE_LEGS).split())
BODY_25_NAMES = tuple(
    f"""
    {_OPENPOSE_ARMS} middle_hip {_OPENPOSE_LEGS} left_big_toe left_small_toe left_heel
    right_big_toe right_small_toe right_heel
    """.split()
)
