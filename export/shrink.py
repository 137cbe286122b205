"""A static model of anybody -> one that computes the same from fewer bytes, compared with the
original in the runtime that serves it. `featherbone shrink` is the command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from export import verify
from export.formats import table
from export.formats.foreign import onnx_rewrite, paddle_constants, paddle_rewrite
from export.formats.foreign.arithmetic import Precision
from export.formats.foreign.program import Program, slot
from export.runtimes import trial
from teachers import storage
from teachers.errors import ExportMismatch, RecipeError

# Random clips that both files are compared on; one of them also alone, as it is served.
CLIPS = 4
BATCH = 16
# Which inputs a message is about.
RANDOM = "random inputs"
GIVEN = "clips of --input"
FLOAT32 = {"paddle": 5, "onnx": onnx.TensorProto.FLOAT}


class NotFinite(ExportMismatch):
    """The original answers with infinity or NaN, which nothing can be compared with."""

    def __init__(self, model: Path, inputs: str):
        super().__init__(
            f"{model}: answers {inputs} with numbers that are not finite, so nothing can be"
            " compared; give clips with --input that it answers with finite numbers"
        )


@dataclass(frozen=True)
class Shrunk:
    """What came of a model.

    Attributes:
        format: a row of `export.formats.table.FORMATS`.
        before, after: the files, model first.
        changes: what was done, in words -> how often.
        weights_changed: how many are stored as float16 or int8.
        random, given: what `export.verify.closeness` says of the outputs on random inputs and on
            the given ones; the worst of all outputs. None of random: the original's answers there
            are not finite.
        clips: of the given inputs.
    """

    format: str
    before: tuple[Path, ...]
    after: tuple[Path, ...]
    changes: dict[str, int]
    weights_changed: int
    random: dict[str, float] | None
    given: dict[str, float] | None
    clips: int


def shrink(
    model: Path,
    folder: Path,
    parameters: Path | None = None,
    given: np.ndarray | None = None,
    precision: Precision = "float32",
    seconds: float = trial.SECONDS,
) -> Shrunk:
    """Rewrite a model, compare it with the original, and only then write it, under the same names.

    Args:
        model: a `.pdmodel` or an `.onnx`; one input of float32.
        parameters: of a `.pdmodel`; None: the file beside it.
        given: (n, ...), what the model is really fed; compared as random inputs are, and alone where
            the original's answers to random inputs are not finite.
        precision: of the weights of convolutions and products on disk; it computes in float32.
        seconds: for each batch that one of the two models is run on.
    Raises:
        ExportMismatch: the model may not be run or cannot be rewritten, or the new one computes
            something else; nothing is written then.
        RecipeError: the arguments do not fit each other.
        StorageError: the files cannot be written.
    """
    kind = "paddle" if model.suffix == ".pdmodel" else "onnx"
    if model.suffix not in (".pdmodel", ".onnx"):
        raise RecipeError(f"{model}: expected a .pdmodel or an .onnx, a model that a runtime loads")
    before: tuple[Path, ...] = (model,)
    if kind == "paddle":
        before += (parameters or model.with_suffix(".pdiparams"),)
    elif parameters is not None:
        raise RecipeError(f"--params {parameters}: an .onnx holds its own; leave it out")
    # Over its own source a file that cannot be verified again would be left alone.
    if folder.resolve() in {each.resolve().parent for each in before}:
        raise RecipeError(f"{folder}: the model lies there itself; give another folder with --to")
    rewriter = _paddle if kind == "paddle" else _onnx
    shape, changes, weights_changed, contents = rewriter(before, precision)
    random = _random(shape, given, model)
    with storage.staging(folder) as unfinished:
        files = [unfinished / each.name for each in before]
        for path, content in zip(files, contents, strict=True):
            storage.write_bytes(path, content)
        exact = precision == "float32"
        on_random = on_given = None
        try:
            on_random = _compared(kind, before, files, random, RANDOM, exact, seconds)
        except NotFinite:
            # What it is really fed decides then: not every model answers any numbers.
            if given is None:
                raise
        if given is not None:
            on_given = _compared(kind, before, files, given, GIVEN, exact, seconds)
        # The model last: a folder with a model and no parameters would look complete.
        after = tuple(storage.deliver(path, folder) for path in reversed(files))[::-1]
    clips = 0 if given is None else len(given)
    return Shrunk(kind, before, after, changes, weights_changed, on_random, on_given, clips)


Rewritten = tuple[list[int], dict[str, int], int, tuple[bytes, ...]]


def _paddle(files: Sequence[Path], precision: Precision) -> Rewritten:
    """(sizes of the input, 0 where free; what was done; weights changed; contents of the files)."""
    program = Program(files[0], files[1])
    feed = next(op for op in program.ops if op.type == "feed")
    tensor = program.variables[slot(feed, "Out")[0]].type.lod_tensor.tensor
    _require_float(tensor.data_type == FLOAT32["paddle"], files[0])
    shape = [max(size, 0) for size in tensor.dims]
    changes = paddle_rewrite.rewrite(program)
    count = paddle_constants.store(program, precision)
    return shape, changes, count, program.written()


def _onnx(files: Sequence[Path], precision: Precision) -> Rewritten:
    model = onnx_rewrite.read(files[0])
    changes = onnx_rewrite.rewrite(model)
    if len(model.graph.input) != 1:
        raise ExportMismatch(
            f"{files[0]}: has {len(model.graph.input)} inputs, expected one; export the network"
            " alone"
        )
    tensor = model.graph.input[0].type.tensor_type
    _require_float(tensor.elem_type == FLOAT32["onnx"], files[0])
    shape = [size.dim_value for size in tensor.shape.dim]
    count = onnx_rewrite.store(model, precision)
    return shape, changes, count, (model.SerializeToString(),)


def _require_float(is_float: bool, model: Path) -> None:
    if not is_float:
        raise ExportMismatch(
            f"{model}: its input is not float32, and nothing else is compared; export the network"
            " with an input of float32"
        )


def _random(shape: list[int], given: np.ndarray | None, model: Path) -> np.ndarray:
    """Random inputs of the shape that the model has, or that was given."""
    if given is not None and (
        given.ndim != len(shape)
        or any(size not in (0, real) for size, real in zip(shape[1:], given.shape[1:], strict=True))
    ):
        raise RecipeError(
            f"--input: has the shape {given.shape}, but {model} takes"
            f" {tuple(size or 'any' for size in shape)}"
        )
    sizes = shape[1:] if given is None else list(given.shape[1:])
    if not shape or not all(sizes):
        raise RecipeError(
            f"{model}: takes {tuple(size or 'any' for size in shape)}, and no size of a clip says"
            " what to compare it on; give clips with --input"
        )
    generator = np.random.default_rng(0)
    return generator.standard_normal((shape[0] or CLIPS, *sizes)).astype("float32")


def _compared(
    kind: str,
    before: Sequence[Path],
    after: Sequence[Path],
    clips: np.ndarray,
    inputs: str,
    exact: bool,
    seconds: float,
) -> dict[str, float]:
    """The worst of all outputs, on clips in batches and on the first one alone.

    Args:
        inputs: what the clips are, for messages.
    Raises:
        NotFinite: the original answers with infinity or NaN. ExportMismatch: the rewritten model
            answers differently, or one of them cannot be run.
    """
    batches = [clips[start : start + BATCH] for start in range(0, len(clips), BATCH)]
    # Batch 1 as it is served; a model of a fixed batch takes no other.
    batches.append(clips[:1])
    theirs, ours = (_run(kind, files, batches, seconds) for files in (before, after))
    worst: dict[str, float] = {}
    for number, (expected, found) in enumerate(zip(theirs, ours, strict=True)):
        shapes = [[each.shape for each in output] for output in (expected, found)]
        if shapes[0] != shapes[1]:
            raise ExportMismatch(
                f"{after[0].name}: output {number} has the shape {shapes[1][0]}, that of the original"
                f" {shapes[0][0]}; it is not written"
            )
        for original, rewritten in zip(
            _rows(expected, batches), _rows(found, batches), strict=True
        ):
            # An output without a number has no largest one.
            if not original.size:
                continue
            if not np.isfinite(original).all():
                raise NotFinite(before[0], inputs)
            for key, value in verify.closeness(rewritten, original).items():
                worse = max if key.startswith("max") else min
                worst[key] = worse(worst.get(key, value), value)
    _require_close(before[0], worst, f"{len(clips)} {inputs}", exact)
    return worst


def _require_close(model: Path, worst: dict[str, float], inputs: str, exact: bool) -> None:
    if not worst:
        raise ExportMismatch(
            f"{model}: answers {inputs} with no number at all, so nothing can be compared; export the"
            " network with its logits as output"
        )
    close = worst["max_rel_diff"] <= verify.TOLERANCE if exact else verify.is_close(worst)
    if not close:
        limit = f"{verify.TOLERANCE:.0e}" if exact else f"{verify.CLOSE['snr_db']:g} dB"
        raise ExportMismatch(
            f"{model}: the rewritten model disagrees with it on {inputs}: relative"
            f" difference {worst['max_rel_diff']:.1e}, signal to noise {worst['snr_db']:.1f} dB"
            f" (allowed {limit}); it is not written"
        )


def _run(
    kind: str, files: Sequence[Path], batches: list[np.ndarray], seconds: float
) -> list[list[np.ndarray]]:
    """Every output, of each batch."""
    runtime: Any = table.runtime(kind)
    size_bytes = sum(each.stat().st_size for each in files)
    load = partial(runtime.load_outputs, files)
    found = trial.outputs(files[0], load, batches, size_bytes, seconds * len(batches))
    return [
        [np.asarray(each, dtype="float32") for each in output]
        for output in zip(*found, strict=True)
    ]


def _rows(output: list[np.ndarray], batches: list[np.ndarray]) -> list[np.ndarray]:
    """An output of each batch as (n, numbers), to be compared: of all clips together where it has a
    row for each, since what is allowed is a share of the clips; else batch by batch."""
    flat = [each.reshape(len(each) if each.ndim else 1, -1) for each in output]
    # A model may answer with the batch in another axis, or with one answer for all.
    by_clip = [len(each) for each in flat] == [len(each) for each in batches]
    if by_clip and len({each.shape[1] for each in flat}) == 1:
        return [np.concatenate(flat)]
    return flat
