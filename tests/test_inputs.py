"""Inputs: every pipeline on every skeleton, the published views exactly, impossible settings."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

import compress.inputs
from compress.data import loader
from compress.data.dataset import Dataset, Split
from compress.inputs import branches, crop_resize, loop, min_max_sample, uniform, view
from compress.inputs.augment import random_sample
from compress.inputs.augmentation import Augmentation
from export.preprocess import ops as transforms
from teachers.errors import RecipeError
from teachers.skeleton import COCO_17, NTU_25, UCLA_20, Skeleton

NAMES = sorted(
    path.stem
    for path in Path(compress.inputs.__file__).parent.glob("*.py")
    if "\nclass Config" in path.read_text()
)
STREAMS = ("joint", "bone", "joint_motion", "bone_motion")


def clips_of(
    skeleton: Skeleton, persons: int = 1, channels: int = 3, lengths=(1, 9, 40, 130)
) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [
        rng.normal(size=(channels, length, skeleton.joints, persons)).astype(np.float32)
        for length in lengths
    ]


def dataset(
    skeleton: Skeleton = NTU_25,
    persons: int = 1,
    channels: int = 3,
    base_ops=(),
    coordinates: int = 3,
    image=None,
) -> Dataset:
    split = Split(tuple("abcd"), clips_of(skeleton, persons, channels), np.zeros(4, np.int64))
    return Dataset(
        "clips",
        split,
        split,
        ("one",),
        skeleton,
        persons,
        channels,
        "",
        base_ops=base_ops,
        coordinates=coordinates,
        image=image,
    )


def seen(name: str, data: Dataset, skeleton=None, **keys) -> view.View:
    return view.build(
        name, importlib.import_module(f"compress.inputs.{name}").Config(**keys), data, skeleton
    )


def test_every_input_is_listed():
    assert NAMES == ["branches", "crop_resize", "loop", "min_max_sample", "uniform"]


@pytest.mark.parametrize(
    "skeleton, persons",
    [(NTU_25, 2), (UCLA_20, 1), (COCO_17, 1)],
    ids=lambda one: getattr(one, "name", one),
)
@pytest.mark.parametrize("name", NAMES)
def test_both_views_of_any_clip_have_the_shape_that_was_told(name, skeleton, persons):
    data = dataset(skeleton, persons)
    for keys in (
        ({"stream": one} for one in STREAMS)
        if name != "branches"
        else ({}, {"view_transform": True})
    ):
        through = seen(name, data, frames=20, **keys)
        assert through.shape == (18 if name == "branches" else 3, 20, skeleton.joints, persons)
        for index, clip in enumerate(data.train.clips):
            before = clip.copy()
            for x in (through.prepare(clip), through.augment(clip, np.random.default_rng(index))):
                assert (
                    x.shape == through.shape
                    and x.dtype == np.float32
                    and np.isfinite(x).all()
                    and x.flags.c_contiguous
                )
            np.testing.assert_array_equal(clip, before)


@pytest.mark.parametrize("name", NAMES)
def test_evaluation_steps_are_data(name):
    data = dataset()
    through = seen(name, data, frames=20)
    x = transforms.apply(data.val.clips[2], json.loads(json.dumps(through.eval_ops)))
    np.testing.assert_array_equal(x, through.prepare(data.val.clips[2]))
    saved = view.from_ops(through.eval_ops, through.shape, through.clips)
    np.testing.assert_array_equal(saved.prepare(data.val.clips[2]), x)
    np.testing.assert_array_equal(saved.augment(data.val.clips[2], np.random.default_rng(0)), x)


@pytest.mark.parametrize("name", NAMES)
def test_fingerprints_tell_views_apart_by_what_they_do(name):
    data = dataset()
    first = seen(name, data)
    assert (
        first.fingerprint
        == seen(name, dataset()).fingerprint
        == seen(name, data, NTU_25).fingerprint
    )
    others = [
        seen(name, data, frames=33),
        seen(name, dataset(UCLA_20)),
        seen(name, dataset(base_ops=({"op": "trim"},))),
    ]
    others += (
        [seen(name, data, view_transform=True)]
        if name == "branches"
        else [seen(name, data, stream="bone")]
    )
    assert len({one.fingerprint for one in (first, *others)}) == 5
    bones = {"view_transform": True} if name == "branches" else {"stream": "bone"}
    renamed = dataclasses.replace(NTU_25, name="own", bones=NTU_25.bones[:-1])
    assert seen(name, data, **bones).fingerprint != seen(name, data, renamed, **bones).fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_training_views_depend_on_the_generator_alone(name):
    data = dataset()
    through, clip = seen(name, data, frames=20), data.train.clips[3]
    first, again, other = (through.augment(clip, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) == (name in ("branches", "loop"))


@pytest.mark.parametrize("name", ["crop_resize", "min_max_sample"])
@pytest.mark.parametrize("stream", STREAMS[1:])
def test_streams_of_one_clip_are_of_the_same_random_view(name, stream):
    """Teachers that see other streams see the same crop and turn: the stream is made last and draws
    nothing."""
    data = dataset()
    joint, other = seen(name, data), seen(name, data, stream=stream)
    step = other.eval_ops[-1]
    for make in (
        lambda one: one.prepare(data.val.clips[2]),
        lambda one: one.augment(data.val.clips[2], np.random.default_rng(4)),
    ):
        np.testing.assert_array_equal(make(other), transforms.apply(make(joint), [step]))


def test_steps_of_the_data_set_come_first_and_once():
    centre = {"op": "centre", "joint": 1, "frame": 0}
    assert seen("crop_resize", dataset(base_ops=(centre,))).eval_ops[0] == centre
    for base in ((), (centre,)):
        ops = seen("min_max_sample", dataset(base_ops=base)).eval_ops
        assert [op["op"] for op in ops] == ["centre", "min_max", "sample"]


def test_min_max_sample_is_the_public_pipeline_bit_for_bit():
    data = dataset(UCLA_20)
    for turns in ("public", "any_lean"):
        through = seen("min_max_sample", data, turns=turns)
        for seed, clip in enumerate(data.train.clips):
            rng = np.random.default_rng(seed)
            pitch, yaw = rng.uniform(-np.pi / 3, np.pi / 3, size=2)
            pitched, yawed = transforms.rotation(pitch, 0, 0), transforms.rotation(0, yaw, 0)
            matrix = (pitched @ yawed if turns == "public" else yawed @ pitched) * rng.uniform(
                0.5, 1.5
            )
            moved = transforms.min_max(transforms.rotate(transforms.centre(clip, 1), matrix))
            np.testing.assert_array_equal(
                through.augment(clip, np.random.default_rng(seed)), random_sample(moved, rng, 52)
            )
            expected = transforms.sample(transforms.min_max(transforms.centre(clip, 1)), 52)
            np.testing.assert_array_equal(through.prepare(clip), expected)


def test_public_turns_keep_everybody_upright():
    """Yaw, then pitch: the vertical axis keeps to the y-z plane. The other order leans people
    sideways."""
    upright, leaning = (
        [min_max_sample.camera(np.random.default_rng(seed), turns)[0, 1] for seed in range(5)]
        for turns in ("public", "any_lean")
    )
    assert np.abs(upright).max() < 1e-12 and np.abs(leaning).min() > 1e-3


def test_crop_resize_tests_with_the_central_95_percent():
    data = dataset()
    np.testing.assert_array_equal(
        seen("crop_resize", data).prepare(data.val.clips[3]),
        transforms.resize(data.val.clips[3][:, 3:127], 64),
    )


def test_crop_resize_does_not_mind_where_people_were_recorded():
    """In training as in testing, and in deployed.json; centred clips stay as they are."""
    data = dataclasses.replace(dataset(UCLA_20), as_recorded=True)
    through = seen("crop_resize", data)
    place = {"op": "centre_seen", "joint": UCLA_20.centre - 1, "coordinates": 3}
    assert through.eval_ops[0] == place
    room = np.array([2, 0.5, 3], np.float32).reshape(3, 1, 1, 1)
    for clip in data.train.clips:
        np.testing.assert_allclose(
            through.prepare(clip + room), through.prepare(clip), rtol=0, atol=2e-6
        )
        np.testing.assert_allclose(
            through.augment(clip + room, np.random.default_rng(1)),
            through.augment(clip, np.random.default_rng(1)),
            rtol=0,
            atol=4e-6,
        )
    assert through.notes[0].startswith("input.centre: people are moved to the origin by joint 3")
    left = seen("crop_resize", data, centre=False)
    centred = seen("crop_resize", dataset(UCLA_20))
    assert left.eval_ops == centred.eval_ops and not left.notes and not centred.notes
    ntu = dataclasses.replace(dataset(NTU_25), as_recorded=True)
    assert seen("crop_resize", ntu).eval_ops[0]["joint"] == 1  # joint 2, as in prepared clips


def test_crop_resize_turns_the_whole_clip_alike_and_lets_no_motion_in():
    data = dataset(persons=2)
    through, still = seen("crop_resize", data), np.repeat(data.train.clips[3][:, :1], 90, axis=1)
    still[..., 1] = 0
    x = through.augment(still, np.random.default_rng(5))
    np.testing.assert_allclose(x, np.repeat(x[:, :1], 64, axis=1), atol=1e-6)
    np.testing.assert_allclose(
        np.linalg.norm(x, axis=0), np.linalg.norm(still[:, :64], axis=0), atol=1e-5
    )
    assert np.abs(x - still[:, :64]).max() > 0.01 and not x[..., 1].any()
    plain = seen("crop_resize", data, crop=1.0, rotation=0.0)
    np.testing.assert_allclose(
        plain.augment(data.train.clips[3], np.random.default_rng(0)),
        transforms.resize(data.train.clips[3], 64),
        atol=1e-6,
    )


def test_uniform_makes_the_stream_before_it_samples():
    data = dataset()
    x = seen("uniform", data, frames=10, normalise="none", stream="joint_motion").prepare(
        data.val.clips[3]
    )
    np.testing.assert_array_equal(
        x[:, 0], data.val.clips[3][:, 7] - data.val.clips[3][:, 6]
    )  # of neighbours, not 13 frames apart


def test_uniform_tests_with_several_views_of_one_clip():
    data = dataset()
    through = seen("uniform", data, frames=10, clips=3)
    views = [through.prepare(data.val.clips[3], number) for number in range(3)]
    assert (
        through.clips == 3
        and not np.array_equal(views[0], views[1])
        and not np.array_equal(views[1], views[2])
    )
    single = dataclasses.replace(through, clips=1)
    np.testing.assert_array_equal(
        single.prepare(data.val.clips[3]),
        seen("uniform", data, frames=10).prepare(data.val.clips[3]),
    )
    np.testing.assert_array_equal(
        single.prepare(data.val.clips[3]), views[1]
    )  # the middle of each segment


def test_loop_repeats_a_short_clip_and_cuts_a_long_one():
    data = dataset()
    x = seen("loop", data, frames=25, normalise="none").prepare(data.val.clips[1])
    np.testing.assert_array_equal(x[:, 9:18], data.val.clips[1])
    np.testing.assert_array_equal(
        seen("loop", data, normalise="none", frames=25).prepare(data.val.clips[3]),
        data.val.clips[3][:, :25],
    )


def test_two_coordinates_are_normalised_turned_in_their_plane_and_scored():
    flat = dataset(COCO_17, channels=2, coordinates=2)
    assert seen("crop_resize", flat, frames=8).augment(
        flat.train.clips[2], np.random.default_rng(0)
    ).shape == (2, 8, 17, 1)
    assert seen("branches", flat, frames=8).shape == (12, 8, 17, 1)
    x = seen("uniform", flat, frames=8).prepare(flat.train.clips[3])
    assert x.shape == (2, 8, 17, 1) and np.abs(x).max() <= 1
    np.testing.assert_array_equal(
        x, seen("uniform", flat, frames=8, normalise="2d").prepare(flat.train.clips[3])
    )
    for name, keys, message in (
        (
            "uniform",
            {"normalise": "3d"},
            "input.normalise: 3d needs x y z, the clips of 'clips' have x y of an",
        ),
        (
            "loop",
            {"spine": (1, 2)},
            "input.spine: the clips of 'clips' have x y of an image, and so are not",
        ),
        ("min_max_sample", {}, "input.name: min_max_sample needs x y z"),
        ("branches", {"view_transform": True}, "input.view_transform: needs x y z"),
    ):
        with pytest.raises(RecipeError) as caught:
            seen(name, flat, **keys)
        assert str(caught.value).startswith(message)
    for keys, message in (
        (
            {"normalise": "2d"},
            "input.normalise: 2d needs x y of an image, the clips of 'clips' have x y z; set it to",
        ),
        (
            {"image": (1920, 1080)},
            "input.image: the clips of 'clips' have x y z, and so are not normalised by it",
        ),
    ):
        with pytest.raises(RecipeError) as caught:
            seen("uniform", dataset(), **keys)
        assert str(caught.value).startswith(message)


def test_a_third_channel_that_is_a_score_is_no_coordinate():
    """x, y and score: normalised as pixels by the data set's image or the recipe's, never turned,
    averaged along bones."""
    scored = dataset(COCO_17, coordinates=2, image=(640, 480))
    assert scored.scored and not dataset().scored
    for name in ("uniform", "loop"):
        ops = seen(name, scored, frames=8, stream="bone").eval_ops
        assert (
            ops[1] == {"op": "normalise_2d", "image": [640, 480], "threshold": 0.01}
            and ops[2]["score"] is True
        )
    assert seen("uniform", scored, image=(1920, 1080)).eval_ops[1]["image"] == [1920, 1080]
    clip = scored.train.clips[2]
    turned, still = (
        seen("crop_resize", scored, frames=8, rotation=rotation).augment(
            clip, np.random.default_rng(0)
        )
        for rotation in (0.3, 0.0)
    )
    np.testing.assert_array_equal(turned[2], still[2])
    lengths = [np.hypot(*view[:2]) for view in (turned, still)]
    np.testing.assert_allclose(*lengths, atol=1e-5)
    assert np.abs(turned[:2] - still[:2]).max() > 0.01
    with pytest.raises(
        RecipeError,
        match=(
            "input.name: min_max_sample needs x y z, the clips of 'clips' have 2 coordinates; take"
            " uniform"
        ),
    ):
        seen("min_max_sample", scored)


def test_auto_is_3d_for_x_y_z():
    for name in ("uniform", "loop"):
        assert seen(name, dataset()).eval_ops == seen(name, dataset(), normalise="3d").eval_ops
        assert seen(name, dataset(UCLA_20), spine=(1, 2)).eval_ops[0] == {
            "op": "normalise_3d",
            "centre": 2,
            "spine": [0, 1],
        }


@pytest.mark.parametrize(
    "stream, view_transform, tolerance",
    [("streams_xsub_first", False, 1e-6), ("streams_xview_first", True, 1e-5)],
)
def test_branches_are_the_published_input(shared, stream, view_transform, tolerance):
    golden = np.load(shared / "golden" / "efficientgcn_b0_ntu60.npz")
    through = seen("branches", dataset(persons=2), view_transform=view_transform)
    assert through.shape == (18, 288, 25, 2)
    for clip in (golden["raw"][0], transforms.trim(golden["raw"][0])):
        found = through.prepare(clip).reshape(3, 6, 288, 25, 2)
        assert np.abs(found - golden[stream]).max() < tolerance


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: crop_resize.Config(frames=0), "frames: must be at least 1"),
        (lambda: crop_resize.Config(crop=0), "crop: must be above 0 and at most 1"),
        (lambda: crop_resize.Config(rotation=-1), "rotation: must be between 0 and pi (radians)"),
        (lambda: min_max_sample.Config(frames=0), "frames: must be at least 1"),
        (lambda: uniform.Config(clips=0), "clips: must be at least 1"),
        (
            lambda: uniform.Config(normalise="3d", image=(1920, 1080)),
            "image: (width, height) of the images in pixels, together with normalise: 2d",
        ),
        (
            lambda: loop.Config(normalise="none", spine=(1, 2)),
            "spine: needs normalise: 3d, which turns the clip by it",
        ),
        (
            lambda: branches.Config(shoulders=(9, 5)),
            "shoulders: needs view_transform: true, which turns the clip by it",
        ),
    ],
)
def test_impossible_settings_are_refused(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "name, config, key",
    [
        ("branches", branches.Config(frames=8, view_transform=True), "input.view_transform"),
        ("uniform", uniform.Config(frames=8, normalise="3d"), "input.normalise"),
        ("loop", loop.Config(frames=8, normalise="3d"), "input.normalise"),
    ],
)
def test_a_turn_that_a_skeleton_does_not_allow_is_said(name, config, key, tiny_dataset):
    """Five joints have no spine and no shoulders."""
    notes = view.build(name, config, tiny_dataset).notes
    assert any(note.startswith(key) for note in notes), notes
    ntu = dataclasses.replace(tiny_dataset, skeleton=NTU_25)
    assert not any(note.startswith(key) for note in view.build(name, config, ntu).notes)


def test_frames_that_are_cut_and_frames_that_are_padding_are_said(tiny_dataset):
    clips = dataclasses.replace(tiny_dataset, lengths=(4, 9, 20))
    (cut,) = view.build("branches", branches.Config(frames=8), clips).notes
    assert cut.startswith("input.frames: 2 of 3 clips have more than 8 frames (up to 20)")
    (padded,) = view.build("branches", branches.Config(frames=288), clips).notes
    assert padded.startswith("input.frames: is 288, and the longest clip has 20 frames")
    assert view.build("branches", branches.Config(frames=24), clips).notes == ()


def in_a_batch(seen_by: view.View, clips: list[np.ndarray]) -> np.ndarray:
    return seen_by.augment_batch(clips, lambda: loader.sample_rngs((3, 1), np.arange(len(clips))))


@pytest.mark.parametrize(
    "name, keys",
    [
        ("crop_resize", {}),
        ("crop_resize", {"stream": "bone_motion", "augment": Augmentation(drop_frames=0.3)}),
        ("branches", {"frames": 60}),
        ("branches", {"frames": 60, "view_transform": True}),
        ("uniform", {"frames": 20}),
    ],
)
def test_a_batch_has_the_numbers_of_its_clips_one_by_one(name, keys):
    data = dataset(persons=2)
    clips = data.train.clips
    clips[1][..., 1] = 0
    clips[2][:, 30:] = 0
    through = seen(name, data, **keys)
    whole = in_a_batch(through, clips)
    assert whole.dtype == np.float32 and whole.shape == (4, *through.shape)
    for index, clip in enumerate(clips):
        np.testing.assert_array_equal(
            whole[index], through.augment(clip, loader.sample_rng((3, 1), index))
        )


def test_crop_and_turn_are_the_published_steps():
    data = dataset(persons=2)
    clips = data.train.clips
    clips[3][:, 100:] = 0
    found = in_a_batch(seen("crop_resize", data, frames=64), clips)
    for index, clip in enumerate(clips):
        rng = loader.sample_rng((3, 1), index)
        turned = transforms.rotate(clip, transforms.rotation(*rng.uniform(-0.3, 0.3, size=3)))
        valid = transforms.valid_length(clip)
        length = min(max(int(valid * rng.uniform(0.5, 1.0)), 64), valid)
        start = int(rng.integers(valid - length + 1))
        cut = transforms.resize(turned[:, start : start + length], 64)
        np.testing.assert_allclose(found[index], cut, rtol=1e-5, atol=1e-6)


def test_branches_in_training_are_those_of_testing():
    """Padding and people who are not there are written, not computed."""
    data = dataset(persons=2)
    clips = [*data.train.clips, np.zeros((3, 5, 25, 2), np.float32)]
    clips[1][..., 1] = 0
    clips[2][:, 20:] = 0
    for frames in (3, 40, 41, 42, 100):
        through = seen("branches", data, frames=frames)
        for index, found in enumerate(in_a_batch(through, clips)):
            np.testing.assert_array_equal(found, through.prepare(clips[index]))
