"""What the report page shows, worked out from a report that may be partial: every field of the view
is always there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from markupsafe import Markup

from compress.evaluation.record import RuntimeRow
from compress.reporting.before_after import Change, changes
from compress.reporting.charts import heatmap, skeletons
from compress.reporting.folder_size import FolderSize, folder_size
from compress.reporting.outcome import Tiles, Verdict, missing, tiles, verdict
from compress.reporting.record import (
    DataRecord,
    Examples,
    Gate,
    Hardware,
    LayerRow,
    MemberRow,
    NetworkRow,
    Provenance,
    Report,
    StepRow,
)
from compress.reporting.training_curves import CurveView, curve_view
from compress.reporting.wording import difference, number, size
from teachers.cpu import Cpu

# The others are folded away: what a person looks for is the layer to keep in float32.
SHOWN_LAYERS = 12
SHOWN_CONFUSIONS = 8
# Points that a full bar of the class list stands for at least, so that a change of a single clip
# does not fill it.
SMALLEST_SCALE = 5.0
# The last row of a layer report: all rounding together, so no layer to compare with the others.
LOGITS = "logits"


@dataclass(frozen=True)
class Runtimes:
    """The rows of the comparison; `slowest` is the largest median, the full bar."""

    rows: tuple[RuntimeRow, ...]
    slowest: float


@dataclass(frozen=True)
class LayersView:
    """Layers by signal to noise, the worst first; `scale` is the best one's."""

    worst: tuple[LayerRow, ...]
    rest: tuple[LayerRow, ...]
    logits: float | None
    scale: float


@dataclass(frozen=True)
class ExampleView:
    """A clip as a drawing, with its class and the student's answer."""

    name: str
    class_: str
    predicted: str
    right: bool
    svg: Markup


@dataclass(frozen=True)
class ClassView:
    """A class; `change` is student's minus teacher's recall, in points."""

    name: str
    clips: int
    teacher: float | None
    student: float | None
    change: float | None


@dataclass(frozen=True)
class ClassesView:
    """All classes, the one that lost most first; `scale` is the largest change, the full bar."""

    rows: tuple[ClassView, ...]
    scale: float
    worse: int
    better: int


@dataclass(frozen=True)
class Confused:
    """`clips` of the `total` clips of the class `true` were taken for `predicted`."""

    true: str
    predicted: str
    clips: int
    total: int


@dataclass(frozen=True)
class ConfusionView:
    """The matrix as a picture, and its most frequent mistakes."""

    svg: Markup
    total: int
    right: int
    worst: tuple[Confused, ...]


@dataclass(frozen=True)
class View:
    """The values of `page.html.j2`."""

    recipe: str
    verdict: Verdict
    warnings: tuple[str, ...]
    missing: list[str]
    changes: tuple[Change, ...]
    gates: tuple[Gate, ...]
    tiles: Tiles
    output: str
    runtimes: Runtimes
    size: FolderSize | None
    steps: tuple[StepRow, ...]
    networks: tuple[NetworkRow, ...]
    members: tuple[MemberRow, ...]
    curves: tuple[CurveView, ...]
    layers: LayersView | None
    examples: tuple[ExampleView, ...]
    per_class: ClassesView | None
    confusion: ConfusionView | None
    data: DataRecord | None
    provenance: Provenance | None
    hardware: tuple[str, ...]
    checked_on: Cpu | None


def view_of(report: Report) -> View:
    """All that the page shows of a report."""
    # Worked out here, not in the page: a template has no types, and nothing in it is checked.
    provenance = report.provenance
    hardware = provenance.hardware if provenance is not None else None
    return View(
        recipe=report.recipe or "unnamed run",
        verdict=verdict(report),
        warnings=report.warnings,
        missing=missing(report),
        changes=changes(report),
        gates=report.gates,
        tiles=tiles(report),
        output=report.output,
        runtimes=_runtimes(report),
        size=folder_size(report),
        steps=steps(report),
        networks=report.networks,
        members=report.members,
        curves=tuple(curve_view(curve) for curve in report.curves),
        layers=_layers(report),
        examples=_examples(report.examples) if report.examples is not None else (),
        per_class=_classes(report),
        confusion=_confusion(report),
        data=report.data,
        provenance=provenance,
        hardware=_hardware(hardware) if hardware is not None else (),
        checked_on=report.checked_on,
    )


