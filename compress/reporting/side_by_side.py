"""The end of a run's comparison: everything timed in turns, and before and after made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compress.evaluation import accuracy
from compress.evaluation.as_shipped import Shipped
from compress.evaluation.latency import Turn
from compress.evaluation.record import RuntimeRow
from compress.reporting.record import Delivered, Report
from export.formats import table


def timed(
    report: Report,
    turns: Sequence[Turn],
    teacher: Shipped | None,
    problem: str = "",
    persons: Sequence[int] = (),
) -> Report:
    """The report with every latency, and with `before` and `after`.

    Args:
        turns: in the order of the report's runtimes.
        teacher: as it would ship; None: it could not be exported.
        problem: why it could not.
        persons: in the clip of each turn, see `compress.evaluation.latency.persons_of`.
    """
    kinds = list(teacher.turns) if teacher is not None else []
    others = [RuntimeRow(table.runtime_title(kind)) for kind in kinds]
    teacher_turns = [teacher.turns[kind] for kind in kinds] if teacher is not None else []
    # All in one go: the teacher's files take their turns among the student's.
    rows = accuracy.timed([*report.runtimes, *others], [*turns, *teacher_turns], persons)
    runtimes = tuple(rows[: len(turns)])
    of_teacher = {row.name: row for row in rows[len(turns) :]}
    fastest = min(
        (row for row in runtimes if row.deployed), key=lambda row: row.p50_ms or 0.0, default=None
    )
    report = replace(report, runtimes=runtimes)
    if fastest is None:
        return report
    return replace(
        report,
        before=_before(report, teacher, of_teacher.get(fastest.name), problem),
        after=_after(report, fastest),
    )


def _before(
    report: Report, teacher: Shipped | None, row: RuntimeRow | None, problem: str
) -> Delivered | None:
    network = report.network("teacher")
    if network is None:
        return None
    delivered = Delivered(
        name=network.name,
        top1=network.top1,
        bytes=teacher.bytes if teacher is not None else None,
        params=network.params,
        macs=network.macs,
        note=problem,
    )
    return delivered if row is None else _with_latency(delivered, row)


def _after(report: Report, row: RuntimeRow) -> Delivered | None:
    network = report.network("student")
    if network is None:
        return None
    delivered = Delivered(
        name=network.name,
        # Of the file that is timed, not of the network: what is shown is what is served.
        top1=row.top1,
        bytes=report.budget.total_bytes if report.budget is not None else None,
        params=network.params,
        macs=network.macs,
    )
    return _with_latency(delivered, row)


def _with_latency(delivered: Delivered, row: RuntimeRow) -> Delivered:
    return replace(
        delivered,
        runtime=row.name,
        p50_ms=row.p50_ms,
        p95_ms=row.p95_ms,
        spread_ms=row.spread_ms,
        timings=row.timings,
    )
