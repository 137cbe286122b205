"""How values lie: activations in the ranges that calibration chose, weights in those of their
channels."""

from __future__ import annotations

from typing import Any

import numpy as np
from paddle import nn

from export.quantize import bits
from export.quantize.bits import Plan
from export.quantize.calibrate import Range
from export.quantize.layer_report import decibels

BINS = 24
# Values of a point that its histogram is made of, in each batch: all of them took longer than the
# network itself. What lies outside of the range is counted exactly.
SAMPLE = 16_384


class Values:
    """The values of one point, batch by batch.

    Args:
        ends: the range that they are rounded to; None: they are not rounded.
    """

    def __init__(self, ends: Range | None):
        self.ends = ends
        self.low = np.inf
        self.high = -np.inf
        self.count = 0
        self.beyond = 0
        self.sampled: list[np.ndarray] = []

    def add(self, values: np.ndarray) -> None:
        """More of them, of any shape."""
        values = values.reshape(-1)
        low, high = float(values.min()), float(values.max())
        # Of NumPy: Python's own would lose a NaN.
        self.low = float(np.minimum(self.low, low))
        self.high = float(np.maximum(self.high, high))
        self.count += values.size
        if self.ends is not None and (low < self.ends[0] or high > self.ends[1]):
            self.beyond += int(np.count_nonzero((values < self.ends[0]) | (values > self.ends[1])))
        # At random, not each n-th: rows of a tensor are as long as joints and frames are many.
        chosen = np.random.default_rng(values.size).integers(0, values.size, SAMPLE)
        self.sampled.append(values if values.size <= SAMPLE else values[chosen])

    def described(self) -> dict[str, Any]:
        """What a row of the layer report says of them; nothing where one of them is not finite."""
        if not np.isfinite([self.low, self.high]).all():
            return {}
        row: dict[str, Any] = {
            "low": short(self.low),
            "high": short(self.high),
            "shares": shares(np.concatenate(self.sampled), self.low, self.high),
        }
        if self.ends is None:
            return row
        return row | {
            "range_low": short(self.ends[0]),
            "range_high": short(self.ends[1]),
            "cut_off": short(100 * self.beyond / self.count),
        }


def weight_report(flat: nn.Sequential, plan: Plan) -> list[dict[str, Any]]:
    """Rows {"layer", "precision", "count", "snr_db", "largest", "range_low", "range_median",
    "range_high", "shares"}, one a layer, in the order of the network.

    Args:
        flat: the float network, in the form that is rounded.
    """
    layers: dict[str, list[bits.Weight]] = {}
    for one in bits.weights(flat):
        layers.setdefault(one.layer, []).append(one)
    return [_of_layer(name, ones, plan) for name, ones in layers.items()]


def _of_layer(name: str, ones: list[bits.Weight], plan: Plan) -> dict[str, Any]:
    kind = plan.precision[name]
    values = [one.parameter.numpy() for one in ones]
    noise = 0.0
    ranges = []
    for one, weight in zip(ones, values, strict=True):
        if bits.stays(weight, kind):
            continue
        if kind == "float16":
            rounded = bits.rounded(weight, one.axis, kind)
        else:
            found, scales = bits.levels(weight, one.axis, kind, plan.group)
            rounded = bits.values(found, scales, weight.shape, one.axis)
            ranges.append(scales.reshape(-1) * bits.LIMIT[kind])
        noise += float(np.square(weight - rounded, dtype="float64").sum())
    everything = np.concatenate([weight.reshape(-1) for weight in values])
    largest = float(np.abs(everything).max())
    signal = float(np.square(everything, dtype="float64").sum())
    row = {
        "layer": name,
        "precision": kind,
        "count": everything.size,
        # What rounding leaves as it is has no noise, and no place among the others.
        "snr_db": round(decibels(signal, noise), 2) if noise else None,
        "largest": short(largest),
        "shares": shares(everything, -largest, largest),
    }
    if ranges:
        channels = np.concatenate(ranges)
        row |= {
            "range_low": short(channels.min()),
            "range_median": short(np.median(channels)),
            "range_high": short(channels.max()),
        }
    return row


def shares(values: np.ndarray, low: float, high: float) -> list[float]:
    """Percent of the values in each of BINS equal bins from `low` to `high`."""
    # All values may be the same.
    ends = (low, high if high > low else low + 1.0)
    # In float64: between values that are nearly the same float32 has no room for bins.
    counts, _ = np.histogram(values.astype("float64"), BINS, ends)
    return [round(float(share), 2) for share in 100 * counts / max(values.size, 1)]


def short(value: float) -> float:
    """Four figures: a report of every layer is to stay small."""
    return float(f"{value:.4g}")
