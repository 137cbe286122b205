"""The training steps that every input can switch on: exact values, what they leave alone, and what
is refused."""

import copy
import dataclasses

import numpy as np
import pytest
from test_inputs import NAMES, dataset, seen

from compress.data.synthetic import kinematics
from compress.inputs import augment, augmentation, crop_resize, view
from compress.inputs.augmentation import Augmentation, DropJoint
from export.preprocess import ops
from teachers.errors import RecipeError
from teachers.skeleton import (
    COCO_17,
    JOINT_NAMES,
    NTU_25,
    SKELETONS,
    UCLA_20,
    Skeleton,
    other_side,
)

ALL_ON = Augmentation(
    mirror=1.0, joint_jitter=0.1, drop_frames=0.5, drop_axis=1.0, drop_joint=DropJoint(1.0)
)


def rng(seed=0):
    return np.random.default_rng(seed)


def recording(frames=12, joints=20, persons=2, seed=1):
    """A clip (3, frames, joints, persons) with padding in its last two frames and without its
    second person in the third."""
    clip = rng(seed).normal(1, 1, (3, frames, joints, persons)).astype(np.float32)
    clip[:, -2:] = 0
    clip[:, 2, :, 1:] = 0
    return clip


def test_mirror_changes_sides_over_and_turns_x_round():
    clip = np.zeros((3, 1, 3, 1), np.float32)
    clip[:, 0, :, 0] = np.array([[1, 2, 3], [4, 5, 6], [0, 0, 0]]).T
    seen_from_camera = augment.mirror(clip, (1, 0, 2), middle=0.0)
    expected = np.array([[-4, 5, 6], [-1, 2, 3], [0, 0, 0]]).T
    np.testing.assert_array_equal(seen_from_camera[:, 0, :, 0], expected)
    # A missing joint stays where missing joints are, wherever the mirror stands
    in_place = augment.mirror(clip, (1, 0, 2))
    np.testing.assert_array_equal(in_place[0, 0, :, 0], [1, 4, 0])
    in_an_image = augment.mirror(clip, (0, 1, 2), middle=10.0)
    np.testing.assert_array_equal(in_an_image[0, 0, :, 0], [19, 16, 0])
    assert clip[0, 0, 0, 0] == 1


def test_a_mirror_image_mirrored_is_the_clip():
    clip = recording()
    swapped = other_side(JOINT_NAMES["ucla_20"])
    twice = augment.mirror(augment.mirror(clip, swapped, middle=0.0), swapped, middle=0.0)
    np.testing.assert_array_equal(twice, clip)
    scored = rng().random((3, 4, 20, 1)).astype(np.float32)
    once = augment.mirror(scored, swapped, coordinates=2)
    np.testing.assert_array_equal(once[2], scored[2][:, list(swapped)])


def test_jitter_is_in_bone_lengths_and_leaves_missing_joints_alone():
    clip = np.zeros((3, 4000, 3, 1), np.float32)
    clip[0, :, 1] = 2.0
    clip[1, :, 0] = 1.0
    # Joint 3 is missing, so that its bone is no measure; the other one is sqrt(5) long
    noisy = augment.joint_jitter(clip, rng(), 0.1, ((2, 1), (3, 1)))
    moved = noisy - clip
    assert not moved[:, :, 2].any()
    assert moved[:, :, :2].std() == pytest.approx(0.1 * np.sqrt(5), rel=0.02)
    assert abs(float(moved[:, :, :2].mean())) < 0.01
    # Twice as large a body, twice the noise: the unit of the data does not matter
    doubled = augment.joint_jitter(2 * clip, rng(), 0.1, ((2, 1), (3, 1)))
    np.testing.assert_allclose(doubled, 2 * noisy, rtol=1e-5, atol=1e-6)
    scored = augment.joint_jitter(clip, rng(), 0.1, ((2, 1),), coordinates=2)
    np.testing.assert_array_equal(scored[2], clip[2])
    nobody = np.zeros((3, 2, 3, 1), np.float32)
    np.testing.assert_array_equal(augment.joint_jitter(nobody, rng(), 0.1, ((2, 1),)), nobody)


