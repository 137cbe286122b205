"""`deployed.json` as frozen dataclasses: its type hints and `__post_init__` are its schema.

A key that no field has, a value of another type or beyond a limit is an error: the file may come
from anywhere, and what it claims becomes memory and time of whoever serves it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath, PureWindowsPath

from export.deployed.live import Live
from export.formats.options import LARGEST_BATCH
from export.formats.profiles import PROFILES
from teachers.skeleton import Skeleton

FORMAT = "featherbone-deployed"
VERSION = 2
# Version 1 counted some joints from 1; see `export.deployed.counting`.
READ_VERSIONS = (1, VERSION)
# No data set with names has as many classes, and no text is as long.
MOST_CLASSES = 10_000
LONGEST_TEXT = 1_000
# Of N-clip testing; ten are usual.
MOST_VIEWS = 1_000
MOST_JOINTS = 10_000
# Numbers of all views of one clip: 400 MB of float32, which go through the network at once.
MOST_NUMBERS = 100_000_000
MOST_STEPS = 100
# Of one step of preprocessing, such as the pairs of joints of a bone stream.
MOST_VALUES = 10_000
LARGEST_VALUE = 100_000
DEEPEST_VALUE = 6
# Temperatures beyond turn every score into 1, or all of them into the same.
COLDEST, HOTTEST = 0.01, 100.0


@dataclass(frozen=True)
class Input:
    """What the network takes; `shape` is (None, C, T, V, M), None being the batch."""

    name: str
    shape: tuple[int | None, ...]
    layout: str = ""
    dtype: str = "float32"

    def __post_init__(self):
        batch, *sizes = self.shape or (0,)
        whole = [size for size in sizes if size is not None and 1 <= size <= MOST_NUMBERS]
        if batch is not None or len(sizes) != 4 or len(whole) != 4:
            raise ValueError("shape: must be [null, C, T, V, M], each a number from 1 on")
        if math.prod(whole) > MOST_NUMBERS:
            raise ValueError(f"shape: a clip may have at most {MOST_NUMBERS} numbers")

    @property
    def clip(self) -> tuple[int, int, int, int]:
        """(C, T, V, M)."""
        C, T, V, M = (size for size in self.shape if size is not None)
        return C, T, V, M


@dataclass(frozen=True)
class Output:
    """What the network returns; `shape` is (None, K)."""

    name: str
    shape: tuple[int | None, ...]
    note: str = ""


@dataclass(frozen=True)
class Recorded:
    """What a clip is as it was recorded; `names` of the joints where the data has any.

    Attributes:
        score: the last channel is a confidence; None where there is none.
        coordinates: channels in front of the score; None without one.
        min_score: joints of a lower score are missing; None where scores decide nothing.
        repair_bones: pairs of joints, from 1 (in the file from 0), by which missing joints are filled in a clip as it
            was recorded, before `preprocessing`; None: frames with NaN are replaced by the nearest
            good one.
    """

    channels: int
    joints: int
    persons: int | None = None
    names: tuple[str, ...] | None = None
    score: bool | None = None
    coordinates: int | None = None
    min_score: float | None = None
    repair_bones: tuple[tuple[int, int], ...] | None = None

    def __post_init__(self):
        for key, count in (
            ("channels", self.channels),
            ("joints", self.joints),
            ("persons", 1 if self.persons is None else self.persons),
            ("coordinates", 1 if self.coordinates is None else self.coordinates),
        ):
            if not 1 <= count <= MOST_JOINTS:
                raise ValueError(f"{key}: must be 1 to {MOST_JOINTS}, is {count}")
        if self.names is not None and len(self.names) != self.joints:
            raise ValueError(f"names: {len(self.names)} for {self.joints} joints")
        bones = self.repair_bones or ()
        if len(bones) > MOST_VALUES or any(
            not 1 <= joint <= self.joints for bone in bones for joint in bone
        ):
            raise ValueError(f"repair_bones: must be pairs of the {self.joints} joints, from 1")


@dataclass(frozen=True)
class Placed:
    """Where files go to.

    Attributes:
        profile: of `export.formats.profiles`.
        input_shapes: by format, what its file takes in place of any (N, C, T, V, M).
    """

    profile: str = "ort"
    input_shapes: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Description:
    """A deployed folder.

    Attributes:
        classes: names, in the order of the logits.
        data: what the network was trained on.
        recorded: what a clip is as it was recorded; None: what the network takes.
        views: how many views of a clip are averaged.
        preprocessing: steps of `export.preprocess.ops`.
        files: names by format, each a plain name in the folder.
        precision: how many layers are stored how, of a quantised network.
        steps: what each op of `preprocessing` does, in words and numbers.
        requires: by format, what its files need: the ONNX opset and the oldest ONNX Runtime, and
            with what they were checked.
        profile: the place that the files were written for, of `export.formats.profiles`.
        input_shapes: by format, what its file takes where that is not `input.shape`: a fixed number
            of clips, or (N, C, T, V * M), the same numbers in the same order.
        counted_from: joints in the file; None in folders of version 1, which count from 0 and 1.
        live: how it follows live poses; None: the defaults of `Live`.
        sha256: see `teachers.storage.seal`; None in folders written before there was any.
        temperature: what logits are divided by before softmax makes scores of them, found on
            training-side clips; None: they are taken as they come.
    """

    format: str
    version: int
    network: str
    classes: tuple[str, ...]
    input: Input
    output: Output
    skeleton: Skeleton
    files: Mapping[str, tuple[str, ...]]
    data: str = "unknown"
    recorded: Recorded | None = None
    views: int = 1
    preprocessing: tuple[Mapping[str, object], ...] = ()
    paddle_note: str = ""
    precision: Mapping[str, int] | None = None
    steps: Mapping[str, str] | None = None
    requires: Mapping[str, Mapping[str, str]] | None = None
    profile: str = "ort"
    input_shapes: Mapping[str, tuple[int | None, ...]] | None = None
    counted_from: int | None = None
    live: Live | None = None
    sha256: Mapping[str, str] | None = None
    temperature: float | None = None

    def __post_init__(self):
        # Not a number fails the comparison, too.
        if self.temperature is not None and not COLDEST <= self.temperature <= HOTTEST:
            raise ValueError(f"temperature: must be {COLDEST:g} to {HOTTEST:g}")
        if self.format != FORMAT or self.version not in READ_VERSIONS:
            raise ValueError(
                f"format: is {self.format[:40]!r}, version {self.version}; this is read:"
                f" {FORMAT!r}, version {READ_VERSIONS[0]} to {VERSION}"
            )
        if self.counted_from != (0 if self.version > 1 else None):
            raise ValueError("counted_from: must be 0 from version 2 on, and not there before")
        if not 1 <= len(self.classes) <= MOST_CLASSES:
            raise ValueError(f"classes: must be 1 to {MOST_CLASSES}")
        if self.output.shape != (None, len(self.classes)):
            raise ValueError(
                f"classes: are {len(self.classes)}, but output.shape is {list(self.output.shape[:4])}"
            )
        if not 1 <= self.views <= MOST_VIEWS:
            raise ValueError(f"views: must be 1 to {MOST_VIEWS}, is {self.views}")
        if self.views * math.prod(self.input.clip) > MOST_NUMBERS:
            raise ValueError(f"views: all of a clip may have at most {MOST_NUMBERS} numbers")
        if self.skeleton.joints > MOST_JOINTS:
            raise ValueError(f"skeleton: joints: must be 1 to {MOST_JOINTS}")
        _check_steps(self.preprocessing)
        _check_files(self.files)
        _check_places(self)

    @property
    def recording(self) -> Recorded:
        """What a clip is as it was recorded; the network's where nothing is said."""
        C, _, V, M = self.input.clip
        if self.recorded is None:
            return Recorded(C, V, M)
        persons = M if self.recorded.persons is None else self.recorded.persons
        return replace(self.recorded, persons=persons)


