"""Clips brought to another skeleton: the step, the recipe's key, and the views that begin with it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.skeletons import HIPS, angles, recorded
from compress import plan, recipe
from compress.data import joint_maps, skeletons, survey, synthetic
from compress.data.dataset import Dataset, Split
from compress.inputs import view
from compress.inputs.crop_resize import Config as CropResize
from compress.inputs.uniform import Config as Uniform
from compress.recipe import loading
from compress.training.model import Model
from export import serving
from export.deployed.record import FORMAT, VERSION, Description, Input, Output, Recorded
from export.preprocess import joints, ops
from teachers.errors import DataError, RecipeError
from teachers.skeleton import (
    COCO_17,
    DRAWN,
    H36M_17,
    JOINT_NAMES,
    MEDIAPIPE_33,
    NTU_25,
    NTU_25_PYSKL,
    OPENPOSE_25,
    Brought,
    Skeleton,
    between,
    named,
)


def frame(*points, score: bool = False) -> np.ndarray:
    """(C, 1, V, 1) of one frame of one person."""
    return np.array(points, np.float32).T[:, None, :, None]


def mapped(clip: np.ndarray, *targets, **keys) -> list:
    out = ops.apply(clip, ({"op": "map_joints", "joints": targets, **keys},))
    return out[:, 0, :, 0].T.tolist()


def test_a_joint_is_a_weighted_sum_of_points():
    clip = frame((1, 0, 0), (3, 2, 0), (0, 0, 4))
    selected = [[1.0, [2]]]
    mean = [[1.0, [0, 1]]]
    between_both = [[0.5, [0, 1]], [0.5, [2]]]
    assert mapped(clip, selected, mean, between_both) == [[0, 0, 4], [2, 1, 0], [1, 0.5, 2]]


def test_missing_joints_are_not_averaged_in():
    clip = frame((0, 0, 0), (3, 2, 0), (0, 0, 4))
    assert mapped(clip, [[1.0, [0, 1]]]) == [[3, 2, 0]]
    # A point that nobody sees leaves nothing to go by, also where another is seen.
    assert mapped(clip, [[1.0, [0]]], [[0.5, [0]], [0.5, [2]]]) == [[0, 0, 0], [0, 0, 0]]
    # By person and frame.
    both = np.stack([clip[..., 0], frame((1, 0, 0), (3, 2, 0), (0, 0, 4))[..., 0]], axis=-1)
    out = ops.apply(both, ({"op": "map_joints", "joints": [[[1.0, [0, 1]]]]},))
    assert out[:, 0, 0].T.tolist() == [[3, 2, 0], [2, 1, 0]]


def test_a_joint_is_as_sure_as_the_least_sure_of_its_sources():
    clip = frame((1, 2, 0.9), (3, 2, 0.4), (0, 0, 0.8))
    out = mapped(clip, [[1.0, [0, 1]]], [[1.0, [1, 2]]], [[1.0, [2]]], score=True)
    expected = [[2, 2, 0.4], [3, 2, 0.4], [0, 0, 0]]
    np.testing.assert_allclose(out, expected, rtol=1e-6)


def test_axes_are_swapped_and_turned_round():
    clip = frame((1, 2, 3), (0, 0, 0))
    one = [[1.0, [0]]]
    assert mapped(clip, one, axes=["-x", "-y", "z"]) == [[-1, -2, 3]]
    assert mapped(clip, one, axes=["x", "z", "-y"]) == [[1, 3, -2]]
    turned = ops.apply(
        clip, ({"op": "map_joints", "joints": [[[1.0, [1]]]], "axes": ["-x", "y", "z"]},)
    )
    # Missing stays missing to the byte.
    assert not turned.view(np.uint32).any()
    scored = frame((1, 2, 3, 0.5))
    assert mapped(scored, one, axes=["-x", "-y", "z"], score=True) == [[-1, -2, 3, 0.5]]


@pytest.mark.parametrize(
    "parameters",
    [{"joints": [[[1.0, [7]]]]}, {"joints": [[[1.0, []]]], "axes": ["w"]}, {"joints": 3}, {}],
)
def test_a_step_that_does_not_fit_is_a_data_error(parameters):
    with pytest.raises(DataError, match="preprocessing: .*map_joints"):
        ops.apply(frame((1, 0, 0)), ({"op": "map_joints", **parameters},))


def dataset(skeleton: Skeleton = MEDIAPIPE_33, coordinates: int = 3, **changes) -> Dataset:
    rng = np.random.default_rng(1)
    shape = (coordinates, 20, skeleton.joints, 1)
    clips = [rng.normal(0, 0.4, shape).astype(np.float32) for _ in range(4)]
    made = Dataset(
        "own",
        Split(("a", "b"), clips[:2], np.array([0, 1])),
        Split(("c", "d"), clips[2:], np.array([0, 1])),
        ("sit", "walk"),
        skeleton,
        1,
        coordinates,
        "f",
        coordinates=coordinates,
        as_recorded=True,
    )
    return replace(made, **changes)


def test_the_recipe_says_from_and_to(tmp_path):
    text = (
        "data: {name: synthetic}\nbudget: {max_size: 10MB}\nteacher: {train: {epochs: 1, lr: 0.1}}\n"
        "skeleton:\n  from: mediapipe_33\n  to: ntu_25\n  axes: [x, -y, z]\n"
        "  map: {left_hand: left_wrist, head: [left_ear, nose]}\n"
    )
    path = tmp_path / "r.yaml"
    path.write_text(text)
    loaded = recipe.load(path)
    assert loaded.skeleton == Brought(
        "ntu_25",
        "mediapipe_33",
        {"left_hand": ("left_wrist",), "head": ("left_ear", "nose")},
        ("x", "-y", "z"),
    )
    # What a run saves reads back to the same.
    again = tmp_path / "again.yaml"
    again.write_text(loading.to_yaml(loaded))
    assert recipe.load(again).skeleton == loaded.skeleton
    json.dumps(loading.to_dict(loaded))
    assert recipe.load(path, ["skeleton={to: coco_17}"]).skeleton == Brought("coco_17")


@pytest.mark.parametrize(
    "written, message",
    [
        ("{to: ntu_52}", "skeleton.to: unknown skeleton 'ntu_52' (did you mean 'ntu_25'"),
        ("{from: mediapipe, to: ntu_25}", "skeleton.from: unknown skeleton 'mediapipe'"),
        ("{from: mediapipe_33}", "skeleton: missing key 'to'"),
        ("{form: mediapipe_33, to: ntu_25}", "skeleton: unknown key 'form' (did you mean 'from'"),
        ("{to: ntu_25, axes: [x, x, z]}", "skeleton.axes: must be x, y and z in some order"),
        ("{to: ntu_25, axes: [x, y, w]}", "skeleton.axes: must be x, y and z in some order"),
        ("{to: ntu_25, map: [left_hand]}", "skeleton.map: expected a mapping of keys"),
        ("{to: ntu_25, map: {left_hand: []}}", "skeleton.map.left_hand: expected a joint"),
        ("{to: ntu_25, map: {left_hand: [3]}}", "skeleton.map.left_hand[0]: expected text"),
        ("ntu_52", "skeleton: unknown skeleton 'ntu_52'"),
        ("{name: x, joints: 2, bones: [[1, 3]], centre: 1}", "bone [1, 3] does not join"),
    ],
)
def test_a_wrong_skeleton_is_named_with_its_line(tmp_path, written, message):
    path = tmp_path / "r.yaml"
    path.write_text(
        "data: {name: synthetic}\nbudget: {max_size: 10MB}\n"
        f"teacher: {{train: {{epochs: 1, lr: 0.1}}}}\nskeleton: {written}\n"
    )
    with pytest.raises(RecipeError) as caught:
        recipe.load(path)
    assert message in str(caught.value)
    assert str(caught.value).count(f"{path}:4") == 1


def test_an_alias_is_said():
    loaded = recipe.load("stgcnpp", ["skeleton=movenet_17"])
    assert loaded.skeleton == COCO_17
    assert loaded.notes == (
        "skeleton: movenet_17 has the joints of coco_17 in the same order, and is it",
    )


def test_what_is_derived_and_what_is_lacking_is_said():
    bringing = joint_maps.bring(Brought("ntu_25", "coco_17"), dataset(COCO_17, 2))
    assert bringing.notes == (
        (
            "skeleton: clips of 17 joints are brought to ntu_25: 12 joints selected, 5 derived"
            " (spine_base, spine_middle, neck, head, spine_top)"
        ),
        (
            "skeleton: 8 joints not recorded, and filled by the nearest on the body: left_hand is where"
            " left_wrist is, right_hand is where right_wrist is, left_foot is where left_ankle is,"
            " right_foot is where right_ankle is, left_hand_tip is where left_wrist is, left_thumb is"
            " where left_wrist is, right_hand_tip is where right_wrist is, right_thumb is where"
            " right_wrist is"
        ),
    )
    many = joint_maps.bring(Brought("coco_wholebody_133", "coco_17"), dataset(COCO_17, 2)).notes
    assert many[1].endswith("and 102 more")


def test_the_data_say_what_they_were_recorded_with():
    assert joint_maps.bring(Brought("ntu_25"), dataset()).skeleton == NTU_25
    own = Skeleton("own_3", 3, ((2, 1), (3, 1)), 1)
    by_name = dataset(own, joint_names=("Pelvis", "LWrist", "RWrist"))
    step = joint_maps.bring(Brought("ntu_25"), by_name).steps[0]
    assert step["joints"][6] == [[1.0, [1]]]
    chosen = joint_maps.bring(Brought("ntu_25", map={"head": ("LWrist", "RWrist")}), by_name)
    assert chosen.steps[0]["joints"][3] == [[1.0, [1, 2]]]
    with pytest.raises(RecipeError, match="skeleton.from: nothing says what the 3 joints of 'own'"):
        joint_maps.bring(Brought("ntu_25"), dataset(own))
    with pytest.raises(
        RecipeError, match="'mediapipe_33' has 33 joints, the clips of 'own' have 3"
    ):
        joint_maps.bring(Brought("ntu_25", "mediapipe_33"), dataset(own))
    with pytest.raises(
        RecipeError, match="is 'h36m_17', but the joints .* 'coco_17' by their edge"
    ):
        joint_maps.bring(Brought("ntu_25", "h36m_17"), dataset(COCO_17))
    described = replace(COCO_17, name="own_17", bones=COCO_17.bones[1:])
    swapped = dataset(described, joint_names=JOINT_NAMES["h36m_17"])
    with pytest.raises(RecipeError, match="'own_17' by their names; leave it out"):
        joint_maps.bring(Brought("ntu_25", "coco_17"), swapped)


def test_a_recipe_cannot_call_joints_by_others_than_the_data_declare():
    openpose = dataset(OPENPOSE_25, joint_names=JOINT_NAMES["openpose_25"])
    fix = r"take them as they are \(-o skeleton=null\), bring them to it \(`skeleton: \{to: ntu_25_"
    with pytest.raises(
        RecipeError,
        match=rf"skeleton: is 'ntu_25_pyskl', but .* 'own' are 'openpose_25' by their edges; {fix}",
    ):
        joint_maps.bring(NTU_25_PYSKL, openpose)
    assert joint_maps.bring(None, openpose).skeleton == OPENPOSE_25
    assert joint_maps.bring(Brought("ntu_25_pyskl"), openpose).skeleton == NTU_25_PYSKL
    named_only = dataset(
        replace(H36M_17, name="own_17", bones=H36M_17.bones[1:]),
        joint_names=JOINT_NAMES["h36m_17"],
    )
    with pytest.raises(RecipeError, match="are 'own_17' by their names; take them"):
        joint_maps.bring(COCO_17, named_only)
    # One recording's two graphs, a description of one's own, and what a reader only guessed.
    kinect = dataset(NTU_25, joint_names=JOINT_NAMES["ntu_25"])
    assert joint_maps.bring(NTU_25_PYSKL, kinect).skeleton == NTU_25_PYSKL
    hand = Skeleton("hand", 25, NTU_25.bones, 1)
    assert joint_maps.bring(hand, openpose).skeleton == hand
    assert joint_maps.bring(OPENPOSE_25, dataset(NTU_25)).skeleton == OPENPOSE_25


def test_mediapipe_is_turned_the_way_kinect_looks():
    turned = joint_maps.bring(Brought("ntu_25"), dataset())
    assert turned.steps[0]["axes"] == ["-x", "-y", "z"]
    assert any(note.startswith("skeleton.axes: [-x, -y, z]") for note in turned.notes)
    back = joint_maps.bring(Brought("mediapipe_33"), dataset(NTU_25))
    assert back.steps[0]["axes"] == ["-x", "-y", "z"]
    for wanted, clips in (
        (Brought("ntu_25", axes=("x", "y", "z")), dataset()),
        (Brought("coco_17"), dataset()),
        (Brought("ntu_25"), dataset(coordinates=2)),
        (Brought("ucla_20"), dataset(NTU_25)),
    ):
        assert "axes" not in joint_maps.bring(wanted, clips).steps[0]
    with pytest.raises(RecipeError, match="skeleton.axes: turns x y z, the clips .* have x y"):
        joint_maps.bring(Brought("ntu_25", axes=("-x", "y", "z")), dataset(coordinates=2))


@pytest.mark.parametrize(
    "axis, sign, noted",
    [(1, 1, None), (1, -1, "along -y"), (2, 1, "along z")],
)
def test_people_on_their_heads_are_a_note(axis, sign, noted):
    clips = dataset(H36M_17)
    for clip in clips.train.clips:
        clip[:] = 0.01
        clip[axis, :, [9, 10]] += sign * 0.7
    notes = joint_maps.bring(Brought("ntu_25"), clips).notes
    upright = [note for note in notes if "from pelvis to head people point" in note]
    assert bool(upright) is (noted is not None)
    if noted:
        assert noted in upright[0]


def test_joints_that_are_there_already_need_no_step():
    bringing = joint_maps.bring(Brought("ntu_25_pyskl", "ntu_25"), dataset(NTU_25))
    assert bringing.steps == ()
    assert bringing.notes == ("skeleton: the clips have the joints of ntu_25_pyskl",)
    clips = dataset(NTU_25)
    assert bringing.seen(clips) is clips


@pytest.mark.parametrize("name, config", [("crop_resize", CropResize(8)), ("uniform", Uniform(8))])
def test_a_view_begins_with_the_recorded_joints(name, config):
    clips = dataset()
    bringing = joint_maps.bring(Brought("ntu_25"), clips)
    made = view.build(name, config, clips, NTU_25, bringing)
    assert made.shape == (3, 8, 25, 1)
    assert made.eval_ops[0] == bringing.steps[0]
    raw = clips.train.clips[0]
    rng = np.random.default_rng
    assert made.augment(raw, rng(0)).shape == made.prepare(raw).shape == (3, 8, 25, 1)
    # As a data set that was recorded so would be seen.
    plain = bringing.seen(clips)
    by_hand = view.build(name, config, replace(plain, base_ops=()), NTU_25)
    np.testing.assert_array_equal(
        made.prepare(raw), by_hand.prepare(ops.apply(raw, bringing.steps))
    )
    np.testing.assert_array_equal(
        made.augment(raw, rng(0)), by_hand.augment(ops.apply(raw, bringing.steps), rng(0))
    )
    # Two networks of one skeleton that see other recordings are two.
    assert made.fingerprint != by_hand.fingerprint


def test_a_recipe_plans_networks_of_the_target(tmp_path):
    loaded = recipe.load(
        "ctrgcn_lite_dml",
        ["data.train_clips=24", "data.val_clips=12", "skeleton={to: h36m_17}"],
    )
    clips = plan.load_data(loaded)
    made = plan.make(loaded, clips)
    task = made.student.task
    assert (task.skeleton, task.view.shape) == (H36M_17, (3, 16, 17, 1))
    assert made.student.spec.skeleton == H36M_17
    assert any(note.startswith("skeleton: clips of 25 joints are brought") for note in made.notes)
    # The data stay as recorded, and so do what a weights file says of them and what is served.
    about = Model(None, task.view).about(clips)
    assert about["recorded"]["joints"] == 25
    raw = clips.val.clips[0]
    deployed = Description(
        format=FORMAT,
        version=VERSION,
        counted_from=0,
        network="ctrgcn",
        classes=clips.classes,
        input=Input("clip", (None, *task.view.shape)),
        output=Output("logits", (None, len(clips.classes))),
        skeleton=H36M_17,
        files={"onnx": ("model.onnx",)},
        recorded=Recorded(**about["recorded"]),
        preprocessing=tuple(json.loads(json.dumps(about["preprocessing"]))),
    )
    np.testing.assert_array_equal(serving.prepare(raw, deployed, "clip"), task.view.prepare(raw))


def test_the_largest_step_is_within_what_a_deployed_folder_may_hold():
    step = joints.step(between("coco_wholebody_133", "coco_wholebody_133"), ("x", "z", "-y"), True)
    Description(
        format=FORMAT,
        version=VERSION,
        counted_from=0,
        network="ctrgcn",
        classes=("a", "b"),
        input=Input("clip", (None, 3, 8, 133, 1)),
        output=Output("logits", (None, 2)),
        skeleton=named("coco_wholebody_133"),
        files={"onnx": ("model.onnx",)},
        preprocessing=(json.loads(json.dumps(step)),),
    )


@pytest.mark.parametrize("name", DRAWN)
def test_edges_as_an_estimator_draws_them_say_which_joints_they_are(name):
    known = named(name)
    pairs = [tuple(int(joint) + 1 for joint in pair.split("-")) for pair in DRAWN[name].split()]
    drawn = Skeleton(f"own_{known.joints}", known.joints, tuple(pairs), 1)
    examined = survey.examine(dataset(drawn))
    # The graph stays as it was described: it may have trained networks already.
    assert examined.skeleton == drawn
    assert examined.joint_names == JOINT_NAMES[name]
    assert examined.notes[0].startswith(f"skeleton: the edges are those that {name} is drawn with")
    called = survey.examine(dataset(drawn, joint_names=tuple(map(str, range(known.joints)))))
    assert called.joint_names[0] == "0" and called.notes == ()
    # Weights of either graph fit data of the other.
    assert skeletons.same_joints(drawn, known) and skeletons.same_joints(known, drawn)
    assert not skeletons.same_joints(replace(drawn, bones=drawn.bones[1:]), known)


# The largest angle, in degrees, between a derived bone and the body's; a pelvis of two hips and a
# middle of the spine are not where Kinect has them.
DERIVED = 30


@pytest.mark.parametrize("name", ["mediapipe_33", HIPS, "coco_17", "coco_wholebody_133", "h36m_17"])
def test_bones_of_dumps_point_where_the_bodys_do(name):
    config = synthetic.Config(noise=0.0, missing=0.0)
    source = named("mediapipe_33" if name == HIPS else name)
    made = between(source.name, "ntu_25")
    kinect = JOINT_NAMES["ntu_25"]
    filled = {kinect.index(joint) + 1 for joint, _ in made.filled}
    derived = filled | {kinect.index(joint) + 1 for joint in made.derived}
    for index in range(12):
        clip = synthetic.clip(config, 1, "val", index)
        raw, step = recorded(name, clip)
        assert raw.shape == (3, clip.shape[1], source.joints, 1)
        by_bone = angles(clip, ops.apply(raw, (step,)))
        # All that have a length, which of filled joints have none.
        assert {bone for bone in NTU_25.bones if not filled & set(bone)} <= by_bone.keys()
        for bone, degrees in by_bone.items():
            assert degrees.max() < (DERIVED if derived & set(bone) else 0.1), bone
