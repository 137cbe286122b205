"""Preprocessing: exact values for every step, bounds and reproducibility for every random view."""

from __future__ import annotations

import json

import numpy as np
import pytest

from compress.inputs.augment import random_crop, random_sample, random_uniform, turn_and_resize
from export.deployed import record
from export.preprocess import limits, ops as transforms
from teachers.errors import DataError


def ramp(frames: int, valid: int | None = None) -> np.ndarray:
    """(3, frames, 2, 1): every value is its frame's number from 1; zero after `valid` frames."""
    clip = np.zeros((3, frames, 2, 1), np.float32)
    clip[:] = np.arange(1, frames + 1).reshape(1, -1, 1, 1)
    clip[:, frames if valid is None else valid :] = 0
    return clip


def times(clip: np.ndarray) -> list[float]:
    return clip[0, :, 0, 0].tolist()


def test_centre_subtracts_one_joint_of_one_frame_and_leaves_missing_persons_alone():
    clip = np.arange(24, dtype=np.float32).reshape(3, 2, 2, 2) + 1
    clip[:, 1, :, 1] = 0  # the second person is absent from the second frame
    centred = transforms.centre(clip, joint=1, frame=0)
    assert not centred[:, 0, 1, 0].any()
    np.testing.assert_array_equal(centred[:, 0, 0, 0], [-2, -2, -2])
    np.testing.assert_array_equal(centred[:, 1, 0, 0], [2, 2, 2])
    assert not centred[:, 1, :, 1].any()


def test_min_max_scales_each_axis_over_the_clip_and_survives_a_flat_axis():
    clip = np.zeros((3, 2, 2, 1), np.float32)
    clip[0] = [[[0], [1]], [[2], [4]]]
    clip[1] = 7
    clip[2] = [[[-1], [0]], [[0], [1]]]
    scaled = transforms.min_max(clip, -1, 1)
    np.testing.assert_array_equal(scaled[0, :, :, 0], [[-1, -0.5], [0, 1]])
    np.testing.assert_array_equal(scaled[1], np.full((2, 2, 1), -1))
    np.testing.assert_array_equal(scaled[2, :, :, 0], [[-1, 0], [0, 1]])


@pytest.mark.parametrize("frames, expected", [(1, [1]), (4, [1, 2, 4, 6]), (6, [1, 2, 3, 4, 5, 6])])
def test_sample_takes_even_frames_rounded_down(frames, expected):
    assert times(transforms.sample(ramp(6), frames)) == expected


def test_sample_repeats_frames_of_a_short_clip():
    assert times(transforms.sample(ramp(1), 52)) == [1.0] * 52
    assert times(transforms.sample(ramp(2), 4)) == [1, 1, 1, 2]


def test_trim_and_drop_empty_differ_in_gaps():
    clip = ramp(6, valid=4)
    clip[:, 1] = 0
    assert times(transforms.trim(clip)) == [1, 0, 3, 4]
    assert times(transforms.drop_empty(clip)) == [1, 3, 4]
    assert transforms.valid_length(clip) == 4


def test_a_clip_of_nothing_but_zeros_goes_through_every_step():
    nothing = np.zeros((3, 5, 2, 1), np.float32)
    for op in (
        {"op": "trim"},
        {"op": "drop_empty"},
        {"op": "centre", "joint": 0},
        {"op": "sample", "frames": 4},
        {"op": "crop_resize", "ratio": 0.95, "frames": 4},
        {"op": "uniform", "frames": 9},
        {"op": "loop", "frames": 9},
        {"op": "normalise_3d", "centre": 1, "spine": [0, 1], "shoulders": [0, 1]},
        {"op": "normalise_2d"},
        {"op": "view_transform", "centre": 1, "spine": [0, 1], "shoulders": [0, 1]},
        {"op": "stream", "kind": "bone_motion", "bones": [[1, 2]]},
    ):
        assert not transforms.apply(nothing, [op]).any()
    assert np.isfinite(transforms.apply(nothing, [{"op": "min_max"}])).all()


def test_resize_is_bilinear_with_aligned_pixel_centres():
    """The values are torch.nn.functional.interpolate's, mode="bilinear", align_corners=False."""
    assert times(transforms.resize(ramp(4), 8)) == [1, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 4]
    assert times(transforms.resize(ramp(5), 2)) == [1.75, 4.25]
    assert times(transforms.resize(ramp(4), 4)) == [1, 2, 3, 4]
    assert times(transforms.resize(ramp(1), 3)) == [1, 1, 1]


