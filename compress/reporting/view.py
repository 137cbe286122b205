"""What the report page shows, worked out from a report that may be partial: every field of the view
is always there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from compress.evaluation.record import RuntimeRow
from compress.reporting.before_after import Change
from compress.reporting.charts import BarAxis, bar_axis
from compress.reporting.confusion import ConfusionView, confusion_view
from compress.reporting.films import ExampleView, PairView, clips, pairs
from compress.reporting.folder_size import FolderSize, folder_size
from compress.reporting.headline import VERDICT_ICONS, headline, subtitle
from compress.reporting.layers import LayersView, layers_view
from compress.reporting.outcome import Tiles, Verdict, missing, tiles, verdict
from compress.reporting.record import (
    DataRecord,
    Gate,
    Hardware,
    MemberRow,
    NetworkRow,
    Provenance,
    Report,
    Seeds,
    StepRow,
)
from compress.reporting.robustness import RobustnessView, robustness_view
from compress.reporting.streams import StreamsView, streams_view
from compress.reporting.training_curves import CurveView, curve_view
from compress.reporting.waterfall import Waterfall, waterfall
from compress.reporting.wording import difference, number, size
from teachers.cpu import Cpu

# Up to FEW all classes are shown; of more, the ones that lost most, and the others folded away.
FEW_CLASSES = 24
SHOWN_CLASSES = 16
# Points that a full bar of the class list stands for at least, so that a change of a single clip
# does not fill it.
SMALLEST_SCALE = 5.0
# The clips that choose an epoch where a recipe says nothing else.
VALIDATION = "the validation split"
# Of a change (`before_after.Change.state`): the style sheet's class. Words say the same beside it.
TONES = {"better": "good", "worse": "bad", "same": "soft", "": "soft"}


@dataclass(frozen=True)
class Runtimes:
    """The rows of the comparison; `slowest` is the largest median, the full bar; `spread` says
    whether any row has one."""

    rows: tuple[RuntimeRow, ...]
    slowest: float
    spread: bool


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
    """All classes, the one that lost most first.

    Attributes:
        rest: the classes that the page folds away.
        scale: the largest change, the full bar.
    """

    shown: tuple[ClassView, ...]
    rest: tuple[ClassView, ...]
    count: int
    scale: float
    axis: BarAxis
    worse: int
    better: int


@dataclass(frozen=True)
class Section:
    """A part of the page below its top: `key` is its anchor and its template, `word` stands in the
    navigation."""

    key: str
    word: str
    title: str


# In the order of their use: what was reached, what it cost, where it fails, how it was made.
SECTIONS = (
    Section("runtimes", "Runtimes", "Accuracy and speed of every runtime"),
    Section("size", "Size", "Where the bytes are"),
    Section("steps", "Steps", "From teacher to student, step by step"),
    Section("networks", "Networks", "Networks"),
    Section("members", "Ensemble", "Networks of the teacher"),
    Section("per_class", "Classes", "Class by class: teacher to student"),
    Section("confusion", "Confusions", "What the student mixes up"),
    Section("examples", "Clips", "Clips"),
    Section("robustness", "Robustness", "Damaged clips, and what scores are worth"),
    Section("streams", "Live", "Live poses: first right answers and false alarms"),
    Section("seeds", "Seeds", "The same recipe with other seeds"),
    Section("layers", "Rounding", "Where rounding costs accuracy"),
    Section("curves", "Training", "Training"),
    Section("data", "Data", "Data"),
    Section("provenance", "Provenance", "Provenance"),
)


@dataclass(frozen=True)
class View:
    """The values of the templates in `page/`."""

    recipe: str
    verdict: Verdict
    warnings: tuple[str, ...]
    missing: list[str]
    headline: tuple[tuple[Change, ...], ...]
    subtitle: str
    verdict_icon: str
    tone: dict[str, str]
    gates: tuple[Gate, ...]
    tiles: Tiles
    output: str
    threads: str
    runtimes: Runtimes | None
    size: FolderSize | None
    steps: tuple[StepRow, ...]
    waterfall: Waterfall | None
    networks: tuple[NetworkRow, ...]
    members: tuple[MemberRow, ...]
    curves: tuple[CurveView, ...]
    judged_on: str
    layers: LayersView | None
    examples: tuple[ExampleView, ...]
    pairs: tuple[PairView, ...]
    per_class: ClassesView | None
    confusion: ConfusionView | None
    data: DataRecord | None
    provenance: Provenance | None
    hardware: tuple[str, ...]
    checked_on: Cpu | None
    clean: bool
    robustness: RobustnessView | None
    streams: StreamsView | None
    seeds: Seeds | None
    sections: tuple[Section, ...] = ()


def view_of(report: Report) -> View:
    """All that the page shows of a report."""
    # Worked out here, not in the page: a template has no types, and nothing in it is checked.
    provenance = report.provenance
    hardware = provenance.hardware if provenance is not None else None
    top = tiles(report)
    outcome = verdict(report)
    view = View(
        recipe=report.recipe or "unnamed run",
        verdict=outcome,
        warnings=report.warnings,
        missing=missing(report),
        headline=headline(report, top),
        subtitle=subtitle(report),
        verdict_icon=VERDICT_ICONS[outcome.state],
        tone=TONES,
        gates=report.gates,
        tiles=top,
        output=report.output,
        threads=_threads(hardware),
        runtimes=_runtimes(report),
        size=folder_size(report),
        steps=steps(report),
        waterfall=waterfall(report, steps(report)),
        networks=report.networks,
        members=report.members,
        curves=tuple(curve_view(curve, judged_on(report)) for curve in report.curves),
        judged_on=judged_on(report),
        layers=layers_view(report),
        examples=clips(report.examples) if report.examples is not None else (),
        pairs=pairs(report.examples) if report.examples is not None else (),
        per_class=_classes(report),
        confusion=confusion_view(report),
        data=report.data,
        provenance=provenance,
        hardware=_hardware(hardware) if hardware is not None else (),
        checked_on=report.checked_on,
        clean=has_clean(report),
        robustness=robustness_view(report.robustness),
        streams=streams_view(report.streams),
        seeds=report.seeds,
    )
    return replace(view, sections=_sections(view))


def judged_on(report: Report) -> str:
    """Which clips the epochs of a run's trainings were judged on, in words: those that choose."""
    if report.data is not None and report.data.holdout_clips:
        return f"{report.data.holdout_clips} clips held out of training"
    return VALIDATION


