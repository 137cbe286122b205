"""What stands on the terminal: on a pseudo-terminal of 80 and 40 columns, in a pipe, in encodings
that lack our signs, and in run.log."""

from __future__ import annotations

import io
import json
import sys
import textwrap
from pathlib import Path

import pty_screen
import pytest
from rich.console import Console
from rich.text import Text

from compress.training.epoch_lines import EpochLines
from teachers.errors import DataError
from teachers.terminal import ending, output
from teachers.terminal.tables import Table

ROOT = Path(__file__).resolve().parents[1]
TINY = [
    "-o=data.train_clips=36",
    "-o=data.val_clips=12",
    "-o=teacher.width=8",
    "-o=teacher.train.epochs=1",
    "-o=teacher.train.warmup_epochs=0",
    "-o=steps.train.epochs=1",
    "-o=steps.train.warmup_epochs=0",
    "-o=budget.max_top1_drop=100",
]
RUN = [sys.executable, str(ROOT / "compress/run.py"), "--recipe=ctrgcn_lite_dml", "--device=cpu"]
# Everything that moves, without the seconds that Paddle takes to load.
PROGRESS = """
    import sys, time
    sys.path.insert(0, sys.argv[1])
    from compress.process import console
    from teachers.terminal import ending, output
    with console.reading() as progress:
        for done in range(1, 721):
            progress(done, 720, "generating clips")
        for done in range(1, 31):
            progress(done, 30, "a second part whose name is longer than a narrow terminal")
    task = console.Task("teacher", 16)
    with console.bar("judging", 240) as advance:
        for _ in range(24):
            task.update(0.5, "1/16  loss 0.812  top-1 91.2%  41 clips/s")
            advance(10)
            output.say("a line in between")
    task.close()
    task.close()
    output.show("\\u2713 done \\u2013 100 %")
    ending.print_last_line({"status": "ok"})
"""


def program(source: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(source), str(ROOT), *arguments]


@pytest.mark.parametrize("columns", [80, 40])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "gbk"])
def test_bars_leave_the_lines_alone(columns, encoding):
    ended = pty_screen.run(program(PROGRESS), columns, encoding)
    assert ended.code == 0, ended.screen.text
    sign, dash = ("✓", "–") if encoding == "utf-8" else ("+", "-")
    if encoding == "gbk":
        dash = "–"  # which GBK has
    assert ended.screen.text.splitlines() == ["a line in between"] * 24 + [
        f"{sign} done {dash} 100 %"
    ]
    assert ended.screen.wrapped == []
    # They were there, and moved.
    assert "generating clips" in ended.output and "judging" in ended.output
    assert len(ended.output) < 60_000


def test_bars_are_no_lines_of_their_own_in_a_pipe(capsys, monkeypatch):
    from compress.process import console

    clock = iter(float(second) for second in range(0, 10_000, 7))
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.bar("judging", 40) as advance:
        for _ in range(40):
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("judging: 40 clips in ")
    # One in 30 seconds, not one a clip: the clock goes on by 7 at every look.
    assert 5 < len(lines) < 30
    assert lines[0].startswith("judging: ") and "/40 clips, " in lines[0]


def test_force_color_makes_no_bars_in_a_pipe(monkeypatch, capsys):
    from compress.process import console

    monkeypatch.setattr(output, "err", Console(stderr=True, force_terminal=True))
    monkeypatch.setattr(console, "err", output.err)
    with console.bar("judging", 2) as advance:
        advance(2)
    assert "\x1b[2K" not in capsys.readouterr().err


@pytest.mark.parametrize("wanted", [(), ("--json",)])
def test_json_is_for_programs(wanted):
    on_terminal = pty_screen.run(program(PROGRESS, *wanted)).screen.text.splitlines()[-1]
    assert (on_terminal == '{"status": "ok"}') == bool(wanted)


def test_json_is_always_the_last_line_in_a_pipe(capsys):
    ending.print_last_line({"status": "ok"})
    assert json.loads(capsys.readouterr().out) == {"status": "ok"}


COLUMNS = ("target", "top-1", "class mean", "agreement", "rel. diff.", "p50 ms", "p95 ms", "size")
ROWS = [
    ("runs/a_long_name_of_a_run/deploy/model.pdmodel", *["12.25", "34.5", "1.0000", "4e-07", "7.5", "8.5"], "1.61 MB"),
    ("b", *["100.00", "100.00", "0.9957", "1e-01", "123.4", "234.5"], "10.00 MB"),
]  # fmt: skip


