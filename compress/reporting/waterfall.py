"""Where the accuracy went: what every step of a run took or gave back, from the teacher to the files
that ship."""

from __future__ import annotations

from dataclasses import dataclass

from compress.reporting.charts import BarAxis, bar_axis
from compress.reporting.record import Report, StepRow
from compress.reporting.wording import number

# Points that the axis shows at least: a change of one clip is not to look like a cliff.
LEAST_SPAN = 5.0


@dataclass(frozen=True)
class Fall:
    """A row: a total, or a change between two.

    Attributes:
        kind: of the style sheet: total, up, down or level.
        change: in points; None for a total.
        top1: percent after it.
        left, width: of its bar, in percent of the axis.
    """

    label: str
    kind: str
    change: float | None
    top1: float
    left: float = 0.0
    width: float = 0.0


@dataclass(frozen=True)
class Waterfall:
    """The rows and their axis; `low` is where it begins, in percent of top-1."""

    rows: tuple[Fall, ...]
    axis: BarAxis
    low: float


def waterfall(report: Report, steps: tuple[StepRow, ...]) -> Waterfall | None:
    """The rows of a report whose steps (`view.steps`) are these, the teacher first; None where fewer
    than two accuracies are known."""
    known = [(step, top1) for step in steps if (top1 := number(step.top1)) is not None]
    if len(known) < 2:
        return None
    first, level = known[0]
    rows = [Fall(first.title or first.name, "total", None, level)]
    for step, top1 in known[1:]:
        label = step.title or step.name
        start = number(step.start_top1)
        if start is not None:
            rows.append(_change(f"{step.name}: rounding alone", level, start))
            level, label = start, f"{step.name}: training while rounded"
        rows.append(_change(label, level, top1))
        level = top1
    rows += _shipped(report, level)
    return _drawn(rows)


def _shipped(report: Report, level: float) -> list[Fall]:
    """From the network that the last step left to the worst file that ships."""
    served = [
        (top1, row.name)
        for row in report.runtimes
        if row.deployed and (top1 := number(row.top1)) is not None
    ]
    if not served:
        return []
    # The worst, as the gate takes it.
    top1, name = min(served)
    return [_change(f"as served by {name}", level, top1), Fall("Deployed", "total", None, top1)]


def _change(label: str, before: float, after: float) -> Fall:
    change = after - before
    # As it is shown: a change of 0.00 points is none.
    kind = "level" if round(change, 2) == 0 else "up" if change > 0 else "down"
    return Fall(label, kind, change, after)


def _drawn(rows: list[Fall]) -> Waterfall:
    levels = [row.top1 for row in rows]
    # Beginning at zero the changes of most runs would be too short to be seen.
    span = max(max(levels) - min(levels), LEAST_SPAN)
    high = min(max(levels) + 0.1 * span, 100.0)
    low = max(min(min(levels) - 0.25 * span, max(levels) - LEAST_SPAN), 0.0)
    placed = []
    for row in rows:
        before = low if row.change is None else row.top1 - row.change
        start, end = sorted((before, row.top1))
        left = 100 * (start - low) / (high - low)
        placed.append(
            Fall(
                row.label, row.kind, row.change, row.top1, left, 100 * (end - start) / (high - low)
            )
        )
    return Waterfall(tuple(placed), bar_axis("top-1, %", low, high), low)