@pytest.mark.parametrize(
    "valid, first, last", [(72, 2, 71), (40, 2, 39), (39, 1, 39), (300, 8, 293), (1, 1, 1)]
)
def test_crop_resize_cuts_as_the_public_test_crop_does(valid, first, last):
    """(1 - 0.95) * valid / 2 frames, rounded down, at each end; resizing to as many frames as are
    left is no change."""
    kept = last - first + 1
    assert times(transforms.crop_resize(ramp(300, valid), 0.95, kept)) == list(
        range(first, last + 1)
    )


def test_crop_resize_keeps_gaps_inside_the_clip():
    clip = ramp(10, valid=8)
    clip[:, 3] = 0
    assert times(transforms.crop_resize(clip, 1.0, 8)) == [1, 2, 3, 0, 5, 6, 7, 8]


@pytest.mark.parametrize(
    "length, clip, clips, expected",
    [
        (8, 0, 1, [2, 4, 6, 8]),
        (8, 0, 2, [1, 3, 5, 7]),
        (8, 1, 2, [2, 4, 6, 8]),
        (6, 0, 1, [1, 3, 4, 6]),
        (4, 3, 10, [1, 2, 3, 4]),
        (3, 0, 1, [1, 2, 3, 1]),
        (3, 1, 3, [2, 3, 1, 2]),
        (2, 3, 4, [2, 1, 2, 1]),
        (1, 0, 1, [1, 1, 1, 1]),
    ],
)
def test_uniform_takes_one_frame_of_each_segment_or_goes_round(length, clip, clips, expected):
    assert times(transforms.uniform(ramp(length), 4, clip, clips)) == expected


def test_views_of_uniform_differ_and_stay_inside_the_clip():
    views = [times(transforms.uniform(ramp(300), 100, clip, 10)) for clip in range(10)]
    assert min(map(min, views)) == 1 and max(map(max, views)) == 300
    assert all(frame == sorted(frame) for frame in views) and views[0] != views[9]
    short = [times(transforms.uniform(ramp(50), 100, clip, 10)) for clip in range(10)]
    assert [view[0] for view in short] == [1, 6, 11, 16, 21, 26, 31, 36, 41, 46]


def test_only_numbered_steps_change_with_the_view():
    ops = ({"op": "trim"}, {"op": "uniform", "frames": 4, "clip": 0, "clips": 1})
    assert transforms.numbered(ops, 2, 3) == (
        {"op": "trim"},
        {"op": "uniform", "frames": 4, "clip": 2, "clips": 3},
    )


def test_loop_goes_round_and_fit_pads_with_zeros():
    assert times(transforms.loop(ramp(3), 7)) == [1, 2, 3, 1, 2, 3, 1]
    assert times(transforms.loop(ramp(5), 2)) == times(transforms.fit(ramp(5), 2)) == [1, 2]
    assert times(transforms.fit(ramp(2), 4)) == [1, 2, 0, 0]


def test_apply_runs_steps_in_order_and_returns_contiguous_float32():
    ops = [
        {"op": "sample", "frames": 3},
        {"op": "centre", "joint": 0},
        {"op": "min_max", "low": 0, "high": 10},
    ]
    out = transforms.apply(ramp(5).astype(np.float64), json.loads(json.dumps(ops)))
    assert times(out) == [0, 5, 10]
    assert out.dtype == np.float32 and out.flags.c_contiguous


def test_centre_seen_takes_the_first_sight_of_the_joint_and_leaves_gaps_and_scores():
    clip = np.zeros((3, 3, 2, 2), np.float32)  # x, y and a score
    clip[:, 1, 0, 0] = [9, 9, 0.5]  # not the joint
    clip[:, 1, 1, 1] = [2, 4, 0.9]
    clip[:, 2, :, 0] = [[5, 6], [5, 7], [0.3, 0.4]]
    out = transforms.centre_seen(clip, joint=1, coordinates=2)
    expected = clip.copy()
    expected[:2, 1, 0, 0] = [7, 5]
    expected[:2, 1, 1, 1] = 0
    expected[:2, 2, :, 0] = [[3, 4], [1, 3]]
    np.testing.assert_array_equal(out, expected)
    # Never seen: there is nothing to centre by.
    np.testing.assert_array_equal(transforms.centre_seen(clip[:, :1], 1, 2), clip[:, :1])


