"""The report of a run as records: what `report.json` holds, and how it is written and read.

The record is the contract: `docs/report.schema.json` is generated from it (`reporting/schema.py`),
the page and the summary read it. A part that a run did not reach is None or empty, so the report of
an interrupted run is valid too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from compress.evaluation.record import ClassRow, Robustness, RuntimeRow, Spread
from compress.evaluation.streams.record import Streams
from teachers.cpu import Cpu
from teachers.errors import DataError
from teachers.storage import typed_json

# To be raised when a key changes its meaning or goes away; a new key with a default needs no new
# version, because programs that read the report know what they look for.
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class NetworkRow:
    """A network of the run: `role` is teacher or student, `origin` says where its weights are from.

    Attributes:
        blocks: names of its blocks; empty for an ensemble.
        macs: multiply-accumulates of one clip.
        top1, top5, class_mean: percent on the validation split.
        clean_top1: of its clips that are no training clips again; None where all are clean.
    """

    role: str
    name: str
    # A tuple wherever JSON has a list: a record that holds a list could be changed after all.
    blocks: tuple[str, ...] = ()
    params: int | None = None
    macs: int | None = None
    top1: float | None = None
    top5: float | None = None
    class_mean: float | None = None
    origin: str = ""
    clean_top1: float | None = None


# It is a network and more: the page shows the rows of both in one table.
@dataclass(frozen=True)
class MemberRow(NetworkRow):
    """A network of an ensemble teacher, with its weight in the sum of logits."""

    # Keyword only: inherited fields have defaults, and none without may follow them by position.
    weight: float = field(kw_only=True)


@dataclass(frozen=True)
class FromNothing:
    """A fine-tuned teacher beside the same network from fresh weights with the same schedule.

    Attributes:
        top1, fine_tuned_top1: percent on the validation split.
        epochs: that the training from nothing took.
        seconds: of them; those of an earlier run where it was kept.
    """

    name: str
    top1: float
    fine_tuned_top1: float
    epochs: int
    seconds: float


@dataclass(frozen=True)
class StepRow:
    """The student after a compression step.

    Attributes:
        name: of the step, as recipes call it.
        config: its settings, as a recipe would write them.
        notes: what the step has to tell, for example which channels it removed.
        start_top1: what its training began with, percent on the validation split; of `qat`:
            rounding alone. None: not judged there.
    """

    name: str
    title: str = ""
    # Open-ended: every step has settings of its own, and reporting must not import the steps.
    config: Mapping[str, object] = field(default_factory=dict)
    seconds: float | None = None
    notes: tuple[str, ...] = ()
    params: int | None = None
    macs: int | None = None
    top1: float | None = None
    top5: float | None = None
    class_mean: float | None = None
    clean_top1: float | None = None
    start_top1: float | None = None


@dataclass(frozen=True)
class EpochRow:
    """One epoch. `train` and `val` map tags to means, such as `loss` or `student/top1`: which tags
    there are depends on the objective."""

    epoch: int
    lr: float | None = None
    seconds: float | None = None
    train: Mapping[str, float | None] = field(default_factory=dict)
    val: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Curve:
    """The epochs of one training.

    Attributes:
        kept_epoch: whose weights were kept; 0 are those that the training began with.
    """

    title: str
    epochs: tuple[EpochRow, ...] = ()
    kept_epoch: int | None = None


@dataclass(frozen=True)
class Gate:
    """A limit of the recipe, and whether the run kept it; `says` is the sentence for people."""

    name: str
    passed: bool
    limit: float | None = None
    value: float | None = None
    says: str = ""


@dataclass(frozen=True)
class PartRow:
    """A part of a file; `kind` is weights, graph, metadata or other."""

    part: str
    kind: str
    bytes: int


@dataclass(frozen=True)
class FileRow:
    """A file of the deployed folder; its parts add up to its bytes."""

    file: str
    bytes: int
    parts: tuple[PartRow, ...] = ()


@dataclass(frozen=True)
class BudgetRecord:
    """The deployed folder, weighed (`compress.budget.measure`); `advice` is one remedy a line."""

    limit_bytes: int
    total_bytes: int
    within: bool
    advice: str = ""
    files: tuple[FileRow, ...] = ()


@dataclass(frozen=True)
class FileSize:
    """A file and its bytes."""

    file: str
    bytes: int


@dataclass(frozen=True)
class BaselineExport:
    """The export that a person gets without this project (`export.formats.baseline`)."""

    bytes: int
    files: tuple[FileSize, ...] = ()


@dataclass(frozen=True)
class Delivered:
    """A network as it ships: the teacher before compression, or the student after it.

    Attributes:
        top1: percent on the validation split.
        bytes: of the whole folder.
        macs: multiply-accumulates of one clip.
        runtime: that was timed, the fastest one for the student.
        p50_ms, p95_ms, spread_ms, timings: as in `compress.evaluation.record.RuntimeRow`.
        note: why figures are missing.
    """

    name: str
    top1: float | None = None
    bytes: int | None = None
    params: int | None = None
    macs: int | None = None
    runtime: str = ""
    p50_ms: float | None = None
    p95_ms: float | None = None
    spread_ms: float | None = None
    timings: int | None = None
    note: str = ""


@dataclass(frozen=True)
class LayerRow:
    """Signal to noise of a layer's output, float against quantised; `power` is of the signal.

    Attributes:
        low, high: the extremes of the output.
        range_low, range_high: that calibration chose; None: the output is not rounded.
        cut_off: percent of the values that lie outside of it.
        shares: percent of the values in equal bins from `low` to `high`.
    """

    layer: str
    snr_db: float | None
    power: float | None = None
    low: float | None = None
    high: float | None = None
    range_low: float | None = None
    range_high: float | None = None
    cut_off: float | None = None
    shares: tuple[float, ...] = ()


@dataclass(frozen=True)
class WeightRow:
    """The weights of a layer, before rounding.

    Attributes:
        precision: one of `export.quantize.bits.KINDS`.
        snr_db: against the rounded ones; None: rounding changes none of them.
        largest: the largest magnitude.
        range_low, range_median, range_high: of the ranges of its channels (int4: of groups); None
            where there are none.
        shares: percent of the weights in equal bins from -`largest` to `largest`.
    """

    layer: str
    precision: str
    count: int
    snr_db: float | None
    largest: float
    range_low: float | None = None
    range_median: float | None = None
    range_high: float | None = None
    shares: tuple[float, ...] = ()


# frames -> persons -> joints -> (x, y)
Frames = tuple[tuple[tuple[tuple[float, ...], ...], ...], ...]


@dataclass(frozen=True)
class ExampleClip:
    """A clip of the validation split, drawn, with its class and the student's answer."""

    name: str
    # `class` is a keyword to Python; the JSON key has no underscore (`typed_json.key_of`).
    class_: str
    predicted: str
    right: bool
    frames: Frames = ()