def printed(table: Table, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(table)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [200, 100, 80, 60, 40, 30])
def test_tables_fit_and_lose_nothing(width):
    lines = printed(Table(COLUMNS, ROWS, "A title"), width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    for row in ROWS:
        for cell in row[1:-1]:
            assert cell in words, cell
    joined = "".join("".join(lines).split())
    assert "".join(ROWS[0][0].split())[:12] in joined and "…" not in joined


def test_a_table_without_rows_prints_nothing():
    assert printed(Table(COLUMNS, [], "A title"), 80) == []


def test_cells_are_no_markup():
    lines = printed(Table(("name", "n"), [("[red]x", "1"), (Text("[b]"), "2")]), 80)
    assert [line.split() for line in lines] == [["name", "n"], ["[red]x", "1"], ["[b]", "2"]]


RECORD = {
    "epoch": 3,
    "train": {"loss": 4.0529, "student/top1": 19.44},
    "val": {"student/top1": 88.75, "student/top5": 99.5833, "student/loss": 0.9342},
}


def test_an_epoch_is_a_row_under_its_heading():
    lines = EpochLines("student", epochs=16, clips=240)
    assert [lines.heading(80), lines.row(RECORD, 41.23, 91.25, 80)] == [
        "epoch    loss  val loss   top-1         val top-1   top-5  clips/s    best",
        " 3/16  4.0529    0.9342   19.44   88.75 (213/240)   99.58     41.2   91.25",
    ]


@pytest.mark.parametrize("clips, epochs", [(12, 1), (240, 140), (16487, 140)])
@pytest.mark.parametrize("width", [80, 40, 20])
def test_epoch_lines_fit(width, clips, epochs):
    lines = EpochLines("student", epochs, clips)
    heading, row = lines.heading(width), lines.row(RECORD, 1234.5, 91.25, width)
    assert max(len(heading), len(row)) <= width
    assert heading.startswith("epoch") or heading.lstrip().startswith("epoch")
    if width == 80:
        assert "val loss" in heading and row.endswith("91.25")
    if width == 40:
        assert "val top-1" in heading and f"/{clips})" in row


def test_the_log_keeps_every_line_with_its_time(tmp_path, capsys):
    for number in range(2):
        with output.log_to(tmp_path / "run.log"):
            output.say(f"line {number} [red] of a run")
            output.show(Table(("a", "b"), [("x", "1")]))
            output.keep("only here")
    output.say("after it")
    lines = (tmp_path / "run.log").read_text(encoding="utf-8").splitlines()
    assert [line.split("  ", 1)[1] for line in lines] == [
        text
        for number in range(2)
        for text in (f"line {number} [red] of a run", "a  b", "x  1", "only here")
    ]
    assert all(line[:4].isdigit() and line[25:27] == "  " for line in lines)
    assert "only here" not in capsys.readouterr().err


def test_the_log_keeps_the_traceback_of_a_fault_and_no_other(tmp_path):
    for error in (ZeroDivisionError("a fault"), DataError("the user's")):
        with pytest.raises(type(error)), output.log_to(tmp_path / "run.log"):
            raise error
    text = (tmp_path / "run.log").read_text(encoding="utf-8")
    assert "ZeroDivisionError: a fault" in text and "the user's" not in text


def test_a_full_disk_ends_the_log_and_not_the_run(capsys):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    with output.log_to(Path("/dev/full")):
        output.say("first")
        output.say("second")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "first",
        "note: run.log cannot be written (No space left on device); the run goes on without",
        "second",
    ]


@pytest.mark.parametrize("columns, encoding", [(80, "ascii"), (40, "gbk")])
def test_a_plan_fits_the_terminal(columns, encoding, tmp_path):
    ended = pty_screen.run([*RUN, *TINY, "--dry-run"], columns, encoding, cwd=tmp_path)
    assert ended.code == 0, ended.screen.text
    assert ended.screen.wrapped == []
    text = ended.screen.text
    assert text.startswith("Plan of ctrgcn_lite_dml") and "{" not in text
    assert "44,182" in text and "run.log" in text


def whole_run(columns, encoding, folder):
    ended = pty_screen.run([*RUN, *TINY, "--output=out"], columns, encoding, cwd=folder)
    assert ended.code == 0, ended.screen.text
    screen = ended.screen
    assert screen.wrapped == []
    lines = screen.text.splitlines()
    assert lines[0].startswith("ctrgcn_lite_dml runs on cpu with ")
    for chatter in ("Executor", "Paddle2ONNX", "Warning", "W1", "I1", '{"status"'):
        assert chatter not in screen.text, chatter
    return lines


def test_a_run_on_a_terminal_of_80_columns(tmp_path):
    lines = whole_run(80, "utf-8", tmp_path)
    heading = next(line for line in lines if line.startswith("epoch"))
    row = lines[lines.index(heading) + 1]
    assert "val loss" in heading and row.split()[0] == "1/1" and "/12)" in row
    assert lines[-5:] == [
        "report   out/report.html",
        "deploy   out/deploy",
        "curves   visualdl --logdir out/curves --model out/deploy/model.onnx",
        "predict  python compress/predict.py out/deploy CLIP",
        "log      out/run.log",
    ]
    log = (tmp_path / "out" / "run.log").read_text(encoding="utf-8").splitlines()
    kept = [line.split("  ", 1)[1] for line in log]
    # Rows keep their place under the heading; bars are lines here.
    assert row in kept and lines[-1] in kept and any("12 clips in" in line for line in kept)
    assert not list((tmp_path / "out" / "deploy").glob("*.log"))


@pytest.mark.slow
@pytest.mark.parametrize("columns, encoding", [(40, "gbk"), (40, "utf-8"), (80, "ascii")])
def test_a_run_on_other_terminals(columns, encoding, tmp_path):
    whole_run(columns, encoding, tmp_path)