def has_clean(report: Report) -> bool:
    """Whether the validation split has copies, so that tables have a column for the others."""
    return bool(report.data is not None and report.data.copies)


def _sections(view: View) -> tuple[Section, ...]:
    """The sections that have something to show."""
    shown = []
    for section in SECTIONS:
        # The rows of the steps begin with the teacher and end with the student.
        repeated = section.key == "networks" and view.steps
        if getattr(view, section.key) and not repeated:
            shown.append(section)
    return tuple(shown)


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
                clean_top1=teacher.clean_top1,
            )
        )
    for step in report.steps:
        # A step that is listed was enabled.
        config = {key: value for key, value in step.config.items() if key != "enabled"}
        rows.append(replace(step, config=config))
    return tuple(rows)


def _runtimes(report: Report) -> Runtimes | None:
    if not report.runtimes:
        return None
    # A row that was not timed has no bar, and no say in the scale.
    slowest = max((number(row.p50_ms) or 0.0 for row in report.runtimes), default=0.0)
    spread = any(number(row.spread_ms) is not None for row in report.runtimes)
    return Runtimes(report.runtimes, slowest, spread)


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
    scale = max([abs(change) for change in changes] + [SMALLEST_SCALE])
    shown = len(rows) if len(rows) <= FEW_CLASSES else SHOWN_CLASSES
    return ClassesView(
        shown=tuple(rows[:shown]),
        rest=tuple(rows[shown:]),
        count=len(rows),
        scale=scale,
        axis=bar_axis("change, points", -scale, scale),
        worse=sum(change < 0 for change in changes),
        better=sum(change > 0 for change in changes),
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
    threads = _threads(hardware)
    if threads:
        words.append(f"{threads} used")
    return tuple(word for word in words if word)


def _threads(hardware: Hardware | None) -> str:
    if hardware is None or hardware.threads is None:
        return ""
    return f"{hardware.threads} thread{'' if hardware.threads == 1 else 's'}"
