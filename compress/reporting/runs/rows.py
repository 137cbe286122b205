"""The table of a comparison: a row for each file that a run deployed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compress.evaluation.record import Paired, RuntimeRow
from compress.reporting import wording
from compress.reporting.runs.answers import Answers, pair
from compress.reporting.runs.facts import same_clips
from compress.reporting.runs.reading import OLDER, Run
from teachers.errors import printable


@dataclass(frozen=True)
class Row:
    """A deployed file of a run. Accuracies are in percent; None is what a run did not get to.

    Attributes:
        run: the run's folder.
        bytes: of this runtime's files alone; `total_bytes` of the whole deployed folder.
        student_top1: of the trained network, before it was exported.
        gained, lost, p: clip by clip against the first row of the first run, by McNemar's exact
            test; None where they have no answers to the same clips.
    """

    run: str
    recipe: str
    status: str
    runtime: str | None
    params: int | None
    macs: int | None
    teacher_top1: float | None
    student_top1: float | None
    top1: float | None
    p50_ms: float | None
    spread_ms: float | None
    bytes: int | None
    total_bytes: int | None
    cpu: str | None
    gained: int | None = None
    lost: int | None = None
    p: float | None = None


@dataclass(frozen=True)
class Table:
    """The rows of all runs.

    Attributes:
        notes: what a reader must know before comparing their numbers.
        findings: what the numbers come to, row against row.
    """

    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    findings: tuple[str, ...]


def deployed(run: Run) -> tuple[RuntimeRow, ...]:
    """The files that a run ships, each in its runtime."""
    return tuple(row for row in run.report.runtimes if row.deployed)


def table_of(runs: Sequence[Run], answers: Sequence[Answers]) -> Table:
    """A row for each deployed runtime of each run, one without a runtime where it delivered nothing.

    Args:
        answers: of each run (`answers.of`).
    """
    rows: list[Row] = []
    base = next(iter(deployed(runs[0])), None)
    for run, answered in zip(runs, answers, strict=True):
        for served in deployed(run) or (None,):
            paired = None
            if base is not None and served is not None and served is not base:
                paired = pair(answers[0], base.name, answered, served.name)
            rows.append(_row(run, served, paired))
    notes = tuple(_notes(runs, rows, answers))
    return Table(tuple(rows), notes, (*_alike(rows), *_paired(rows)))


def _row(run: Run, served: RuntimeRow | None, paired: Paired | None) -> Row:
    report = run.report
    teacher = report.network("teacher")
    student = report.network("student")
    hardware = report.provenance.hardware if report.provenance is not None else None
    return Row(
        run=str(run.folder),
        # Other people's reports may hold what no terminal should be sent.
        recipe=printable(report.recipe),
        status=printable(report.status),
        runtime=printable(served.name) if served else None,
        params=student.params if student else None,
        macs=student.macs if student else None,
        teacher_top1=teacher.top1 if teacher else None,
        student_top1=student.top1 if student else None,
        top1=served.top1 if served else None,
        p50_ms=served.p50_ms if served else None,
        spread_ms=served.spread_ms if served else None,
        bytes=served.bytes if served else None,
        total_bytes=report.budget.total_bytes if report.budget else None,
        cpu=printable(hardware.cpu) if hardware and hardware.cpu else None,
        gained=paired.gained if paired else None,
        lost=paired.lost if paired else None,
        p=paired.p if paired else None,
    )


def _notes(runs: Sequence[Run], rows: Sequence[Row], answers: Sequence[Answers]) -> list[str]:
    found = []
    older = [run.name for run in runs if run.older]
    if older:
        found.append(f"{', '.join(older)}: {OLDER}")
    if len({row.cpu for row in rows if row.p50_ms is not None}) > 1:
        found.append("the runs were timed on different CPUs: compare no latencies between them")
    elsewhere = [run.name for run in runs if not same_clips(runs[0], run)]
    if elsewhere:
        named = ", ".join(elsewhere)
        found.append(
            f"{named}: judged on other clips than {runs[0].name}, and not comparable in accuracy"
        )
    for run in runs:
        if run.report.seeds is not None:
            found.append(
                f"{run.name}: its figures are means over seeds; give its folders seedN for more"
            )
    found += _unpaired(runs, answers)
    # Without a tolerance: one teacher on the same clips gets the same number of them right.
    if len({row.teacher_top1 for row in rows if row.teacher_top1 is not None}) > 1:
        found.append("the teachers differ, and perhaps the data: see each run's report.html")
    return found


def _paired(rows: Sequence[Row]) -> list[str]:
    first = rows[0]
    return [
        f"{row.run}, {row.runtime}, against {first.run}, {first.runtime}: {row.gained}"
        f" clip{'' if row.gained == 1 else 's'} gained, {row.lost} lost, p = {row.p:.2g} (McNemar, exact)"
        for row in rows
        if row.p is not None and row.run != first.run
    ]


def _unpaired(runs: Sequence[Run], answers: Sequence[Answers]) -> list[str]:
    """Why answers are not compared clip by clip, of runs that delivered any."""
    if not deployed(runs[0]) or len(runs) < 2:
        return []
    names: dict[str, list[str]] = {}
    for run, answered in zip(runs, answers, strict=True):
        if answered.problem and deployed(run) and same_clips(runs[0], run):
            names.setdefault(answered.problem, []).append(run.name)
    return [
        f"{', '.join(named)}: {problem}; no paired test of accuracy"
        for problem, named in names.items()
    ]


def _alike(rows: Sequence[Row]) -> list[str]:
    """Files whose latency differs from the first run's in their runtime by less than the timings
    spread."""
    texts = []
    own = {row.runtime: row for row in rows if row.run == rows[0].run}
    for row in rows:
        first = own.get(row.runtime)
        if first is None or row.run == first.run or row.cpu != first.cpu:
            continue
        apart = wording.difference(row.p50_ms, first.p50_ms)
        # Reports of older releases have no spread: nothing is claimed of them.
        if apart is None or row.spread_ms is None or first.spread_ms is None:
            continue
        if abs(apart) <= max(row.spread_ms, first.spread_ms):
            texts.append(
                f"{row.runtime}: the latencies of {first.run} and {row.run} are not distinguishable"
            )
    return texts