def test_lost_frames_are_gone_in_order_and_somebody_stays():
    clip = np.arange(1, 1001, dtype=np.float32).reshape(1, 1000, 1, 1)
    shares = []
    for seed in range(200):
        kept = augment.drop_frames(clip, rng(seed), 0.5)[0, :, 0, 0]
        assert (np.diff(kept) > 0).all()
        shares.append(1 - len(kept) / 1000)
    assert max(shares) < 0.56
    assert np.mean(shares) == pytest.approx(0.25, abs=0.03)
    one_frame = np.zeros((1, 50, 1, 1), np.float32)
    one_frame[:, 30] = 1
    assert all(augment.drop_frames(one_frame, rng(seed), 0.99).any() for seed in range(20))


def test_one_axis_is_zero_throughout():
    clip = recording()
    axes = set()
    for seed in range(20):
        dropped = augment.drop_axis(clip, rng(seed))
        (axis,) = np.flatnonzero((dropped != clip).any(axis=(1, 2, 3)))
        assert not dropped[axis].any()
        axes.add(int(axis))
    assert axes == {0, 1, 2}
    scored = [augment.drop_axis(clip, rng(seed), coordinates=2)[2] for seed in range(20)]
    assert all(np.array_equal(score, clip[2]) for score in scored)


def test_the_same_joints_are_zero_in_the_frames_that_are_hit():
    clip = recording(frames=66, persons=1)
    clip[:, 2] = 1
    joints = set()
    frames = set()
    for seed in range(400):
        dropped = augment.drop_joint(clip, rng(seed), (0.2, 0.6), (0.25, 0.5))
        lost = (dropped != clip).any(axis=(0, 3))
        hit = np.flatnonzero(lost.any(axis=1))
        assert (lost[hit] == lost[hit[0]]).all()
        assert not dropped[:, lost].any()
        assert hit.max() < 64
        joints.add(int(lost[hit[0]].sum()))
        frames.add(len(hit))
    # As published: 4 to 12 of 20 joints in 16 to 32 of 64 frames
    assert joints == set(range(4, 13))
    assert frames == set(range(16, 33))


def augmented(name, data, config, clip, seed=5, **keys):
    if config != Augmentation():
        keys["augment"] = config
    return seen(name, data, frames=16, **keys).augment(clip, rng(seed))


@pytest.mark.parametrize("name", NAMES)
def test_off_is_what_it_was_and_on_is_another_view(name):
    data = dataset(NTU_25, persons=2)
    plain = seen(name, data)
    off = seen(name, data, augment=Augmentation())
    on = seen(name, data, augment=ALL_ON)
    assert off.identity == plain.identity
    assert plain.legacy_fingerprint is not None
    assert on.legacy_fingerprint is None
    assert on.fingerprint != plain.fingerprint
    # Nothing of it goes into a deployed folder
    assert on.eval_ops == plain.eval_ops
    clip = data.val.clips[2]
    np.testing.assert_array_equal(on.prepare(clip), plain.prepare(clip))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("step", [field.name for field in dataclasses.fields(Augmentation)])
def test_every_input_has_every_step_and_repeats_it_by_its_seed(name, step):
    data = dataset(NTU_25)
    config = Augmentation(**{step: getattr(ALL_ON, step)})
    clip = data.train.clips[2]
    first = augmented(name, data, config, clip)
    np.testing.assert_array_equal(first, augmented(name, data, config, clip))
    assert first.shape == seen(name, data, frames=16).shape
    assert first.dtype == np.float32
    assert not np.array_equal(first, augmented(name, data, Augmentation(), clip))
    assert not np.array_equal(
        augmented(name, data, Augmentation(drop_joint=DropJoint(1.0)), clip, seed=6),
        augmented(name, data, Augmentation(drop_joint=DropJoint(1.0)), clip, seed=7),
    )


