"""Live poses followed by a continual network: every frame goes in once, and what is said is what the
network says of the frames so far."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from export import api, deployed, serving
from export.preprocess import framewise, ops
from export.runtimes import steps as runtime
from export.serve import Live, Recogniser, settings
from teachers.errors import DataError
from tests.test_continual import FIVE, network_of, noise

# Of the plan's network: three blocks wait four frames each, and the mean is of all frames of a clip.
PLAN, CHUNK, DELAY, SPAN = "halves at the end", 2, 12, 16
V = FIVE.joints
ALWAYS = Live(window=SPAN, stride=1, min_frames=1, votes=1, of=1, cool_down=0, leave_after=3)
STEPS = ({"op": "centre", "joint": 0, "frame": 0}, {"op": "sample", "frames": SPAN})


def make(folder: Path, *steps: dict, persons: int = 1, **about) -> Path:
    network = network_of("stgcnpp", PLAN if persons == 1 else "halves twice, two persons")
    clips = noise(2, *network.spec.input_shape)
    formats = ["onnx", "continual"]
    api.export(network, folder, clips, formats, {"preprocessing": list(steps), **about})
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("continual") / "deploy", *STEPS)


def poses(count: int, seed: int = 0, persons: int | None = None) -> np.ndarray:
    shape = (count, V, 3) if persons is None else (count, persons, V, 3)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def offline(folder: Path, frames: np.ndarray) -> list[np.ndarray]:
    """Scores (K,) behind every call, of prepared frames (C, T, V, M)."""
    steps = runtime.load_steps([folder / "model_continual.onnx"])
    temperature = deployed.read(folder).temperature
    state = np.zeros((1, steps.size), np.float32)
    found = []
    for start in range(0, frames.shape[1] - steps.chunk + 1, steps.chunk):
        part = frames[None, :, start : start + steps.chunk]
        logits, state = steps(part, np.ones((1, steps.chunk), np.float32), state)
        found.append(serving.scores_of(logits, temperature))
    return found


def follow(recogniser: Recogniser, given: np.ndarray, track=0, start=0.0, rate=30.0):
    """{number of poses: scores} of the answers of a track."""
    found = {}
    for number, pose in enumerate(given):
        recogniser.push(track, pose, start + number / rate)
        for answer in recogniser.answers:
            found[number + 1] = answer.scores
    return found


def test_a_folder_that_holds_it_is_followed_by_it_frame_by_frame(folder):
    recogniser = Recogniser(folder, ALWAYS)
    assert recogniser.runtime == "continual"
    assert Recogniser(folder, ALWAYS, runtime="onnx").runtime == "onnx"
    given = poses(60)
    found = follow(recogniser, given)
    # As a clip is prepared that begins with the stream.
    clip = ops.apply(given.transpose(2, 0, 1)[..., None], STEPS[:1])
    expected = offline(folder, clip)
    # From the first moment that is pooled on, one answer a call.
    assert list(found) == list(range(DELAY + CHUNK, 61, CHUNK))
    for number, scores in found.items():
        np.testing.assert_array_equal(scores, expected[number // CHUNK - 1])
    answer = recogniser.answer(0)
    np.testing.assert_array_equal(answer.scores, expected[-1])
    assert (answer.frames, recogniser.unusable) == (SPAN, 0)


def test_strides_and_least_frames_count_poses(folder):
    found = follow(Recogniser(folder, replace(ALWAYS, stride=7, min_frames=15)), poses(60))
    assert list(found) == [16, 24, 32, 40, 48, 56]
    recogniser = Recogniser(folder, ALWAYS)
    recogniser.push(0, poses(1)[0], 0.0)
    with pytest.raises(DataError, match="too few of them went in yet"):
        recogniser.answer(0)


def test_a_batch_over_tracks_that_began_at_different_times_says_what_each_says_alone(folder):
    together = Recogniser(folder, ALWAYS)
    given = {track: poses(50, seed=track) for track in range(20)}
    found: dict = {track: {} for track in given}
    for number in range(70):
        batch = [
            (track, given[track][number - track], number / 30)
            for track in given
            if 0 <= number - track < 50
        ]
        together.push_many(batch)
        for answer in together.answers:
            found[answer.track][number - answer.track + 1] = answer.scores
    for track in (0, 1, 19):
        alone = follow(Recogniser(folder, ALWAYS), given[track])
        assert list(found[track]) == list(alone)
        for number, scores in alone.items():
            np.testing.assert_allclose(found[track][number], scores, rtol=1e-5)


def test_a_gap_and_a_person_who_comes_back_begin_with_a_state_of_zeros(folder):
    recogniser = Recogniser(folder, ALWAYS)
    given = poses(40, seed=3)
    fresh = follow(Recogniser(folder, ALWAYS), given)
    follow(recogniser, poses(31))
    after_a_gap = follow(recogniser, given, start=1.0 + ALWAYS.max_gap + 0.1)
    recogniser.leave(0)
    assert len(recogniser) == 0
    after_leaving = follow(recogniser, given, start=100.0)
    for found in (after_a_gap, after_leaving):
        assert list(found) == list(fresh)
        for number, scores in fresh.items():
            np.testing.assert_array_equal(found[number], scores)


def test_two_persons_are_a_track_and_a_missing_one_is_nobody(tmp_path):
    folder = make(tmp_path / "pair", persons=2)
    given = poses(48, persons=2)
    live = replace(ALWAYS, window=24)
    pair = follow(Recogniser(folder, live), given)
    expected = offline(folder, given.transpose(3, 0, 2, 1))
    first = follow(Recogniser(folder, live), given[:, 0])
    alone = given.copy()
    alone[:, 1] = 0
    expected_first = offline(folder, alone.transpose(3, 0, 2, 1))
    assert list(pair) == list(range(28, 49, 4))
    for number in pair:
        np.testing.assert_array_equal(pair[number], expected[number // 4 - 1])
        np.testing.assert_array_equal(first[number], expected_first[number // 4 - 1])


def test_frames_are_made_of_the_networks_rate_and_none_of_them_is_lost(folder):
    """Poses come at a third of the rate: more than one call may follow a pose."""
    live = replace(ALWAYS, rate=30.0)
    given = poses(30, seed=4)
    recogniser = Recogniser(folder, live)
    found = follow(recogniser, given, rate=10.0)
    weights = np.arange(3, dtype=np.float32)[:, None, None] / 3
    between = [a * (1 - weights) + b * weights for a, b in pairwise(given)]
    frames = np.concatenate([*between, given[-1:]])
    clip = ops.apply(frames.transpose(2, 0, 1)[..., None], STEPS[:1])
    expected = offline(folder, clip)
    last = (len(frames) // CHUNK) - 1
    assert max(found) == 30
    np.testing.assert_allclose(recogniser.answer(0).scores, expected[last], rtol=1e-4)


def test_a_pose_that_stands_for_more_frames_than_are_pooled_begins_anew_with_the_newest(folder):
    live = replace(ALWAYS, rate=30.0, max_gap=10.0, leave_after=20.0)
    recogniser = Recogniser(folder, live)
    follow(recogniser, poses(30))
    before, after = poses(2, seed=8)
    recogniser.push(0, before, 1.0)
    recogniser.push(0, after, 6.0)
    weights = np.arange(150 - SPAN + 1, 151, dtype=np.float32)[:, None, None] / 150
    frames = np.concatenate([poses(1), before * (1 - weights) + after * weights])
    clip = ops.apply(frames.transpose(2, 0, 1)[..., None], STEPS[:1])
    expected = offline(folder, clip[:, 1:])
    np.testing.assert_allclose(recogniser.answer(0).scores, expected[-1], rtol=1e-4)


def test_a_window_of_twice_the_frames_takes_every_second_pose(folder):
    given = poses(120, seed=5)
    found = follow(Recogniser(folder, replace(ALWAYS, window=2 * SPAN)), given)
    every_second = follow(Recogniser(folder, ALWAYS), given[1::2])
    assert list(found) == [2 * number for number in every_second]
    for number, scores in every_second.items():
        np.testing.assert_array_equal(found[2 * number], scores)
    notes: list[str] = []
    Recogniser(folder, replace(ALWAYS, window=2 * SPAN), on_note=notes.append)
    assert notes == []


def test_a_window_that_it_cannot_follow_is_said(tmp_path):
    folder = make(tmp_path / "deploy", {"op": "fit", "frames": SPAN})
    notes: list[str] = []
    recogniser = Recogniser(folder, replace(ALWAYS, window=40), on_note=notes.append)
    assert recogniser.live.window == SPAN
    assert len(notes) == 1 and "40 frames are not brought to the network's 16" in notes[0]


def test_a_pose_becomes_a_few_thousand_frames_at_most(folder):
    # Sixteen frames of the network for each of the stream's.
    live = replace(ALWAYS, window=1, rate=100.0, max_gap=2.0)
    with pytest.raises(DataError, match="a pose becomes 3,200 frames of the continual network"):
        Recogniser(folder, live)
    assert Recogniser(folder, replace(live, max_gap=1.0)).live.window == 1


def test_tracks_fit_into_memory_or_are_refused(folder, monkeypatch):
    size = runtime.load_steps([folder / "model_continual.onnx"]).size
    monkeypatch.setattr(settings, "MOST_NUMBERS", 10 * size)
    notes: list[str] = []
    assert Recogniser(folder, on_note=notes.append).live.max_tracks == 9
    assert notes[0].startswith("live: max_tracks: 9, at ")
    with pytest.raises(DataError, match="take fewer tracks"):
        Recogniser(folder, replace(ALWAYS, max_tracks=100))


def test_memory_stays_flat_while_persons_come_and_go(folder):
    recogniser = Recogniser(folder, replace(ALWAYS, max_tracks=20))
    given = poses(4 * CHUNK, seed=6)
    sizes = []
    tracemalloc.start()
    for second in range(0, 6000, 10):
        for number, pose in enumerate(given):
            recogniser.push_many([((second, each), pose, second + number / 30) for each in (0, 1)])
        if second in (1000, 5990):
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert len(recogniser) == 2
    assert sizes[1] < sizes[0] + 20_000


def test_a_frame_without_numbers_is_the_one_before_and_one_of_nobody_begins_nothing(folder):
    given = poses(40, seed=7)
    broken = given.copy()
    broken[20] = np.nan
    mended = given.copy()
    mended[20] = given[19]
    found = follow(Recogniser(folder, ALWAYS), broken)
    for number, scores in follow(Recogniser(folder, ALWAYS), mended).items():
        np.testing.assert_array_equal(found[number], scores)
    late = Recogniser(folder, ALWAYS)
    nobody = np.zeros((3, V, 3), np.float32)
    nobody[1] = np.nan
    found = follow(late, np.concatenate([nobody, given]))
    assert late.unusable == 3
    for number, scores in follow(Recogniser(folder, ALWAYS), given).items():
        np.testing.assert_array_equal(found[number + 3], scores)


def test_numbers_that_overflow_begin_their_own_stream_anew_and_no_other(folder):
    given = {"a": poses(80), "b": poses(80, seed=1)}
    # The first: all others are centred on it. Finite, and what the network makes of it is not.
    given["b"][0] = 3e38
    recogniser = Recogniser(folder, ALWAYS)
    found: dict = {"a": {}, "b": {}}
    for number in range(80):
        recogniser.push_many([(track, given[track][number], number / 30) for track in given])
        for answer in recogniser.answers:
            found[answer.track][number + 1] = answer.scores
    assert recogniser.unusable == CHUNK
    alone = follow(Recogniser(folder, ALWAYS), given["a"])
    assert list(found["a"]) == list(alone)
    for number, scores in alone.items():
        np.testing.assert_allclose(found["a"][number], scores, rtol=1e-5)
    # As a track that began behind the call.
    begun = min(found["b"]) - (DELAY + CHUNK)
    assert begun in range(CHUNK, DELAY + CHUNK)
    anew = follow(Recogniser(folder, ALWAYS), given["b"][begun:])
    assert [number - begun for number in found["b"]] == list(anew)
    for number, scores in anew.items():
        np.testing.assert_allclose(found["b"][begun + number], scores, rtol=1e-5)


@pytest.mark.parametrize(
    "step",
    [
        {"op": "centre", "joint": 1, "frame": 0},
        {"op": "centre_seen", "joint": 1},
        {"op": "drop_empty"},
        {"op": "normalise_3d", "centre": 1, "spine": [0, 1], "shoulders": [2, 3]},
        {"op": "normalise_2d", "image": [640, 480], "threshold": 0.1},
        {"op": "stream", "kind": "bone", "bones": [[2, 1], [3, 1], [4, 1], [5, 4]]},
    ],
)
def test_a_frame_at_a_time_is_prepared_as_in_a_clip_that_begins_with_the_first(step):
    clip = noise(3, 12, V, 1)
    # Nobody is there, and then somebody again.
    clip[:, 5] = 0
    expected = ops.apply(clip, [step])
    made = [framewise.prepared(clip[:, 0], clip[:, each], [step]) for each in range(12)]
    found = np.stack([frame for frame in made if frame is not None], axis=1)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "step",
    [
        {"op": "min_max"},
        {"op": "stream", "kind": "joint_motion"},
        {"op": "normalise_2d"},
        {"op": "centre", "joint": 0, "frame": 3},
        {"op": "view_transform", "centre": 1},
        {"op": "branches", "centre": 1, "bones": []},
    ],
)
def test_a_step_that_needs_a_whole_clip_is_refused(step, folder, tmp_path):
    with pytest.raises(DataError, match="a continual network gets a frame at a time"):
        framewise.of_stream([{"op": "trim"}, step])


def test_a_folder_whose_preprocessing_needs_whole_clips_is_not_followed_by_it(tmp_path):
    folder = make(tmp_path / "deploy", {"op": "min_max"}, {"op": "sample", "frames": SPAN})
    with pytest.raises(DataError, match="follow live poses by the format onnx"):
        Recogniser(folder, ALWAYS)
    assert Recogniser(folder, ALWAYS, runtime="onnx").runtime == "onnx"
