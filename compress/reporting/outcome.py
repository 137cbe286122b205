"""The top of the page and of the summary: the verdict, what is missing, and the few numbers that
decide."""

from __future__ import annotations

from dataclasses import dataclass

from compress.evaluation.record import RuntimeRow
from compress.reporting.before_after import NOT_DISTINGUISHABLE, distinguishable, ratio_words
from compress.reporting.folder_size import baseline_of_deployed
from compress.reporting.record import BudgetRecord, NetworkRow, Report
from compress.reporting.wording import difference, number
from teachers.terminal import interrupt

# Parts of the report that every whole run has, in words.
SECTIONS = {
    "gates": "the gates",
    "runtimes": "accuracy and latency of the deployed files",
    "budget": "the size of the deployed folder",
    "baseline_export": "the baseline export to compare with",
    "networks": "the networks",
    "steps": "the compression steps",
    "curves": "training curves",
    "per_class": "accuracy class by class",
    "confusion": "the confusion matrix",
    "data": "the data",
    "provenance": "the provenance",
}
# A recipe may have no step, and a run whose teacher comes from a file may train nothing.
MAY_BE_EMPTY = ("steps", "curves")
WARNED = "passed with warnings"


@dataclass(frozen=True)
class Verdict:
    """The outcome in a word or three and in one sentence; `state` is passed, warned (passed, with
    warnings), failed or stopped."""

    state: str
    word: str
    says: str


@dataclass(frozen=True)
class Tiles:
    """The numbers at the top of the page.

    Attributes:
        fastest: the deployed row with the lowest median.
        smaller: how many times the baseline export is larger than the deployed folder.
        faster: how many times the baseline export is slower in the fastest row's runtime; None
            where the two cannot be told apart.
        speed: the same in words.
        drop: student's minus teacher's top-1, in points.
    """

    budget: BudgetRecord | None
    teacher: NetworkRow
    student: NetworkRow
    deployed: tuple[RuntimeRow, ...]
    fastest: RuntimeRow | None
    smaller: float | None
    faster: float | None
    speed: str
    drop: float | None


def missing(report: Report) -> list[str]:
    """What the report lacks, in words; a finished run may have had no steps, nor a training."""
    # Of several seeds: each has a report of its own with all of this.
    if report.seeds is not None:
        return []
    # These three codes are of runs that came to their gates; any other run stopped before.
    finished = report.exit_code in (0, 2, 3)
    lacking = []
    for key, words in SECTIONS.items():
        excused = finished and key in MAY_BE_EMPTY
        if not getattr(report, key) and not excused:
            lacking.append(words)
    return lacking


def verdict(report: Report) -> Verdict:
    """Passed, with or without warnings, failed or stopped, with the reason."""
    failed = [gate.name for gate in report.gates if not gate.passed]
    if report.status != "ok" and report.exit_code in (None, *interrupt.EXIT_CODES):
        return Verdict(
            "stopped",
            "incomplete" if report.exit_code is None else "interrupted",
            "The run did not finish. This page shows what was recorded until then.",
        )
    # The gates are asked again: a page that says "passed" above a gate that failed would be wrong,
    # whatever the status says.
    if report.status == "ok" and report.exit_code in (0, None) and not failed:
        if report.warnings:
            return Verdict("warned", WARNED, f"{_passed(report)}, {_warned(report)}")
        return Verdict("passed", "passed", f"{_passed(report)}. The folder can be deployed.")
    # Here a gate or the exit code says failed, so a status of ok is not to be shown.
    status = report.status if report.status not in ("ok", "") else "failed"
    # An error's status is "failed: what is wrong"; the part after the colon may have colons too.
    word, _, problem = status.partition(": ")
    if failed:
        problem = f"{len(failed)} of {len(report.gates)} gates failed: {', '.join(failed)}."
    return Verdict("failed", word, problem or "The run ended with an error.")


def tiles(report: Report) -> Tiles:
    """The numbers at the top, each None where the run did not come that far."""
    deployed = tuple(row for row in report.runtimes if row.deployed)
    fastest = _fastest(deployed)
    baseline = _baseline(report, fastest)
    # Rows of nothing in place of None: the page needs no case for a run that stopped before them.
    teacher = report.network("teacher") or NetworkRow("teacher", "")
    student = report.network("student") or NetworkRow("student", "")
    return Tiles(
        budget=report.budget,
        teacher=teacher,
        student=student,
        deployed=deployed,
        fastest=fastest,
        smaller=_smaller(report),
        faster=_faster(baseline, fastest),
        speed=_speed(baseline, fastest),
        drop=difference(student.top1, teacher.top1),
    )


def _passed(report: Report) -> str:
    count = len(report.gates)
    # Without gates none failed either, but "all 0 passed" would claim a check that never ran.
    if count == 0:
        return "No gate was set"
    return "The one gate passed" if count == 1 else f"All {count} gates passed"


def _fastest(deployed: tuple[RuntimeRow, ...]) -> RuntimeRow | None:
    # The gain divides by the median, so that a 0 is no measurement.
    timed = [row for row in deployed if number(row.p50_ms)]
    return min(timed, key=lambda row: number(row.p50_ms) or 0.0, default=None)


def _smaller(report: Report) -> float | None:
    baseline = baseline_of_deployed(report)
    if report.budget is None or not report.budget.total_bytes or baseline is None:
        return None
    return baseline.bytes / report.budget.total_bytes if baseline.bytes else None


def _baseline(report: Report, fastest: RuntimeRow | None) -> RuntimeRow | None:
    """The baseline export in the fastest row's runtime, where both were timed."""
    # The same runtime: a gain against another one would be the runtime's merit. Its row is named
    # after the deployed one's ("baseline export, ONNX Runtime").
    if fastest is None:
        return None
    for row in report.runtimes:
        if not row.deployed and fastest.name in row.name:
            return row if number(row.p50_ms) else None
    return None


def _faster(baseline: RuntimeRow | None, fastest: RuntimeRow | None) -> float | None:
    if baseline is None or fastest is None or not distinguishable(baseline, fastest):
        return None
    before = number(baseline.p50_ms)
    after = number(fastest.p50_ms)
    return before / after if before and after else None


def _speed(baseline: RuntimeRow | None, fastest: RuntimeRow | None) -> str:
    if baseline is None or fastest is None:
        return ""
    if not distinguishable(baseline, fastest):
        return f"{NOT_DISTINGUISHABLE} from the baseline export"
    before = number(baseline.p50_ms) or 0.0
    says, state = ratio_words(before, number(fastest.p50_ms) or 0.0, ("faster", "slower"))
    return (
        "as fast as the baseline export" if state == "same" else f"{says} than the baseline export"
    )


def _warned(report: Report) -> str:
    count = len(report.warnings)
    if count == 1:
        return "but one warning says why the figures may mislead."
    return f"but {count} warnings say why the figures may mislead."
