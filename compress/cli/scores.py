"""The accuracy of every result in scores.npz, counted again from what the networks answered: no data,
no network.

Run: featherbone scores runs/NAME [FILE ...]

A FILE is a run's folder or its scores.npz. Every result is compared with the first one of the first
file, clip by clip, by McNemar's exact test; files must be of the same clips. The last line of stdout
is JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from compress.evaluation import calibration, scores
from compress.evaluation.evaluate import accuracy, right_answers
from compress.evaluation.paired import mcnemar
from compress.evaluation.record import Accuracy, Calibration, Paired
from compress.reporting import wording
from teachers.errors import DataError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.terminal.tables import Table

COMMAND = "featherbone scores"


@dataclass(frozen=True)
class Row:
    """A result, counted again; `paired` is against the first row."""

    file: str
    name: str
    accuracy: Accuracy
    calibration: Calibration
    paired: Paired


def counted(files: Sequence[Path]) -> list[Row]:
    """A row for every result of every file.

    Raises:
        DataError: a file without results, or of other clips than the first.
    """
    rows: list[Row] = []
    first: scores.Results | None = None
    for path in files:
        file = path / scores.NAME if path.is_dir() else path
        found = scores.load_all(file)
        first = first or found
        order = _order(file, found, first)
        base = right_answers(next(iter(first.logits.values())), first.labels)
        for name, stored in found.logits.items():
            logits = stored[order].astype(np.float32)
            rows.append(
                Row(
                    str(file),
                    name,
                    accuracy(logits, first.labels, found.copies[order]),
                    calibration.calibration(logits, first.labels),
                    mcnemar(base, right_answers(logits, first.labels)),
                )
            )
    return rows


def _order(file: Path, found: scores.Results, first: scores.Results) -> np.ndarray:
    """(n,) where the first file's clips are in this one."""
    place = {name: index for index, name in enumerate(found.names)}
    if len(place) < len(found.names):
        raise DataError(f"{file}: names a clip twice; write it again with the run")
    if set(place) != set(first.names) or found.classes != first.classes:
        raise DataError(
            f"{file}: is of other clips or classes than the first file; compare runs on one split"
        )
    order = np.array([place[name] for name in first.names])
    if not np.array_equal(found.labels[order], first.labels):
        raise DataError(
            f"{file}: disagrees with the first file about labels; use one split for both"
        )
    return order


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    parser = Parser(prog=command, description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="a run's folder, or scores.npz"
    )
    options = parser.parse_args(arguments)
    rows = counted(options.files)
    _print(rows)
    ending.print_last_line({"rows": [asdict(row) for row in rows]})
    return 0


def _print(rows: list[Row]) -> None:
    # Files have a line of their own: beside eight numbers a path would be cut in a terminal.
    numbers: dict[str, int] = {}
    for row in rows:
        if row.file not in numbers:
            numbers[row.file] = len(numbers) + 1
            show(f"file {numbers[row.file]}: {row.file}")
    cells = []
    for row in rows:
        change = row.paired
        against = "" if row is rows[0] else f"+{change.gained} -{change.lost}"
        cells.append(
            (
                str(numbers[row.file]),
                row.name,
                wording.decimals(row.accuracy.top1, 2),
                wording.decimals(row.accuracy.clean_top1, 2),
                wording.decimals(row.accuracy.top5, 2),
                wording.decimals(100 * (row.calibration.ece or 0.0), 2),
                against,
                "" if row is rows[0] else f"{change.p:.2g}",
            )
        )
    heads = ("file", "result", "top-1", "clean", "top-5", "ECE, %", "clips", "p")
    show(Table(heads, cells, names=2))
