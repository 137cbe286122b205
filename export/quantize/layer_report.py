"""Where the error of quantisation comes from: signal-to-noise of every layer's output, float
against quantised on the same clips."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import paddle
from paddle import nn

from export.flat.layers import FlatLayer
from export.quantize.calibrate import BATCH, observe
from teachers.errors import DataError

# JSON has no infinity
CEILING = 200.0  # dB: what equal outputs count as


def layer_report(
    flat: nn.Sequential,
    quantized: nn.Sequential,
    clips: np.ndarray,
    look: Callable[[str, np.ndarray], None] = lambda layer, values: None,
) -> list[dict]:
    """Rows {"layer", "snr_db", "power"} in the order of computation, the logits last.

    Args:
        flat: the float network, in the form that `quantized` is a copy of
            (`export.quantize.bits.fake_quantized`).
        clips: (n, C, T, V, M).
        look: is shown the name and the float output of each layer, batch by batch.
    Raises:
        DataError: no clips.
    """
    if not len(clips):
        raise DataError("layer report: no clips to compare on; give at least one")
    signal: dict[str, float] = {}
    noise: dict[str, float] = {}
    for start in range(0, len(clips), BATCH):
        x = paddle.to_tensor(np.ascontiguousarray(clips[start : start + BATCH], dtype="float32"))
        for (name, own), (_, other) in zip(_seen(flat, x), _seen(quantized, x), strict=True):
            signal[name] = signal.get(name, 0.0) + float((own**2).sum())
            noise[name] = noise.get(name, 0.0) + float(((own - other) ** 2).sum())
            look(name, own.numpy())
    return [
        {
            "layer": name,
            "snr_db": round(decibels(signal[name], noise[name]), 2),
            "power": signal[name],
        }
        for name in signal
    ]


def decibels(signal: float, noise: float) -> float:
    """10 log10(signal / noise), at most CEILING."""
    if noise <= signal * 10 ** (-CEILING / 10):
        return CEILING
    return 10 * math.log10(max(signal, 1e-30) / noise)


def worst(rows: list[dict]) -> dict:
    """The row with the lowest ratio, the logits left out."""
    # The logits sum up all that went wrong before; they are never the cause
    return min(rows[:-1], key=lambda row: row["snr_db"])


def _seen(network: nn.Sequential, x) -> list[tuple]:
    """(name, value) of every point and of the logits."""
    seen: list[tuple] = []
    before = {
        id(layer): layer.observer for layer in network.sublayers() if isinstance(layer, FlatLayer)
    }
    own = next(iter(before.values()), None)

    def observer(name: str, value):
        # The network's own rounding first: the report is on what it computes with
        value = value if own is None else own(name, value)
        seen.append((name, value))
        return value

    observe(network, observer)
    try:
        with paddle.no_grad():
            seen.append(("logits", network(x)))
    finally:
        observe(network, own)
    return seen