def steps(report: Report) -> tuple[StepRow, ...]:
    """The teacher, then the student after every step; empty if no step was recorded."""
    if not report.steps:
        return ()
    rows = []
    teacher = report.network("teacher")
    if teacher is not None:
        # What the steps start from, so that the first step's change can be seen.
        rows.append(
            StepRow(
                name="teacher",
                title=f"Teacher {teacher.name}".strip(),
                params=teacher.params,
                macs=teacher.macs,
                top1=teacher.top1,
                top5=teacher.top5,
                class_mean=teacher.class_mean,
            )
        )
    for step in report.steps:
        # A step that is listed was enabled.
        config = {key: value for key, value in step.config.items() if key != "enabled"}
        rows.append(replace(step, config=config))
    return tuple(rows)


def _runtimes(report: Report) -> Runtimes:
    # A row that was not timed has no bar, and no say in the scale.
    slowest = max((number(row.p50_ms) or 0.0 for row in report.runtimes), default=0.0)
    return Runtimes(report.runtimes, slowest)


def _examples(examples: Examples) -> tuple[ExampleView, ...]:
    views = []
    for clip in examples.clips:
        svg = skeletons(clip.name, clip.frames, examples.bones, examples.side)
        views.append(ExampleView(clip.name, clip.class_, clip.predicted, clip.right, svg))
    return tuple(views)


def _layers(report: Report) -> LayersView | None:
    """Signal to noise of every layer, the worst ones first."""
    # Null is a ratio that was not finite, as JSON has no infinity: it has no rank among the others.
    ratios = [(row.snr_db, row) for row in report.layer_report if row.snr_db is not None]
    if not ratios:
        return None
    inner = [(ratio, row) for ratio, row in ratios if row.layer != LOGITS]
    inner.sort(key=lambda pair: pair[0])
    ordered = tuple(row for _, row in inner)
    return LayersView(
        worst=ordered[:SHOWN_LAYERS],
        rest=ordered[SHOWN_LAYERS:],
        logits=next((ratio for ratio, row in ratios if row.layer == LOGITS), None),
        scale=max(ratio for ratio, _ in ratios),
    )


def _classes(report: Report) -> ClassesView | None:
    rows = []
    for row in report.per_class:
        change = difference(row.student, row.teacher)
        rows.append(ClassView(row.class_, row.clips, row.teacher, row.student, change))
    if not rows:
        return None
    changes = [row.change for row in rows if row.change is not None]
    # What got worse comes first: that is what a reader has to decide on.
    rows.sort(key=lambda row: (row.change is None, row.change or 0.0, row.name))
    return ClassesView(
        rows=tuple(rows),
        scale=max([abs(change) for change in changes] + [SMALLEST_SCALE]),
        worse=sum(change < 0 for change in changes),
        better=sum(change > 0 for change in changes),
    )


def _confusion(report: Report) -> ConfusionView | None:
    matrix = report.confusion
    if not matrix:
        return None
    classes = list(report.data.classes) if report.data is not None else []
    # The names are in another part of the report, which may be missing.
    classes += [f"class {number + 1}" for number in range(len(classes), len(matrix))]
    mistakes = []
    for row, counts in enumerate(matrix):
        for column, count in enumerate(counts):
            if count and row != column:
                mistakes.append(Confused(classes[row], classes[column], count, sum(counts)))
    # Equally many clips weigh more in a class that has fewer.
    mistakes.sort(key=lambda mistake: (-mistake.clips, -mistake.clips / mistake.total))
    return ConfusionView(
        svg=heatmap(matrix, classes),
        total=sum(map(sum, matrix)),
        right=sum(matrix[index][index] for index in range(len(matrix))),
        worst=tuple(mistakes[:SHOWN_CONFUSIONS]),
    )


def _hardware(hardware: Hardware) -> tuple[str, ...]:
    """The machine in words."""
    words = [hardware.cpu]
    if hardware.cores is not None:
        words.append(f"{hardware.cores} cores")
    if hardware.memory_bytes is not None:
        # A no-break space: the number stays on a line with its unit.
        words.append(f"{size(hardware.memory_bytes)} memory".replace(" ", "\u00a0", 1))
    words.append(hardware.device)
    if hardware.threads is not None:
        words.append(f"{hardware.threads} thread{'' if hardware.threads == 1 else 's'} used")
    return tuple(word for word in words if word)
