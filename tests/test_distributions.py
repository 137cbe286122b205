"""How values lie in the ranges chosen for them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import paddle
import pytest
from report_page import Page, every_section, text_of, within

from compress.reporting.charts import histogram
from compress.reporting.layers import SHOWN_LAYERS, layers_view
from compress.reporting.record import Report, from_json
from compress.reporting.report import render
from compress.reporting.rounding import rounding
from export.flat.flatten import flatten
from export.quantize import bits, distributions
from export.quantize.bits import Plan
from export.quantize.distributions import BINS, SAMPLE, Values, shares, weight_report
from export.quantize.quantized import Quantized, corrected
from teachers import networks


def test_shares_are_percent_of_equal_bins():
    assert shares(np.array([0.0, 0.1, 0.9, 1.0]), 0, 1)[:3] == [25.0, 0.0, 25.0]
    assert sum(shares(np.linspace(-1, 1, 480), -1, 1)) == pytest.approx(100, abs=0.1)
    assert len(shares(np.zeros(5), 0, 0)) == BINS


@pytest.mark.parametrize("low, high", [(1.0, 1.0000001), (0.0, 1e-42)])
def test_values_that_are_nearly_the_same_have_shares(low, high):
    """Between them float32 has no room for bins, which NumPy 2 refuses."""
    values = np.array([low, high, high, high], "float32")
    found = shares(values, float(values[0]), float(values[1]))
    assert (found[0], found[-1]) == (25.0, 75.0)


def test_what_lies_outside_of_a_range_is_counted_exactly():
    values = Values((-1.0, 2.0))
    values.add(np.array([[-3.0, 0.0], [1.0, 2.0]], "float32"))
    values.add(np.array([[2.5, 0.5, 0.5, 0.5]], "float32"))
    row = values.described()
    assert (row["low"], row["high"], row["cut_off"]) == (-3.0, 2.5, 25.0)
    assert (row["range_low"], row["range_high"]) == (-1.0, 2.0)
    assert row["shares"][0] == 12.5 and sum(row["shares"]) == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_have_no_histogram(value):
    values = Values((-1.0, 1.0))
    values.add(np.array([0.5, value], "float32"))
    values.add(np.array([0.25, 0.75], "float32"))
    assert values.described() == {}


def test_a_large_tensor_is_sampled_alike_every_time():
    many = np.random.default_rng(0).standard_normal((8, 4 * SAMPLE // 8)).astype("float32")
    rows = []
    for _ in range(2):
        values = Values(None)
        values.add(many)
        assert len(values.sampled[0]) == SAMPLE
        rows.append(values.described())
    assert rows[0] == rows[1] and "range_low" not in rows[0]
    exact = shares(many, float(many.min()), float(many.max()))
    assert np.abs(np.subtract(rows[0]["shares"], exact)).max() < 1.0


def test_weights_have_the_ranges_of_their_channels(tiny_spec, randomised):
    paddle.seed(5)
    flat = flatten(randomised(networks.build(tiny_spec)))
    layers = bits.layers(flat)
    plan = Plan(dict.fromkeys(layers, "int8_weights") | {layers[0]: "float32"})
    rows = {row["layer"]: row for row in weight_report(flat, plan)}
    assert rows[layers[0]]["snr_db"] is None and "range_low" not in rows[layers[0]]
    (one,) = [each for each in bits.weights(flat) if each.layer == "l1.values"]
    weight = np.moveaxis(one.parameter.numpy(), one.axis, 0)
    channels = np.abs(weight.reshape(len(weight), -1)).max(1)
    row = rows["l1.values"]
    assert row["count"] == weight.size and row["largest"] == distributions.short(channels.max())
    ends = (channels.min(), np.median(channels), channels.max())
    assert [row["range_low"], row["range_median"], row["range_high"]] == pytest.approx(ends, 1e-3)
    # One of 255 levels of a range that the weights fill: 40 dB and more.
    assert 35 < row["snr_db"] < 60


def test_a_quantised_network_has_both_reports(tiny_spec, randomised):
    paddle.seed(5)
    network = randomised(networks.build(tiny_spec))
    clips = np.random.default_rng(0).standard_normal((4, *tiny_spec.input_shape)).astype("float32")
    layers, weights = rounding(network, corrected(network, clips, "percentile", {}), clips)
    assert layers[-1].layer == "logits" and layers[-1].range_low is None
    ranged = [row for row in layers if row.range_low is not None]
    assert len(ranged) > 5
    # What a range of `percentile` leaves out is a ten-thousandth, on the clips it was found on; a
    # bin of 2048 may hold more.
    assert all(row.cut_off < 1 and len(row.shares) == BINS for row in ranged)
    rounded = [row.snr_db for row in weights if row.snr_db is not None]
    assert len(rounded) > 5 and min(rounded) > 20


def test_weights_alone_have_ranges_of_channels_and_none_of_activations(tiny_spec, randomised):
    paddle.seed(5)
    network = randomised(networks.build(tiny_spec))
    clips = np.random.default_rng(0).standard_normal((2, *tiny_spec.input_shape)).astype("float32")
    plan = bits.make_plan(flatten(network), "int4_weights")
    layers, weights = rounding(network, Quantized(plan), clips)
    assert all(row.range_low is None and row.cut_off is None and row.shares for row in layers)
    assert {row.precision for row in weights} == {"int4_weights", "int8_weights"}
    view = layers_view(replace(Report(), layer_report=layers, weight_report=weights))
    assert "not rounded" in view.activations[0].says and "int4" in view.weights[0].says


def test_the_page_draws_the_worst_and_counts_the_others():
    report = from_json(every_section())
    view = layers_view(report)
    assert len(view.activations) == SHOWN_LAYERS and len(view.weights) == 1
    assert view.activations[0].layer == "l1.out" and view.more == 19 - SHOWN_LAYERS
    section = Page(render(report)).section("layers")
    drawn = within(section, "svg", "histogram")
    assert len(drawn) == SHOWN_LAYERS + 1
    assert "kept -0.5 to 4, 0.12 % cut off; 19.0 dB" in drawn[0].get("aria-label")
    assert "The other 7 are in report.json" in text_of(section)


def test_an_older_report_has_layers_without_histograms():
    report = every_section()
    report["layer_report"] = [{"layer": "l1.out", "snr_db": 20.0}]
    report["weight_report"] = []
    section = Page(render(from_json(report))).section("layers")
    assert not within(section, "svg", "histogram") and "l1.out" in text_of(section)


def test_the_ends_of_a_range_stand_inside_the_picture():
    svg = histogram([50.0, 50.0], 0.0, 4.0, [-1.0, 2.0], '<"x">')
    assert 'x1="0.0"' in svg and 'x1="1.0"' in svg and "&lt;" in svg
    assert 'd="M0 10V0h1V0h1V10z"' in svg