def test_centre_seen_leaves_clips_that_are_centred_and_moves_those_whose_joint_is_missing():
    body = np.array([[0, 0, 0], [0.3, 0.9, -0.1], [-0.3, -0.9, -0.2]], np.float32).T
    centred = np.stack([body, body + 0.1], axis=1)[..., None]  # (C, T, V, M), joint 0 at the origin
    np.testing.assert_array_equal(transforms.centre_seen(centred, joint=0), centred)
    away = centred + np.float32([1, 0, 3]).reshape(3, 1, 1, 1)
    away[:, 0, 0] = 0  # missing: the rest of the person is three metres off
    moved = transforms.centre_seen(away, joint=0)
    np.testing.assert_allclose(moved[:, 1, :, 0], body, atol=1e-6)
    assert not moved[:, 0, 0].any()


def test_apply_names_an_unknown_step_and_one_that_does_not_fit():
    with pytest.raises(DataError) as caught:
        transforms.apply(ramp(3), [{"op": "sampel", "frames": 3}])
    assert (
        str(caught.value)
        == "preprocessing: unknown step 'sampel' (known: centre, centre_seen, trim, drop_empty,"
        " min_max, sample, crop_resize, loop, fit, uniform, normalise_3d, normalise_2d, view_transform, stream,"
        " branches, map_joints, window); use the version of the project that wrote it"
    )
    with pytest.raises(DataError) as caught:
        transforms.apply(ramp(3), [{"op": "centre", "joint": 25}])
    assert str(caught.value).startswith(
        "preprocessing: {'op': 'centre', 'joint': 25} does not fit a clip of shape "
        "(3, 3, 2, 1) (C, T, V, M): "
    )


@pytest.mark.parametrize(
    "step, numbers",
    [
        ({"op": "branches", "centre": 0, "bones": [[1, 2]]}, 6 * 24),
        ({"op": "branches", "centre": 0, "bones": [[1, 2]] * 50}, 3 * 4 * 50),
        ({"op": "stream", "kind": "bone", "bones": [[1, 2]] * 70}, 3 * 4 * 70),
        ({"op": "map_joints", "joints": [[[1.0, [0]]]] * 9}, 3 * 4 * 9),
        ({"op": "map_joints", "joints": [[[1.0, [0] * 40]]]}, 3 * 4 * 40),
        ({"op": "map_joints", "joints": [[[1.0, [0]]]] * 2, "axes": ["x"] * 80}, 4 * 2 * 80),
        ({"op": "window", "frames": 40, "pad": "loop"}, 3 * 40 * 2),
        ({"op": "crop_resize", "ratio": 1.0, "frames": 41}, 3 * 41 * 2),
        *(
            ({"op": name, "frames": 42}, 3 * 42 * 2)
            for name in ("fit", "loop", "sample", "uniform")
        ),
    ],
)
def test_a_step_that_makes_too_much_is_refused_before_it_does(monkeypatch, step, numbers):
    clip = np.ones((3, 4, 2, 1), np.float32)
    monkeypatch.setattr(limits, "MOST_NUMBERS", numbers)
    # More axes than a clip has are collected, and only then refused.
    if "axes" not in step:
        assert transforms.apply(clip, [step]).size <= numbers
    monkeypatch.setattr(limits, "MOST_NUMBERS", numbers - 1)
    # None of it: the step itself is not reached.
    monkeypatch.setitem(transforms.STEPS, step["op"], None)
    said = rf"preprocessing\[1\]: {step['op']} would make {numbers:,} numbers of a clip of shape"
    with pytest.raises(DataError, match=said):
        transforms.apply(clip, [{"op": "trim"}, step])


def test_steps_that_multiply_end_at_the_limit():
    assert limits.MOST_NUMBERS == record.MOST_NUMBERS
    step = {"op": "branches", "centre": 0, "bones": [[1, 2]]}
    said = r"preprocessing\[2\]: branches would make 129,600,000 numbers"
    with pytest.raises(DataError, match=said):
        transforms.apply(
            np.ones((3, 100, 12, 1), np.float32),
            [step, {"op": "fit", "frames": 100_000}, step, {"op": "fit", "frames": 1}],
        )


