"""Class by class: what each run has right against the first one, with an exact test where both were
asked the same clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from compress.evaluation.record import ClassRow as Recall, Paired
from compress.reporting import wording
from compress.reporting.runs.answers import Answers, holm, pair
from compress.reporting.runs.facts import same_clips
from compress.reporting.runs.reading import Run
from compress.reporting.runs.summary import CLEAR, main_name

# Of more classes those that differ most are shown, the others are folded away.
SHOWN = 24
# The largest public set has 400; of a stranger's report no more are listed.
MOST_CLASSES = 600


@dataclass(frozen=True)
class Cell:
    """A run's class; `change` is in points against the first run.

    Attributes:
        paired: None where the two have no answers to the same clips.
        clear: whether the test, raised for the number of classes, calls it a difference.
    """

    change: float | None
    paired: Paired | None = None
    clear: bool = False

    @property
    def says(self) -> str:
        """Gained and lost clips with p; empty where nothing was tested or nothing differs."""
        if self.paired is None or not (self.paired.gained or self.paired.lost):
            return ""
        return f"+{self.paired.gained} −{self.paired.lost}, p = {self.paired.p:.2g}"


@dataclass(frozen=True)
class ClassRow:
    """A class; `base` is the first run's top-1 in percent, `cells` are of the other runs."""

    name: str
    clips: int
    base: float | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Classes:
    """All classes, that with the largest difference first.

    Attributes:
        heads: (number, name) of each run that is compared with the first.
        untested: runs whose numbers are of their reports, without a test.
        clear: how many differences the tests call ones.
        cut: classes that are not listed at all.
    """

    base: str
    heads: tuple[tuple[int, str], ...]
    shown: tuple[ClassRow, ...]
    rest: tuple[ClassRow, ...]
    untested: tuple[str, ...]
    clear: int
    cut: int = 0


def classes(runs: Sequence[Run], answers: Sequence[Answers]) -> Classes | None:
    """The classes of the first run; None where no other run is of the same ones."""
    base = {row.class_: row for row in runs[0].report.per_class}
    heads: list[tuple[int, str]] = []
    columns: list[dict[str, Cell]] = []
    untested = []
    for place in range(1, len(runs)):
        if not same_clips(runs[0], runs[place]):
            continue
        column = _tested(runs, answers, place)
        if not column:
            column = _recalls(runs, place)
            if column:
                untested.append(runs[place].name)
        if column:
            heads.append((place + 1, runs[place].name))
            columns.append(column)
    names = list(base) if base else list(dict.fromkeys(name for each in columns for name in each))
    rows = [
        ClassRow(
            name,
            base[name].clips if name in base else 0,
            _base(runs, answers, name, base),
            tuple(column.get(name, Cell(None)) for column in columns),
        )
        for name in names[:MOST_CLASSES]
    ]
    if not columns or not rows:
        return None
    rows.sort(key=lambda row: -max(abs(cell.change or 0.0) for cell in row.cells))
    return Classes(
        base=runs[0].name,
        heads=tuple(heads),
        shown=tuple(rows[:SHOWN]),
        rest=tuple(rows[SHOWN:]),
        untested=tuple(untested),
        clear=sum(cell.clear for row in rows for cell in row.cells),
        cut=max(0, len(names) - MOST_CLASSES),
    )


def _base(
    runs: Sequence[Run], answers: Sequence[Answers], name: str, recalls: Mapping[str, Recall]
) -> float | None:
    """The first run's top-1 of a class: of its answers, which the changes are counted from."""
    own = main_name(runs[0], answers[0])
    if own and name in answers[0].classes:
        of_class = answers[0].labels == answers[0].classes.index(name)
        if of_class.any():
            return 100 * float(answers[0].right[own][of_class].mean())
    return recalls[name].student if name in recalls else None


def _tested(runs: Sequence[Run], answers: Sequence[Answers], place: int) -> dict[str, Cell]:
    """Class -> cell, of two runs that kept their answers to the same clips."""
    first, other = answers[0], answers[place]
    base, name = main_name(runs[0], first), main_name(runs[place], other)
    if not base or not name:
        return {}
    cells = {}
    for label, class_ in enumerate(first.classes):
        paired = pair(first, base, other, name, label)
        clips = int((first.labels == label).sum())
        if paired is not None and clips:
            cells[class_] = Cell(100 * (paired.gained - paired.lost) / clips, paired)
    raised = holm([cell.paired.p for cell in cells.values() if cell.paired])
    return {
        class_: replace(cell, clear=p < CLEAR)
        for (class_, cell), p in zip(cells.items(), raised, strict=True)
    }


def _recalls(runs: Sequence[Run], place: int) -> dict[str, Cell]:
    """The same of two reports alone."""
    first = {row.class_: row.student for row in runs[0].report.per_class}
    return {
        row.class_: Cell(wording.difference(row.student, first[row.class_]))
        for row in runs[place].report.per_class
        if row.class_ in first
    }
