"""Skeletons as data: the graph, the known ones, left and right, and how joints of one are made of
another's."""

from teachers.skeleton.brought import Brought
from teachers.skeleton.estimators import (
    COCO_WHOLEBODY_133,
    DRAWN,
    H36M_17,
    HALPE_26,
    MEDIAPIPE_33,
)
from teachers.skeleton.graph import Skeleton, column_normalise
from teachers.skeleton.known import ALIASES, JOINT_NAMES, SKELETONS, named
from teachers.skeleton.mapping import JointMap, between, mapping, matching
from teachers.skeleton.published import (
    COCO_17,
    NTU_25,
    NTU_25_PYSKL,
    OPENPOSE_18,
    OPENPOSE_25,
    UCLA_20,
)
from teachers.skeleton.sides import other_side

__all__ = [
    "ALIASES",
    "COCO_17",
    "COCO_WHOLEBODY_133",
    "DRAWN",
    "H36M_17",
    "HALPE_26",
    "JOINT_NAMES",
    "MEDIAPIPE_33",
    "NTU_25",
    "NTU_25_PYSKL",
    "OPENPOSE_18",
    "OPENPOSE_25",
    "SKELETONS",
    "UCLA_20",
    "Brought",
    "JointMap",
    "Skeleton",
    "between",
    "column_normalise",
    "mapping",
    "matching",
    "named",
    "other_side",
]
