"""Clips joined into recordings, what counts as a right and as a false alarm, and which rule is
chosen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compress.data.dataset import Split
from compress.live import judging, recordings, trial, trial_page
from compress.live.judging import Alarms
from compress.live.recordings import Action, Recording
from export import deployed
from export.serve import Live
from teachers.storage import typed_json
from tests import live_folder
from tests.live_folder import CLASSES, V, pose

LIVE = Live(window=8, stride=1, min_frames=4, rate=10.0, votes=1, of=1, cool_down=0)


def split(labels=(1, 2, 1, 2)) -> Split:
    """Clips of 12 frames, (3, 12, V, 1), and two empty ones behind, as padding."""
    clips = []
    for label in labels:
        frames = np.stack([pose(label) + 0.001 * k for k in range(12)] + [pose(0) * 0] * 2)
        clips.append(frames.transpose(2, 0, 1)[..., None].astype(np.float32))
    return Split(tuple(f"c{k}" for k in range(len(labels))), clips, np.array(labels))


def scores(number: int, best: float = 0.9) -> np.ndarray:
    values = np.full(3, (1 - best) / 2, np.float32)
    values[number] = best
    return values


def test_clips_are_joined_with_idle_between_and_without_their_padding():
    (one, two) = recordings.joined(split(), 10, most=4, each=2, seed=3)
    for recording in (one, two):
        first, second = recording.actions
        assert (first.start, first.end) == (0, 1.2)
        assert second.end - second.start == pytest.approx(1.2)
        assert 1.0 <= second.start - first.end <= 4.0
        assert recording.seconds == pytest.approx(second.end)
        # The way to the next action ends next to it, and nothing in between is empty.
        start = round(second.start * 10)
        assert np.abs(recording.poses[start - 1] - recording.poses[start]).max() < 0.6
        assert (np.abs(recording.poses).sum((1, 2, 3)) > 0).all()
        np.testing.assert_array_equal(
            recording.poses[start : start + 12, 0, :, second.label],
            split((second.label,)).clips[0][second.label, :12, :, 0],
        )
    assert sorted(a.label for r in (one, two) for a in r.actions) == [1, 1, 2, 2]
    again = recordings.joined(split(), 10, most=4, each=2, seed=3)
    np.testing.assert_array_equal(again[1].poses, two.poses)


def test_alarms_are_right_in_time_and_false_otherwise():
    actions = (Action(1, 3, 1), Action(6, 8, 2), Action(10, 12, 1))
    recording = Recording(np.zeros((130, 1, V, 3), np.float32), actions, 10.0)
    windows = [
        (0.5, scores(2)),  # false: nobody does anything
        (0.8, scores(0, 0.4)),  # unknown: it ends
        (1.5, scores(1)),  # right after 0.5 s
        (2.0, scores(0, 0.4)),
        (8.6, scores(2)),  # right, 2.6 s after the start, within the second after the end
        (9.0, scores(0, 0.4)),
        (11.0, scores(0)),  # false: another class
    ]
    found = judging.alarms([recording], [windows], LIVE, CLASSES)
    assert (found.actions, found.false_alarms) == (3, 2)
    assert found.sensitivity == pytest.approx(2 / 3)
    assert found.false_an_hour == pytest.approx(2 / (13 / 3600))
    assert (found.p50_s, found.p95_s) == (pytest.approx(1.55), pytest.approx(2.495))
    # The first at 25 % (1.5 s) alone: from 2.0 s on the newest window is wrong. A window from before
    # an action (9.0 before 10) says nothing of it.
    early = judging.early([recording], [windows])
    assert early == {"25": 1 / 3, "50": 0, "75": 0, "100": 0}
    silent = judging.alarms([recording], [windows], replace(LIVE, threshold=0.95), CLASSES)
    assert (silent.sensitivity, silent.false_alarms, silent.p50_s) == (0, 0, None)


def test_of_rules_that_are_sensitive_enough_the_one_with_fewest_false_alarms_is_chosen():
    def result(sensitivity, false, p50):
        return Alarms(10, 1.0, sensitivity, false, float(false), p50, p50)

    rules = [replace(LIVE, votes=1, of=of) for of in (1, 2, 3, 4)]
    results = [result(0.9, 5, 1), result(0.8, 2, 1), result(0.8, 2, 0.5), result(0.5, 0, 1)]
    tried = list(zip(rules, results, strict=True))
    assert [judging.chosen(tried, each).of for each in (0.4, 0.8, 0.9, 0.99)] == [4, 3, 1, 1]


def test_a_folder_is_tried_and_its_rule_written(tmp_path):
    folder = live_folder.make(tmp_path / "deploy")
    # Never the same action twice in a row: with idle that looks like it, it would not have ended.
    sides = [recordings.joined(split((1, 2)), 10, 2, 2, seed) for seed in (1, 2)]
    outcome = trial.outcome(folder, LIVE, *sides)
    assert outcome.early["100"] == 1
    assert all(choice.judged.sensitivity == 1 for choice in outcome.choices)
    (cost,) = trial.costs([folder], LIVE, sides[1][0])
    assert list(cost) == ["1", "4", "16"] and min(cost.values()) > 0
    rule = outcome.choices[0].live
    trial.write_defaults(folder, rule)
    assert deployed.read(folder).live == rule
    about = {
        "data": "tiny", "rate": 10.0, "clips": [4, 4], "hours": [0.1, 0.1], "window": 8,
        "stride": 1, "folders": typed_json.encode([replace(outcome, cost_ms=cost)]),
    }  # fmt: skip
    data, page = trial_page.write(tmp_path / "out", about)
    assert '"false_an_hour"' in data.read_text() and "Right after a part" in page.read_text()
