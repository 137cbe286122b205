"""The report: whole, partial or hostile, it renders; the page needs nothing from outside."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_page import Page, every_section, sample
from sample_report import sample_report

from compress.reporting import model_card
from compress.reporting.charts import Series, line_chart, tick_label, ticks
from compress.reporting.outcome import SECTIONS, Verdict, missing, verdict
from compress.reporting.printed import print_summary
from compress.reporting.record import NetworkRow, Report, from_json, to_json
from compress.reporting.report import render, write
from compress.reporting.view import steps, view_of
from compress.reporting.wording import decimals, duration, settings, short_count, size
from teachers.errors import StorageError
from teachers.storage.typed_json import encode


def test_the_page_says_what_was_reached():
    text = Page(render(sample())).text
    for part in (
        "ctrgcn_lite_dml",
        "passed",
        "All 3 gates passed. The folder can be deployed.",
        "2.68 MB",
        "4.3× smaller",
        "94.18",
        "as good as the teacher",
        "0.21 points better than the teacher",
        "ONNX Runtime is 2.2 times faster than the baseline export",
        "801.20 k",
        "ONNX Runtime, baseline export",
        "4.1e-06",
        "l9 weights",
        "tensor headers",
        "Remove blocks l8 and l10",
        "of 10.00 MB",
        "−62.72",
        "dml",
        "learning rate",
        "pick up with one hand",
        "taken for",
        "2 clips are shorter than 10 frames",
        "3 × 52 × 20 × 1",
        "1 thread used",
        "paddlepaddle 2.6.2",
        "prune_layers: {drop: [l8, l10]}",
        "3f0c1d",
    ):
        assert part in text, part
    assert "Not recorded" not in text


def test_the_page_is_self_contained():
    page = Page(render(sample()))
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags)
    assert not [
        value
        for name, value in page.attributes
        if name in ("src", "srcset") or name.startswith("on")
    ]
    # Links lead to places in the page alone.
    links = [value for name, value in page.attributes if name == "href"]
    assert links and all(link.startswith("#") for link in links)
    html = render(sample())
    assert "http" not in html and "url(" not in html and "@import" not in html


def test_every_text_of_the_report_is_escaped():
    attack = "</style><script>alert('x')</script>\"'<b>&amp;{{ 7777*7777 }}"

    def poison(value):
        if isinstance(value, dict):
            return {key: poison(item) for key, item in value.items()}
        if isinstance(value, list):
            return [poison(item) for item in value]
        return attack if isinstance(value, str) and value not in ("teacher", "student") else value

    report = poison(every_section())
    report["curves"][0]["epochs"][0]["train"][attack] = 1.0
    report["steps"][0]["config"] = {attack: attack}
    report["budget"]["advice"] = attack
    page = Page(render(from_json(report)))
    clean = Page(render(from_json(every_section())))
    assert set(page.tags) <= set(clean.tags)
    assert page.tags.count("style") == 1
    assert {name for name, _ in page.attributes} <= {name for name, _ in clean.attributes}
    assert "".join(page.pieces).count(attack) > 100
    # In attributes, too: a quotation mark in a class's name must not end one.
    assert sum(attack in (value or "") for _, value in page.attributes) > 80
    # The product: what looks like a template of Jinja is text.
    assert "60481729" not in page.text


@pytest.mark.parametrize("key", [*SECTIONS, "recipe", "status", "exit_code", "output"])
def test_any_part_may_be_missing(key, capsys):
    report = sample_report()
    del report[key]
    if key in ("steps", "curves"):
        report["exit_code"] = None  # a finished run may have none
    text = Page(render(from_json(report))).text
    print_summary(from_json(report))
    printed = " ".join(capsys.readouterr().out.split())
    if key in SECTIONS:
        assert f"Not recorded in this run: {SECTIONS[key]}." in text
        assert f"Not recorded: {SECTIONS[key]}." in printed


def test_nothing_at_all_still_renders(capsys):
    text = Page(render(Report())).text
    assert "unnamed run" in text and "incomplete" in text and "The run did not finish." in text
    assert all(words in text for words in SECTIONS.values())
    print_summary(Report())
    assert "unnamed run: incomplete" in capsys.readouterr().out


def drop(record, rng):
    """The record with some of its optional fields at their defaults, its records' as well."""
    changes = {}
    for entry in dataclasses.fields(record):
        value = getattr(record, entry.name)
        if isinstance(value, tuple):
            value = tuple(
                drop(item, rng) if dataclasses.is_dataclass(item) else item for item in value
            )
        elif dataclasses.is_dataclass(value):
            value = drop(value, rng)
        changes[entry.name] = value
        if rng.random() < 0.12 and entry.name != "schema_version":
            if entry.default is not dataclasses.MISSING:
                changes[entry.name] = entry.default
            elif entry.default_factory is not dataclasses.MISSING:
                changes[entry.name] = entry.default_factory()
    return replace(record, **changes)


