"""What a recipe can say: its sections as frozen dataclasses, and the combinations that cannot work.

Names are rows of `registry.py`. `recipe.py` reads the YAML.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from compress import registry
from compress.evaluation.damage_settings import Config as Robustness
from compress.evaluation.stream_settings import Config as Streams
from compress.recipe import skeleton as skeletons
from compress.recipe.search import Search
from compress.registry import Table
from compress.schema.strict import Build, build, choice, convert, entries_of, wrong
from compress.schema.yaml_tree import Value, error, join
from compress.training import settings
from export.formats import table
from export.formats.options import USUAL, Integers, Options
from export.formats.profiles import PROFILES
from teachers.errors import did_you_mean
from teachers.skeleton import Brought, Skeleton

QUANTISING = ("ptq", "qat", "weight_only")  # steps that decide how the student's files are stored
ROOT = Path(__file__).resolve().parents[2]
Built = TypeVar("Built")
Runtime = Literal["auto", "paddle", "onnxruntime"]


def _name(table: Table, value: Value, path: str) -> str:
    name = str(convert(str, value, path))
    known = table.names()
    if name not in known:
        raise error(
            value.place,
            path,
            f"unknown {table.what} {name!r}{did_you_mean(name, known, always_list=True)}",
        )
    return name


def usual_input(data: str, pipeline: str | None = None) -> tuple[str, dict[str, Any]]:
    """(name, keys it changes) of an input pipeline for a data set: the one that its clips are
    usually seen through, or `pipeline`."""
    module = registry.DATA_SETS.load(data)
    if pipeline in (None, module.INPUT):
        return module.INPUT, getattr(module, "INPUT_DEFAULTS", {})
    return str(pipeline), getattr(module, "OTHER_INPUTS", {}).get(pipeline, {})


@dataclass(frozen=True)
class Choice:
    """A data set, an input or a network: its name and the keys of its own `Config` beside it."""

    name: str
    config: object


@dataclass(frozen=True)
class Step:
    """One entry of `steps:`. A step that is not enabled is checked like the others and then
    skipped."""

    kind: str
    config: object
    enabled: bool = True


def _choice(table: Table, value: Value, path: str) -> Choice:
    # A copy, for keys are taken out: an anchor and its aliases share one mapping.
    entries = dict(entries_of(value, path))
    if "name" not in entries:
        raise error(value.place, path, f"missing key 'name' (known: {', '.join(table.names())})")
    name = _name(table, entries.pop("name"), join(path, "name"))
    return Choice(
        name, build(table.load(name).Config, replace(value, data=entries), path, beside=("name",))
    )


def _data(value: Value, path: str) -> Choice:
    entries = entries_of(value, path)
    name = entries["name"].data if "name" in entries else None
    # Recipes for public data sets come without it: nobody has the files where another has them
    if isinstance(name, str) and "root" not in entries and needs_root(name):
        raise error(
            value.place,
            path,
            f"missing key 'root': where the files of {name} are (add -o data.root=FOLDER)",
        )
    return _choice(registry.DATA_SETS, value, path)


def needs_root(data_set: str) -> bool:
    """Whether the data set of this name, if there is one, has to be told where its files are."""
    if data_set not in registry.DATA_SETS.names():
        return False
    fields = dataclasses.fields(registry.DATA_SETS.load(data_set).Config)
    return any(field.name == "root" and field.default is dataclasses.MISSING for field in fields)


def _input(value: Value, path: str) -> Choice | None:
    return None if value.data is None else _choice(registry.INPUTS, value, path)


def _network_and(
    cls: type[Built], value: Value, path: str, default: str | None, beside: tuple[str, ...] = ()
) -> Built:
    """A `cls` whose `network` is chosen by `name`, with the network's own keys in the same mapping."""
    entries = dict(entries_of(value, path))
    chosen = entries.pop("name", Value(default, value.place, default or ""))
    network = None
    if chosen.data is not None:
        name = _name(registry.NETWORKS, chosen, join(path, "name"))
        config = registry.NETWORKS.load(name).Config
        keys = {field.name for field in dataclasses.fields(config)}
        network_keys = {key: entries.pop(key) for key in tuple(entries) if key in keys}
        network = Choice(name, build(config, replace(value, data=network_keys), path))
        # Named to `build` so that a misspelt `width` is answered with the network's keys as well
        beside = ("name", *beside, *sorted(keys))
    return build(
        cls,
        replace(value, data=entries),
        path,
        given={"network": network},
        beside=beside or ("name",),
    )


