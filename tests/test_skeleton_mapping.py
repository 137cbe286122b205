"""Joints of one skeleton out of another's: what is selected, derived, and filled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from teachers.errors import RecipeError
from teachers.skeleton import (
    COCO_17,
    JOINT_NAMES,
    NTU_25,
    SKELETONS,
    Skeleton,
    between,
    mapping,
    matching,
    named,
    other_side,
)


def by_name(source: str, target: str) -> dict[str, dict[str, float]]:
    """{target joint: {source joint: weight}}."""
    names = JOINT_NAMES[named(source).name]
    return {
        joint: {names[number]: weight for number, weight in weights}
        for joint, weights in zip(
            JOINT_NAMES[named(target).name], between(source, target).weights(), strict=True
        )
    }


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=list(SKELETONS))
def test_every_known_skeleton_is_one_tree_with_names(skeleton):
    names = JOINT_NAMES[skeleton.name]
    assert len(set(names)) == skeleton.checked().joints == len(skeleton.bones) + 1
    assert np.isfinite(skeleton.hops()).all()
    # Towards the centre: who is no child is the centre.
    children = {child for child, _ in skeleton.bones}
    if skeleton.name not in ("ntu_25", "ntu_25_pyskl", "ucla_20"):
        assert set(range(1, skeleton.joints + 1)) - children == {skeleton.centre}


@pytest.mark.parametrize("name", SKELETONS)
def test_mirrored_bones_are_bones(name):
    swapped = other_side(JOINT_NAMES[name])
    bones = SKELETONS[name].bones
    mirrored = {(swapped[child - 1] + 1, swapped[parent - 1] + 1) for child, parent in bones}
    assert mirrored == set(bones)


def test_movenet_has_cocos_joints_under_an_alias():
    assert named("movenet_17") == COCO_17
    with pytest.raises(RecipeError, match="unknown skeleton 'coco_71' .did you mean 'coco_17'"):
        named("coco_71")


def test_mediapipe_to_ntu():
    made = by_name("mediapipe_33", "ntu_25")
    assert made["left_elbow"] == {"left_elbow": 1}
    assert made["spine_base"] == {"left_hip": 0.5, "right_hip": 0.5}
    assert made["spine_top"] == {"left_shoulder": 0.5, "right_shoulder": 0.5}
    quarter = dict.fromkeys(("left_hip", "right_hip", "left_shoulder", "right_shoulder"), 0.25)
    assert made["spine_middle"] == quarter
    assert made["head"] == {"left_ear": 0.5, "right_ear": 0.5}
    assert made["right_hand"] == {"right_wrist": 0.5, "right_index": 0.25, "right_pinky": 0.25}
    assert made["right_hand_tip"] == {"right_index": 0.85, "right_pinky": 0.85, "right_wrist": -0.7}
    assert made["left_thumb"] == {"left_thumb": 1}
    assert made["left_foot"] == {"left_foot_index": 1}
    whole = between("mediapipe_33", "ntu_25")
    assert whole.filled == ()
    assert "left_foot" in whole.derived and "left_elbow" not in whole.derived


def test_what_coco_lacks_is_filled_and_said():
    made = by_name("coco_17", "ntu_25")
    assert made["left_hand_tip"] == made["left_thumb"] == made["left_hand"] == {"left_wrist": 1}
    assert dict(between("coco_17", "ntu_25").filled) == {
        "left_hand": "left_wrist",
        "right_hand": "right_wrist",
        "left_foot": "left_ankle",
        "right_foot": "right_ankle",
        "left_hand_tip": "left_wrist",
        "left_thumb": "left_wrist",
        "right_hand_tip": "right_wrist",
        "right_thumb": "right_wrist",
    }


def test_the_other_way_round():
    made = by_name("ntu_25", "coco_17")
    assert made["left_wrist"] == {"left_wrist": 1}
    assert made["nose"] == made["left_eye"] == made["right_ear"] == {"head": 1}
    assert len(between("ntu_25", "coco_17").filled) == 5


def test_openpose_neck_is_between_the_shoulders_and_kinects_above_them():
    assert by_name("openpose_25", "ntu_25")["spine_top"] == {"neck": 1}
    assert by_name("ntu_25", "openpose_25")["neck"] == {"spine_top": 1}
    assert by_name("coco_17", "openpose_18")["neck"] == {
        "left_shoulder": 0.5,
        "right_shoulder": 0.5,
    }
    neck = by_name("openpose_25", "ntu_25")["neck"]
    assert neck["neck"] == 0.67 and neck["left_ear"] == pytest.approx(0.165)


def test_hands_of_the_whole_body():
    made = by_name("coco_wholebody_133", "ntu_25")
    assert made["left_hand_tip"] == {"left_middle_4": 1}
    assert made["left_hand"] == {"left_wrist": 0.5, "left_middle_1": 0.5}
    assert made["right_foot"] == {"right_big_toe": 0.5, "right_small_toe": 0.5}
    # Points of a face that Kinect does not see are where its head is.
    assert by_name("ntu_25", "coco_wholebody_133")["chin"] == {"head": 1}


@pytest.mark.parametrize("source", SKELETONS)
@pytest.mark.parametrize("target", SKELETONS)
def test_every_map_is_whole_and_keeps_sides(source, target):
    made = between(source, target)
    swapped_source = other_side(JOINT_NAMES[source])
    swapped_target = other_side(JOINT_NAMES[target])
    for joint, weights in enumerate(made.weights()):
        assert sum(weight for _, weight in weights) == pytest.approx(1)
        mirrored = sorted((swapped_source[number], weight) for number, weight in weights)
        assert mirrored == sorted(made.weights()[swapped_target[joint]])
    if SKELETONS[source].joints == SKELETONS[target].joints and "ntu" in source + target:
        return
    if source == target:
        assert made.weights() == [[(joint, 1)] for joint in range(SKELETONS[source].joints)]


def test_the_same_joints_of_two_skeletons():
    same = matching(JOINT_NAMES["coco_17"], JOINT_NAMES["ntu_25"])
    pairs = {
        JOINT_NAMES["ntu_25"][number]: JOINT_NAMES["coco_17"][joint]
        for number, joint in enumerate(same)
        if joint is not None
    }
    assert len(pairs) == 12
    assert all(target == source for target, source in pairs.items())
    # By the part of the body, whatever its author calls it.
    kinect = matching(JOINT_NAMES["openpose_25"], JOINT_NAMES["ntu_25"])
    assert [kinect[0], kinect[20]] == [8, 1]
    assert matching(("LHip", "tail"), ("tail", "hip left", "spine")) == (1, 0, None)


def test_chosen_joints_go_before_the_tables():
    own = ("pelvis", "LWrist", "RWrist", "LeftGripper")
    made = mapping(own, JOINT_NAMES["ntu_25"], NTU_25, {"left_hand": ["LWrist", "LeftGripper"]})
    assert made.joints[7] == ((1.0, (1, 3)),)
    assert "left_hand" not in dict(made.filled) and "left_hand" not in made.derived
    with pytest.raises(RecipeError, match="'lefthand' is no joint of the target"):
        mapping(own, JOINT_NAMES["ntu_25"], NTU_25, {"lefthand": ["LWrist"]})
    with pytest.raises(RecipeError, match="'LWist' is no joint of the source .did you mean"):
        mapping(own, JOINT_NAMES["ntu_25"], NTU_25, {"left_hand": ["LWist"]})


def test_joints_that_no_table_has_are_filled_along_the_graph():
    tail = Skeleton("cat", 3, ((2, 1), (3, 2)), 1)
    made = mapping(("pelvis",), ("pelvis", "tail_1", "tail_2"), tail)
    assert made.joints == (((1.0, (0,)),),) * 3
    assert made.filled == (("tail_1", "pelvis"), ("tail_2", "pelvis"))
    with pytest.raises(RecipeError, match="none of the joints fin, ... is a joint of 'cat'"):
        mapping(("fin",), ("pelvis", "tail_1", "tail_2"), tail)


def test_hops_are_counted_by_bones_and_end_where_no_bone_leads():
    chain = replace(SKELETONS["ntu_25"], joints=6, bones=((2, 1), (3, 2), (5, 4)), centre=1)
    apart = np.inf
    assert chain.hops().tolist() == [
        [0, 1, 2, apart, apart, apart],
        [1, 0, 1, apart, apart, apart],
        [2, 1, 0, apart, apart, apart],
        [apart, apart, apart, 0, 1, apart],
        [apart, apart, apart, 1, 0, apart],
        [apart, apart, apart, apart, apart, 0],
    ]
