"""The gates of a run: what the recipe's `budget:` allows, what was measured, and the exit code."""

from __future__ import annotations

from dataclasses import replace

from compress.evaluation.damage_settings import JUDGED
from compress.evaluation.record import RuntimeRow
from compress.evaluation.robustness import drop
from compress.recipe.types import Budget
from compress.reporting import wording
from compress.reporting.doubts import doubts
from compress.reporting.record import BudgetRecord, Gate, Report
from compress.reporting.recorder import Recorder

# Differences of percentages end in float dust: 94.0 - 93.5 may be 0.5000000000000071.
DUST = 1e-9
LOST_JOINTS = "top-1 drop at 20 % of joints lost"


def judge(limits: Budget, weighed: BudgetRecord, recorder: Recorder) -> None:
    """Gates, warnings, status and exit code; over budget (2) comes before accuracy (3)."""
    # The worst of the files that ship: whichever a user serves, it keeps the promise.
    rows = [row for row in recorder.report.runtimes if row.deployed]
    worst = min(rows, key=lambda row: _measured(row.top1))
    teacher_top1 = top1_of("teacher", recorder)
    top1 = _measured(worst.top1)
    drop = teacher_top1 - top1
    size = Gate(
        name="size",
        limit=limits.max_size,
        value=weighed.total_bytes,
        passed=weighed.within,
        # Decimal, as budget.sizes reads the limit: MB is 10^6 bytes, MiB 2^20.
        says=f"{weighed.total_bytes / 1e6:.3f} MB of {limits.max_size / 1e6:g} MB",
    )
    lost = Gate(
        name="top-1 drop",
        limit=limits.max_top1_drop,
        value=drop,
        passed=drop <= limits.max_top1_drop + DUST,
        says=(
            f"{top1:.2f}% in {worst.name}, teacher {teacher_top1:.2f}%:"
            f" {wording.against_teacher(-drop)}; {limits.max_top1_drop:g} may be lost"
        ),
    )
    gates: tuple[Gate, ...] = (size, lost)
    if limits.min_top1 is not None:
        gates += (_floor(limits.min_top1, worst),)
    if limits.max_drop_at_20pct_joints is not None:
        gates += (lost_joints(limits.max_drop_at_20pct_joints, recorder.report),)
    recorder.report = replace(recorder.report, gates=gates)
    recorder.warn(*doubts(recorder.report))
    # One exit code can only tell one of the two; the gates in the report tell both.
    if not size.passed:
        recorder.close("over budget", 2)
    elif not all(gate.passed for gate in gates):
        recorder.close("accuracy gate failed", 3)
    else:
        recorder.close("ok", 0)


def _floor(least: float, worst: RuntimeRow) -> Gate:
    top1 = _measured(worst.top1)
    return Gate(
        name="top-1",
        limit=least,
        value=top1,
        passed=top1 >= least - DUST,
        says=f"{top1:.2f}% in {worst.name}, at least {least:g}% needed",
    )


def lost_joints(most: float, report: Report) -> Gate:
    """The worst of the files that ship against itself on whole clips, in the mean over the draws."""
    found = report.robustness
    points = None if found is None else drop(found, f"joints_{100 * JUDGED:g}")
    if found is None or points is None:
        # Not a FeatherboneError: `deliver` sees to it that the row is there.
        raise ValueError("a gate is judged before its figure was measured")
    shipped = {row.name for row in report.runtimes if row.deployed}
    worst, name = max(
        (lost, name) for lost, name in zip(points, found.networks, strict=True) if name in shipped
    )
    return Gate(
        name=LOST_JOINTS,
        limit=most,
        value=worst,
        passed=worst <= most + DUST,
        says=f"{worst:.2f} points lost in {name}; {most:g} may be lost",
    )


def top1_of(role: str, recorder: Recorder) -> float:
    """Top-1 in percent of the teacher or the student, which this run has measured."""
    network = recorder.report.network(role)
    return _measured(network.top1 if network is not None else None)


def _measured(value: float | None) -> float:
    """A figure that this run has measured, so that it is there."""
    if value is None:
        # Not a FeatherboneError: this would be a mistake of the program, which no user can mend.
        raise ValueError("a gate is judged before its figure was measured")
    return value
