"""The confusion matrix for the page: cells with their shade, and the most frequent mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compress.reporting.record import Report

# Above it a whole matrix with counts is wider than the page, so that it is shown without them first.
MANY_CLASSES = 24
SHOWN_CONFUSIONS = 8
# Percent of the true class up to which a shade goes. Steps, not a ramp: each has a colour of the
# style sheet on which its count can be read.
LEVELS = (10, 25, 50, 80, 100)


@dataclass(frozen=True)
class Cell:
    """Some clips of one class that got one answer; `shade` is a class of the style sheet."""

    clips: int
    shade: str
    says: str


@dataclass(frozen=True)
class MatrixRow:
    """A true class, counted from 1; a cell is None where there is no clip."""

    number: int
    name: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Confused:
    """`clips` of the `total` clips of the class `true` were taken for `predicted`."""

    true: str
    predicted: str
    clips: int
    total: int


@dataclass(frozen=True)
class ConfusionView:
    """The matrix and its most frequent mistakes.

    Attributes:
        total, right: clips of the validation split, and how many of them are right.
        many: whether there are too many classes for a count in every cell.
        levels: (number of the shade, percent that it goes up to).
    """

    rows: tuple[MatrixRow, ...]
    total: int
    right: int
    worst: tuple[Confused, ...]
    many: bool
    levels: tuple[tuple[int, int], ...] = tuple(enumerate(LEVELS, start=1))


def confusion_view(report: Report) -> ConfusionView | None:
    """The section's values; None for a run without a matrix."""
    matrix = report.confusion
    if not matrix:
        return None
    classes = _classes(report)
    rows = []
    for index, counts in enumerate(matrix):
        cells = tuple(_cell(classes, index, column, counts) for column in range(len(counts)))
        rows.append(MatrixRow(index + 1, classes[index], cells))
    return ConfusionView(
        rows=tuple(rows),
        total=sum(map(sum, matrix)),
        right=sum(matrix[index][index] for index in range(len(matrix))),
        worst=_worst(matrix, classes),
        many=len(matrix) > MANY_CLASSES,
    )


def _classes(report: Report) -> list[str]:
    classes = list(report.data.classes) if report.data is not None else []
    # The names are in another part of the report, which may be missing.
    return classes + [
        f"class {number + 1}" for number in range(len(classes), len(report.confusion))
    ]


def _cell(classes: list[str], row: int, column: int, counts: Sequence[int]) -> Cell | None:
    clips = counts[column]
    if not clips:
        return None
    # Of its row, not of all clips: a rare class would be too pale to see.
    percent = 100 * clips / sum(counts)
    level = next((number for number, upto in enumerate(LEVELS, 1) if percent <= upto), len(LEVELS))
    says = f"{classes[row]} → {classes[column]}: {clips} of {sum(counts)} ({percent:.1f}%)"
    return Cell(clips, f"{'r' if row == column else 'w'}{level}", says)


def _worst(matrix: Sequence[Sequence[int]], classes: list[str]) -> tuple[Confused, ...]:
    mistakes = []
    for row, counts in enumerate(matrix):
        for column, count in enumerate(counts):
            if count and row != column:
                mistakes.append(Confused(classes[row], classes[column], count, sum(counts)))
    # Equally many clips weigh more in a class that has fewer.
    mistakes.sort(key=lambda mistake: (-mistake.clips, -mistake.clips / mistake.total))
    # Of many classes more pairs are worth a look; a third of their number is still a short list.
    return tuple(mistakes[: max(SHOWN_CONFUSIONS, len(matrix) // 3)])