@pytest.mark.parametrize("seed", range(40))
def test_values_missing_anywhere_still_render(seed, capsys):
    rng = random.Random(seed)

    # Tables of robustness are lists of one length: there all of a list is missing, or nothing.
    report = drop(from_json(every_section() | {"robustness": None}), rng)
    assert from_json(to_json(report)) == report
    Page(render(report))
    # Also of what is not due: a card of any report is better than a run that ends in an error.
    if report.budget is not None:
        assert "None" not in model_card.card(report)
    print_summary(report)
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    "changes, state, word, says",
    [
        ({}, "passed", "passed", "All 3 gates passed. The folder can be deployed."),
        ({"gates": []}, "passed", "passed", "No gate was set. The folder can be deployed."),
        (
            {"status": "over budget", "exit_code": 2, "gates": [{"name": "size", "passed": False}]},
            "failed",
            "over budget",
            "1 of 1 gates failed: size.",
        ),
        (
            {"status": "loss is not finite", "exit_code": 1, "gates": []},
            "failed",
            "loss is not finite",
            "The run ended with an error.",
        ),
        ({"exit_code": 3}, "failed", "failed", "The run ended with an error."),
        (
            {"gates": [{"name": "accuracy", "passed": False}]},
            "failed",
            "failed",
            "1 of 1 gates failed: accuracy.",
        ),
        (
            {"status": "failed: loss is not finite: lower lr", "exit_code": 1, "gates": []},
            "failed",
            "failed",
            "loss is not finite: lower lr",
        ),
        (
            {"status": "running", "exit_code": None, "gates": []},
            "stopped",
            "incomplete",
            "The run did not finish. This page shows what was recorded until then.",
        ),
        (
            {"status": "interrupted", "exit_code": 130, "gates": []},
            "stopped",
            "interrupted",
            "The run did not finish. This page shows what was recorded until then.",
        ),
        # A scheduler's SIGTERM is no error of the run either.
        (
            {"status": "interrupted", "exit_code": 143, "gates": []},
            "stopped",
            "interrupted",
            "The run did not finish. This page shows what was recorded until then.",
        ),
    ],
)
def test_the_verdict(changes, state, word, says):
    report = from_json(sample_report() | changes)
    assert verdict(report) == Verdict(state=state, word=word, says=says)


def test_an_over_budget_report_shows_the_advice(capsys):
    report = sample_report()
    report["budget"] |= {
        "limit_bytes": 2_000_000,
        "within": False,
        "advice": "684.38 KB over.\nmodel.onnx: prune.",
    }
    text = Page(render(from_json(report))).text
    assert "684.38 KB over." in text and "model.onnx: prune." in text
    print_summary(from_json(report))
    assert "model.onnx: prune." in capsys.readouterr().out


@pytest.mark.parametrize("count", [1, 2, 60, 120])
def test_pages_for_other_numbers_of_classes(count):
    page = Page(render(sample(tuple(f"a long name of class {k}" for k in range(count)), epochs=1)))
    assert "What the student mixes up" in page.text