def _check_steps(steps: tuple[Mapping[str, object], ...]) -> None:
    if len(steps) > MOST_STEPS:
        raise ValueError(f"preprocessing: at most {MOST_STEPS} steps")
    for number, step in enumerate(steps):
        where = f"preprocessing[{number}]"
        if not isinstance(step.get("op"), str):
            # ValueError: what `typed_json` reports with its place.
            raise ValueError(f"{where}: op: must name a step")  # noqa: TRY004
        _check_value(step, where)


def _check_value(content: object, where: str) -> None:
    """Numbers that a step could take for a size are small, and there are not many of them."""
    count = 0
    level: list[object] = [content]
    for _ in range(DEEPEST_VALUE):
        values = [value for value in level if not isinstance(value, (dict, list, tuple))]
        inner = [value for value in level if isinstance(value, (dict, list, tuple))]
        count += len(level)
        if count > MOST_VALUES:
            raise ValueError(f"{where}: at most {MOST_VALUES} values")
        for value in values:
            # Not a number fails the comparison, too.
            if isinstance(value, (int, float)) and not abs(value) <= LARGEST_VALUE:
                raise ValueError(f"{where}: numbers must be within {LARGEST_VALUE}")
        level = [
            item for each in inner for item in (each.values() if isinstance(each, dict) else each)
        ]
    if level:
        raise ValueError(f"{where}: nested too deeply")


def _check_places(description: Description) -> None:
    if description.profile not in PROFILES:
        raise ValueError(
            f"profile: unknown {description.profile[:40]!r} (known: {', '.join(PROFILES)})"
        )
    C, T, V, M = description.input.clip
    for kind, shape in (description.input_shapes or {}).items():
        batch, *sizes = shape or (0,)
        good = batch is None or 1 <= batch <= LARGEST_BATCH
        if kind not in description.files or not good or sizes not in ([C, T, V, M], [C, T, V * M]):
            raise ValueError(
                f"input_shapes: {kind[:40]}: must be of a format of the folder, a batch of null or 1"
                f" to {LARGEST_BATCH}, then {[C, T, V, M]} or {[C, T, V * M]}"
            )


def _check_files(files: Mapping[str, tuple[str, ...]]) -> None:
    if not files:
        raise ValueError("files: names no model")
    names = [name for group in files.values() for name in group]
    for name in names:
        # Of either system: a backslash leads out of a folder on Windows alone.
        plain = PurePosixPath(name).name == name == PureWindowsPath(name).name
        if not plain or name in ("", ".", ".."):
            raise ValueError(f"files: {name[:60]!r} is no plain name of a file in the folder")
    if len(set(names)) != len(names):
        raise ValueError("files: names a file twice")