def _teacher(value: Value, path: str) -> Teacher:
    entries = dict(entries_of(value, path))
    runtime: Runtime = "auto"
    # Of the teacher as a whole, not of a member; a copy, as in `_choice`.
    if "runtime" in entries:
        runtime = convert(Runtime, entries.pop("runtime"), join(path, "runtime"))
    if "ensemble" not in entries:
        alone = replace(value, data=entries)
        member = _network_and(Member, alone, path, "ctrgcn", beside=("ensemble", "runtime"))
        return Teacher((member,), runtime=runtime)
    ensemble, place = entries["ensemble"], join(path, "ensemble")
    # A list of one would be called `teacher`, without a number, in every file and table.
    if not isinstance(ensemble.data, tuple) or len(ensemble.data) < 2:
        raise wrong(ensemble, place, "a list of two or more networks")
    members = tuple(
        _network_and(Member, member, join(place, index), "ctrgcn")
        for index, member in enumerate(ensemble.data)
    )
    find_weights = False
    if "find_weights" in entries:
        find_weights = convert(bool, entries["find_weights"], join(path, "find_weights"))
    return Teacher(members, find_weights, runtime)


def _student(value: Value, path: str) -> Student:
    return _network_and(Student, value, path, None)


def _step(value: Value, path: str) -> Step:
    entries = entries_of(value, path)
    if len(entries) != 1:
        raise error(
            value.place,
            path,
            f"expected one key, the step's name, got {', '.join(entries) or 'none'} "
            "(indent its settings below it)",
        )
    ((kind, settings),) = entries.items()
    _name(registry.STEPS, Value(kind, settings.place, kind), path)
    path = join(path, kind)
    keys = dict(entries_of(settings, path))
    # Every step has it, so it is no part of their `Config`; nor does it change what a step does
    enabled = True
    if "enabled" in keys:
        enabled = convert(bool, keys.pop("enabled"), join(path, "enabled"))
    config = registry.STEPS.load(kind).Config
    return Step(
        kind, build(config, replace(settings, data=keys), path, beside=("enabled",)), enabled
    )


def _format(value: Value, path: str) -> str:
    return choice(table.names(), value, path)


def _profile(value: Value, path: str) -> str:
    return choice(tuple(PROFILES), value, path)


def _batch(value: Value, path: str) -> int | str | None:
    # Limits are those of Options; bool by name, as below.
    if isinstance(value.data, bool) or not isinstance(value.data, (int, str, type(None))):
        raise wrong(value, path, "fixed, free or a number of clips")
    return value.data


def _rival(value: Value, path: str) -> str:
    return choice(tuple(registry.RIVALS), value, path)


def _size(value: Value, path: str) -> int:
    from compress.budget.sizes import parse_size

    # bool by name: `true` is an int to isinstance, and no size.
    if isinstance(value.data, bool) or not isinstance(value.data, (int, float, str)):
        raise wrong(value, path, "a size such as 10MB")
    try:
        return parse_size(value.text)
    except ValueError as problem:
        raise error(value.place, path, str(problem)) from None


@dataclass(frozen=True)
class Member:
    """A teacher network. Weights null: train it first. With `finetune` it is trained from `weights`
    on, which may come from other classes, persons, joints and frames.

    Attributes:
        network: its name and own keys, such as `width`.
        weight: its share in an ensemble.
        head: what becomes of the classifier of `weights` in a fine-tuning; "auto": it is kept where
            the classes are the same, by name if the file has names, else by number.
        compare_scratch: train the same network from nothing, too, and report both.
        seed: added to the recipe's, so that members of one kind are trained apart;
            `teacher.seeds: 3` is short for three members of the seeds 0, 1 and 2.
    """

    network: Choice
    input: Annotated[Choice | None, Build(_input)] = None
    weights: str | None = None
    finetune: bool = False
    train: settings.Config | None = None
    weight: float = 1.0
    head: Literal["auto", "keep", "fresh"] = "auto"
    compare_scratch: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError("seed: must not be negative")
        if self.seed and self.weights is not None and not self.finetune:
            raise ValueError(
                "seed: only for a teacher that is trained; `weights` are read as they are"
            )
        if self.weights == "":
            raise ValueError("weights: expected a file's path or null, got ''")
        if self.weights is None and self.train is None:
            raise ValueError(
                "give `weights` (a trained network's file) or `train` (how to train one)"
            )
        if self.finetune and (self.weights is None or self.train is None):
            lacking = "weights` to start from" if self.weights is None else "train` to say how"
            raise ValueError(f"finetune: needs `teacher.{lacking}")
        for name in ("head", "compare_scratch"):
            if getattr(self, name) not in ("auto", False) and not self.finetune:
                raise ValueError(f"{name}: only with `finetune: true`")
        for method in ("dml", "kd"):
            if self.train is not None and getattr(self.train, method) is not None:
                raise ValueError(
                    f"train.{method}: the teacher has no teacher of its own (move it to a train"
                    " step)"
                )
        # A member of weight 0 would cost its forward passes and decide nothing.
        if self.weight <= 0:
            raise ValueError("weight: must be above 0")


