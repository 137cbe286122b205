"""What rounding does to every layer: signal to noise, and how values lie in the ranges chosen for
them."""

from __future__ import annotations

import numpy as np
from paddle import nn

from compress.reporting.record import LayerRow, WeightRow
from export.quantize import bits
from export.quantize.distributions import Values, weight_report
from export.quantize.layer_report import layer_report
from export.quantize.quantized import Quantized

# Of the training split, spread over it, as those were that the ranges were found on.
CLIPS = 16


def rounding(
    network: nn.Layer, quantized: Quantized, clips: np.ndarray
) -> tuple[tuple[LayerRow, ...], tuple[WeightRow, ...]]:
    """The rows of activations and of weights, float against quantised on clips (n, C, T, V, M)."""
    # The form for ONNX: only its files round activations, Paddle folders keep them in float32.
    flat = quantized.for_onnx(network)
    plan = quantized.plan
    seen: dict[str, Values] = {}

    def look(layer: str, values: np.ndarray) -> None:
        seen.setdefault(layer, Values(plan.ranges.get(layer))).add(values)

    rows = layer_report(flat, bits.fake_quantized(flat, plan), clips, look)
    layers = []
    for row in rows:
        lying = seen[row["layer"]].described()
        layers.append(LayerRow(**row, **lying | {"shares": tuple(lying.get("shares", ()))}))
    weights = [
        WeightRow(**row | {"shares": tuple(row["shares"])}) for row in weight_report(flat, plan)
    ]
    return tuple(layers), tuple(weights)
