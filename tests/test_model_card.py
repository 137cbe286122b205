"""The model card: whole, partial or hostile, it says what was measured and what was not."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from report_page import every_section, sample

from compress.evaluation.record import ClassRow
from compress.reporting import model_card
from compress.reporting.record import Provenance, Report, from_json
from compress.reporting.report import write


@pytest.fixture(scope="module")
def text() -> str:
    return model_card.card(from_json(every_section()))


def rows_of(text: str, head: str) -> list[list[str]]:
    """The cells of the table whose first line begins with this."""
    lines = text.split(f"\n| {head}")[1].splitlines()[2:]
    table = []
    for line in lines:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def test_what_was_measured_stands_in_it(text):
    report = from_json(every_section())
    deployed = [row for row in report.runtimes if row.deployed]
    rows = rows_of(text, "network | top-1")
    assert [row[0] for row in rows] == ["teacher, ctrgcn", *(row.name for row in deployed)]
    assert [row[1] for row in rows[1:]] == [f"{row.top1:.2f}" for row in deployed]
    assert f"{report.budget.total_bytes:,} bytes of {report.budget.limit_bytes:,}" in text
    assert [row[0] for row in rows_of(text, "file")] == [
        f"`{file.file}`" for file in report.budget.files
    ]
    assert rows_of(text, "clips | draws")[1] == ["20 % of joints lost", "5", "85.50 ± 0.80"]
    assert rows_of(text, "network | AUROC")[0][1] == "0.910"
    assert all(
        f"\n{number}. {name}\n" in text for number, name in enumerate(report.data.classes, 1)
    )
    assert "1 thread, on Some CPU @ 2.40GHz" in text


def test_no_figure_stands_in_it_that_the_report_has_not(text):
    """Numbers with a point are measurements; each is one of the report's, as it is shown."""
    report = from_json(every_section())
    known = str(report.provenance.versions.values()) + report.provenance.hardware.cpu

    def numbers(value: object) -> set[float]:
        if isinstance(value, dict):
            return set().union(*map(numbers, value.values()), set())
        if isinstance(value, list):
            return set().union(*map(numbers, value), set())
        return {float(value)} if isinstance(value, (int, float)) else set()

    given = numbers(every_section())
    # Shares are shown in percent, counts in thousands, millions and more.
    given |= {value * factor for value in given for factor in (100, 1e-3, 1e-6, 1e-9)}
    shown = re.findall(r"(?<![\d.])\d+\.\d+(?![\d.])", re.sub(r"`[^`]*`", "", text))
    assert len(shown) > 15
    unknown = [
        each
        for each in shown
        if each not in known
        and not any(
            abs(float(each) - value) <= 0.51 * 10 ** -len(each.split(".")[1]) for value in given
        )
    ]
    # Said by sentences of the report itself, and Apache-2.0.
    assert [each for each in unknown if each not in report.gates[0].says and each != "2.0"] == []


def test_what_was_not_measured_is_said(text):
    assert "(`robustness:` does)" not in text
    bare = model_card.card(sample())
    for words in (
        "damaged clips",
        "calibration of the scores",
        "none of the classes",
        "groups of people",
    ):
        assert f"\n- Not measured: {words}" in bare.replace("actions that are ", "").replace(
            "differences between ", ""
        ), words
    assert "(`robustness:` does)" in bare


def test_the_licence_of_weights_is_never_known():
    report = sample()
    assert "No weights were taken from elsewhere" in model_card.card(report)
    effective = {"teacher": {"members": [{"weights": "b.pdparams"}, {"weights": None}]}}
    effective |= {"student": {"weights": "a.npz"}}
    named = replace(report, provenance=replace(report.provenance, effective=effective))
    text = model_card.card(named)
    assert (
        "began with `a.npz`, `b.pdparams`" in text and "**unknown**: ask who published it" in text
    )


def test_the_worst_classes_come_first_and_perfect_ones_not_at_all():
    rows = [ClassRow(f"c{number}", 10, 90.0, 100.0 - number) for number in range(8)]
    text = model_card.card(replace(sample(), per_class=tuple(rows)))
    told = re.findall(r"^- (c\d): ([\d.]+) % of 10 clips", text, re.MULTILINE)
    assert told == [("c7", "93.0"), ("c6", "94.0"), ("c5", "95.0"), ("c4", "96.0"), ("c3", "97.0")]


def test_texts_of_a_report_are_no_markdown():
    report = sample()
    attack = "x | y\n# <script>`[a](b)*"
    hostile = replace(
        report,
        recipe=attack,
        data=replace(report.data, name=attack, classes=(attack,), notes=(attack,)),
        provenance=Provenance(command=attack),
    )
    text = model_card.card(hostile)
    assert not re.search(r"(?<!\\)<script", re.sub(r"`[^`\n]*`", "", text))
    assert "\n# <" not in text and "[a](b)" not in re.sub(r"`[^`\n]*`|\\\[", "", text)
    assert "`x | y # <script>'[a](b)*`" in text


def test_a_card_lies_beside_what_was_deployed_and_nowhere_else(tmp_path):
    write(sample(), tmp_path / "run")
    assert (tmp_path / "run" / "MODEL_CARD.md").read_text("utf-8") == model_card.card(sample())
    for partial in (Report(), replace(sample(), budget=None), replace(sample(), runtimes=())):
        write(partial, tmp_path / "partial")
        assert not (tmp_path / "partial" / "MODEL_CARD.md").exists()


def test_a_run_that_recorded_little_has_a_card_all_the_same():
    report = sample()
    bare = Report(budget=report.budget, runtimes=report.runtimes)
    text = model_card.card(bare)
    assert "Not recorded." in text and "None" not in text and "\n\n\n" not in text
