"""For a network in hand, without a recipe: load, drop blocks, quantise, export, verify.

    from export import api

    network = api.load("ctrgcn.pt", frames=64)
    smaller = api.drop_blocks(network, "l10")           # now train it on, in a loop of your own
    clips = ...                                         # (n, C, T, V, M), prepared like training clips
    rounded = api.quantize(smaller, clips)
    about = {"classes": ["wave", "clap"], "preprocessing": []}
    differences = api.export(smaller, "deploy", clips, about=about, quantized=rounded)
    again = api.verify("deploy", smaller, clips, quantized=rounded)
    logits = api.predictors("deploy")["onnx"](clips)

Channels are pruned, and networks trained, by recipes: both need a data set, and a schedule between
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from paddle import nn

from export import deployed, package, runtimes, verify as verification
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.formats import table
from export.formats.options import Integers, Options
from export.preprocess import published
from export.quantize import bits
from export.quantize.quantized import Quantized, corrected
from export.runtimes import Predict
from teachers import networks
from teachers.errors import RecipeError
from teachers.skeleton import Skeleton
from teachers.weights import checkpoints
from teachers.weights.published import Hints

Kind = Literal["int8", "int8_weights", "int4_weights", "float16"]
Differences = dict[str, dict[str, float]]


def load(
    path: Path | str,
    frames: int | None = None,
    persons: int | None = None,
    skeleton: Skeleton | None = None,
) -> nn.Layer:
    """The network of a weights file, in evaluation mode; `network.spec` says all about it.

    Args:
        path: this project's `.npz`, Paddle's or torch's format, recognised by content.
        frames, persons, skeleton: what a published checkpoint does not say.
    Raises:
        CheckpointError: what is wrong with the file, and where.
    """
    return checkpoints.load(path, Hints(frames, persons, skeleton))


def about(path: Path | str) -> dict[str, object]:
    """What a weights file of a run says of its data (classes, preprocessing, views), for `export`;
    of a published checkpoint, what `export.preprocess.published` guesses, with the guess in
    `data`."""
    spec, state, content = checkpoints.read(path)
    return published.complete(spec, state, content, str(path))[0]


def drop_blocks(network: nn.Layer, *blocks: str) -> nn.Layer:
    """A new network without these blocks; what stays keeps its weights, and a tensor whose shape a
    removed neighbour changed starts afresh.

    Raises:
        RecipeError: a block that the network does not have, or cannot do without.
    """
    smaller = networks.build(
        networks.module(network.spec.network).drop_blocks(network.spec, blocks)
    )
    networks.copy_by_name(networks.state_of(network), smaller, blocks)
    smaller.eval()
    return smaller


def quantize(
    network: nn.Layer,
    clips: np.ndarray | None = None,
    kind: Kind = "int8",
    keep: Mapping[str, str] | None = None,
    method: str = "percentile",
) -> Quantized:
    """How the network's files are to be rounded; the network itself stays as it is.

    Args:
        clips: (n, C, T, V, M) to find the ranges of activations on, for `int8`: about a hundred,
            spread over the classes, prepared like training clips but not augmented.
        kind: `int8` computes with integers in ONNX; the others only store weights in fewer bits.
        keep: a block or layer (`l1`, `l1.values`) -> the kind that it is kept in instead.
        method: of finding ranges: percentile, mse, entropy, min_max, gradient.
    Raises:
        RecipeError: no clips for `int8`, a name that the network does not have, or a kind that is
            none.
    """
    overrides = dict(keep or {})
    if kind == "int8":
        if clips is None or len(clips) == 0:
            raise RecipeError(
                "quantize: int8 needs clips (n, C, T, V, M) to find the ranges of activations on;"
                " give some, or kind='int8_weights'"
            )
        return corrected(network, clips, method, overrides)
    flat = prepared(flatten(network))
    return Quantized(bits.make_plan(flat, kind, overrides=overrides))


def export(
    network: nn.Layer,
    folder: Path | str,
    clips: np.ndarray,
    formats: Sequence[str] | None = None,
    about: Mapping[str, object] | None = None,
    quantized: Quantized | None = None,
    skip_absent: bool | None = None,
    opset: int | None = None,
    batch: int | str | None = None,
    profile: str = "ort",
    onnx: Integers | None = None,
) -> Differences:
    """Write a folder that can be deployed, and compare every file in its runtime on `clips`.

    Args:
        clips: (n, C, T, V, M); a handful finds a wrong file, the validation split measures it.
        formats: names of `export.formats.table`; None: the usual ones.
        about: `classes` and `preprocessing`, so that a program can feed the folder right from its
            `deployed.json` alone; `api.about(path)` of a run's weights.
        skip_absent, opset, batch, profile, onnx: as the keys of a recipe's `export:`; see
            `export.formats.options`.
    Returns:
        format -> `agreement` (0..1), the same but for ties as `clear_agreement`, `max_abs_diff`,
        `max_rel_diff`, and where activations are rounded `snr_db`, against the network as it is rounded.
    Raises:
        ExportMismatch: a file does not compute what the network computes; it is not deployable.
        RecipeError: options that do not go together, or a network that breaks a rule of the profile.
        StorageError: a file cannot be written.
    """
    try:
        options = Options(skip_absent, opset, batch, profile, onnx)
    except ValueError as problem:
        raise RecipeError(f"export: {problem}") from problem
    return package.build(
        network,
        Path(folder),
        tuple(formats or table.usual()),
        dict(about or {}),
        clips,
        _logits(network, Path(folder), clips),
        quantized,
        options,
    )


def verify(
    folder: Path | str,
    network: nn.Layer,
    clips: np.ndarray,
    quantized: Quantized | None = None,
) -> Differences:
    """Compare a deployed folder, here and now, with the network it came from: on another machine,
    after a copy, with another version of a runtime.

    Args:
        quantized: how the folder was rounded, if it was (a run keeps it in weights/quantized.npz).
    Raises:
        CheckpointError: no deployed folder. ExportMismatch: a file computes something else.
    """
    folder = deployed.place(folder)
    description = deployed.read(folder)
    reference = _logits(network, folder, clips)
    return package.compare(network, folder, description, clips, reference, quantized)


def predictors(folder: Path | str, threads: int = 1) -> dict[str, Predict]:
    """Format -> a function from clips (N, C, T, V, M) float32 to logits (N, K), in the runtime that
    serves it.

    Raises:
        CheckpointError: no deployed folder, or a file of it is missing.
    """
    folder = deployed.place(folder)
    return deployed.predictors(folder, deployed.read(folder), threads)


def _logits(network: nn.Layer, folder: Path, clips: np.ndarray) -> np.ndarray:
    return verification.run(folder, runtimes.in_process(network), clips)
