"""Runs of one recipe with several seeds as one table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import mean, stdev

from compress.evaluation.record import Spread
from compress.reporting import wording
from compress.reporting.record import Report, SeedRow, Seeds

FIGURES = ("teacher_top1", "student_top1", "student_clean_top1", "top1", "clean_top1")


def seed_row(seed: int, folder: str, report: Report) -> SeedRow:
    """A run's row; figures of a run that stopped are those it came to."""
    teacher = report.network("teacher")
    student = report.network("student")
    # The worst, as the gates judge it: whichever file is served, it is as good.
    deployed = [row for row in report.runtimes if row.deployed]
    tops = [row.top1 for row in deployed if row.top1 is not None]
    clean = [row.clean_top1 for row in deployed if row.clean_top1 is not None]
    return SeedRow(
        seed=seed,
        folder=folder,
        status=report.status,
        exit_code=report.exit_code,
        teacher_top1=None if teacher is None else teacher.top1,
        student_top1=None if student is None else student.top1,
        student_clean_top1=None if student is None else student.clean_top1,
        top1=min(tops, default=None),
        clean_top1=min(clean, default=None),
        total_bytes=None if report.budget is None else report.budget.total_bytes,
    )


def together(data_seed: int, rows: Sequence[SeedRow], wanted: int) -> Seeds:
    """Mean and deviation of every figure that all runs have; of fewer runs than the `wanted` ones they
    would be those of another recipe, and are None."""
    whole = len(rows) == wanted
    spreads = {
        name: _spread([getattr(row, name) for row in rows]) if whole else None for name in FIGURES
    }
    return Seeds(data_seed, tuple(rows), **spreads)


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    # Of some of the runs it would be the mean of those that went well.
    if not known or len(known) < len(values):
        return None
    deviation = stdev(known) if len(known) > 1 else None
    return Spread(mean(known), deviation, min(known), max(known))


def seeds_table(seeds: Seeds) -> tuple[tuple[str, ...], ...]:
    """Heads, a row a seed, and mean ± deviation of a sample; columns without a figure are left
    out."""
    names = [name for name in FIGURES if any(getattr(row, name) is not None for row in seeds.rows)]
    heads = {
        "teacher_top1": "teacher",
        "student_top1": "student",
        "student_clean_top1": "clean",
        "top1": "deployed",
        "clean_top1": "clean deployed",
    }
    rows = [("seed", "status", *(heads[name] for name in names))]
    for row in seeds.rows:
        cells = [wording.decimals(getattr(row, name), 2) for name in names]
        rows.append((str(row.seed), row.status, *cells))
    spreads = [wording.spread(getattr(seeds, name)) for name in names]
    rows.append(("mean", "± deviation", *spreads))
    return tuple(rows)