@dataclass(frozen=True)
class Teacher:
    """`teacher:`, one network, or an ensemble whose logits are averaged by weight.

    Attributes:
        find_weights: find the ensemble's weights on the validation split instead of taking the
            given ones.
        runtime: what computes it while it is frozen, see `compress.training.frozen`; "auto": ONNX
            Runtime on a CPU, if the training is long enough for that.
    """

    members: tuple[Member, ...]
    find_weights: bool = False
    runtime: Runtime = "auto"


@dataclass(frozen=True)
class Student:
    """`student:`, the network that the steps change: the (first) teacher's copy, its layout with
    other `weights`, all networks of the teacher as one (`from: ensemble`), or, with a `name`, a
    network of its own, with an input of its own."""

    network: Choice | None
    from_: Literal["teacher", "ensemble"] = "teacher"
    input: Annotated[Choice | None, Build(_input)] = None
    weights: str | None = None

    def __post_init__(self) -> None:
        if self.weights == "":
            raise ValueError("weights: expected a file's path or null, got ''")
        if self.from_ == "ensemble" and (self.network or self.weights):
            raise ValueError(
                "from: all of the teacher's networks as one have their layout and weights; leave"
                " `name` and `weights` out"
            )
        if self.network is None and self.input is not None:
            raise ValueError(
                "input: a copy of the teacher has the teacher's input (give the student a `name`"
                " for another)"
            )


@dataclass(frozen=True)
class Export:
    """`export:`, what the deployed folder holds.

    Attributes:
        skip_absent, opset, batch, profile, onnx: see `export.formats.options`.
        temperature: fit one on training-side clips and write it into deployed.json, so that scores
            are probabilities; answers stay the same.
    """

    formats: tuple[Annotated[str, Build(_format)], ...] = table.usual()
    skip_absent: bool | None = None
    opset: int | None = None
    batch: Annotated[int | str | None, Build(_batch)] = None
    profile: Annotated[str, Build(_profile)] = "ort"
    onnx: Integers | None = None
    temperature: bool = False

    def __post_init__(self) -> None:
        if not self.formats:
            raise ValueError(f"formats: name at least one of {', '.join(table.names())}")
        if len(set(self.formats)) < len(self.formats):
            raise ValueError("formats: names a format twice")
        # Made once before anything else is done: it checks that the keys go together.
        placed = self.options
        if "onnx" not in self.formats and replace(placed, skip_absent=None) != USUAL:
            raise ValueError("formats: without onnx; opset, batch, profile and onnx are its own")

    @property
    def options(self) -> Options:
        """What the files are written for."""
        return Options(self.skip_absent, self.opset, self.batch, self.profile, self.onnx)


@dataclass(frozen=True)
class Budget:
    """`budget:`, what the result may cost: bytes of every deployed file, and points of top-1 below
    the teacher; a floor in percent, below which no result is good enough; and points of top-1 that a
    deployed file may lose where 20 % of the joints are."""

    max_size: Annotated[int, Build(_size)]
    max_top1_drop: float = 0.5
    min_top1: float | None = None
    max_drop_at_20pct_joints: float | None = None

    def __post_init__(self) -> None:
        if self.max_size <= 0:
            raise ValueError("max_size: must be above 0")
        if not 0 <= self.max_top1_drop <= 100:
            raise ValueError("max_top1_drop: must be from 0 to 100 percentage points")
        if self.min_top1 is not None and not 0 <= self.min_top1 <= 100:
            raise ValueError("min_top1: must be from 0 to 100 percent")
        drop = self.max_drop_at_20pct_joints
        if drop is not None and not 0 <= drop <= 100:
            raise ValueError("max_drop_at_20pct_joints: must be from 0 to 100 percentage points")


