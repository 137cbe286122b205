"""What a recipe can say: its sections as frozen dataclasses, and the combinations that cannot work.

Names are files: `data.name: nw_ucla` is compress/data/nw_ucla.py, a step `train` is compress/steps/train.py,
`teacher.name: ctrgcn` is teachers/ctrgcn.py. `recipe.py` reads the YAML.
"""
from __future__ import annotations

import importlib
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

from compress.steps import train
from compress.strict import Build, build, convert, did_you_mean, entries_of, wrong
from compress.yaml_tree import Value, error, join

ROOT = Path(__file__).resolve().parents[1]
# What a file must define at its top level to be such a name; read without importing it.
DATA = ("data set", "compress/data", r"^class Config\b")
STEP = ("step", "compress/steps", r"^class Config\b")
NETWORK = ("network", "teachers", r"^def default_spec\b")


def names(what: tuple[str, str, str]) -> list[str]:
    """The names that a recipe can use for DATA, STEP or NETWORK."""
    _, folder, marker = what
    return sorted(file.stem for file in (ROOT / folder).glob("*.py")
                  if re.search(marker, file.read_text(encoding="utf-8"), re.MULTILINE))


def _name(what: tuple[str, str, str], value: Value, path: str) -> str:
    name = convert(str, value, path)
    if name not in (known := names(what)):
        raise error(value.place, path, f"unknown {what[0]} {name!r}{did_you_mean(name, known, always_list=True)}")
    return name


def _network(value: Value, path: str) -> str:
    return _name(NETWORK, value, path)


def config_class(what: tuple[str, str, str], name: str) -> type:
    """The dataclass of the keys that one data set or step has of its own."""
    return importlib.import_module(f"{what[1].replace('/', '.')}.{name}").Config


@dataclass(frozen=True)
class DataChoice:
    """`data:`, a data set's name and the keys of its own `Config` beside it."""

    name: str
    config: object


@dataclass(frozen=True)
class Step:
    """One entry of `steps:`. A step that is not enabled is checked like the others and then skipped."""

    kind: str
    config: object
    enabled: bool = True


def _data(value: Value, path: str) -> DataChoice:
    entries = dict(entries_of(value, path))
    if "name" not in entries:
        raise error(value.place, path, f"missing key 'name' (known: {', '.join(names(DATA))})")
    name = _name(DATA, entries.pop("name"), join(path, "name"))
    return DataChoice(name, build(config_class(DATA, name), replace(value, data=entries), path, beside=("name",)))


def _step(value: Value, path: str) -> Step:
    entries = entries_of(value, path)
    if len(entries) != 1:
        raise error(value.place, path, f"expected one key, the step's name, got {', '.join(entries) or 'none'} "
                                       "(indent its settings below it)")
    (kind, settings), = entries.items()
    _name(STEP, Value(kind, settings.place, kind), path)
    path = join(path, kind)
    own = dict(entries_of(settings, path))
    enabled = convert(bool, own.pop("enabled"), join(path, "enabled")) if "enabled" in own else True
    return Step(kind, build(config_class(STEP, kind), replace(settings, data=own), path, beside=("enabled",)), enabled)


def _size(value: Value, path: str) -> int:
    from compress.budget import parse_size
    if isinstance(value.data, bool) or not isinstance(value.data, (int, float, str)):
        raise wrong(value, path, "a size such as 10MB")
    try:
        return parse_size(value.text)
    except ValueError as problem:
        raise error(value.place, path, str(problem)) from None


@dataclass(frozen=True)
class Teacher:
    """`teacher:`. Weights null: train it first. With `finetune` it is trained from `weights` on.

    Attributes:
        width: base channels, those of the first block.
    """

    name: Annotated[str, Build(_network)] = "ctrgcn"
    weights: str | None = None
    finetune: bool = False
    train: train.Config | None = None
    width: int = 64

    def __post_init__(self):
        if self.weights == "":
            raise ValueError("weights: expected a file's path or null, got ''")
        if self.weights is None and self.train is None:
            raise ValueError("give `weights` (a trained network's file) or `train` (how to train one)")
        if self.finetune and (self.weights is None or self.train is None):
            lacking = "weights` to start from" if self.weights is None else "train` to say how"
            raise ValueError(f"finetune: needs `teacher.{lacking}")
        for method in ("dml", "kd"):
            if self.train is not None and getattr(self.train, method) is not None:
                raise ValueError(f"train.{method}: the teacher has no teacher of its own (move it to a train step)")
        if self.width < 1:
            raise ValueError("width: must be at least 1")


@dataclass(frozen=True)
class Student:
    """`student:`, the network that the steps change: the teacher's copy, or its layout with other `weights`."""

    from_: Literal["teacher"] = "teacher"
    weights: str | None = None

    def __post_init__(self):
        if self.weights == "":
            raise ValueError("weights: expected a file's path or null, got ''")


@dataclass(frozen=True)
class Export:
    """`export:`, what the deployed folder holds."""

    formats: tuple[Literal["paddle", "onnx"], ...] = ("paddle", "onnx")

    def __post_init__(self):
        if not self.formats:
            raise ValueError("formats: name at least one of paddle, onnx")
        if len(set(self.formats)) < len(self.formats):
            raise ValueError("formats: names a format twice")


@dataclass(frozen=True)
class Budget:
    """`budget:`, what the result may cost: bytes of every deployed file, and points of top-1 below the teacher."""

    max_size: Annotated[int, Build(_size)]
    max_top1_drop: float = 0.5

    def __post_init__(self):
        if self.max_size <= 0:
            raise ValueError("max_size: must be above 0")
        if not 0 <= self.max_top1_drop <= 100:
            raise ValueError("max_top1_drop: must be from 0 to 100 percentage points")


@dataclass(frozen=True)
class Recipe:
    """A checked recipe.

    Attributes:
        name: the file's name without its ending.
        text: the file as it was read; `overrides` were applied on top.
        notes: in words, what an override made fall away.
    """

    name: str
    path: Path
    data: Annotated[DataChoice, Build(_data)]
    teacher: Teacher
    budget: Budget
    seed: int = 1
    student: Student = Student()
    steps: tuple[Annotated[Step, Build(_step)], ...] = ()
    export: Export = Export()
    text: str = field(default="", repr=False)
    overrides: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        if not 0 <= self.seed < 2**32:
            raise ValueError("seed: must be from 0 to 4294967295")
