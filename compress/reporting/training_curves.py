"""The charts of a training: accuracy, loss and learning rate over epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from compress.reporting.charts import Series, line_chart
from compress.reporting.record import Curve, EpochRow
from compress.reporting.wording import number

Best = Callable[[Sequence[float]], float]
Tags = Callable[[EpochRow], Mapping[str, float | None]]


@dataclass(frozen=True)
class LegendLine:
    """A line of a chart's legend; `best` is None where a line has no better or worse."""

    label: str
    last: float
    best: float | None
    dashed: bool


@dataclass(frozen=True)
class Chart:
    """A chart with its legend."""

    title: str
    svg: Markup
    legend: tuple[LegendLine, ...]


@dataclass(frozen=True)
class CurveView:
    """A training: `epochs` is their number, `seconds` what one took in the mean."""

    title: str
    epochs: int
    seconds: float | None
    charts: tuple[Chart, ...]


def curve_view(curve: Curve) -> CurveView:
    """A training's charts; a chart without any value is left out."""
    charts = (
        _chart("Top-1, %", _accuracies(curve), max),
        _chart("Loss", _losses(curve), min),
        _chart("Learning rate", [_learning_rate(curve)], None),
    )
    recorded = [epoch.seconds for epoch in curve.epochs if epoch.seconds is not None]
    return CurveView(
        title=curve.title or "training",
        epochs=len(curve.epochs),
        seconds=sum(recorded) / len(recorded) if recorded else None,
        charts=tuple(chart for chart in charts if chart is not None),
    )


def _train(epoch: EpochRow) -> Mapping[str, float | None]:
    return epoch.train


def _val(epoch: EpochRow) -> Mapping[str, float | None]:
    return epoch.val


def _tags(curve: Curve, part: Tags) -> list[str]:
    """Every tag of any epoch: an objective may begin or end in the middle of a training."""
    # Sorted: a set has another order in each process, and a line's colour goes by its place.
    return sorted({tag for epoch in curve.epochs for tag in part(epoch)})


def _series(curve: Curve, part: Tags, tag: str, label: str, dashed: bool = False) -> Series:
    points = []
    for epoch in curve.epochs:
        # A tag that an epoch lacks leaves a gap, so that all lines keep their place on the axis.
        values = part(epoch)
        points.append((float(epoch.epoch), number(values[tag]) if tag in values else None))
    return Series(label, tuple(points), dashed)


def _accuracies(curve: Curve) -> list[Series]:
    """Validation first: it is what networks are chosen by, and the first series has the page's main
    colour. The training split's lines are dashed."""
    lines = []
    for part, word in ((_val, "val"), (_train, "train")):
        for tag in _tags(curve, part):
            if tag.endswith("top1"):
                # Tags are role/top1 (`compress.training.fit`); a legend has no use for the slash.
                role = tag.removesuffix("top1").strip("/")
                lines.append(_series(curve, part, tag, f"{role} {word}".strip(), word == "train"))
    return lines


def _losses(curve: Curve) -> list[Series]:
    lines = []
    for part, suffix in ((_train, ""), (_val, ", val")):
        # The sum comes before its terms.
        for tag in sorted(_tags(curve, part), key=lambda tag: (tag != "loss", tag)):
            # A tag with a role, such as student/top1, is a measure of that network and no loss.
            if "/" not in tag or tag.endswith("loss"):
                lines.append(_series(curve, part, tag, f"{tag}{suffix}"))
    return lines


def _learning_rate(curve: Curve) -> Series:
    points = tuple((float(epoch.epoch), number(epoch.lr)) for epoch in curve.epochs)
    return Series("learning rate", points)


def _chart(title: str, series: Sequence[Series], best: Best | None) -> Chart | None:
    # A line of gaps alone would take a colour, and have no last value for its legend.
    lines = [line for line in series if line.values]
    if not lines:
        return None
    legend = []
    for line in lines:
        highest = best(line.values) if best is not None else None
        legend.append(LegendLine(line.label, line.values[-1], highest, line.dashed))
    return Chart(title, line_chart(title, lines), tuple(legend))
