"""`featherbone compare`: what is read of runs, and what of it can be claimed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_folders import answer, changed, last_line, make, report_of

from compress import cli
from compress.data.dataset import Split
from compress.evaluation.record import Paired
from compress.reporting.record import Delivered
from compress.reporting.runs import answers, points, reading, summary
from compress.reporting.runs.classes import classes
from compress.reporting.runs.curves import groups
from compress.reporting.runs.recipes import recipes
from compress.reporting.runs.rows import table_of
from teachers.errors import DataError

OLDER = Path(__file__).resolve().parents[1] / "benchmarks/results/nw_ucla_xeon2_paddle2.6.2"
NAME = "report.json"


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_dataset) -> list[Path]:
    """A float run, one of half its bytes that has three clips more wrong, and one that failed."""
    place = tmp_path_factory.mktemp("place")
    first = report_of(tiny_dataset, recipe="float32")
    half = changed(first, after__bytes=1_342_190, after__top1=91.0, after__p50_ms=10.7)
    failed = {"schema_version": 1, "recipe": "failed", "status": "failed: why", "exit_code": 1}
    folders = [
        make(place / "float32", first),
        make(place / "half", half | {"recipe": "half"}),
        make(place / "failed", failed),
    ]
    answer(folders[0], tiny_dataset, {"ONNX Runtime": [0], "Paddle Inference": [0]})
    answer(folders[1], tiny_dataset, {"ONNX Runtime": [1, 4, 7, 10, 13], "Paddle Inference": []})
    return folders


def compared(folders):
    found = reading.read_all(folders)
    return found, answers.of(found)


def test_the_front_is_what_nothing_beats():
    cost_and_accuracy = [(1, 80), (2, 90), (2, 85), (3, 90), (4, 95), (1, 80)]
    front = points.on_front(cost_and_accuracy)
    assert front == [True, True, False, False, True, True]


def test_holm_raises_p_by_the_number_of_tests_left():
    assert answers.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert answers.holm([0.9, 0.8]) == [1.0, 1.0]
    assert answers.holm([]) == []


def test_size_speed_and_accuracy_in_words():
    old = Delivered("a", 90.0, 4_000_000, runtime="ONNX Runtime", p50_ms=20.0, spread_ms=1.0)
    new = Delivered("b", 89.5, 1_000_000, runtime="ONNX Runtime", p50_ms=10.0, spread_ms=1.0)
    said = [(part.says, part.state) for part in summary.changes(old, new)]
    assert said == [
        ("4.0 times smaller", "better"),
        ("2.0 times faster", "better"),
        ("0.50 points less accurate", "worse"),
    ]
    back = [part.says for part in summary.changes(new, old)]
    assert back == ["4.0 times larger", "2.0 times slower", "0.50 points more accurate"]


@pytest.mark.parametrize(
    "change, says",
    [
        # Timed elsewhere, in another runtime, or too close to tell.
        ({"runtime": "Paddle Inference"}, None),
        ({"p50_ms": 19.5}, "not distinguishable in speed"),
        ({"p50_ms": None}, None),
    ],
)
def test_no_speed_is_claimed_that_was_not_measured(change, says):
    old = Delivered("a", 90.0, 10, runtime="ONNX Runtime", p50_ms=20.0, spread_ms=1.0)
    new = replace(old, **{"p50_ms": 10.0} | change)
    said = [part.says for part in summary.changes(old, new)]
    assert said == [text for text in ("about as large", says, "as accurate") if text]
    timed_elsewhere = summary.changes(old, replace(old, p50_ms=10.0), alike=False)
    assert [part.says for part in timed_elsewhere] == ["about as large", "as accurate"]


def test_a_test_in_words():
    assert (
        summary.in_words(Paired(1, 8, 0.039))
        == "1 clip gained, 8 lost, p = 0.039: more than chance"
    )
    assert summary.in_words(Paired(2, 3, 1.0)) == "2 clips gained, 3 lost, p = 1: may be chance"
    assert "every clip" in summary.in_words(Paired(0, 0, 1.0))


def test_runs_are_paired_clip_by_clip(runs):
    found, kept = compared(runs)
    table = table_of(found, kept)
    by_file = {(Path(row.run).name, row.runtime): row for row in table.rows}
    # The first row is Paddle Inference of the first run, with clip 0 wrong.
    half = by_file["half", "ONNX Runtime"]
    assert (half.gained, half.lost, half.p) == (1, 5, 0.21875)
    assert by_file["float32", "Paddle Inference"].p is None
    assert by_file["failed", None].top1 is None
    top = summary.summaries(found, kept, ["", "", ""])
    assert top[1].tested == "1 clip gained, 5 lost, p = 0.22: may be chance"
    assert [each.best for each in top] == [("most accurate",), ("smallest", "fastest"), ()]
    assert top[2].verdict.says == "why" and not top[2].figures


def test_classes_are_tested_where_both_runs_kept_their_answers(runs):
    found, kept = compared(runs)
    shown = classes(found, kept)
    # Clips 1, 4, 7, 10 and 13 are all of class two; clip 0 is of class one.
    rows = {row.name: row for row in shown.shown}
    assert shown.heads == ((2, "half"),) and shown.untested == ()
    assert rows["two"].cells[0].paired == Paired(0, 5, 0.0625)
    assert (rows["two"].base, rows["two"].cells[0].change) == (100.0, -100.0)
    assert rows["one"].cells[0].change == pytest.approx(20) and shown.shown[0].name == "two"
    # 3 x 0.0625 is no difference, though it is the least that five clips can give.
    assert shown.clear == 0


@pytest.mark.parametrize("lost, p, clear", [(6, 0.03125, 0), (10, 0.001953125, 1)])
def test_p_is_raised_for_the_number_of_classes(tmp_path, tiny_dataset, lost, p, clear):
    labels = np.repeat(np.arange(3), 10)
    names = tuple(f"clip{number}" for number in range(30))
    larger = replace(tiny_dataset, val=Split(names, [None] * 30, labels))
    folders = [make(tmp_path / name, report_of(tiny_dataset)) for name in "ab"]
    answer(folders[0], larger, {"ONNX Runtime": []})
    answer(folders[1], larger, {"ONNX Runtime": list(range(lost))})
    shown = classes(*compared(folders))
    assert shown.shown[0].cells[0].paired == Paired(0, lost, p)
    assert shown.clear == clear and shown.shown[0].cells[0].clear == bool(clear)


def test_without_answers_classes_are_the_reports_and_no_test_is_claimed(tmp_path, tiny_dataset):
    first = report_of(tiny_dataset)
    second = report_of(tiny_dataset)
    second["per_class"][0]["student"] = first["per_class"][0]["student"] - 12.5
    folders = [make(tmp_path / "a", first), make(tmp_path / "b", second)]
    found, kept = compared(folders)
    shown = classes(found, kept)
    assert shown.untested == ("b",)
    assert shown.shown[0].cells[0].change == -12.5 and shown.shown[0].cells[0].paired is None
    (note,) = table_of(found, kept).notes
    assert note == "a, b: kept no answers (scores.npz); no paired test of accuracy"


def test_answers_to_other_clips_are_not_paired(tmp_path, tiny_dataset):
    folders = [make(tmp_path / name, report_of(tiny_dataset)) for name in "abc"]
    fewer = replace(tiny_dataset, val=replace(tiny_dataset.val, names=tuple("qwertyuiopasdf")))
    answer(folders[0], tiny_dataset, {"ONNX Runtime": []})
    answer(folders[1], fewer, {"ONNX Runtime": []})
    (folders[2] / "scores.npz").write_bytes(b"no archive")
    problems = [each.problem for each in compared(folders)[1]]
    assert problems[0] == "" and problems[1] == "was judged on other clips than the first run"
    assert "scores.npz" in problems[2]


def test_several_seeds_stand_for_their_mean(tmp_path, tiny_dataset):
    rows = [
        {"seed": seed, "folder": f"seed{seed}", "status": "ok", "exit_code": 0, "total_bytes": size}
        for seed, size in ((1, 2_000_000), (2, 1_342_190))
    ]
    mean = {"mean": 92.47, "deviation": 1.0, "lowest": 91.5, "highest": 93.5}
    content = {
        "schema_version": 1,
        "recipe": "three",
        "status": "ok",
        "seeds": {"data_seed": 1, "rows": rows, "top1": mean},
    }
    folders = [make(tmp_path / "a", report_of(tiny_dataset)), make(tmp_path / "b", content)]
    found, kept = compared(folders)
    top = summary.summaries(found, kept, ["", ""])
    said = [part.says for part in top[1].against_first]
    assert said == ["1.3 times smaller", "1.50 points less accurate"]
    assert "its figures are means over seeds" in " ".join(table_of(found, kept).notes)


def test_no_accuracy_is_compared_across_data_sets(tmp_path, tiny_dataset, capsys):
    first = report_of(tiny_dataset)
    folders = [
        make(tmp_path / "a", first),
        make(tmp_path / "b", changed(first, data__name="ntu", after__bytes=1_342_190)),
    ]
    found, kept = compared(folders)
    top = summary.summaries(found, kept, ["", ""])
    said = [part.says for part in top[1].against_first]
    assert said == ["2.0 times smaller", "not distinguishable in speed"]
    assert top[1].tested == "its accuracy is of other clips"
    assert [each.best for each in top] == [(), ("smallest",)]
    assert classes(found, kept) is None
    for scatter in points.scatters(found):
        assert {point.run for point in scatter.points if point.front} == {0}
    assert table_of(found, kept).notes[0] == (
        "b: judged on other clips than a, and not comparable in accuracy"
    )


def test_answers_are_put_into_the_first_runs_order(tmp_path, tiny_dataset):
    folders = [make(tmp_path / name, report_of(tiny_dataset)) for name in "ab"]
    turned = tiny_dataset.val
    back = list(range(len(turned)))[::-1]
    turned = replace(turned, names=tuple(turned.names[k] for k in back), labels=turned.labels[back])
    answer(folders[0], tiny_dataset, {"ONNX Runtime": [2]})
    # The same clip, counted from the other end.
    answer(folders[1], replace(tiny_dataset, val=turned), {"ONNX Runtime": [len(back) - 3]})
    _, (first, second) = compared(folders)
    found = answers.pair(first, "ONNX Runtime", second, "ONNX Runtime")
    assert (found.gained, found.lost) == (0, 0)


def effective(steps: list) -> dict:
    return {"name": "x", "seed": 1, "steps": steps}


def test_recipes_differ_key_by_key_whatever_the_place_of_a_step(tmp_path):
    train = {"train": {"epochs": 3, "lr": 1e-4, "ema": None, "enabled": True}}
    longer = {"train": {"epochs": 5, "lr": 1e-4, "ema": None, "enabled": True}}
    prune = {"prune_layers": {"drop": ["l10"], "enabled": True}}
    for name, steps in (("a", [train]), ("b", [prune, longer])):
        content = {
            "schema_version": 1,
            "recipe": name,
            "networks": [],
            "provenance": {"effective": effective(steps)},
        }
        (tmp_path / name).mkdir()
        (tmp_path / name / NAME).write_text(json.dumps(content))
    shown = recipes([reading.read(tmp_path / name) for name in "ab"])
    differing = {key.name: key.values for key in shown.differing}
    assert differing == {
        "steps": ("train", "prune_layers → train"),
        "steps.train.epochs": ("3", "5"),
        "steps.prune_layers": ("–", "drop l10"),
    }
    assert {key.name: key.values for key in shown.alike} == {
        "name": ("x", "x"),
        "seed": ("1", "1"),
        "steps.train.lr": ("0.0001", "0.0001"),
        "steps.train.ema": ("null", "null"),
    }
    assert all(key.differs == (False, True) for key in shown.differing)


def test_curves_of_one_training_share_a_chart_and_a_run_keeps_its_colour(runs):
    found, _ = compared([runs[2], *runs[:2]])
    shown = groups(found)
    assert [group.title for group in shown] == ["teacher", "student"]
    # The run without curves is first, and its line is there, empty.
    assert shown[0].runs == (1, 2) and shown[0].shared == 2
    chart = shown[0].charts[0]
    assert '<g class="s0"><title>1 failed</title></g>' in chart
    assert '<g class="s1"><title>2 float32</title><polyline' in chart


def test_a_step_is_the_same_training_under_another_number(tmp_path, tiny_dataset):
    first = report_of(tiny_dataset)
    first["curves"][1]["title"] = "step 2: train"
    second = report_of(tiny_dataset)
    second["curves"][1]["title"] = "step 1: train"
    second["curves"][1]["epochs"].pop()
    found, _ = compared([make(tmp_path / "a", first), make(tmp_path / "b", second)])
    shown = groups(found)
    assert [(group.title, group.runs, group.shared) for group in shown] == [
        ("teacher", (0, 1), 2),
        ("train", (0, 1), 0),
    ]


def test_a_run_without_a_report_is_read_from_its_recipe(tmp_path):
    (tmp_path / "recipe.json").write_text(json.dumps(effective([])))
    run = reading.read(tmp_path)
    assert run.report.status == reading.UNFINISHED
    assert run.report.provenance.effective["seed"] == 1


@pytest.mark.parametrize(
    "content, problem",
    [
        (None, "no such file"),
        ("{}", "another JSON file"),
        ("[]", "another JSON file"),
        ("not json", "not JSON"),
        ('{"schema_version": 1, "recipe": "x", "networks": [], "odd": 1}', "odd"),
        ('{"schema_version": 1, "recipe": 5, "networks": []}', "recipe"),
        (
            f'{{"schema_version": 1, "recipe": "x", "networks": [], "exit_code": {2**63}}}',
            "64 bits",
        ),
        (
            f'{{"schema_version": "{"a" * 999}", "recipe": "x", "networks": []}}',
            "schema_version is",
        ),
        ('{"recipe": "x", "networks": [{"role": "student"}]}', "name"),
        ('{"recipe": "x", "networks": "many"}', "expected a list"),
    ],
)
def test_what_is_no_run_is_named_with_the_fix(content, problem, tmp_path, capsys):
    if content is not None:
        (tmp_path / NAME).write_text(content)
    assert cli.main(["compare", str(tmp_path), "--output", str(tmp_path / "page.html")]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert problem in said and "give a run's folder" in said and len(said) < 900
    assert not (tmp_path / "page.html").exists()


def test_one_run_twice_and_too_many_are_refused(runs):
    with pytest.raises(DataError, match="given twice"):
        reading.read_all([runs[0], runs[0] / NAME])
    with pytest.raises(DataError, match="at most 24"):
        reading.read_all([runs[0]] * 25)


def test_an_older_release_gives_its_figures(tmp_path, capsys):
    report = json.loads((OLDER / NAME).read_text())
    report["networks"][0]["top1"] += 1
    report["provenance"]["hardware"]["cpu"] = "another"
    stopped = {"recipe": "stopped", "status": "interrupted", "networks": []}
    for name, content in (("changed", report), ("stopped", stopped)):
        (tmp_path / name).mkdir()
        (tmp_path / name / NAME).write_text(json.dumps(content))
    given = [str(OLDER), str(tmp_path / "changed" / NAME), str(tmp_path / "stopped")]
    assert cli.main(["compare", *given, "--output", str(tmp_path / "page.html")]) == 0
    last = last_line(capsys.readouterr().out)
    rows = last["rows"]
    assert [row["runtime"] for row in rows] == [
        "Paddle Inference",
        "ONNX Runtime",
        "Paddle Inference",
        "ONNX Runtime",
        None,
    ]
    assert rows[0]["top1"] == rows[0]["student_top1"] == pytest.approx(91.5948, 1e-4)
    assert rows[2]["teacher_top1"] == rows[0]["teacher_top1"] + 1
    assert "older release" in last["notes"][0] and "CPUs" in last["notes"][1]


def test_alike_latencies_are_told_and_the_change_is_signed(tmp_path, capsys):
    report = json.loads((OLDER / NAME).read_text())
    for row in report["runtimes"]:
        row["spread_ms"] = 0.1 * row["p50_ms"]
    other = json.loads(json.dumps(report))
    for row in other["runtimes"]:
        # Within the spread in one runtime, beyond it in the other.
        row["p50_ms"] *= 1.05 if row["name"] == "ONNX Runtime" else 2.0
    for name, content in (("a", report), ("b", other)):
        (tmp_path / name).mkdir()
        (tmp_path / name / NAME).write_text(json.dumps(content))
    given = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert cli.main(["compare", *given]) == 0
    printed = capsys.readouterr().out
    alike = f"ONNX Runtime: the latencies of {given[0]} and {given[1]} are not distinguishable"
    assert [n for n in last_line(printed)["notes"] if "distinguishable" in n] == [alike]
    # The student of this run is 1.29 points better than its teacher.
    assert "+1.29" in printed and "-1.29" not in printed


def test_the_table_has_room_in_80_letters(runs, capsys):
    assert cli.main(["compare", *map(str, runs)]) == 0
    lines = capsys.readouterr().out.splitlines()
    (head,) = [line for line in lines if line.startswith("run  runtime")]
    assert len(head) <= 80 and "folder" in head
    last = json.loads(lines[-1])
    assert Path(last["page"]) == runs[0].parent / "comparison.html"
    assert Path(last["index"]) == runs[0].parent / "index.html"
    assert Path(last["page"]).is_file() and Path(last["index"]).is_file()


def test_the_former_spelling_names_the_new_command(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["compare", "runs/a", "--with", "paddleslim_ptq"])
    assert stopped.value.code == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "featherbone rivals runs/a --with paddleslim_ptq" in said


def test_rivals_need_a_tool(capsys):
    with pytest.raises(SystemExit):
        cli.main(["rivals", "runs/a"])
    assert "--with" in capsys.readouterr().err
