"""The result of a run: `report.json` for programs, `report.html` for people, a summary for the terminal."""
from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np

from compress import report_view as view, wording
from teachers.errors import StorageError

TEMPLATE = Path(__file__).with_name("report.html.j2")


def write(report: dict, folder: str | Path) -> Path:
    """Write `report.json` and the self-contained `report.html` into a folder; returns the page's path.

    Any key may be missing, as after an interrupted run: the page shows what there is and names what is not. Numbers
    that are not finite become null. Each file is complete or not there: it is written beside its place, then moved.

    Raises:
        StorageError: a file could not be written; what was there before is untouched.
    """
    folder, report = Path(folder), plain(report)
    _replace(folder / "report.json", json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    _replace(folder / "report.html", render(report))
    return folder / "report.html"


def render(report: dict) -> str:
    """The page as one string of HTML: no script, no resource from outside; every text of the report escaped."""
    from jinja2 import ChainableUndefined, Environment

    environment = Environment(autoescape=True, undefined=ChainableUndefined, trim_blocks=True, lstrip_blocks=True,
                              finalize=lambda value: "" if value is None else value)
    numbers = {"size": wording.size, "decimals": wording.decimals, "count": wording.short_count,
               "duration": wording.duration}
    environment.filters |= {name: _unbroken(function) for name, function in numbers.items()}
    environment.filters["settings"] = wording.settings
    environment.globals |= {"share": wording.share, "difference": wording.difference, "number": wording.number}
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(view.view_of(plain(report)))


def _unbroken(function):
    """The same function with no-break spaces in its result: a number stays on a line with its unit."""
    return lambda *values: function(*values).replace(" ", "\u00a0")


def plain(value):
    """The value in JSON's types: numpy values, paths and tuples are converted, NaN and infinity become None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(text.encode("utf-8", "backslashreplace"))
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: could not be written ({error.strerror}); make room or choose another output "
                           "folder, then run the same command again") from error


def print_summary(report: dict, console=None) -> None:
    """The verdict, gates, runtimes and steps as tables on standard output; parts that are missing are left out."""
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
    _print_table(console, "Networks of the teacher", ("network", "weight", "params", "top-1", "top-5", "class mean"), [
        (row.get("name"), wording.decimals(row.get("weight"), 1), wording.short_count(row.get("params")),
         *(wording.decimals(row.get(key), 2) for key in ("top1", "top5", "class_mean"))) for row in report.get("members") or []])
    _print_table(console, "After each step", ("step", "params", "MACs", "top-1", "top-5", "class mean", "time"), [
        (step.get("title") or step.get("name"), *(wording.short_count(step.get(key)) for key in ("params", "macs")),
         *(wording.decimals(step.get(key), 2) for key in ("top1", "top5", "class_mean")),
         wording.duration(step.get("seconds")))
        for step in view.steps(report)])
    _print_table(console, "Runtimes (* deployed)", ("runtime", "top-1", "agreement", "p50 ms", "p95 ms", "size"), [
        (f"{row.get('name')}{' *' if row.get('deployed') else ''}", wording.decimals(row.get("top1"), 2),
         wording.decimals(row.get("agreement"), 4), wording.decimals(row.get("p50_ms"), 2),
         wording.decimals(row.get("p95_ms"), 2), wording.size(row.get("bytes")))
        for row in report.get("runtimes") or []])
    if budget := report.get("budget"):
        ordinary = view.ordinary_export(report).get("bytes")
        beside = f" (ordinary export {wording.size(ordinary)})" if ordinary else ""
        console.print(Text(f"Deployed folder: {wording.size(budget.get('total_bytes'))} of "
                           f"{wording.size(budget.get('limit_bytes'))}{beside}"))
        console.print(Text(budget.get("advice") or ""), end="\n" if budget.get("advice") else "")
    if lacking := view.missing(report):
        console.print(Text(f"Not recorded: {', '.join(lacking)}.", "yellow"))


def _print_table(console, title: str, columns: tuple[str, ...], rows: list[tuple]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=bool(place))
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console.print(table)
    console.print()
