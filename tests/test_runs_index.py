"""The list of a folder's runs: kept up to date by each run, and never the reason why one fails."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from report_page import Page, text_of, within
from run_folders import changed, make, report_of

from compress.process import lock
from compress.reporting.runs import index


def rows(folder: Path) -> list[str]:
    shown = Page((folder / index.NAME).read_text("utf-8"))
    (body,) = shown.all("tbody")
    return [text_of(row) for row in within(body, "tr")]


@pytest.fixture
def runs(tmp_path, tiny_dataset) -> Path:
    """A folder called runs, of two runs and other things."""
    folder = tmp_path / "runs"
    first = changed(report_of(tiny_dataset), provenance__started="2026-01-02T10:00:00+00:00")
    second = changed(first, provenance__started="2026-01-03T10:00:00+00:00", after__bytes=1_000_000)
    make(folder / "older", first)
    make(folder / "newer", second)
    (folder / "teachers").mkdir()
    (folder / "notes.txt").write_text("mine")
    return folder


def test_the_newest_run_is_first_with_its_figures(runs):
    index.after_run(runs / "newer")
    newer, older = rows(runs)
    assert newer.startswith("newer ctrgcn_lite_dml passed 93.97 → 93.97 11.24 MB → 1.00 MB")
    assert "2026-01-03 10:00" in newer and older.startswith("older")
    page = Page((runs / index.NAME).read_text("utf-8"))
    links = [value for name, value in page.attributes if name == "href" and value[0] != "#"]
    assert links == ["all.html", "newer/report.html", "older/report.html"]
    # The oldest is what the others are compared with.
    assert "Against 1 older: 2.7 times smaller" in Page((runs / index.ALL).read_text("utf-8")).text


def test_a_run_that_is_under_way_or_cannot_be_read_is_named(runs):
    for name, file, content in (
        ("begun", "recipe.json", '{"seed": 1}'),
        ("broken", "report.json", "{"),
    ):
        (runs / name).mkdir()
        (runs / name / file).write_text(content)
    index.write(runs)
    assert len(rows(runs)) == 3 and any("begun" in row and "no report" in row for row in rows(runs))
    page = Page((runs / index.NAME).read_text("utf-8"))
    assert "broken/report.json: not JSON" in page.text


def test_another_folder_has_an_index_only_once_it_was_asked_for(runs):
    elsewhere = runs.rename(runs.parent / "elsewhere")
    index.after_run(elsewhere / "older")
    assert not (elsewhere / index.NAME).exists()
    index.write(elsewhere)
    (elsewhere / "newer" / "report.json").unlink()
    index.after_run(elsewhere / "older")
    assert len(rows(elsewhere)) == 1


def test_somebody_elses_page_stays_and_the_run_goes_on(runs, capsys):
    (runs / index.NAME).write_text("my page")
    index.after_run(runs / "older")
    assert (runs / index.NAME).read_text() == "my page"
    assert "was not brought up to date" in capsys.readouterr().err


@pytest.mark.parametrize("problem", [OSError("disk"), RuntimeError("a mistake"), MemoryError()])
def test_no_problem_ends_a_run(runs, monkeypatch, capsys, problem):
    def fail(*_):
        raise problem

    monkeypatch.setattr(index, "_runs", fail)
    index.after_run(runs / "older")
    assert "was not brought up to date" in capsys.readouterr().err


def test_whoever_holds_the_lock_for_long_is_not_waited_for(runs, monkeypatch, capsys):
    monkeypatch.setattr(index, "PATIENCE_SECONDS", 0.3)
    with lock.hold(runs / index.LOCK, "wait"):
        index.after_run(runs / "older")
    assert "is working in it" in capsys.readouterr().err
    assert not (runs / index.NAME).exists()


def _run_ends(folder: Path, content: dict) -> None:
    make(folder, content)
    index.after_run(folder)


def test_of_runs_that_end_together_all_are_listed(runs, tiny_dataset):
    content = report_of(tiny_dataset)
    fork = multiprocessing.get_context("fork")
    ends = [
        fork.Process(target=_run_ends, args=(runs / f"at once {number}", content))
        for number in range(4)
    ]
    for each in ends:
        each.start()
    for each in ends:
        each.join(60)
    assert [each.exitcode for each in ends] == [0, 0, 0, 0]
    assert len(rows(runs)) == 6
    assert not (runs / index.LOCK).exists()


def test_a_run_keeps_the_index_whatever_becomes_of_it(tmp_path, monkeypatch):
    from compress import run

    monkeypatch.chdir(tmp_path)
    arguments = ["--recipe", "stgcn", "-o", "teacher.weights=nosuch.npz"]
    assert run.main([*arguments, "-o", "data.train_clips=12", "-o", "data.val_clips=12"]) == 1
    (row,) = rows(tmp_path / "runs")
    assert row.startswith("stgcn stgcn failed")
