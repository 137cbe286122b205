"""Live poses: tracks, windows, frame rates and the alarm rule, and that a program which follows
them needs numpy and ONNX Runtime alone."""

from __future__ import annotations

import subprocess
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from export import deployed, serving
from export.serve import Event, Live, Recogniser
from export.serve.rule import Rule
from export.serve.track import Track
from teachers.errors import CheckpointError, DataError
from tests import live_folder
from tests.live_folder import CLASSES, V, pose

ROOT = Path(__file__).resolve().parents[1]
ALWAYS = Live(window=8, stride=1, min_frames=1, votes=1, of=1, cool_down=0)
# What a machine that only serves does not have.
ABSENT = ("paddle", "paddle2onnx", "paddleslim", "onnx", "yaml", "rich", "jinja2", "matplotlib")
ABSENT += ("PIL", "pandas", "visualdl", "safetensors", "requests", "aiohttp", "google")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return live_folder.make(tmp_path_factory.mktemp("live") / "deploy")


def scores(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_a_window_is_answered_number_for_number_as_the_clip_of_its_frames(folder):
    live = Live(window=8, stride=3, min_frames=5, cool_down=0)
    recogniser = Recogniser(folder, live)
    generator = np.random.default_rng(0)
    poses = generator.normal(size=(40, V, 3)).astype(np.float32)
    # Missing numbers: a frame that is broken is mended, not passed on.
    poses[11, 2] = np.nan
    description = deployed.read(folder)
    predict = deployed.predictors(folder, description)["onnx"]
    answered = []
    for number, joints in enumerate(poses):
        recogniser.push("a", joints, number / 30)
        for answer in recogniser.answers:
            frames = poses[max(0, number - 7) : number + 1]
            clip = frames.transpose(2, 0, 1)[..., None].copy()
            bad = np.flatnonzero(~np.isfinite(clip).all(axis=(0, 2, 3)))
            for frame in bad:
                # The earlier of two frames as near.
                clip[:, frame] = clip[:, frame - 1 if frame else 1]
            x = serving.prepare(clip, description, "offline")
            expected = serving.answer(predict, x[None], description, "offline")
            np.testing.assert_array_equal(answer.scores, expected)
            answered.append((number, answer.frames))
    # The first with five frames, then every three; a window has eight at most.
    assert answered[:4] == [(4, 5), (7, 8), (10, 8), (13, 8)]
    assert len(answered) == 12


def test_a_track_may_be_asked_at_any_time_and_its_windows_stay_the_same(folder):
    live = Live(window=8, stride=4, min_frames=4)
    alone, asked = Recogniser(folder, live), Recogniser(folder, live)
    # Nobody is in the first two.
    given = [pose(1) * (number > 1) for number in range(24)]
    found = []
    for recogniser in (alone, asked):
        times = []
        for number, joints in enumerate(given):
            recogniser.push("a", joints, number / 30)
            times += [answer.time for answer in recogniser.answers]
            if recogniser is asked and number > 1:
                assert recogniser.answer("a").frames == min(number + 1, 8)
            elif recogniser is asked:
                with pytest.raises(DataError, match="nobody is in its frames"):
                    recogniser.answer("a")
        found.append((times, recogniser.unusable))
    assert found[0] == found[1]
    assert len(found[0][0]) == 6


def test_a_batch_over_tracks_says_what_each_track_says_alone(folder):
    together = Recogniser(folder, ALWAYS)
    alone = Recogniser(folder, ALWAYS)
    for number in range(12):
        batch = [(track, pose(track % 3), number / 30) for track in range(40)]
        events = together.push_many(batch)
        answers = {answer.track: answer.scores for answer in together.answers}
        expected = []
        for each in batch:
            event = alone.push(*each)
            expected += [event] if event else []
            np.testing.assert_allclose(answers[each[0]], alone.answers[0].scores, rtol=1e-6)
        assert [(e.track, e.kind, e.name) for e in events] == [
            (e.track, e.kind, e.name) for e in expected
        ]


def test_poses_of_any_rate_become_frames_of_the_networks(folder):
    live = replace(ALWAYS, rate=30.0, window=64)
    for rate in (12.5, 25, 30, 60, 120):
        track = Track(live, (1, V, 3))
        # Every joint on a straight line: interpolated right, it stays on it.
        times = np.arange(int(rate)) / rate + 1000
        for time in times:
            track.add(np.full((1, V, 3), time - 999, np.float32), time)
        clip = track.clip()
        assert clip.shape[1] == int((times[-1] - times[0]) * 30 + 0.01) + 1
        expected = 1 + np.arange(clip.shape[1]) / 30
        np.testing.assert_allclose(clip[0, :, 0, 0], expected, atol=0.01 / rate)


def test_frames_at_the_networks_own_rate_are_not_changed():
    track = Track(replace(ALWAYS, rate=30.0, window=1000), (1, V, 3))
    poses = np.random.default_rng(1).normal(size=(1000, 1, V, 3)).astype(np.float32)
    # Hours in, where a clock of float64 is coarser than at zero.
    for number, each in enumerate(poses):
        track.add(each, 86_400 + number / 30)
    np.testing.assert_array_equal(track.clip(), poses.transpose(3, 0, 2, 1))


def test_a_joint_that_one_of_two_poses_misses_is_not_mixed():
    track = Track(replace(ALWAYS, rate=30.0), (1, V, 3))
    first = pose(0)[None]
    second = pose(1)[None].copy()
    second[0, 2] = 0
    second[0, 3] = np.nan
    track.add(first, 0.0)
    track.add(second, 2 / 30)
    middle = track.clip()[:, 1, :, 0].T
    np.testing.assert_array_equal(middle[[0, 1, 4]], ((first + second) / 2)[0, [0, 1, 4]])
    # Half way the later one is the nearer.
    np.testing.assert_array_equal(middle[[2, 3]], second[0, [2, 3]])


def test_an_action_starts_with_k_of_n_windows_and_ends_without():
    rule = Rule(Live(threshold=0.6, release=0.4, votes=2, of=3, cool_down=0), CLASSES)
    wave, unknown, held = scores(0.1, 0.8, 0.1), scores(0.4, 0.3, 0.3), scores(0.3, 0.45, 0.25)
    kinds = []
    for time, each in enumerate([wave, unknown, wave, held, held, held, unknown, unknown]):
        event = rule.step("a", time, each)
        kinds.append(event and (event.kind, event.name))
    # The second of three starts it; hysteresis holds it; two of three without end it.
    assert kinds == [None, None, ("start", "wave"), None, None, None, None, ("end", "wave")]


def test_a_class_that_has_just_ended_does_not_start_again_before_it_has_cooled_down():
    rule = Rule(replace(ALWAYS, cool_down=5), CLASSES)
    wave, unknown = scores(0.0, 1.0, 0.0), scores(0.4, 0.2, 0.2)
    assert rule.step("a", 0, wave).kind == "start"
    assert rule.step("a", 1, unknown).kind == "end"
    assert rule.step("a", 2, wave) is None
    # Another class has not ended.
    assert rule.step("a", 3, scores(0, 0, 1)).name == "jump"
    assert rule.step("a", 4, unknown).kind == "end"
    assert rule.step("a", 6, wave).kind == "start"


def test_a_quiet_class_is_no_action_and_ends_one():
    rule = Rule(replace(ALWAYS, quiet=("still",)), CLASSES)
    assert rule.step("a", 0, scores(1, 0, 0)) is None
    assert rule.step("a", 1, scores(0, 1, 0)).name == "wave"
    # Though the wave's score is still above `release`.
    assert rule.step("a", 2, scores(0.6, 0.4, 0)).kind == "end"


def test_a_gap_begins_a_track_anew_and_a_person_who_left_is_forgotten(folder):
    recogniser = Recogniser(folder, replace(ALWAYS, max_gap=0.5, leave_after=2))
    assert recogniser.push("a", pose(1), 0.0).content() == {
        "event": "start", "track": "a", "time": 0.0, "class": "wave", "id": 1,
        "score": pytest.approx(0.96, abs=0.01),
    }  # fmt: skip
    assert recogniser.push("a", pose(1), 0.4) is None
    ended = recogniser.push("a", pose(1), 1.0)
    assert (ended.kind, ended.time) == ("end", 0.4)
    assert recogniser.answers[0].frames == 1
    assert [(each.kind, each.time) for each in recogniser.left()] == [("start", 1.0)]
    recogniser.push("a", pose(1), 1.1)
    assert recogniser.left() == []
    recogniser.push("b", pose(2), 10.0)
    assert len(recogniser) == 1
    assert [(each.track, each.kind) for each in recogniser.left()] == [("a", "end")]
    assert recogniser.leave("b").kind == "end"
    assert len(recogniser) == 0


@pytest.mark.parametrize("gap", [0.6, 3.0])
def test_a_pose_that_ends_an_action_and_starts_another_brings_both_events(folder, gap):
    live = replace(ALWAYS, threshold=0, release=0)
    one, many = Recogniser(folder, live), Recogniser(folder, live)
    given = [("a", pose(number % 3), number * gap) for number in range(6)]
    pushed = []
    for each in given:
        first = one.push(*each)
        pushed += [first] if first else []
        pushed += one.left()
    expected = [event for each in given for event in many.push_many([each])]
    assert pushed == expected
    assert [each.kind for each in pushed] == ["start", *["end", "start"] * 5]


@pytest.mark.parametrize(
    "joints, time, said",
    [
        (np.zeros((4, 3)), 2.0, "joints of shape (4, 3), expected (5, 3)"),
        (np.zeros((V, 2)), 2.0, "expected (5, 3)"),
        (np.full((V, 3), "x"), 2.0, "expected numbers"),
        (pose(0), 1.0, "time 1 is not after 1; push the poses of a track in order"),
        (pose(0), np.nan, "must be a number of seconds"),
    ],
)
def test_a_pose_that_cannot_be_used_is_refused_and_changes_nothing(folder, joints, time, said):
    recogniser = Recogniser(folder, ALWAYS)
    recogniser.push("a", pose(0), 1.0)
    with pytest.raises(DataError) as error:
        recogniser.push("a", joints, time)
    assert said in str(error.value)
    refused = []
    events = recogniser.push_many(
        [("a", joints, time), ("b", pose(1), 2.0)], lambda each, error: refused.append(each[0])
    )
    assert refused == ["a"]
    assert [(each.track, each.name) for each in events] == [("b", "wave")]


def test_a_window_with_nobody_in_it_is_counted_and_not_answered(folder):
    recogniser = Recogniser(folder, ALWAYS)
    assert recogniser.push("a", np.zeros((V, 3)), 0.0) is None
    assert recogniser.push("a", np.full((V, 3), np.nan), 0.1) is None
    assert (recogniser.unusable, recogniser.answers) == (2, [])
    with pytest.raises(DataError, match="nobody is in its frames"):
        recogniser.answer("a")


def test_numbers_that_overflow_cost_their_own_track_its_window_and_no_other(folder):
    recogniser = Recogniser(folder, ALWAYS)
    # Finite, and their mean is not.
    huge = np.full((V, 3), 3e38)
    given = [("a", pose(1), 0.0), ("b", huge, 0.0), ("c", pose(2), 0.0)]
    events = recogniser.push_many(given)
    assert [(each.track, each.name) for each in events] == [("a", "wave"), ("c", "jump")]
    assert [answer.track for answer in recogniser.answers] == ["a", "c"]
    assert recogniser.unusable == 1
    with pytest.raises(DataError, match="or one that is too large"):
        recogniser.answer("b")
    # Once it has left the window, the track is answered as any other.
    for number in range(1, 9):
        recogniser.push("b", pose(0), number / 30)
    assert (len(recogniser.answers), recogniser.unusable) == (1, 8)


def test_tracks_are_limited_until_some_have_left(folder):
    recogniser = Recogniser(folder, replace(ALWAYS, max_tracks=2, leave_after=1))
    recogniser.push("a", pose(0), 0.0)
    recogniser.push("b", pose(0), 0.4)
    with pytest.raises(DataError, match="2 tracks are followed already"):
        recogniser.push("c", pose(0), 0.5)
    assert recogniser.push("c", pose(0), 1.3).kind == "start"


def test_a_folder_says_how_it_is_followed_and_older_ones_get_the_defaults(tmp_path):
    folder = live_folder.make(tmp_path / "a")
    assert "live" not in (folder / "deployed.json").read_text()
    live = Recogniser(folder).live
    assert live == replace(Live(), window=8, min_frames=4)
    said = Live(window=6, stride=2, threshold=0.7, quiet=("still",))
    deployed.write(folder, replace(deployed.read(folder), live=said))
    assert deployed.read(folder).live == said
    assert Recogniser(folder).live == replace(said, min_frames=3)
    text = (folder / "deployed.json").read_text()
    (folder / "deployed.json").write_text(text.replace('"threshold":0.7', '"threshold":7'))
    with pytest.raises(CheckpointError, match="live: threshold: must be 0 to 1"):
        Recogniser(folder)


def test_what_a_folder_claims_must_fit(tmp_path):
    folder = live_folder.make(tmp_path / "a")
    with pytest.raises(DataError, match="no class of the network"):
        Recogniser(folder, Live(quiet=("fall",)))
    with pytest.raises(DataError, match="take fewer tracks or shorter windows"):
        Recogniser(folder, Live(window=10_000, max_tracks=100_000))
    for wrong in ({"release": 0.9}, {"votes": 4}, {"rate": 0.0}, {"stride": 0}):
        with pytest.raises(ValueError, match=f"live: {next(iter(wrong))}: must be"):
            Live(**wrong)


def test_a_pose_becomes_a_few_thousand_frames_at_most(tmp_path):
    most = Live(window=8, rate=1000.0, max_gap=3.0, leave_after=3)
    for wrong in (
        {"max_gap": 86_400.0, "leave_after": 86_400.0},
        {"max_gap": 3.1, "leave_after": 4},
    ):
        with pytest.raises(ValueError, match="live: max_gap: .* must be at most 3 s"):
            replace(most, **wrong)
    # Without a rate nothing is interpolated.
    Live(max_gap=86_400.0, leave_after=86_400.0)
    folder = live_folder.make(tmp_path / "a", live=most)
    recogniser = Recogniser(folder)
    recogniser.push("a", pose(1), 0.0)
    recogniser.push("a", pose(1), 3.0)
    assert recogniser.answer("a").frames == 8
    file = folder / "deployed.json"
    file.write_text(file.read_text().replace('"max_gap":3.0', '"max_gap":3000.0'))
    with pytest.raises(CheckpointError, match="live: "):
        Recogniser(folder)


def test_two_persons_who_belong_together_are_one_track(tmp_path):
    folder = live_folder.make(tmp_path / "pair", persons=2)
    recogniser = Recogniser(folder, ALWAYS)
    recogniser.push("pair", np.stack([pose(1), pose(2)]), 0.0)
    pair = recogniser.answers[0].scores
    recogniser.push("one", pose(1), 0.0)
    assert pair[1] == pytest.approx(pair[2]) and recogniser.answers[0].scores[1] > pair[1]


def test_memory_stays_flat_over_a_day_of_people_who_come_and_go(folder):
    live = Live(window=8, stride=8, leave_after=2, max_tracks=50)
    recogniser = Recogniser(folder, live)
    sizes = []
    tracemalloc.start()
    # A clock of its own: 24 hours in which somebody else is seen every minute.
    for second in range(0, 86_400, 60):
        for part in range(3):
            recogniser.push_many(
                [((second, each), pose(each), second + part / 4) for each in range(3)]
            )
        if second in (28_800, 86_340):
            sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert len(recogniser) <= 3
    assert sizes[1] < sizes[0] + 20_000


def test_it_needs_numpy_and_onnx_runtime_alone(folder):
    """In a process that refuses everything else."""
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ABSENT!r}:
            raise ImportError(name + " is not installed here")
sys.meta_path.insert(0, Absent())
from export.serve import Live, Recogniser
assert "onnxruntime" not in sys.modules
import numpy as np
recogniser = Recogniser({str(folder)!r}, Live(window=8, stride=1, min_frames=1, votes=1, of=1))
pose = np.full((5, 3), 0.01); pose[:, 1] = 4
print(recogniser.push(1, pose, 0.0).name)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "wave"), done.stderr[-2000:]


def test_an_event_is_a_line_of_json():
    assert Event("a", 1.5, "end", "jump", 2, 0.123456).content()["score"] == 0.1235
