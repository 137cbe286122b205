"""Before and after: which figures are set side by side, in which words, and when two latencies are
not told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sample_report import sample_report

from compress.reporting.before_after import NOT_DISTINGUISHABLE, Change, changes, distinguishable
from compress.reporting.outcome import Verdict, tiles, verdict
from compress.reporting.record import Delivered, Report, from_json
from compress.reporting.view import view_of
from compress.reporting.wording import against_teacher


def sample(**changed) -> Report:
    return replace(from_json(sample_report()), **changed)


def test_every_figure_of_teacher_and_student_stands_side_by_side():
    assert changes(sample()) == (
        Change("Top-1", "93.97 %", "93.97 %", "as good as the teacher", "same"),
        Change("Size", "11.24 MB", "2.68 MB", "4.2 times smaller", "better"),
        Change(
            "Latency, ONNX Runtime",
            "46.80 ms",
            "21.40 ms",
            "2.2 times faster",
            "better",
            "quartiles 1.70 ms and 0.90 ms apart",
        ),
        Change("Parameters", "1.43 M", "801.20 k", "1.8 times fewer", "better"),
        Change("MACs a clip", "1.48 G", "1.11 G", "1.3 times fewer", "better"),
    )


def test_a_run_that_was_stopped_compares_nothing():
    assert changes(Report()) == ()
    assert changes(sample(after=None)) == ()


def test_a_figure_that_is_missing_is_compared_with_nothing():
    before = Delivered("ctrgcn", top1=90.0, note="its export failed")
    rows = changes(sample(before=before))
    assert [(row.before, row.says, row.state) for row in rows[1:]] == [("–", "", "")] * 4
    assert (rows[0].says, rows[0].state) == ("3.97 points better than the teacher", "better")


@pytest.mark.parametrize(
    "change, words",
    [
        (2.09, "2.09 points better than the teacher"),
        (-0.42, "0.42 points worse than the teacher"),
        (0.0, "as good as the teacher"),
        (-0.001, "as good as the teacher"),
    ],
)
def test_a_change_of_accuracy_in_words(change, words):
    assert against_teacher(change) == words


@pytest.mark.parametrize(
    "fast, slow, spreads, apart",
    [
        (10.0, 14.0, (1.0, 2.0), True),
        (10.0, 11.9, (1.0, 2.0), False),
        (10.0, 11.9, (2.0, 1.0), False),
        (10.0, 11.9, (None, None), True),
        (10.0, None, (1.0, 1.0), False),
    ],
)
def test_two_latencies_are_told_apart_beyond_the_larger_spread(fast, slow, spreads, apart):
    one = Delivered("a", p50_ms=fast, spread_ms=spreads[0])
    other = Delivered("b", p50_ms=slow, spread_ms=spreads[1])
    assert distinguishable(one, other) is apart
    assert distinguishable(other, one) is apart


def test_latencies_within_the_spread_are_not_distinguishable():
    report = sample()
    noisy = replace(report.after, spread_ms=30.0)
    row = changes(replace(report, after=noisy))[2]
    assert (row.says, row.state) == (NOT_DISTINGUISHABLE, "same")
    rows = tuple(replace(entry, spread_ms=30.0) for entry in report.runtimes)
    shown = tiles(replace(report, runtimes=rows))
    assert shown.faster is None
    assert shown.speed == "not distinguishable from the baseline export"
    assert tiles(report).speed == "2.2 times faster than the baseline export"


def test_a_passed_run_with_warnings_is_yellow_and_names_how_many():
    report = sample(warnings=("only 12 validation clips",))
    assert verdict(report) == Verdict(
        "warned",
        "passed with warnings",
        "All 3 gates passed, but one warning says why the figures may mislead.",
    )
    assert view_of(report).warnings == ("only 12 validation clips",)
    failed = replace(report, status="over budget", exit_code=2)
    assert verdict(failed).state == "failed"
