"""Warnings: what makes a passed run a doubtful one. And the floor that no result may go below."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from sample_report import sample_report

from compress import recipe
from compress.recipe.types import Budget
from compress.reporting import gates
from compress.reporting.doubts import doubts
from compress.reporting.printed import last_line, print_summary
from compress.reporting.record import NetworkRow, Report, from_json
from compress.reporting.recorder import Recorder
from teachers.errors import RecipeError


def finished(top1: float, rows: list[list[int]]) -> Report:
    """A report whose worst deployed file reaches `top1`, on a split with these counts."""
    report = from_json(sample_report())
    runtimes = []
    for row in report.runtimes:
        # The baseline export is no result; whatever it reaches warns of nothing.
        runtimes.append(replace(row, top1=top1 if row.deployed else 1.0))
    confusion = tuple(tuple(counts) for counts in rows)
    return replace(report, runtimes=tuple(runtimes), confusion=confusion)


def split(*clips: int) -> list[list[int]]:
    """Counts (K, K) of a split with so many clips a class."""
    classes = len(clips)
    return [[count] + [0] * (classes - 1) for count in clips]


@pytest.mark.parametrize(
    "top1, clips, near",
    [
        (8.33, [20] * 12, True),
        # 240 clips of 12 classes leave 5.35 points to luck.
        (13.6, [20] * 12, True),
        (13.8, [20] * 12, False),
        # 80 % always answer the first class: 82 % of 100 clips are no better.
        (82.0, [80, 20], True),
        (92.1, [80, 20], False),
        (100.0, [60], True),
    ],
)
def test_near_chance_is_within_the_binomial_spread_of_guessing(top1, clips, near):
    warnings = doubts(finished(top1, split(*clips)))
    assert [("near chance" in text) for text in warnings] == [True] * near


def test_the_warning_names_both_ways_to_guess():
    (warning,) = doubts(finished(20.0, split(30, 10, 10)))
    assert warning == (
        "top-1 of 20.00 % is near chance: guessing among 3 classes gives 33.33 %, always naming the"
        " most frequent one 60.00 %, and 50 clips leave 20.78 points to luck"
    )


@pytest.mark.parametrize("clips, few", [([25, 24], True), ([25, 25], False)])
def test_under_50_validation_clips_is_a_warning(clips, few):
    warnings = doubts(finished(99.0, split(*clips)))
    assert bool(warnings) is few
    if few:
        assert warnings == (
            "only 49 validation clips: each is 2.0 points of top-1; judge by 50 or more",
        )


def test_a_run_that_was_stopped_has_no_doubts():
    assert doubts(Report()) == ()


def judged(top1: float, teacher: float, **limits) -> Report:
    """The report after the gates."""
    report = replace(finished(top1, split(*[20] * 12)), gates=())
    networks = (NetworkRow("teacher", "t", top1=teacher), NetworkRow("student", "s", top1=top1))
    recorder = Recorder(replace(report, networks=networks))
    gates.judge(Budget(10_000_000, 100.0, **limits), report.budget, recorder)
    return recorder.report


@pytest.mark.parametrize("top1, passed", [(79.99, False), (80.0, True)])
def test_the_floor_is_a_gate_with_exit_code_3(top1, passed):
    report = judged(top1, 80.0, min_top1=80.0)
    gate = report.gates[-1]
    assert (gate.name, gate.limit, gate.value, gate.passed) == ("top-1", 80.0, top1, passed)
    assert gate.says == f"{top1:.2f}% in Paddle Inference, at least 80% needed"
    assert (report.status, report.exit_code) == (
        ("ok", 0) if passed else ("accuracy gate failed", 3)
    )


def test_without_a_floor_there_are_two_gates_and_a_warning_near_chance(capsys):
    report = judged(8.33, 8.33)
    assert [gate.name for gate in report.gates] == ["size", "top-1 drop"]
    assert report.exit_code == 0
    assert len(report.warnings) == 1
    print_summary(report)
    printed = capsys.readouterr().out
    assert "ctrgcn_lite_dml: passed with warnings" in printed
    assert "! top-1 of 8.33 % is near chance" in printed
    last = json.loads(json.dumps(last_line(report)))
    assert (last["verdict"], last["warnings"]) == ("passed with warnings", list(report.warnings))


@pytest.mark.parametrize(
    "top1, words",
    [
        (82.09, "2.09 points better than the teacher; 100 may be lost"),
        (79.58, "0.42 points worse than the teacher; 100 may be lost"),
        (80.0, "as good as the teacher; 100 may be lost"),
    ],
)
def test_the_gate_says_better_or_worse(top1, words):
    assert judged(top1, 80.0).gates[1].says == (
        f"{top1:.2f}% in Paddle Inference, teacher 80.00%: {words}"
    )


def test_a_floor_is_a_percentage():
    assert recipe.load("ctrgcn_lite_dml").budget.min_top1 is None
    assert recipe.load("ctrgcn_lite_dml", ["budget.min_top1=80"]).budget.min_top1 == 80.0
    with pytest.raises(RecipeError, match="min_top1: must be from 0 to 100 percent"):
        recipe.load("ctrgcn_lite_dml", ["budget.min_top1=101"])
