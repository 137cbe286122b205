"""What is printed: the list of recipes, and the line for machines after a run."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from compress.reporting import view, wording
from compress.reporting.report import plain

out = Console(highlight=False, soft_wrap=True)


def print_recipes(found: list[tuple[str, str]]) -> int:
    """The recipes with their first line of comment."""
    table = Table("recipe", "what it does", box=None)
    for name, what in found:
        table.add_row(name, what)
    out.print(table)
    print(json.dumps({"recipes": [name for name, _ in found]}))
    return 0


def last_line(report: dict) -> dict:
    """The run in one flat JSON object."""
    teacher, student = report["networks"]
    return {
        "status": report["status"],
        "exit_code": report["exit_code"],
        "recipe": report["recipe"],
        "output": report["output"],
        "teacher_top1": teacher["top1"],
        "student_top1": student["top1"],
        "deployed": {
            row["name"]: {
                key: row[key] for key in ("top1", "agreement", "max_rel_diff", "p50_ms", "bytes")
            }
            for row in report["runtimes"]
            if row["deployed"]
        },
        "total_bytes": report["budget"]["total_bytes"],
        "limit_bytes": report["budget"]["limit_bytes"],
        "baseline_bytes": report["baseline_export"]["bytes"],
        "seconds": round(report["provenance"]["wall_seconds"], 1),
        "report": f"{report['output']}/report.html",
    }


def print_summary(report: dict, console=None) -> None:
    """The verdict, gates, runtimes and steps as tables on standard output; parts that are missing
    are left out."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.text import Text

    report, console = plain(report), console or Console(highlight=False)
    verdict = view.verdict(report)
    colour = {"passed": "green", "failed": "red", "stopped": "yellow"}[verdict["state"]]
    text = Text(verdict["says"])
    for gate in report.get("gates") or []:
        mark = ("✓ ", "green") if gate.get("passed") else ("✗ ", "bold red")
        text.append("\n").append(*mark).append(f"{gate.get('name')}: {gate.get('says') or ''}")
    title = Text(f" {report.get('recipe') or 'unnamed run'}: {verdict['word']} ", f"bold {colour}")
    console.print(Panel(text, title=title, title_align="left", border_style=colour))
    _print_table(
        console,
        "Networks of the teacher",
        ("network", "weight", "params", "top-1", "top-5", "class mean"),
        [
            (
                row.get("name"),
                wording.decimals(row.get("weight"), 1),
                wording.short_count(row.get("params")),
                *(wording.decimals(row.get(key), 2) for key in ("top1", "top5", "class_mean")),
            )
            for row in report.get("members") or []
        ],
    )
    _print_table(
        console,
        "After each step",
        ("step", "params", "MACs", "top-1", "top-5", "class mean", "time"),
        [
            (
                step.get("title") or step.get("name"),
                *(wording.short_count(step.get(key)) for key in ("params", "macs")),
                *(wording.decimals(step.get(key), 2) for key in ("top1", "top5", "class_mean")),
                wording.duration(step.get("seconds")),
            )
            for step in view.steps(report)
        ],
    )
    _print_table(
        console,
        "Runtimes (* deployed)",
        ("runtime", "top-1", "agreement", "p50 ms", "p95 ms", "size"),
        [
            (
                f"{row.get('name')}{' *' if row.get('deployed') else ''}",
                wording.decimals(row.get("top1"), 2),
                wording.decimals(row.get("agreement"), 4),
                wording.decimals(row.get("p50_ms"), 2),
                wording.decimals(row.get("p95_ms"), 2),
                wording.size(row.get("bytes")),
            )
            for row in report.get("runtimes") or []
        ],
    )
    if budget := report.get("budget"):
        baseline = view.baseline_export(report).get("bytes")
        beside = f" (baseline export {wording.size(baseline)})" if baseline else ""
        console.print(
            Text(
                f"Deployed folder: {wording.size(budget.get('total_bytes'))} of "
                f"{wording.size(budget.get('limit_bytes'))}{beside}"
            )
        )
        console.print(Text(budget.get("advice") or ""), end="\n" if budget.get("advice") else "")
    if lacking := view.missing(report):
        console.print(Text(f"Not recorded: {', '.join(lacking)}.", "yellow"))


def _print_table(console, title: str, columns: tuple[str, ...], rows: list[tuple]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        header_style="dim",
    )
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=bool(place))
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console.print(table)
    console.print()
