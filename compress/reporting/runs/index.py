"""`index.html` of a folder that holds runs, and `all.html`, which compares them: written at the end of
each run, which they must never make fail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.process import lock
from compress.recipe import effective
from compress.reporting import wording
from compress.reporting.outcome import Verdict
from compress.reporting.runs import answers as clips, files
from compress.reporting.runs.facts import shipped, started, verdict_of
from compress.reporting.runs.page import link, render
from compress.reporting.runs.reading import MOST_RUNS, NAME as REPORT, Run, read
from compress.reporting.runs.rows import table_of
from teachers.errors import FeatherboneError
from teachers.terminal import interrupt
from teachers.terminal.output import say

NAME = "index.html"
ALL = "all.html"
# A folder called so is one of runs; another becomes one by `featherbone compare`.
USUAL = "runs"
LOCK = "index.lock"
# That another run's index may take; who waits longer leaves it to the next.
PATIENCE_SECONDS = 10.0
# Runs that are listed, the newest ones; and bytes of a report that is read for it.
MOST_LISTED = 300
LARGEST_REPORT = 20_000_000


@dataclass(frozen=True)
class Entry:
    """A run of the list; `figures` are (name, before, after, number to sort by)."""

    name: str
    link: str
    recipe: str
    verdict: Verdict
    figures: tuple[tuple[str, str, str, float | None], ...]
    started: str
    seconds: float | None


def after_run(folder: Path) -> None:
    """Bring the index beside a run's folder up to date, if it has one or the place is `runs/`;
    whatever goes wrong is said, and nothing more."""
    holder = folder.absolute().parent
    if holder.name != USUAL and not files.is_ours(holder / NAME):
        return
    try:
        # The run has ended, well or not: a signal now must not change how.
        with interrupt.held():
            write(holder)
    # Whatever it is: hours of work are done, and this page is made again by the next run.
    except Exception as problem:  # noqa: BLE001
        say(f"note: {holder / NAME} was not brought up to date: {problem}")


def write(folder: Path) -> Path:
    """Write both pages of a folder that holds runs; returns the index.

    Raises:
        BusyError: another process has been writing them for long.
        DataError: a file of somebody else has one of the names.
        StorageError: they cannot be written.
    """
    # Whoever comes second reads the runs when the first has written: the last one knows all.
    with lock.wait(folder / LOCK, PATIENCE_SECONDS):
        runs, problems = _runs(folder)
        compared = _comparable(runs)
        if len(compared) > 1:
            answers = clips.of(compared)
            table = table_of(compared, answers)
            files.write(folder / ALL, render(compared, answers, table, folder))
        values = {
            "title": f"{len(runs)} run{'' if len(runs) == 1 else 's'} in {folder.name}",
            "entries": [_entry(run, folder) for run in runs],
            "comparison": ALL if len(compared) > 1 else "",
            "compared": len(compared),
            "left_out": problems,
        }
        files.write(folder / NAME, files.rendered("index.html.j2", values))
    return folder / NAME


def _runs(folder: Path) -> tuple[list[Run], list[str]]:
    """(the newest runs of a folder, what of it cannot be listed)."""
    found = [path for path in folder.iterdir() if _is_run(path)]
    found.sort(key=_changed, reverse=True)
    problems = []
    if len(found) > MOST_LISTED:
        problems.append(f"{len(found) - MOST_LISTED} older runs are not listed.")
    runs = []
    for path in found[:MOST_LISTED]:
        try:
            runs.append(read(path, LARGEST_REPORT))
        except FeatherboneError as problem:
            problems.append(str(problem))
    runs.sort(key=_started, reverse=True)
    return runs, problems


def _is_run(path: Path) -> bool:
    return (path / REPORT).is_file() or (path / effective.NAME).is_file()


def _changed(path: Path) -> float:
    report = path / REPORT
    return (report if report.is_file() else path / effective.NAME).stat().st_mtime


def _started(run: Run) -> str:
    provenance = run.report.provenance
    return provenance.started if provenance is not None else ""


def _comparable(runs: Sequence[Run]) -> list[Run]:
    """The newest runs that delivered something, the oldest of them first: the others are compared
    with it."""
    delivered = [run for run in runs if shipped(run.report) is not None]
    return delivered[:MOST_RUNS][::-1]


def _entry(run: Run, folder: Path) -> Entry:
    report = run.report
    before, after = report.before, shipped(report)
    kinds = (
        ("Top-1, %", "top1", lambda value: wording.decimals(value, 2)),
        ("Size", "bytes", wording.size),
        ("Latency", "p50_ms", lambda value: wording.decimals(value, 2, " ms")),
    )
    figures = []
    for name, key, shown in kinds:
        old, new = getattr(before, key, None), getattr(after, key, None)
        figures.append((name, shown(old), shown(new), wording.number(new)))
    provenance = report.provenance
    return Entry(
        name=run.name,
        link=link(run, folder),
        recipe=report.recipe,
        verdict=verdict_of(report),
        figures=tuple(figures),
        started=started(run),
        seconds=provenance.wall_seconds if provenance is not None else None,
    )