def test_the_crop_is_the_same_with_and_without_the_steps():
    """A student with drops and a teacher without see the same frames from the same side."""
    data = dataset(UCLA_20)
    clip = data.train.clips[3]
    for name in ("min_max_sample", "crop_resize"):
        whole = augmented(name, data, Augmentation(), clip)
        dropped = augmented(name, data, Augmentation(drop_joint=DropJoint(1.0)), clip)
        kept = (dropped != 0).all(axis=0)
        assert 0.5 < kept.mean() < 1
        np.testing.assert_array_equal(dropped[:, kept], whole[:, kept])
    state = rng(3)
    extra = augmentation.steps(ALL_ON, data, UCLA_20)
    assert extra.generator(state) is not state
    assert state.bit_generator.state == rng(3).bit_generator.state


def test_views_that_differ_in_training_alone_share_the_clips_of_an_evaluation():
    data = dataset(UCLA_20)
    plain, dropped, shorter = (
        view.build("crop_resize", config, data)
        for config in (
            crop_resize.Config(frames=16),
            crop_resize.Config(frames=16, augment=Augmentation(drop_axis=0.5)),
            crop_resize.Config(frames=8),
        )
    )
    assert plain.fingerprint != dropped.fingerprint and plain.evaluated == dropped.evaluated
    assert plain.evaluated != shorter.evaluated


@pytest.mark.parametrize("name", ["crop_resize", "min_max_sample"])
@pytest.mark.parametrize("stream", ["bone", "joint_motion", "bone_motion"])
def test_streams_are_made_of_the_same_augmented_joints(name, stream):
    data = dataset(NTU_25)
    clip = data.train.clips[3]
    joint = augmented(name, data, ALL_ON, clip)
    (step,) = [op for op in seen(name, data, stream=stream).eval_ops if op["op"] == "stream"]
    other = augmented(name, data, ALL_ON, clip, stream=stream)
    np.testing.assert_array_equal(other, ops.apply(joint, [step]))


@pytest.mark.parametrize("name", ["crop_resize", "uniform", "loop"])
def test_who_is_absent_stays_absent(name):
    data = dataset(NTU_25, persons=2)
    clip = recording(frames=40, joints=25)
    clip[..., 1] = 0
    view = augmented(name, data, ALL_ON, clip)
    assert view[..., 0].any()
    assert not view[..., 1].any()
    extra = augmentation.steps(dataclasses.replace(ALL_ON, drop_frames=0.0), data, NTU_25)
    gaps = recording(joints=25)
    changed = extra.on_normalised(extra.on_recorded(gaps, rng()), rng())
    absent = ~gaps.any(axis=(0, 2))
    assert absent.sum() == 5
    assert not changed.any(axis=(0, 2))[absent].any()


def test_a_mirrored_walk_is_what_a_mirror_beside_the_camera_shows():
    """2D: about the middle of the image where it is known, so that normalisation agrees."""
    data = dataset(COCO_17, channels=3, coordinates=2, image=(640, 480))
    clip = 100 + 50 * rng().random((3, 20, 17, 1)).astype(np.float32)
    keys = {"frames": 20, "normalise": "2d"}
    plain = seen("loop", data, **keys).augment(clip, rng())
    mirrored = seen("loop", data, augment=Augmentation(mirror=1.0), **keys).augment(clip, rng())
    swapped = list(other_side(JOINT_NAMES["coco_17"]))
    np.testing.assert_allclose(mirrored[0], -plain[0][:, swapped], atol=1e-6)
    np.testing.assert_array_equal(mirrored[1:], plain[1:][:, :, swapped])


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda skeleton: skeleton.name)
def test_the_other_side_of_a_known_skeleton_has_the_same_bones(skeleton):
    swapped = other_side(JOINT_NAMES[skeleton.name])
    assert len(swapped) == skeleton.joints
    assert [swapped[joint] for joint in swapped] == list(range(skeleton.joints))
    bones = {frozenset(pair) for pair in skeleton.bones}
    mirrored = {frozenset(swapped[joint - 1] + 1 for joint in pair) for pair in skeleton.bones}
    # OpenPose's ears hang on eyes and eyes on the nose, alike on both sides, as everywhere
    assert mirrored == bones


