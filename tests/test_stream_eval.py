"""Clips joined into recordings, what counts as a right and as a false alarm, and which rule is
chosen."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import late
from compress import recipe as recipes
from compress.cli import stream_eval
from compress.data.dataset import Dataset, Split
from compress.evaluation.stream_settings import Config
from compress.evaluation.streams import judging, recordings, shipped, trial
from compress.evaluation.streams.record import Alarms, Choice, Followed, Streams
from compress.evaluation.streams.recordings import Action, Recording
from compress.reporting import streams_page
from compress.reporting.record import Report, from_json, to_json
from compress.reporting.report import render
from compress.reporting.streams import alarms_table
from export import deployed
from export.serve import Live
from teachers.errors import DataError, RecipeError
from teachers.storage import typed_json
from tests import live_folder
from tests.live_folder import CLASSES, FIVE, V, pose

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
    # The first right windows, 0.5 and 1 s in; the second action has none by its end.
    windows.insert(6, (11.0, scores(1)))
    first, last = judging.first_right([recording], [windows])
    assert (first, last) == (pytest.approx(0.75), pytest.approx(0.975))
    assert judging.first_right([recording], [[]]) == (None, None)
    windows.pop(6)
    silent = judging.alarms([recording], [windows], replace(LIVE, threshold=0.95), CLASSES)
    assert (silent.sensitivity, silent.false_alarms, silent.p50_s) == (0, 0, None)


def test_what_is_said_late_counts_behind_the_end_of_an_action():
    recording = Recording(
        np.zeros((60, 1, V, 3), np.float32), (Action(1, 2, 1), Action(4, 6, 2)), 10.0
    )
    windows = [(1.5, scores(0)), (2.0, scores(1)), (3.0, scores(2)), (6.0, scores(2))]
    # Five frames behind the second action there is no recording.
    assert [late.right([recording], [windows], frames) for frames in (0, 5, 10)] == [100, 100, 0]
    assert late.right([recording], [[]], 0) == 0


def test_of_rules_that_are_sensitive_enough_the_one_with_fewest_false_alarms_is_chosen():
    def result(sensitivity, false, p50):
        return Alarms(10, 1.0, sensitivity, false, float(false), p50, p50)

    rules = [replace(LIVE, votes=1, of=of) for of in (1, 2, 3, 4)]
    results = [result(0.9, 5, 1), result(0.8, 2, 1), result(0.8, 2, 0.5), result(0.5, 0, 1)]
    tried = list(zip(rules, results, strict=True))
    assert [judging.chosen(tried, each).of for each in (0.4, 0.8, 0.9, 0.99)] == [4, 3, 1, 1]


def dataset() -> Dataset:
    # Never the same action twice in a row: with idle that looks like it, it would not have ended.
    return Dataset("tiny", split((1, 2)), split((1, 2)), CLASSES, FIVE, 1, 3, "")


CONFIG = Config(rate=10.0, window=8, stride=1)


def test_a_folder_is_tried_its_rule_written_and_the_page_shows_it(tmp_path):
    folder = live_folder.make(tmp_path / "deploy")
    targets = {"folder": folder, "<file>": folder / "model.onnx"}
    found = trial.run(targets, CONFIG, dataset(), 1)
    assert (found.clips, [each.name for each in found.followed]) == ((2, 2), ["folder", "<file>"])
    first, second = found.followed
    assert first.early["100"] == 1 and first.early == second.early
    assert all(choice.judged.sensitivity == 1 for choice in first.choices)
    assert (first.window, first.min_frames, first.runtime) == (8, 4, "onnx")
    assert first.size_bytes == (folder / "model.onnx").stat().st_size
    assert list(first.cost_ms) == ["1", "4", "16"] and min(first.cost_ms.values()) > 0
    rule = trial.rule_of(first, 0.7)
    trial.write_defaults(folder, rule)
    assert deployed.read(folder).live == rule
    data, page = streams_page.write(tmp_path / "out", found)
    assert typed_json.decode(Streams, json.loads(data.read_text()), "x") == found
    shown = page.read_text()
    assert '<td data-name="after 100 %">100.0</td>' in shown and "&lt;file&gt;" in shown


@pytest.mark.parametrize("rate", [0.1, 1.5, 2.0])
def test_data_of_few_frames_a_second_are_answered_all_the_same(tmp_path, rate):
    folder = live_folder.make(tmp_path / "deploy")
    config = replace(CONFIG, rate=rate)
    live = trial.live_of(folder, config, dataset())
    assert live.max_gap == pytest.approx(2 / rate) and live.leave_after == 4 * live.max_gap
    assert trial.live_of(folder, CONFIG, dataset()).max_gap == Live.max_gap
    (recording,) = recordings.joined(dataset().val, rate, 2, 2, seed=1)
    # With a frame between the two at least.
    assert len(recording.poses) > 24
    (followed,) = trial.run({"folder": folder}, config, dataset(), 1).followed
    assert followed.early["100"] == 1


def test_windows_are_the_trained_ones_the_medians_or_as_said(tmp_path):
    folder = live_folder.make(tmp_path / "deploy")
    asked = Config(rate=10.0)
    # Twelve frames and two of padding.
    live = trial.live_of(folder / "model.onnx", asked, dataset())
    assert (live.window, live.min_frames, live.stride) == (14, 7, 4)
    step = {"op": "window", "frames": 6, "least": 4}
    about = deployed.read(folder)
    deployed.write(folder, replace(about, preprocessing=(step, *about.preprocessing)))
    live = trial.live_of(folder, asked, dataset())
    assert (live.window, live.min_frames) == (6, 4)
    live = trial.live_of(folder, replace(asked, window=5), dataset())
    assert (live.window, live.min_frames) == (5, 4)


def test_a_run_tries_what_it_ships_beside_its_teacher(tmp_path):
    for name in ("deploy", "teacher"):
        live_folder.make(tmp_path / name)
    found = shipped.judge(tmp_path, CONFIG, dataset(), 1)
    assert [each.name for each in found.followed] == ["teacher", "ONNX Runtime"]
    rule = deployed.read(tmp_path / "deploy").live
    assert rule == trial.rule_of(found.followed[1], CONFIG.sensitivity)
    assert deployed.read(tmp_path / "teacher").live is None
    # In the report's section, its JSON and on the terminal.
    report = Report(streams=found)
    assert from_json(json.loads(json.dumps(to_json(report)))) == report
    shown = render(report)
    assert 'id="streams"' in shown and "alarms" in shown


def _deaf(found):
    """What was found, as if no rule had an alarm of any action."""

    def without(each):
        return replace(each, training=replace(each.training, sensitivity=0.0))

    return replace(
        found,
        followed=tuple(
            replace(each, choices=tuple(without(choice) for choice in each.choices))
            for each in found.followed
        ),
    )


def test_a_rule_without_a_single_alarm_is_never_written(tmp_path, monkeypatch):
    folder = live_folder.make(tmp_path / "deploy")
    before = (folder / deployed.NAME).read_bytes()
    deaf = _deaf(trial.run({"ONNX Runtime": folder}, CONFIG, dataset(), 1))
    monkeypatch.setattr(trial, "run", lambda *arguments: deaf)
    shipped.judge(tmp_path, CONFIG, dataset(), 1)
    assert (folder / deployed.NAME).read_bytes() == before
    with pytest.raises(DataError, match=r"--write: .*deploy: no rule has an alarm of a single"):
        stream_eval._write(folder, deaf.followed[0], CONFIG.sensitivity)
    assert (folder / deployed.NAME).read_bytes() == before


def test_a_share_whose_rule_is_not_written_is_refused(tmp_path, capsys):
    folder = live_folder.make(tmp_path / "deploy")
    assert stream_eval.main([str(folder), "--sensitivity", "0.8"]) == 1
    assert "leave it out, or add --write" in capsys.readouterr().err


def test_a_rule_for_several_shares_is_one_row_and_says_where_it_falls_short():
    alarms = Alarms(10, 1.0, 0.85, 2, 2.0, 0.5, None)
    live = replace(LIVE, threshold=0.6)
    chosen = [(0.7, LIVE), (0.8, LIVE), (0.9, live), (0.95, live)]
    choices = tuple(Choice(wanted, rule, alarms, alarms) for wanted, rule in chosen)
    one = Followed("x", "onnx", 1, 8, 4, {"100": 1.0}, None, None, choices, {"1": 1.0})
    found = Streams("tiny", 10.0, 1, 0.9, (2, 2), (0.1, 0.1), (one,))
    _, first, second = alarms_table(found)
    assert first[:6] == ("x", "70, 80", "85.0", "2.0", "0.50", "–")
    assert second[1] == "90, 95 (not reached)" and second[6:8] == ("0.6", "1 of 1")


def test_a_recipe_says_what_is_tried():
    said = recipes.load("ctrgcn_lite_dml", ["streams={stride: 8, sensitivity: 0.8}"])
    assert said.streams == Config(stride=8, sensitivity=0.8)
    assert recipes.load("ctrgcn_lite_dml").streams is None
    for text, message in (
        ("stride: 0", "stride: must be at least 1"),
        ("rate: 0", "rate: must be 0.1 to 1000"),
        ("sensitivity: 0.5", "sensitivity: must be one of 0.7, 0.8, 0.9, 0.95"),
    ):
        with pytest.raises(RecipeError, match=message):
            recipes.load("ctrgcn_lite_dml", [f"streams={{{text}}}"])
