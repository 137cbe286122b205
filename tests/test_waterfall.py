"""Where the accuracy went: every bar begins where the one before it ended."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from report_page import Page, sample, text_of, within

from compress.evaluation.record import RuntimeRow
from compress.reporting.record import Report, StepRow
from compress.reporting.report import render
from compress.reporting.view import steps
from compress.reporting.waterfall import LEAST_SPAN, waterfall


def report_of(*rows: StepRow, runtimes: tuple[RuntimeRow, ...] = ()) -> Report:
    return replace(sample(), steps=rows, runtimes=runtimes)


def test_every_step_takes_or_gives_back():
    report = report_of(
        StepRow("prune_layers", "remove block l10", top1=80.0),
        StepRow("train", "train", top1=92.0),
        StepRow("qat", "quantise", top1=91.5, start_top1=90.25),
        runtimes=(
            RuntimeRow("Paddle Inference", top1=92.5, deployed=True),
            RuntimeRow("ONNX Runtime", top1=91.25, deployed=True),
            RuntimeRow("baseline export", top1=10.0),
        ),
    )
    shown = waterfall(report, steps(report))
    told = [(row.label, row.kind, row.change, row.top1) for row in shown.rows]
    (teacher,) = [row for row in report.networks if row.role == "teacher"]
    assert told == [
        (f"Teacher {teacher.name}", "total", None, teacher.top1),
        ("remove block l10", "down", 80.0 - teacher.top1, 80.0),
        ("train", "up", 12.0, 92.0),
        ("qat: rounding alone", "down", -1.75, 90.25),
        ("qat: training while rounded", "up", 1.25, 91.5),
        ("as served by ONNX Runtime", "down", -0.25, 91.25),
        ("Deployed", "total", None, 91.25),
    ]
    changes = sum(row.change for row in shown.rows if row.change is not None)
    assert teacher.top1 + changes == pytest.approx(91.25)


def test_bars_hang_together_and_stay_on_their_axis():
    report = report_of(
        StepRow("train", top1=90.0), StepRow("ptq", top1=90.0), StepRow("train", top1=99.9)
    )
    shown = waterfall(report, steps(report))
    span = shown.axis.ticks[-1][0]
    assert 0 < span <= 100.001

    def ends(row):
        left, right = row.left, row.left + row.width
        return (left, right) if row.kind == "up" else (right, left)

    for before, after in pairwise(shown.rows):
        reached = before.left + before.width if before.kind == "total" else ends(before)[1]
        assert ends(after)[0] == pytest.approx(reached)
    assert all(row.left >= 0 and row.left + row.width <= 100.001 for row in shown.rows)
    assert [row.kind for row in shown.rows] == ["total", "down", "level", "up"]
    assert shown.low > 80


def test_a_single_clip_is_no_cliff():
    report = report_of(StepRow("train", top1=sample().network("teacher").top1 - 0.1))
    shown = waterfall(report, steps(report))
    assert shown.rows[1].width < 100 * 0.1 / LEAST_SPAN + 1e-9


def test_one_accuracy_alone_is_no_waterfall():
    report = report_of(StepRow("train"))
    assert waterfall(report, steps(report)) is None
    assert waterfall(Report(), ()) is None
    page = Page(render(report))
    assert not page.all("table", "falls") and page.section("steps") is not None


def test_the_page_has_it_as_a_table():
    report = sample()
    table = Page(render(report)).all("table", "falls")[0]
    rows = [text_of(row) for row in within(table.find("tbody"), "tr")]
    assert len(rows) == len(waterfall(report, steps(report)).rows)
    assert "Deployed" in rows[-1]
