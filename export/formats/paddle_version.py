"""Everything in which exporting with Paddle 2.6 and paddle2onnx 1.3 differs from exporting with
Paddle 3 and paddle2onnx 2.1: the name of the program's file and the call of the converter.

What else is unlike goes by the file and not by the Paddle that is installed, so that either reads
what both write: `export.formats.paddle_strip`, `export.formats.onnx_simplify`,
`teachers.weights.paddle_files`, `export.runtimes.inference`.
"""

from __future__ import annotations

import importlib.metadata
import inspect
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from teachers.errors import ExportMismatch

PARAMETERS = "model.pdiparams"
# `paddle.jit.save` of Paddle 2 writes it beside them; no runtime reads it.
INFO = f"{PARAMETERS}.info"
# By the major version that writes it.
PROGRAMS = {2: "model.pdmodel", 3: "model.json"}
# Both wheels install the folder `paddle`.
WHEELS = ("paddlepaddle", "paddlepaddle-gpu")


def major() -> int:
    """The major version of the Paddle that is installed, without importing it; 2, that of the
    reference stack, where there is none."""
    for wheel in WHEELS:
        try:
            return int(importlib.metadata.version(wheel).partition(".")[0])
        except (importlib.metadata.PackageNotFoundError, ValueError):
            continue
    return 2


def program() -> str:
    """The name of the file of a program that the installed Paddle writes."""
    return PROGRAMS[3 if major() >= 3 else 2]


def files() -> tuple[str, str]:
    """Program and parameters, as the installed Paddle writes them."""
    return program(), PARAMETERS


def other_files() -> tuple[tuple[str, str], ...]:
    """The same of the other versions. Paddle 3 also runs what Paddle 2 writes; the other way round
    `export.runtimes.inference` says what to install."""
    return tuple((name, PARAMETERS) for name in PROGRAMS.values() if name != program())


def to_onnx(prefix: Path, opset: int) -> None:
    """Convert PREFIX's program and parameters to PREFIX.onnx, as the converter writes it.

    Raises:
        ExportMismatch: it cannot.
    """
    import paddle2onnx

    options: dict[str, Any] = {"opset_version": opset}
    # From 2.0 on the graph is then handed to an optimiser, which is installed by pip, from the
    # network, in the middle of the conversion.
    if "optimize_tool" in inspect.signature(paddle2onnx.export).parameters:
        options["optimize_tool"] = "None"
    model = prefix.with_suffix(Path(program()).suffix)
    weights = prefix.with_suffix(Path(PARAMETERS).suffix)
    target = prefix.with_suffix(".onnx")
    with quiet():
        paddle2onnx.export(str(model), str(weights), str(target), **options)
    if not target.is_file():
        raise ExportMismatch(
            f"{model}: paddle2onnx {paddle2onnx.__version__} has written nothing; install the"
            " versions of requirements.txt or requirements-paddle3.txt"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what paddle2onnx prints from C++, and its log, off the terminal."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with _closed(1):
            yield
    finally:
        logging.disable(level)


@contextmanager
def tracing() -> Iterator[None]:
    """Keep a warning of Paddle 3.3.1, that its own `mean` calls its own operator in a way which traces
    do not support, off the terminal; errors are exceptions."""
    with _closed(2) if major() > 2 else nullcontext():
        yield


@contextmanager
def _closed(descriptor: int) -> Iterator[None]:
    # The descriptor and not sys.stdout or sys.stderr: the C++ libraries write past Python
    sys.stdout.flush()
    sys.stderr.flush()
    saved, null = os.dup(descriptor), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    try:
        yield
    finally:
        os.dup2(saved, descriptor)
        os.close(saved)
        os.close(null)