@pytest.mark.parametrize(
    "step, said",
    [
        ({"op": "min_max", "low": [0.0] * 1000}, "low: must be one value"),
        ({"op": "centre", "joint": [0] * 1000}, "joint: must be one value"),
        ({"op": "fit", "frames": [4] * 1000}, "frames: must be one value"),
        ({"op": "normalise_2d", "image": [[1, 2]] * 9}, "image: must be two numbers"),
    ],
)
def test_a_list_in_the_place_of_a_number_is_refused(step, said):
    # NumPy would make a number of the clip for each element of the list.
    with pytest.raises(DataError, match=said):
        transforms.apply(np.ones((1, 4, 2, 1), np.float32), [step])


def test_rotation_turns_around_x_then_y_then_z():
    half = np.pi / 2
    np.testing.assert_allclose(transforms.rotation(half, 0, 0) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    np.testing.assert_allclose(transforms.rotation(0, half, 0) @ [0, 0, 1], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(transforms.rotation(0, 0, half) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(
        transforms.rotation(half, half, 0) @ [0, 1, 0], [1, 0, 0], atol=1e-12
    )


def test_rotate_turns_every_point_alike():
    clip = np.random.default_rng(0).normal(size=(3, 4, 5, 2)).astype(np.float32)
    matrix = transforms.rotation(0.1, -0.2, 0.3)
    expected = (clip.transpose(1, 2, 3, 0) @ matrix.T).transpose(3, 0, 1, 2)
    np.testing.assert_allclose(transforms.rotate(clip, matrix), expected, atol=1e-6)


@pytest.mark.parametrize("length, frames", [(1, 52), (2, 52), (31, 52), (201, 52), (1, 150)])
def test_random_sample_draws_frames_in_order_at_most_a_hundred_times_each(length, frames):
    drawn = times(random_sample(ramp(length), np.random.default_rng(3), frames))
    assert len(drawn) == frames and drawn == sorted(drawn)
    assert set(drawn) <= set(range(1, length + 1))
    assert length * 100 < frames or max(map(drawn.count, drawn)) <= 100


def test_random_sample_favours_no_frame():
    rng = np.random.default_rng(0)
    drawn = np.concatenate([times(random_sample(ramp(10), rng, 52)) for _ in range(400)])
    counts = np.bincount(drawn.astype(int))[1:]
    np.testing.assert_allclose(counts / len(drawn), 0.1, atol=0.01)


@pytest.mark.parametrize("length", [1, 30, 52, 80, 103, 104, 300])
def test_random_uniform_draws_from_every_part(length):
    for seed in range(20):
        drawn = times(random_uniform(ramp(length), np.random.default_rng(seed), 52))
        assert len(drawn) == 52 and set(drawn) <= set(range(1, length + 1))
        if length < 52:
            assert set(np.diff(drawn) % length) == {1 % length}
        elif length < 104:
            assert set(np.diff(drawn)) <= {1, 2}
        else:
            assert all(
                k * length // 52 < frame <= (k + 1) * length // 52 for k, frame in enumerate(drawn)
            )


def random_crop_resize(clip, rng, frames):
    crop = random_crop(transforms.valid_length(clip), rng)
    return turn_and_resize([clip], [crop], np.eye(len(clip))[None], frames)[0]


@pytest.mark.parametrize(
    "valid, shortest", [(200, 100), (100, 64), (70, 64), (64, 64), (40, 40), (1, 1)]
)
def test_random_crop_resize_keeps_to_the_published_lengths(valid, shortest):
    """Half to all of the valid frames, but at least 64 of them where there are as many."""
    rng, lengths = np.random.default_rng(1), []
    for _ in range(200):
        view = times(random_crop_resize(ramp(300, valid), rng, 600))
        assert 1 <= view[0] <= view[-1] <= valid
        lengths.append(round(view[-1] - view[0]) + 1)
    assert min(lengths) >= shortest and max(lengths) <= valid
    assert valid <= shortest or max(lengths) > min(lengths)


def test_random_views_depend_on_the_generator_alone():
    clip = ramp(90)
    for view in (random_sample, random_crop_resize, random_uniform):
        first, again, other = (view(clip, np.random.default_rng(seed), 52) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first, again)
        assert (first != other).any()
