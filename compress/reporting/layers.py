"""The section on rounding: layers by signal to noise, and how their values lie."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from compress.reporting.charts import BarAxis, bar_axis, histogram
from compress.reporting.record import LayerRow, Report, WeightRow
from compress.reporting.wording import number

# The others are folded away: what a person looks for is the layer to keep in float32.
SHOWN_LAYERS = 12
# The last row of a layer report: all rounding together, so no layer to compare with the others.
LOGITS = "logits"


@dataclass(frozen=True)
class Lying:
    """How the values of a layer lie: a histogram, and what it says in words."""

    layer: str
    svg: Markup
    says: str


@dataclass(frozen=True)
class LayersView:
    """Layers by signal to noise, the worst first; `scale` is the best one's.

    Attributes:
        activations, weights: of the worst SHOWN_LAYERS.
        more: how many others `report.json` has.
    """

    worst: tuple[LayerRow, ...]
    rest: tuple[LayerRow, ...]
    logits: float | None
    scale: float
    axis: BarAxis
    activations: tuple[Lying, ...] = ()
    weights: tuple[Lying, ...] = ()
    more: int = 0


def layers_view(report: Report) -> LayersView | None:
    """Signal to noise of every layer, the worst ones first."""
    # Null is a ratio that was not finite, as JSON has no infinity: it has no rank among the others.
    ratios = [(row.snr_db, row) for row in report.layer_report if row.snr_db is not None]
    if not ratios:
        return None
    inner = [(ratio, row) for ratio, row in ratios if row.layer != LOGITS]
    inner.sort(key=lambda pair: pair[0])
    ordered = tuple(row for _, row in inner)
    scale = max(ratio for ratio, _ in ratios)
    activations = [row for row in ordered if row.shares]
    weights = sorted(
        (row for row in report.weight_report if row.shares and row.snr_db is not None),
        key=lambda row: row.snr_db or 0.0,
    )
    return LayersView(
        worst=ordered[:SHOWN_LAYERS],
        rest=ordered[SHOWN_LAYERS:],
        logits=next((ratio for ratio, row in ratios if row.layer == LOGITS), None),
        scale=scale,
        # Bars are shares of the best: a negative ratio, all noise, has none.
        axis=bar_axis("signal to noise, dB", 0, max(scale, 1.0)),
        activations=tuple(map(_activations, activations[:SHOWN_LAYERS])),
        weights=tuple(map(_weights, weights[:SHOWN_LAYERS])),
        more=len(activations[SHOWN_LAYERS:]) + len(weights[SHOWN_LAYERS:]),
    )


def _activations(row: LayerRow) -> Lying:
    low, high = number(row.low) or 0.0, number(row.high) or 0.0
    ends = [end for end in (number(row.range_low), number(row.range_high)) if end is not None]
    says = f"{low:.3g} to {high:.3g}"
    if len(ends) == 2:
        says += f", kept {ends[0]:.3g} to {ends[1]:.3g}, {number(row.cut_off) or 0.0:.2g} % cut off"
    else:
        says += ", not rounded"
    says += f"; {row.snr_db:.1f} dB"
    return Lying(row.layer, histogram(row.shares, low, high, ends, f"{row.layer}: {says}"), says)


def _weights(row: WeightRow) -> Lying:
    ends = [end for end in (row.range_low, row.range_median, row.range_high) if end is not None]
    says = f"{row.count:,} weights up to {row.largest:.3g}"
    if len(ends) == 3:
        says += f", channels {ends[0]:.3g} to {ends[2]:.3g}, half below {ends[1]:.3g}"
    says += f"; {row.precision}, {row.snr_db:.1f} dB"
    sides = [sign * end for end in ends for sign in (-1, 1)]
    svg = histogram(row.shares, -row.largest, row.largest, sides, f"{row.layer}: {says}")
    return Lying(row.layer, svg, says)
