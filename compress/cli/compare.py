"""Two or more runs side by side: what each delivers, in every runtime, and how it differs from the
first; or a run beside what other tools make of the same weights.

Run: featherbone compare runs/ctrgcn_lite_dml runs/ctrgcn_lite_dml_int8 [...]
     featherbone compare runs/ctrgcn_lite_dml --with onnxruntime_static --with paddleslim_ptq

A RUN is a run's folder or its report.json. With `--with` it is measured again, as `compare:` in a
recipe does: its files and the tool's, on the same clips, in turns. The last line of stdout is JSON.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from compress.cli import beside
from compress.evaluation import scores
from compress.evaluation.evaluate import right_answers
from compress.evaluation.paired import mcnemar
from compress.registry import RIVALS
from compress.reporting import wording
from compress.reporting.comparison import Row, rows
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.terminal.tables import Table

COMMAND = "featherbone compare"


def notes(table: list[Row]) -> list[str]:
    """What a reader of the table must know before comparing its numbers."""
    found = []
    if len({row.cpu for row in table}) > 1:
        found.append("the runs were timed on different CPUs: compare no latencies between them")
    found += _alike(table)
    found += _paired(table)
    # Without a tolerance: one teacher on the same clips gets the same number of them right.
    if len({row.teacher_top1 for row in table}) > 1:
        found.append("the teachers differ, and perhaps the data: see each run's report.html")
    return found


def _paired(table: list[Row]) -> list[str]:
    """How the first deployed file's answers differ from those of the others, clip by clip, as far as
    runs have kept them."""
    kept = [row for row in table if row.runtime and (Path(row.run) / scores.NAME).is_file()]
    if len({row.run for row in kept}) < 2:
        return []
    results = {row.run: scores.load_all(Path(row.run) / scores.NAME) for row in kept}
    first = kept[0]
    base = results[first.run]
    texts = []
    for row in kept:
        other = results[row.run]
        # Of other clips, or another order, there are no pairs.
        if row is first or other.names != base.names or not (other.labels == base.labels).all():
            continue
        if row.runtime not in other.logits or first.runtime not in base.logits:
            continue
        found = mcnemar(
            right_answers(base.logits[first.runtime], base.labels),
            right_answers(other.logits[row.runtime], base.labels),
        )
        texts.append(
            f"{row.run}, {row.runtime}, against {first.run}, {first.runtime}: {found.gained} clips"
            f" gained, {found.lost} lost, p = {found.p:.2g} (McNemar, exact)"
        )
    return texts


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
    parser.add_argument(
        "--with",
        dest="tools",
        action="append",
        choices=tuple(RIVALS),
        default=[],
        help="repeatable: quantise the same weights with this tool, too",
    )
    options = parser.parse_args(arguments)
    if options.tools:
        # Each run has data and weights of its own, so each is measured by itself.
        found = {str(run): beside.measured(run, options.tools) for run in options.runs}
        for run, measured in found.items():
            show(f"{run}:")
            beside.show_rows(measured)
        ending.print_last_line(
            {"measured": {run: [asdict(row) for row in each] for run, each in found.items()}}
        )
        return 0
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
