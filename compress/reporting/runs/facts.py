"""What the pages of several runs take from a run's report."""

from __future__ import annotations

from compress.reporting.outcome import Verdict, tiles, verdict
from compress.reporting.record import Delivered, Report, Seeds
from compress.reporting.runs.reading import UNFINISHED, Run


def shipped(report: Report) -> Delivered | None:
    """What a run delivers, with the figures of its fastest file; None: it delivered nothing."""
    if report.after is not None:
        return report.after
    if report.seeds is not None:
        return _of_seeds(report.seeds)
    top = tiles(report)
    served = top.fastest or next(iter(top.deployed), None)
    if served is None:
        return None
    return Delivered(
        name=top.student.name,
        top1=served.top1,
        bytes=top.budget.total_bytes if top.budget is not None else None,
        params=top.student.params,
        macs=top.student.macs,
        runtime=served.name,
        p50_ms=served.p50_ms,
        spread_ms=served.spread_ms,
    )


def _of_seeds(seeds: Seeds) -> Delivered | None:
    """The mean of several runs, and the largest of their folders."""
    if seeds.top1 is None:
        return None
    sizes = [row.total_bytes for row in seeds.rows if row.total_bytes is not None]
    name = f"{len(seeds.rows)} seeds"
    return Delivered(name, top1=seeds.top1.mean, bytes=max(sizes, default=None))


def cpu(run: Run) -> str:
    """The processor that a run was timed on."""
    provenance = run.report.provenance
    hardware = provenance.hardware if provenance is not None else None
    return hardware.cpu if hardware is not None else ""


def started(run: Run) -> str:
    """When a run began, to the minute, UTC."""
    provenance = run.report.provenance
    return provenance.started[:16].replace("T", " ") if provenance is not None else ""


def verdict_of(report: Report) -> Verdict:
    """How a run ended."""
    if report.status == UNFINISHED:
        return Verdict(
            "stopped",
            "no report",
            "The run is under way, or was killed before it could write its report.",
        )
    return verdict(report)


def same_clips(run: Run, other: Run) -> bool:
    """Whether two runs were judged on one data set, as far as their reports say."""
    data, others = run.report.data, other.report.data
    # Older releases do not say.
    if data is None or others is None:
        return True
    return (data.name, data.val_clips) == (others.name, others.val_clips)
