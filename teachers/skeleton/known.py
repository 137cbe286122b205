"""The skeletons that recipes can name, and what their joints are called."""

from __future__ import annotations

from teachers.errors import RecipeError, did_you_mean
from teachers.skeleton import published
from teachers.skeleton.estimators import (
    COCO_WHOLEBODY_133,
    H36M_17,
    H36M_NAMES,
    HALPE_26,
    HALPE_NAMES,
    MEDIAPIPE_33,
    MEDIAPIPE_NAMES,
    WHOLEBODY_NAMES,
)
from teachers.skeleton.graph import Skeleton
from teachers.skeleton.published import (
    COCO_17,
    NTU_25,
    NTU_25_PYSKL,
    OPENPOSE_18,
    OPENPOSE_25,
    UCLA_20,
)

# Newer ones last: where nothing but the number of joints is known, the first of them is taken.
SKELETONS = {
    skeleton.name: skeleton
    for skeleton in (
        NTU_25,
        NTU_25_PYSKL,
        UCLA_20,
        COCO_17,
        OPENPOSE_18,
        OPENPOSE_25,
        MEDIAPIPE_33,
        HALPE_26,
        COCO_WHOLEBODY_133,
        H36M_17,
    )
}
# Other names of the same joints in the same order. No skeletons of their own: weights of one name
# would be refused under the other.
ALIASES = {"movenet_17": COCO_17.name}

# What the joints of known skeletons are called, in order. Beside the skeletons and not in them: a
# network's identity is made of its skeleton, and names change no network.
JOINT_NAMES = {
    NTU_25.name: published.NTU_NAMES,
    NTU_25_PYSKL.name: published.NTU_NAMES,
    UCLA_20.name: published.UCLA_NAMES,
    COCO_17.name: published.COCO_NAMES,
    OPENPOSE_18.name: published.OPENPOSE_NAMES,
    OPENPOSE_25.name: published.BODY_25_NAMES,
    MEDIAPIPE_33.name: MEDIAPIPE_NAMES,
    HALPE_26.name: HALPE_NAMES,
    COCO_WHOLEBODY_133.name: WHOLEBODY_NAMES,
    H36M_17.name: H36M_NAMES,
}


def named(name: str) -> Skeleton:
    """The known skeleton of a name or of its alias.

    Raises:
        RecipeError: there is none.
    """
    skeleton = SKELETONS.get(ALIASES.get(name, name))
    if skeleton is None:
        known = (*SKELETONS, *ALIASES)
        raise RecipeError(f"unknown skeleton {name!r}{did_you_mean(name, known, always_list=True)}")
    return skeleton