def test_left_and_right_of_ntu_are_those_of_the_body_that_is_built_in():
    swapped = other_side(JOINT_NAMES["ntu_25"])
    expected = np.arange(25)
    for right, left in kinematics.LEFT_OF.items():
        expected[[right, left]] = left, right
    assert list(swapped) == list(expected)


@pytest.mark.parametrize(
    "names",
    [
        ["left_hand", "right_hand", "head"],
        ["hand_l", "hand_r", "head"],
        ["LeftHand", "RightHand", "Head"],
        ["L Hand", "R Hand", "head"],
        ["hand.L", "hand.R", "pelvis"],
    ],
)
def test_sides_are_read_from_names(names):
    assert other_side(names) == (1, 0, 2)


@pytest.mark.parametrize(
    "names, message",
    [
        ([], "no joint's name says left or right"),
        (["palm", "thumb"], "no joint's name says left or right"),
        (["left_hand", "head"], "joint 'left_hand' has no counterpart on the right"),
        (["left_hand", "hand_left", "right_hand"], "several joints have the same side and name"),
    ],
)
def test_sides_that_are_not_known_are_refused(names, message):
    with pytest.raises(ValueError, match=message):
        other_side(names)


def test_mirroring_an_unknown_skeleton_is_refused_with_the_fix():
    hand = Skeleton("hand", 3, ((2, 1), (3, 1)), 1)
    data = dataset(hand)
    config = Augmentation(mirror=0.5)
    with pytest.raises(
        RecipeError,
        match=(
            r"input.augment.mirror: skeleton 'hand' of 'clips': no joint's name says left or right;"
            r" name the joints \(`names` in dataset.yaml"
        ),
    ):
        seen("crop_resize", data, augment=config)
    named = dataclasses.replace(data, joint_names=("left_tip", "right_tip", "palm"))
    assert augmentation.steps(config, named, hand).swapped == (1, 0, 2)
    # Without mirror nobody asks for names
    seen("crop_resize", data, augment=dataclasses.replace(ALL_ON, mirror=0.0))
    # A skeleton of one's own for known data: the joints are the data's
    renamed = dataclasses.replace(NTU_25, name="own")
    assert augmentation.steps(config, dataset(NTU_25), renamed).swapped[4] == 8


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Augmentation(mirror=1.5), "mirror: is a probability"),
        (lambda: Augmentation(drop_axis=-0.1), "drop_axis: is a probability"),
        (lambda: Augmentation(joint_jitter=-1), "joint_jitter: must not be negative"),
        (lambda: Augmentation(drop_frames=1.0), "drop_frames: must be at least 0 and below 1"),
        (lambda: DropJoint(2.0), "probability: is a probability"),
        (lambda: DropJoint(joints=(0.6, 0.2)), "joints: must be the smallest and the largest"),
        (lambda: DropJoint(frames=(4, 12)), "frames: must be the smallest and the largest share"),
    ],
)
def test_settings_that_cannot_be_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_samples_generator_may_be_of_any_kind():
    """The loader's are Philox, which must survive the copy that the steps' generator is made of."""
    extra = augmentation.steps(ALL_ON, dataset(UCLA_20), UCLA_20)
    philox = np.random.Generator(np.random.Philox(np.random.SeedSequence([1, 2, 3])))
    again = copy.deepcopy(philox)
    assert extra.generator(philox).random() == extra.generator(again).random()
    assert philox.random() == again.random()
