"""The trainings of several runs in one chart: the same training of each, a line a run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from compress.reporting import view
from compress.reporting.charts import Series, line_chart
from compress.reporting.record import Curve, EpochRow
from compress.reporting.runs.reading import Run
from compress.reporting.wording import number

# Points of a line; more could not be told apart in a chart of 300 units.
MOST_POINTS = 200
# The clips of an epoch's top-1, where those of some run were held out of its training.
CHOOSING = "top-1 of the clips that choose the epoch"
# Titles of a run's curves (`compress.pipeline`): "teacher", "step 2: train".
STEP = re.compile(r"step \d+: ")

Value = Callable[[EpochRow], float | None]


@dataclass(frozen=True)
class CurveGroup:
    """The same training of several runs; `runs` are their places, in the order of the lines.

    Attributes:
        shared: how many runs have this very training, of a teacher that was kept; 0: each its own.
    """

    title: str
    charts: tuple[Markup, ...]
    runs: tuple[int, ...]
    shared: int = 0


def groups(runs: Sequence[Run]) -> tuple[CurveGroup, ...]:
    """Top-1 and loss of each training that a run recorded; the same step in two recipes is one
    training, whatever its number."""
    found: dict[str, dict[int, Curve]] = {}
    for place, run in enumerate(runs):
        seen: dict[str, int] = {}
        for curve in run.report.curves:
            title = STEP.sub("", curve.title or "training")
            seen[title] = seen.get(title, 0) + 1
            if seen[title] > 1:
                title = f"{title}, time {seen[title]}"
            found.setdefault(title, {})[place] = curve
    built = [_group(title, curves, runs) for title, curves in found.items()]
    return tuple(group for group in built if group.charts)


def _group(title: str, curves: Mapping[int, Curve], runs: Sequence[Run]) -> CurveGroup:
    # Held-out clips are each run's own, and no part of the validation split.
    alike = all(view.judged_on(runs[place].report) == view.VALIDATION for place in curves)
    charts = (
        _chart(f"{'validation top-1' if alike else CHOOSING}, %", curves, runs, _top1),
        _chart("training loss", curves, runs, lambda epoch: epoch.train.get("loss")),
    )
    first = next(iter(curves.values()))
    same = len(curves) > 1 and all(curve.epochs == first.epochs for curve in curves.values())
    return CurveGroup(
        title,
        tuple(chart for chart in charts if chart),
        tuple(sorted(curves)),
        len(curves) if same else 0,
    )


def _chart(y_name: str, curves: Mapping[int, Curve], runs: Sequence[Run], value: Value) -> Markup:
    # A line for every run, drawn or not: a run has one colour, which goes by its place.
    lines = []
    for place, run in enumerate(runs):
        epochs = curves[place].epochs if place in curves else ()
        thin = max(1, -(-len(epochs) // MOST_POINTS))
        points = tuple((float(each.epoch), number(value(each))) for each in epochs[::thin])
        lines.append(Series(f"{place + 1} {run.name}", points, dashed=place >= 8))
    return line_chart(y_name, lines)


def _top1(epoch: EpochRow) -> float | None:
    """Of the network that is trained: of several it is the student."""
    tags = sorted(tag for tag in epoch.val if tag.endswith("top1"))
    chosen = next((tag for tag in tags if tag.startswith("student")), next(iter(tags), None))
    return epoch.val[chosen] if chosen is not None else None