def test_numbers_stand_on_a_line_and_texts_as_they_are(tmp_path):
    texts = ("[\n 1,\n 2\n]", "a [ 1, 2 ] b", '"[\n 1]"')
    report = replace(sample(), warnings=texts, confusion=((1, 20), (3, 4)))
    write(report, tmp_path)
    text = (tmp_path / "report.json").read_text("utf-8")
    assert "\n  [1, 20],\n  [3, 4]\n" in text
    assert from_json(json.loads(text)) == report


def test_write_leaves_files_that_agree(tmp_path):
    report = sample()
    teacher = replace(report.networks[0], top1=np.float32(93.5), top5=float("nan"))
    report = replace(
        report,
        networks=(teacher, *report.networks[1:]),
        confusion=np.eye(10, dtype=np.int64),
        output=Path("runs/x"),
    )
    page = write(report, tmp_path / "new")
    assert page == tmp_path / "new" / "report.html"
    files = sorted(path.name for path in page.parent.iterdir())
    assert files == ["MODEL_CARD.md", "report.html", "report.json"]
    read = json.loads(
        (tmp_path / "new" / "report.json").read_text("utf-8"), parse_constant=pytest.fail
    )
    assert read["confusion"] == np.eye(10, dtype=int).tolist()
    assert (
        read["networks"][0]["top1"] == 93.5
        and read["networks"][0]["top5"] is None
        and read["output"] == "runs/x"
    )
    assert render(from_json(read)) == page.read_text("utf-8")
    assert render(sample()) == render(from_json(json.loads(json.dumps(sample_report()))))


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    write(sample(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(
        StorageError,
        match=r"report.json: cannot write it \(No space left on device\); free some space or "
        "choose another folder$",
    ):
        write(Report(recipe="other"), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_text_that_is_not_unicode_does_not_stop_the_report(tmp_path):
    assert b"caf\\udce9" in write(Report(recipe="caf\udce9"), tmp_path).read_bytes()
    assert json.loads((tmp_path / "report.json").read_text("utf-8"))["recipe"].startswith("caf")


def test_write_changes_nothing_in_the_report(tmp_path):
    report, untouched = sample(), copy.deepcopy(sample())
    write(report, tmp_path)
    assert report == untouched


def test_the_summary_names_the_outcome(capsys):
    report = sample_report()
    report["gates"][1]["says"] = "[red]literal"
    print_summary(from_json(report))
    printed = capsys.readouterr().out
    for part in (
        "ctrgcn_lite_dml: passed",
        "✓ size: 2.68 MB of 10.00 MB",
        "[red]literal",
        "Teacher ctrgcn",
        "Store weights as",
        "Paddle Inference *",
        "21.40",
        "Deployed folder: 2.68 MB of 10.00 MB (baseline export 11.63 MB)",
    ):
        assert part in printed, part


def test_plain_values():
    values = (np.float32(0.5), np.nan, {np.int8(3)}, Path("a"), True, None)
    assert encode({1: values}) == {"1": [0.5, None, [3], "a", True, None]}


def test_words_for_numbers():
    assert [short_count(n) for n in (None, 12, 1500, 1_456_789, 2.5e9)] == [
        "–",
        "12",
        "1.50 k",
        "1.46 M",
        "2.50 G",
    ]
    seconds = {
        None: "–",
        0.44: "0.4 s",
        59: "59.0 s",
        60: "1 min",
        3725: "1 h 2 min",
        7199: "2 h 0 min",
    }
    assert {one: duration(one) for one in seconds} == seconds
    assert [size(n) for n in (None, float("nan"), 10)] == ["–", "–", "10 B"]
    assert [decimals(n, 2, " s") for n in (None, True, "1", 1.005, 1234.5)] == [
        "–",
        "–",
        "–",
        "1.00 s",
        "1,234.50 s",
    ]


def test_settings_leave_out_what_is_unset():
    values = {
        "epochs": 65,
        "lr": 0.1,
        "dml": {"weight": 1.0, "freeze": True},
        "ema": None,
        "on": [],
        "drop": ["l8", "l10"],
    }
    assert settings(values) == "epochs 65 · lr 0.1 · dml.weight 1 · dml.freeze True · drop l8, l10"


@pytest.mark.parametrize("name", ["ONNX Runtime, baseline export", "baseline export, ONNX Runtime"])
def test_the_speed_gain_is_against_the_baseline_export_in_the_same_runtime(name):
    report = sample_report()
    report["runtimes"][-1]["name"] = name
    tiles = view_of(from_json(report)).tiles
    assert tiles.fastest.name == "ONNX Runtime" and tiles.faster == pytest.approx(47.9 / 21.4)


def smaller(report: dict) -> float:
    return view_of(from_json(report)).tiles.smaller


def test_the_size_gain_compares_the_formats_that_are_deployed():
    report = sample_report()
    report["baseline_export"]["bytes"] = 1  # of some of the files only
    assert smaller(report) == pytest.approx(11_630_000 / 2_684_380, rel=1e-3)
    report["budget"]["files"] = [
        file for file in report["budget"]["files"] if not file["file"].endswith(".onnx")
    ]
    report["budget"]["total_bytes"] = 1_000_000
    assert smaller(report) == pytest.approx(5.93)
    report["baseline_export"] = {"bytes": 3_000_000}
    assert smaller(report) == pytest.approx(3.0)


def test_missing_and_steps():
    assert missing(sample()) == [] and missing(Report()) == list(SECTIONS.values())
    assert steps(Report()) == ()
    assert steps(Report(networks=(NetworkRow("teacher", "x"),))) == ()
    assert [row.title for row in steps(sample())][:2] == [
        "Teacher ctrgcn",
        "Remove blocks l8 and l10",
    ]


@pytest.mark.parametrize(
    "low, high, expected",
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (3, 97, [20, 40, 60, 80]),
        (5, 5, [5]),
        (0.0001, 0.0009, [0.0002, 0.0004, 0.0006, 0.0008]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_tick_labels():
    labels = {0: "0", 0.1: "0.1", 0.0001: "0.0001", 0.00005: "5e-5", 1e6: "1e6", 93.75: "93.75"}
    assert {value: tick_label(value) for value in labels} == labels


def test_a_line_chart_leaves_gaps_where_nothing_was_recorded():
    svg = line_chart("loss", [Series("<loss>", ((1, 2.0), (2, 1.0), (3, None), (4, 0.5)))])
    assert (
        svg.count("<polyline") == 2
        and "&lt;loss&gt;" in svg
        and "None" not in svg
        and "nan" not in svg
    )
    assert line_chart("loss", [Series("loss", ((1, None),))]) == "" and line_chart("loss", []) == ""


def test_a_line_stays_inside_the_chart():
    svg = line_chart("loss", [Series("loss", tuple((n, (-1) ** n * 10.0**n) for n in range(1, 9)))])
    (points,) = re.findall(r'points="([^"]+)"', svg)
    pairs = [tuple(map(float, pair.split(","))) for pair in points.split()]
    assert all(40 <= x <= 352 and 8 <= y <= 180 for x, y in pairs)
    assert len(pairs) == 8


def test_the_networks_of_an_ensemble_and_the_input_are_shown():
    report = sample_report()
    report["members"] = [
        {
            "role": f"teacher {number}",
            "name": f"teacher {number}: ctrgcn, {stream}",
            "weight": weight,
            "params": 1_400_000,
            "top1": top1,
            "top5": 99.0,
            "class_mean": 90.0,
            "origin": "trained",
        }
        for number, (stream, weight, top1) in enumerate(
            (("joint stream", 0.6, 91.25), ("bone stream", 0.4, 92.5)), start=1
        )
    ]
    text = Page(render(from_json(report))).text
    for part in (
        "Networks of the teacher",
        "teacher 2: ctrgcn, bone stream",
        "0.4",
        "92.50",
        "together",
        "min_max_sample, 3 × 52 × 20 × 1",
    ):
        assert part in text, part
    assert "Networks of the teacher" not in Page(render(sample())).text


def test_a_finished_run_without_steps_lacks_nothing():
    report = sample_report()
    report["steps"] = report["curves"] = []
    assert missing(from_json(report)) == []
    assert "the compression steps" in missing(from_json(report | {"exit_code": None}))
