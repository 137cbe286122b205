"""Every file format by its name in recipes and in `deployed.json`, and every runtime.

A new format is a module that keeps `export.formats.contract.Format` and a row of FORMATS; a new
runtime one that keeps `export.runtimes.contract.Runtime` and a row of RUNTIMES. The tables are text
alone and modules are loaded late, so that recipes and dry runs read them without Paddle or ONNX.
"""

from __future__ import annotations

import importlib
import typing
from dataclasses import dataclass
from pathlib import PurePath

from export.formats import paddle_version

if typing.TYPE_CHECKING:
    from export.formats.contract import Format
    from export.runtimes.contract import Runtime


@dataclass(frozen=True)
class RuntimeRow:
    """A runtime.

    Attributes:
        title: its name in reports.
        module: dotted path of its module.
    """

    title: str
    module: str


@dataclass(frozen=True)
class FormatRow:
    """A file format.

    Attributes:
        module: dotted path of its module.
        files: what it writes; the first is the model, by which messages name it.
        runtime: the row of RUNTIMES that its files are verified, measured and served in.
        also: what else its runtime reads, as another version writes it.
        usual: it is written where no formats are named; others are for networks of some kinds.
    """

    module: str
    files: tuple[str, ...]
    runtime: str
    also: tuple[tuple[str, ...], ...] = ()
    usual: bool = True


RUNTIMES = {
    "paddle_inference": RuntimeRow("Paddle Inference", "export.runtimes.inference"),
    "onnx_runtime": RuntimeRow("ONNX Runtime", "export.runtimes.ort"),
    "onnx_runtime_steps": RuntimeRow("ONNX Runtime, a few frames a call", "export.runtimes.steps"),
}
# Follows streams frame by frame; networks that have it are in `export.formats.onnx_continual`.
CONTINUAL = "continual"
# Paddle stands first: recipes that name no formats write the files in this order.
FORMATS = {
    "paddle": FormatRow(
        "export.formats.paddle_format",
        paddle_version.files(),
        "paddle_inference",
        paddle_version.other_files(),
    ),
    "onnx": FormatRow("export.formats.onnx_format", ("model.onnx",), "onnx_runtime"),
    CONTINUAL: FormatRow(
        "export.formats.onnx_continual",
        ("model_continual.onnx",),
        "onnx_runtime_steps",
        usual=False,
    ),
}


def names() -> tuple[str, ...]:
    """Every format."""
    return tuple(FORMATS)


def usual() -> tuple[str, ...]:
    """The formats that are written where none are named."""
    return tuple(name for name, row in FORMATS.items() if row.usual)


def files(name: str) -> tuple[str, ...]:
    """The names of the files that a format writes."""
    return FORMATS[name].files


def readable(name: str) -> tuple[tuple[str, ...], ...]:
    """The names of the files that the runtime of a format reads: those that are written first."""
    return (FORMATS[name].files, *FORMATS[name].also)


def all_files() -> frozenset[str]:
    """The names of all files that formats write or read, in this version of Paddle or another."""
    groups = [group for name in FORMATS for group in readable(name)]
    return frozenset([paddle_version.INFO, *(file for group in groups for file in group)])


def model_suffixes() -> frozenset[str]:
    """The endings of all files that formats write or read."""
    groups = [group for name in FORMATS for group in readable(name)]
    return frozenset(PurePath(file).suffix for group in groups for file in group)


def runtime_title(name: str) -> str:
    """What the runtime of a format is called in reports."""
    return RUNTIMES[FORMATS[name].runtime].title


def load(name: str) -> Format:
    """The module of a format."""
    return typing.cast("Format", importlib.import_module(FORMATS[name].module))


def runtime(name: str) -> Runtime:
    """The module of the runtime of a format."""
    return typing.cast("Runtime", importlib.import_module(RUNTIMES[FORMATS[name].runtime].module))
