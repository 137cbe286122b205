"""What is printed of a run: the list of recipes, the summary, the line for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.panel import Panel
from rich.text import Text

from compress.evaluation.record import RuntimeRow
from compress.reporting import outcome, view, wording
from compress.reporting.before_after import changes
from compress.reporting.folder_size import baseline_of_deployed
from compress.reporting.record import NetworkRow, Report, Seeds, StepRow
from compress.reporting.robustness import print_robustness
from compress.reporting.seeds import seeds_table
from compress.reporting.streams import print_streams
from teachers.storage import typed_json
from teachers.terminal.output import show
from teachers.terminal.tables import Table

COLOURS = {"passed": "green", "warned": "yellow", "failed": "red", "stopped": "yellow"}


def print_recipes(groups: Mapping[str, Sequence[tuple[str, str]]]) -> None:
    """The recipes of each group with their first line of comment."""
    for number, (group, recipes) in enumerate(groups.items()):
        if number:
            show("")
        show(Table((group, "what it does"), recipes, names=2))


def last_line(report: Report) -> dict[str, object]:
    """The run in one flat JSON object.

    Raises:
        ValueError: the run did not come to its end.
    """
    # All flat and named, so that a script can take a figure with one look-up, without the report.
    teacher = report.network("teacher")
    student = report.network("student")
    budget = report.budget
    baseline = report.baseline_export
    if report.seeds is not None:
        return _seeds_line(report, report.seeds)
    if teacher is None or student is None or budget is None or baseline is None:
        raise ValueError(f"{report.recipe}: a run that did not finish has no last line")
    deployed = {}
    for row in report.runtimes:
        if row.deployed:
            deployed[row.name] = {
                "top1": row.top1,
                "clean_top1": row.clean_top1,
                "gained": row.gained,
                "lost": row.lost,
                "p": row.p,
                "agreement": row.agreement,
                "max_rel_diff": row.max_rel_diff,
                "p50_ms": row.p50_ms,
                "spread_ms": row.spread_ms,
                "bytes": row.bytes,
            }
    seconds = report.provenance.wall_seconds if report.provenance is not None else None
    return {
        "status": report.status,
        "verdict": outcome.verdict(report).word,
        "warnings": list(report.warnings),
        "exit_code": report.exit_code,
        "recipe": report.recipe,
        "output": report.output,
        "teacher_top1": teacher.top1,
        "teacher_clean_top1": teacher.clean_top1,
        "teacher_bytes": report.before.bytes if report.before is not None else None,
        "teacher_p50_ms": report.before.p50_ms if report.before is not None else None,
        "student_top1": student.top1,
        "student_clean_top1": student.clean_top1,
        "temperature": report.temperature,
        "robustness": typed_json.encode(report.robustness),
        "streams": typed_json.encode(report.streams),
        "deployed": deployed,
        "total_bytes": budget.total_bytes,
        "limit_bytes": budget.limit_bytes,
        "baseline_bytes": baseline.bytes,
        "seconds": round(seconds, 1) if seconds is not None else None,
        "report": f"{report.output}/report.html",
    }


def _seeds_line(report: Report, seeds: Seeds) -> dict[str, object]:
    return {
        "status": report.status,
        "exit_code": report.exit_code,
        "recipe": report.recipe,
        "output": report.output,
        "seeds": typed_json.encode(seeds),
        "report": f"{report.output}/report.html",
    }


def print_summary(report: Report) -> None:
    """The verdict, gates, runtimes and steps as tables on standard output; parts that are missing
    are left out."""
    _print_verdict(report)
    _print_changes(report)
    _print_members(report)
    _print_steps(report)
    _print_runtimes(report)
    _print_paired(report)
    print_robustness(report.robustness)
    print_streams(report.streams)
    _print_seeds(report)
    _print_budget(report)
    lacking = outcome.missing(report)
    if lacking:
        show(Text(f"Not recorded: {', '.join(lacking)}.", "yellow"))


def _print_verdict(report: Report) -> None:
    verdict = outcome.verdict(report)
    colour = COLOURS[verdict.state]
    # The colour is not alone: a log file has none, and the word and the marks say the same.
    # Everything goes through Text: rich would read "[red]" in a plain string as markup.
    text = Text(verdict.says)
    for gate in report.gates:
        mark = Text("✓ ", "green") if gate.passed else Text("✗ ", "bold red")
        text.append("\n").append(mark).append(f"{gate.name}: {gate.says}")
    for warning in report.warnings:
        text.append("\n").append("! ", "bold yellow").append(warning)
    name = report.recipe or "unnamed run"
    title = Text(f" {name}: {verdict.word} ", f"bold {colour}")
    show(Panel(text, title=title, title_align="left", border_style=colour))


def _print_changes(report: Report) -> None:
    rows = [(row.name, row.before, row.after, row.says) for row in changes(report)]
    _print_table("Before and after", ("", "teacher", "student", "change"), rows)
    if report.before is not None and report.before.note:
        show(Text(f"Before: {report.before.note}.", "yellow"))


def _print_members(report: Report) -> None:
    rows = [
        (
            row.name,
            wording.decimals(row.weight, 1),
            wording.short_count(row.params),
            *tops(row, report),
            wording.decimals(row.top5, 2),
            wording.decimals(row.class_mean, 2),
        )
        for row in report.members
    ]
    top1 = ("top-1", "clean") if view.has_clean(report) else ("top-1",)
    columns = ("network", "weight", "params", *top1, "top-5", "class mean")
    _print_table("Networks of the teacher", columns, rows)


def _print_steps(report: Report) -> None:
    rows = [
        (
            step.title or step.name,
            wording.short_count(step.params),
            wording.short_count(step.macs),
            *tops(step, report),
            wording.decimals(step.top5, 2),
            wording.decimals(step.class_mean, 2),
            wording.duration(step.seconds),
        )
        # The page's rows, which start with the teacher: both show the same table.
        for step in view.steps(report)
    ]
    top1 = ("top-1", "clean") if view.has_clean(report) else ("top-1",)
    columns = ("step", "params", "MACs", *top1, "top-5", "class mean", "time")
    _print_table("After each step", columns, rows)


def _print_runtimes(report: Report) -> None:
    rows = [
        (
            f"{row.name} *" if row.deployed else row.name,
            *tops(row, report),
            # A fraction close to 1: with two digits 0.996 and 1 would look the same.
            wording.decimals(row.agreement, 4),
            wording.decimals(row.p50_ms, 2),
            wording.decimals(row.p95_ms, 2),
            wording.decimals(row.spread_ms, 2),
            wording.size(row.bytes),
        )
        for row in report.runtimes
    ]
    top1 = ("top-1", "clean") if view.has_clean(report) else ("top-1",)
    columns = ("runtime", *top1, "agreement", "p50 ms", "p95 ms", "spread", "size")
    _print_table("Runtimes (* deployed)", columns, rows)
    for row in report.runtimes:
        # What was compared with other tools, and what came of those that have no figures.
        if row.note and (row.snr_db is not None or row.agreement is None):
            show(Text(f"{row.name}: {row.note}"))
        if row.deployed and row.one_person_ms is not None:
            show(Text(f"{row.name}: {wording.by_persons(row.one_person_ms, row.all_persons_ms)}"))


def tops(row: NetworkRow | StepRow | RuntimeRow, report: Report) -> tuple[str, ...]:
    """Top-1 of all clips and, where some are training clips again, of the others."""
    clean = (wording.decimals(row.clean_top1, 2),) if view.has_clean(report) else ()
    return (wording.decimals(row.top1, 2), *clean)


def _print_paired(report: Report) -> None:
    for row in report.runtimes:
        if row.deployed and row.p is not None:
            show(Text(f"{row.name} against the teacher, of the same clips: {wording.paired(row)}"))


def _print_seeds(report: Report) -> None:
    if report.seeds is None:
        return
    shown = seeds_table(report.seeds)
    show(Table(shown[0], shown[1:], "Seeds"))
    show("")


def _print_budget(report: Report) -> None:
    budget = report.budget
    if budget is None:
        return
    # The same figure as on the page: of the formats that are deployed, not of all.
    baseline = baseline_of_deployed(report)
    beside = f" (baseline export {wording.size(baseline.bytes)})" if baseline is not None else ""
    total = wording.size(budget.total_bytes)
    limit = wording.size(budget.limit_bytes)
    show(Text(f"Deployed folder: {total} of {limit}{beside}"))
    if budget.advice:
        show(Text(budget.advice))


def _print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # A heading over nothing would read as if something had gone wrong.
    if rows:
        show(Table(columns, rows, title))
        show("")