@dataclass(frozen=True)
class Recipe:
    """A checked recipe.

    Attributes:
        name: the file's name without its ending.
        text: the file as it was read; `overrides` were applied on top.
        extends: the recipes that it lies on top of, as errors call them, the nearest first.
        notes: in words, what an override made fall away.
        input: how networks see clips; `recipe_inputs.py` fills it in, here and in every network,
            where it is left out.
        skeleton: the graph of the networks, perhaps with how clips are brought to it; None: the
            data set's.
        data_seed: what data sets draw clips and splits by; None: `seed`.
        seeds: how often all of it is run, each time with other seeds, on the same data.
        select_on: by which clips the best epoch is chosen.
        holdout: share of the training split that `select_on: holdout` keeps away from training.
        leave_out: classes that nothing is trained on; their validation clips are unknown ones.
        robustness: damaged clips that the networks are judged on as well; None: they are not.
        streams: long recordings on which what ships is tried as it follows live poses; None: it is
            not.
        compare: other tools that quantise the same weights, rows of `registry.RIVALS`; they are
            judged beside the files that ship, and decide nothing.
    """

    name: str
    path: Path
    data: Annotated[Choice, Build(_data)]
    teacher: Annotated[Teacher, Build(_teacher)]
    budget: Budget
    seed: int = 1
    input: Annotated[Choice | None, Build(_input)] = None
    skeleton: Annotated[Skeleton | Brought | None, Build(skeletons.skeleton)] = None
    student: Annotated[Student, Build(_student)] = Student(None)
    steps: tuple[Annotated[Step, Build(_step)], ...] = ()
    export: Export = Export()
    search: Search = field(default_factory=Search)
    compare: tuple[Annotated[str, Build(_rival)], ...] = ()
    text: str = field(default="", repr=False)
    overrides: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    extends: tuple[str, ...] = ()
    data_seed: int | None = None
    seeds: int = 1
    select_on: Literal["validation", "holdout"] = "validation"
    holdout: float = 0.1
    leave_out: tuple[str, ...] = ()
    robustness: Robustness | None = None
    streams: Streams | None = None

    @property
    def run_seeds(self) -> range:
        """The seeds of its runs: one apart, or as far as the teacher has seeds, so that no two runs
        train the same network."""
        apart = 1 + max(member.seed for member in self.teacher.members)
        return range(self.seed, self.seed + self.seeds * apart, apart)

    def __post_init__(self) -> None:
        if not 1 <= self.seeds <= 100:
            raise ValueError("seeds: must be from 1 to 100")
        for name, seed in (("seed", self.seed), ("data_seed", self.data_seed or 0)):
            if not 0 <= seed < 2**32:
                raise ValueError(f"{name}: must be from 0 to 4294967295")
        if self.run_seeds[-1] >= 2**32:
            raise ValueError("seeds: the last one would be above 4294967295; lower seed")
        if not 0 < self.holdout < 1:
            raise ValueError("holdout: must be a share of the training split between 0 and 1")
        if len(set(self.leave_out)) < len(self.leave_out):
            raise ValueError("leave_out: names a class twice")
        if len(set(self.compare)) < len(self.compare):
            raise ValueError("compare: names a tool twice")
        if self.student.from_ == "ensemble" and len(self.teacher.members) < 2:
            raise ValueError(
                "student.from: the teacher is one network; list several under teacher.ensemble"
            )
        _check_order(self.steps, len(self.teacher.members))


def _check_order(steps: tuple[Step, ...], networks: int) -> None:
    """
    Raises:
        ValueError: a step that cannot work after the ones before it.
    """
    quantised = None
    for number, step in enumerate(steps):
        if not step.enabled:
            continue
        # A later step would change the weights that ranges and corrected biases were made for.
        if quantised:
            raise ValueError(
                f"steps: [{number}].{step.kind}: comes after {quantised}, which decides the"
                f" files; put {quantised} last, and give one of {', '.join(QUANTISING)}"
            )
        if step.kind in QUANTISING:
            quantised = step.kind
        # The student takes the place of a whole ensemble
        if step.kind == "promote":
            networks = 1
        # Members see clips through inputs of their own, and of an ensemble no network is saved after
        # a step: see `pipeline._apply`
        training = step.config if isinstance(step.config, settings.Config) else None
        if networks > 1 and training is not None and settings.moves_teacher(training):
            raise ValueError(
                f"steps: [{number}].train.dml.freeze_teacher: an ensemble of {networks}"
                " networks stays frozen; leave it true, or give one teacher"
            )
