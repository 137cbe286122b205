"""A trained network -> a deployed folder: the formats asked for, each verified in its runtime, and `deployed.json`."""
from __future__ import annotations

from pathlib import Path

import numpy as np
from paddle import nn

from export import deployed, static, to_onnx, verify

WRITERS = {"paddle": static.save, "onnx": to_onnx.save}


def build(network: nn.Layer, folder: Path, formats: tuple[str, ...], about: dict, clips: np.ndarray,
          reference: np.ndarray) -> dict[str, dict[str, float]]:
    """Export, then compare on `clips` (n, C, T, V, M) with the trained network's logits `reference` (n, K).

    Args:
        about: what the network was trained on, for `export.deployed.describe`.
    Returns:
        per format, the differences of `export.verify.difference`.
    Raises:
        ExportMismatch: a file does not compute what the network computes; nothing is left that looks deployable.
        StorageError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (*folder.glob("model.*"), folder / deployed.NAME):
        stale.unlink(missing_ok=True)
    files = {kind: [path.name for path in WRITERS[kind](static.flatten(network), network.spec, folder)] for kind in formats}
    description = deployed.describe(network.spec, about, files)
    found = {kind: verify.require_same(folder / files[kind][0], predict, clips, reference)
             for kind, predict in deployed.predictors(folder, description).items()}
    deployed.write(folder, description)
    return found