@dataclass(frozen=True)
class ConfusedPair:
    """`clips` of the `total` clips of the class `true` were taken for `predicted`.

    Attributes:
        mistaken: one of them.
        other: a clip of `predicted` that was answered so; None: there is none.
    """

    true: str
    predicted: str
    clips: int
    total: int
    mistaken: ExampleClip
    other: ExampleClip | None = None


@dataclass(frozen=True)
class Examples:
    """Clips as drawings.

    Attributes:
        bones: (child, parent) joints, counted from 1.
        side: of the square that a frame is drawn in, y downwards.
        pairs: of classes, the most often confused first.
    """

    # Not (int, int): `typed_json` reads one type for all items of a list.
    bones: tuple[tuple[int, ...], ...]
    side: float
    clips: tuple[ExampleClip, ...] = ()
    pairs: tuple[ConfusedPair, ...] = ()


@dataclass(frozen=True)
class InputRecord:
    """What the student is fed: `shape` is (C, T, V, M)."""

    title: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class SkippedClip:
    """A clip that was left out, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class DataRecord:
    """The data set; `notes` are what a reader of the numbers has to know of it, `skipped` every
    clip that was left out because it cannot be used.

    Attributes:
        copies: validation clips that are training clips again (`compress.data.copies`).
        holdout_clips: of the training split, that choose the best epoch; None: validation clips do.
    """

    name: str
    classes: tuple[str, ...] = ()
    train_clips: int | None = None
    val_clips: int | None = None
    skeleton: str = ""
    input: InputRecord | None = None
    notes: tuple[str, ...] = ()
    skipped: tuple[SkippedClip, ...] = ()
    copies: int | None = None
    holdout_clips: int | None = None


@dataclass(frozen=True)
class SeedRow:
    """A run of `seeds:`; accuracies in percent, None where it did not come so far.

    Attributes:
        folder: in the folder of all of them.
        top1: of the worst deployed file.
    """

    seed: int
    folder: str
    status: str
    exit_code: int | None
    teacher_top1: float | None = None
    student_top1: float | None = None
    student_clean_top1: float | None = None
    top1: float | None = None
    clean_top1: float | None = None
    total_bytes: int | None = None


@dataclass(frozen=True)
class Seeds:
    """The runs of one recipe with several seeds, and what they come to together; a spread is None
    where a run lacks the figure.

    Attributes:
        data_seed: of the data, the same for all.
    """

    data_seed: int
    rows: tuple[SeedRow, ...]
    teacher_top1: Spread | None = None
    student_top1: Spread | None = None
    student_clean_top1: Spread | None = None
    top1: Spread | None = None
    clean_top1: Spread | None = None


@dataclass(frozen=True)
class Hardware:
    """The machine of a run.

    Attributes:
        cores: that this process may use.
        threads: that Paddle was allowed.
        cpu_instructions: which of `teachers.cpu.INSTRUCTIONS` it has, or "unknown".
        mkl_debug_cpu_type: the path that Paddle's MKL was told to take; None: its own choice.
    """

    cpu: str = ""
    cores: int | None = None
    memory_bytes: int | None = None
    device: str = ""
    threads: int | None = None
    cpu_vendor: str = ""
    cpu_instructions: tuple[str, ...] | str = ()
    mkl_debug_cpu_type: str | None = None


@dataclass(frozen=True)
class Provenance:
    """What it takes to get the numbers again.

    Attributes:
        recipe_yaml: the recipe as the file has it.
        effective: the recipe after overrides, with every default.
        effective_yaml: the same as a recipe's text, which `--recipe` takes; also the run's
            `recipe.yaml`.
        started: ISO 8601, UTC.
        command: as typed.
        deterministic: what `--deterministic` set, as NAME=VALUE; empty: it was not asked for.
    """

    commit: str = ""
    recipe_yaml: str = ""
    overrides: tuple[str, ...] = ()
    effective: Mapping[str, object] = field(default_factory=dict)
    seed: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    hardware: Hardware | None = None
    started: str = ""
    command: str = ""
    wall_seconds: float | None = None
    effective_yaml: str = ""
    deterministic: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """A run: everything that `report.json` says.

    Attributes:
        status: running, ok, over budget, accuracy gate failed, interrupted, or "failed: why".
        exit_code: of the command; None while it runs.
        output: the run's folder.
        networks: the teacher, then the student.
        members: the networks of an ensemble teacher; empty for a single one.
        from_nothing: of each teacher whose recipe asks for the comparison.
        confusion: (K, K) counts, rows true, columns predicted.
        checked_on: the processor that the files were compared on.
        before, after: the teacher and the student as they ship, exported the same way.
        warnings: what makes a passed run a doubtful one, a sentence each.
        robustness, streams: None: the recipe does not ask for it.
        temperature: that the deployed scores are divided by; None: none was fitted.
        seeds: of the report over several runs, which has little else.
    """

    recipe: str = ""
    status: str = "running"
    exit_code: int | None = None
    output: str = ""
    schema_version: int = SCHEMA_VERSION
    data: DataRecord | None = None
    networks: tuple[NetworkRow, ...] = ()
    members: tuple[MemberRow, ...] = ()
    steps: tuple[StepRow, ...] = ()
    curves: tuple[Curve, ...] = ()
    runtimes: tuple[RuntimeRow, ...] = ()
    budget: BudgetRecord | None = None
    baseline_export: BaselineExport | None = None
    gates: tuple[Gate, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    per_class: tuple[ClassRow, ...] = ()
    layer_report: tuple[LayerRow, ...] = ()
    weight_report: tuple[WeightRow, ...] = ()
    examples: Examples | None = None
    checked_on: Cpu | None = None
    provenance: Provenance | None = None
    before: Delivered | None = None
    after: Delivered | None = None
    warnings: tuple[str, ...] = ()
    from_nothing: tuple[FromNothing, ...] = ()
    robustness: Robustness | None = None
    streams: Streams | None = None
    temperature: float | None = None
    seeds: Seeds | None = None

    def network(self, role: str) -> NetworkRow | None:
        """The network that has this role, if the run came that far."""
        return next((row for row in self.networks if row.role == role), None)


def to_json(report: Report) -> dict[str, object]:
    """The report in JSON's types, every key there; numbers that are not finite become None."""
    fields = typed_json.encode(report)
    # First in the file: a program that reads it has to know what it reads.
    return {"schema_version": report.schema_version, **fields}


def from_json(data: object, place: str = "report.json") -> Report:
    """The report that `to_json` wrote; `place` names it in errors.

    Raises:
        DataError: another schema_version, an unknown or missing key, or a wrong type; says where.
    """
    # Before any key is looked at: of another version, every other complaint would mislead.
    version = (
        data["schema_version"] if isinstance(data, dict) and "schema_version" in data else None
    )
    if version != SCHEMA_VERSION:
        raise DataError(
            f"{place}: schema_version is {repr(version)[:60]}, this program reads {SCHEMA_VERSION}; read it"
            " with the version of the project that wrote it, or run the recipe again"
        )
    return typed_json.decode(Report, data, place)
