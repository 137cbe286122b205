"""Two or more runs side by side: what each delivers, in every runtime, and how it differs from the
first.

Run: featherbone compare runs/ctrgcn_lite_dml runs/ctrgcn_lite_dml_int8 [...]

A RUN is a run's folder or its report.json. The last line of stdout is JSON.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from compress.reporting import wording
from teachers.errors import DataError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.terminal.tables import Table

COMMAND = "featherbone compare"


@dataclass(frozen=True)
class Row:
    """A deployed file of a run. Accuracies are in percent; None is what a run did not get to.

    Attributes:
        run: the run's folder.
        bytes: of this runtime's files alone; `total_bytes` of the whole deployed folder.
        student_top1: of the trained network, before it was exported.
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


def rows(path: Path) -> list[Row]:
    """A row for each deployed runtime of a run, one without a runtime where it delivered nothing.

    Raises:
        DataError: there is no report.json, or it is not a run's report.
    """
    file = path / "report.json" if path.is_dir() else path
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        # recipe.json and deployed.json lie near by, and must not pass for a run without results.
        if not isinstance(report, dict) or "recipe" not in report or "networks" not in report:
            raise ValueError("another JSON file")
        return _rows(report, str(file.parent))
    except OSError as error:
        raise DataError(
            f"{file}: cannot be read ({error.strerror}); give a run's folder, such as runs/NAME"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{file}: is not the report of a run ({error}); give a run's folder, such as runs/NAME"
        ) from None


def _rows(report: dict, folder: str) -> list[Row]:
    # A run that was stopped has a report too, with whatever it got to; so everything but its name
    # may be missing.
    networks = {network["role"]: network for network in report["networks"]}
    student = networks.get("student", {})
    delivered = [row for row in report.get("runtimes") or [] if row.get("deployed")]
    hardware = report.get("provenance", {}).get("hardware", {})
    return [
        Row(
            run=folder,
            recipe=report["recipe"],
            status=report.get("status", "unknown"),
            runtime=runtime.get("name"),
            params=student.get("params"),
            macs=student.get("macs"),
            teacher_top1=networks.get("teacher", {}).get("top1"),
            student_top1=student.get("top1"),
            top1=runtime.get("top1"),
            p50_ms=runtime.get("p50_ms"),
            spread_ms=runtime.get("spread_ms"),
            bytes=runtime.get("bytes"),
            total_bytes=(report.get("budget") or {}).get("total_bytes"),
            cpu=hardware.get("cpu"),
        )
        for runtime in delivered or [{}]
    ]


def notes(table: list[Row]) -> list[str]:
    """What a reader of the table must know before comparing its numbers."""
    found = []
    if len({row.cpu for row in table}) > 1:
        found.append("the runs were timed on different CPUs: compare no latencies between them")
    found += _alike(table)
    # Without a tolerance: one teacher on the same clips gets the same number of them right.
    if len({row.teacher_top1 for row in table}) > 1:
        found.append("the teachers differ, and perhaps the data: see each run's report.html")
    return found


def _alike(table: list[Row]) -> list[str]:
    """Pairs of runs whose latencies in a runtime differ by less than their timings spread."""
    texts = []
    for number, row in enumerate(table):
        for other in table[number + 1 :]:
            if (row.runtime, row.cpu) != (other.runtime, other.cpu) or row.run == other.run:
                continue
            apart = wording.difference(row.p50_ms, other.p50_ms)
            # Reports of older releases have no spread: nothing is claimed of them.
            if apart is None or row.spread_ms is None or other.spread_ms is None:
                continue
            if abs(apart) <= max(row.spread_ms, other.spread_ms):
                texts.append(
                    f"{row.runtime}: the latencies of {row.run} and {other.run} are not"
                    " distinguishable"
                )
    return texts


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    parser = Parser(prog=command, description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="a folder, or report.json"
    )
    options = parser.parse_args(arguments)
    # nargs="+" is one or more; argparse has no "two or more".
    if len(options.runs) < 2:
        parser.error("give two or more runs")
    table = [row for path in options.runs for row in rows(path)]
    _print(table)
    for note in notes(table):
        show(f"note: {note}")
    ending.print_last_line({"rows": [asdict(row) for row in table], "notes": notes(table)})
    return 0


def _print(table: list[Row]) -> None:
    # Folders have a line of their own: beside eight numbers a path would be cut in a terminal.
    numbers: dict[str, int] = {}
    for row in table:
        if row.run not in numbers:
            numbers[row.run] = len(numbers) + 1
            show(f"run {numbers[row.run]}: {row.run} ({row.recipe}, {row.status})")
    shown = []
    for row in table:
        # Unknown, not 0: a run that was stopped must not look lossless.
        change = wording.difference(row.top1, row.teacher_top1)
        cells = (
            str(numbers[row.run]),
            row.runtime or "–",
            wording.short_count(row.params),
            wording.decimals(row.student_top1, 2),
            wording.decimals(row.top1, 2),
            wording.UNKNOWN if change is None else f"{change:+.2f}",
            wording.decimals(row.p50_ms, 2),
            wording.size(row.bytes),
            wording.size(row.total_bytes),
        )
        shown.append(cells)
    # "trained" beside "top-1" shows what the export itself cost; "change" counts from the teacher.
    columns = ("run", "runtime", "params", "trained", "top-1", "change", "p50 ms", "size", "folder")
    show(Table(columns, shown, names=2))
