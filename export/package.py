"""A trained network -> a deployed folder: the formats asked for, each verified in its runtime, and
`deployed.json`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from paddle import nn

from export import deployed, runtimes, verify
from export.flat.flatten import flatten
from export.formats import onnx_int8, onnx_model, onnx_weights, paddle_model, paddle_weights
from export.quantize.quantized import Quantized

WRITERS = {"paddle": paddle_model.save, "onnx": onnx_model.save}


def build(
    network: nn.Layer,
    folder: Path,
    formats: tuple[str, ...],
    about: dict,
    clips: np.ndarray,
    reference: np.ndarray,
    quantized: Quantized | None = None,
) -> dict[str, dict[str, float]]:
    """Export, then compare on `clips` (n, C, T, V, M) with the trained network's logits `reference`
    (n, K).

    A quantised file is compared with the same network rounded alike in Paddle instead: exactly like
    a float file where only weights are rounded, by `verify.require_close` where activations are,
    too.

    Args:
        about: what the network was trained on, for `export.deployed.describe`.
    Returns:
        per format, the differences of `export.verify.difference`.
    Raises:
        ExportMismatch: a file does not compute what the network computes; nothing is left that
            looks deployable.
        StorageError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (*folder.glob("model.*"), folder / deployed.NAME):
        stale.unlink(missing_ok=True)
    files = {
        kind: [path.name for path in _write(kind, network, folder, quantized)] for kind in formats
    }
    description = deployed.describe(network.spec, about, files) | (
        {"precision": quantized.kinds()} if quantized else {}
    )
    found = {}
    for kind, predict in deployed.predictors(folder, description).items():
        file, expected = folder / files[kind][0], reference
        if quantized is not None:
            expected = verify.run(
                file, runtimes.in_process(quantized.simulated(network, kind)), clips
            )
        if quantized is not None and kind == "onnx" and quantized.plan.ranges:
            exact = runtimes.onnx_runtime(file, optimised=False)
            found[kind] = verify.require_close(file, predict, clips, expected, exact)
        else:
            found[kind] = verify.require_same(file, predict, clips, expected)
    deployed.write(folder, description)
    return found


def _write(kind: str, network: nn.Layer, folder: Path, quantized: Quantized | None) -> list[Path]:
    if quantized is None:
        return WRITERS[kind](flatten(network), network.spec, folder)
    flat, plan = quantized.flat(network), quantized.plan
    if kind == "paddle":
        return paddle_weights.save(flat, network.spec, folder, plan)
    return (onnx_int8 if plan.ranges else onnx_weights).save(flat, network.spec, folder, plan)
