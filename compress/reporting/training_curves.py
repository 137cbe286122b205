"""The charts of a training: accuracy, loss and learning rate over epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from compress.reporting.charts import Series, line_chart
from compress.reporting.record import Curve, EpochRow
from compress.reporting.wording import number

Tags = Callable[[EpochRow], Mapping[str, float | None]]


@dataclass(frozen=True)
class LegendLine:
    """A line of a chart's legend, with its value at the epoch that was kept (else the last)."""

    label: str
    kept: str
    dashed: bool


@dataclass(frozen=True)
class Chart:
    """A chart with its legend."""

    svg: Markup
    legend: tuple[LegendLine, ...]


@dataclass(frozen=True)
class EpochTable:
    """Every value of the charts, a row for an epoch."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class CurveView:
    """A training.

    Attributes:
        epochs: how many there were.
        seconds: what one took in the mean.
        kept: which epoch's weights were kept, in words; empty where that was not recorded.
    """

    title: str
    epochs: int
    seconds: float | None
    kept: str
    charts: tuple[Chart, ...]
    table: EpochTable


def curve_view(curve: Curve, judged_on: str) -> CurveView:
    """A training's charts; a chart without any value is left out.

    Args:
        judged_on: which clips its epochs were judged on, in words.
    """
    accuracies = _accuracies(curve)
    losses = _losses(curve)
    rate = [_learning_rate(curve)]
    charts = (
        _chart("top-1 accuracy, %", accuracies, curve.kept_epoch),
        _chart("loss", losses, curve.kept_epoch),
        _chart("learning rate", rate, curve.kept_epoch),
    )
    recorded = [epoch.seconds for epoch in curve.epochs if epoch.seconds is not None]
    return CurveView(
        title=curve.title or "training",
        epochs=len(curve.epochs),
        seconds=sum(recorded) / len(recorded) if recorded else None,
        kept=_kept_in_words(curve, judged_on),
        charts=tuple(chart for chart in charts if chart is not None),
        table=_table(curve, [*_shown(accuracies, "top-1, %"), *losses, *rate]),
    )


def _kept_in_words(curve: Curve, judged_on: str) -> str:
    if curve.kept_epoch is None:
        return ""
    # A fine-tuning that never got better than what it began with keeps that (`Job.start_counts`).
    if curve.kept_epoch == 0:
        return "no epoch was better than the network before them, which is kept"
    return f"epoch {curve.kept_epoch} is kept, the best on {judged_on}"


def _shown(series: Sequence[Series], what: str) -> list[Series]:
    return [Series(f"{line.label} {what}", line.points, line.dashed) for line in series]


def _table(curve: Curve, series: Sequence[Series]) -> EpochTable:
    lines = [line for line in series if line.values]
    rows = []
    for place, epoch in enumerate(curve.epochs):
        # Every line has a point for every epoch, if only a gap (`_series`).
        values = [line.points[place][1] for line in lines]
        rows.append((str(epoch.epoch), *("–" if y is None else f"{y:.4g}" for y in values)))
    return EpochTable(("epoch", *(line.label for line in lines)), tuple(rows))


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


def _chart(y_name: str, series: Sequence[Series], kept: int | None) -> Chart | None:
    # A line of gaps alone would take a colour, and have no value for its legend.
    lines = [line for line in series if line.values]
    if not lines:
        return None
    legend = []
    for line in lines:
        at_kept = dict(line.points).get(float(kept)) if kept is not None else None
        value = line.values[-1] if at_kept is None else at_kept
        legend.append(LegendLine(line.label, f"{value:.4g}", line.dashed))
    return Chart(line_chart(y_name, lines, kept), tuple(legend))
