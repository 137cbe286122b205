"""Runs side by side on one page and in one table: what each delivers, in every runtime, and how it
differs from the first.

Run: featherbone compare runs/ctrgcn_lite_dml runs/ctrgcn_lite_dml_int8 [...]

A RUN is a run's folder or its report.json. The page is comparison.html in the folder that holds the
runs, whose index.html is brought up to date; of runs in several folders it is in the current one. The
last line of stdout is JSON.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from compress.reporting import wording
from compress.reporting.runs import answers as clips, files, index
from compress.reporting.runs.page import render
from compress.reporting.runs.reading import Run, read_all
from compress.reporting.runs.rows import Row, table_of
from teachers.errors import FeatherboneError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say, show
from teachers.terminal.tables import Table

COMMAND = "featherbone compare"
PAGE = "comparison.html"


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    parser = Parser(prog=command, description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="a folder, or report.json"
    )
    parser.add_argument("--output", type=Path, help=f"the page (default: {PAGE} beside the runs)")
    # This command did that, too, and whoever still types it is told where it went.
    parser.add_argument("--with", dest="tools", action="append", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.tools:
        tools = " ".join(f"--with {tool}" for tool in options.tools)
        named = " ".join(map(str, options.runs))
        parser.error(f"--with is another command now: featherbone rivals {named} {tools}")
    runs = read_all(options.runs)
    answers = clips.of(runs)
    table = table_of(runs, answers)
    holder = _holder(runs)
    page = options.output or (holder or Path()) / PAGE
    files.write(page, render(runs, answers, table, page.absolute().parent))
    _print(table.rows)
    notes = [*table.notes, *table.findings]
    for note in notes:
        show(f"note: {note}")
    show(f"page: {page}")
    listed = _index(holder)
    ending.print_last_line(
        {
            "rows": [asdict(row) for row in table.rows],
            "notes": notes,
            "page": str(page),
            "index": str(listed) if listed else None,
        }
    )
    return 0


def _holder(runs: Sequence[Run]) -> Path | None:
    """The folder that holds all runs; None: they lie in several."""
    folders = {run.folder.absolute().parent: run.folder.parent for run in runs}
    return next(iter(folders.values())) if len(folders) == 1 else None


def _index(holder: Path | None) -> Path | None:
    """The index of the runs' folder, brought up to date; None: there is none."""
    if holder is None:
        return None
    try:
        listed = index.write(holder)
    except FeatherboneError as problem:
        say(f"note: {problem}")
        return None
    show(f"index: {listed}")
    return listed


def _print(table: Sequence[Row]) -> None:
    # Folders have a line of their own: beside eight numbers a path would be cut in a terminal.
    numbers: dict[str, int] = {}
    for row in table:
        if row.run not in numbers:
            numbers[row.run] = len(numbers) + 1
            show(f"run {numbers[row.run]}: {row.run} ({row.recipe}, {row.status})")
    shown = []
    for row in table:
        # Unknown, not 0: a run that was stopped must not look lossless.
        change = wording.difference(row.top1, row.teacher_top1)
        cells = (
            str(numbers[row.run]),
            row.runtime or "–",
            wording.short_count(row.params),
            wording.decimals(row.top1, 2),
            wording.UNKNOWN if change is None else f"{change:+.2f}",
            wording.decimals(row.p50_ms, 2),
            wording.size(row.bytes),
            wording.size(row.total_bytes),
        )
        shown.append(cells)
    # "change" counts from the teacher. No more columns: these have room in 80 letters.
    columns = ("run", "runtime", "params", "top-1", "change", "p50 ms", "size", "folder")
    show(Table(columns, shown, names=2))
