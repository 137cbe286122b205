"""Plans, rounding of weights, ranges of activations, bias correction and the layer report, on
numbers worked out by hand."""

import json

import numpy as np
import paddle
import pytest
from paddle import nn

from export.flat.flatten import flatten
from export.flat.layers import FlatLayer, FoldedConv, prepared
from export.quantize import bits, calibrate
from export.quantize.bias_correction import (
    corrected_biases,
    mean_inputs,
    mean_logits,
    mean_shift,
)
from export.quantize.bits import Plan
from export.quantize.layer_report import decibels, layer_report, worst
from teachers import networks
from teachers.errors import DataError, ExportMismatch, RecipeError


def conv(weight, bias=None, **more) -> nn.Sequential:
    weight = np.asarray(weight, "float32")
    return nn.Sequential(
        FoldedConv(
            "l1",
            "values",
            weight,
            np.zeros(len(weight)) if bias is None else np.asarray(bias),
            **more,
        )
    )


@pytest.fixture()
def flat(tiny_spec, randomised):
    # Else the weights are those that the tests before have left for it.
    paddle.seed(5)
    return flatten(randomised(networks.build(tiny_spec)))


@pytest.fixture(scope="module")
def clips(tiny_spec):
    return np.random.default_rng(0).standard_normal((6, *tiny_spec.input_shape)).astype("float32")


def test_int8_levels_have_one_scale_a_channel():
    found, scales = bits.levels(np.array([[127.0, -64.2, 0.4], [0.0, 2.54, -1.27]]), 0, "int8")
    assert found.tolist() == [[[127, -64, 0]], [[0, 127, -64]]] and np.allclose(
        scales.reshape(-1), [1.0, 0.02]
    )


def test_int8_levels_of_output_channels_on_another_axis():
    weight = np.array([[127.0, 0.0], [-64.2, 2.54], [0.4, -1.27]])
    found, scales = bits.levels(weight, 1, "int8")
    assert found[0].tolist() == [[127, -64, 0]]
    assert np.allclose(
        bits.values(found, scales, weight.shape, 1), [[127, 0], [-64, 2.54], [0, -1.28]]
    )


def test_int4_levels_have_a_scale_a_group():
    found, scales = bits.levels(
        np.array([[7.0, -3.0, 0.0, 1.0, 0.7, 0.3, -0.2, 0.0]]), 0, "int4_weights", group=4
    )
    assert found.shape == (1, 2, 4) and found[0, 0].tolist() == [7, -3, 0, 1]
    assert (
        scales.astype("float16").astype("float32").tolist() == scales.tolist()
        and abs(scales[0, 0, 0] - 1) < 1e-3
    )


@pytest.mark.parametrize(
    "inputs, size", [(64, 32), (48, 24), (36, 18), (9, 9), (61, 61), (80, 20), (1, 1)]
)
def test_int4_groups_divide_the_inputs(inputs, size):
    assert bits.group_size(inputs, 32) == size


@pytest.mark.parametrize("kind", ["int8", "int8_weights", "int4_weights", "float16"])
def test_rounding_twice_changes_nothing(kind):
    weight = np.random.default_rng(1).standard_normal((12, 40, 1, 1)).astype("float32")
    once = bits.rounded(weight, 0, kind)
    assert (
        np.abs(once - weight).max() > 0 and np.abs(bits.rounded(once, 0, kind) - once).max() < 1e-6
    )
    if kind != "float16":
        with pytest.raises(ExportMismatch, match="l1.values.w: is not rounded to"):
            bits.stored(weight, "l1.values.w", 0, kind, 32)


@pytest.mark.parametrize("size", [3e-8, 4e-7, 7e-7, 9e-7, 4e-6, 5e-5, 1.0, 1e5])
def test_int4_weights_of_any_size_are_rounded_once(size):
    """Below 0.00006 float16 scales are whole multiples of a step."""
    weight = np.random.default_rng(1).standard_normal((24, 64, 1, 1)) * size
    weight[2] = 0.0
    weight[3] *= 1e-3
    once = bits.rounded(weight.astype("float32"), 0, "int4_weights")
    found, scales = bits.stored(once, "l1.values.w", 0, "int4_weights", 32)
    assert np.array_equal(bits.values(found, scales, weight.shape, 0), once)
    assert np.isfinite(scales).all() and (scales > 0).all() and not once[2].any()
    assert np.array_equal(scales.astype("float16").astype("float32"), scales)
    if size > 1e-6:
        assert decibels(float((weight**2).sum()), float(((weight - once) ** 2).sum())) > 15


def test_small_channels_beside_large_ones_keep_their_levels():
    """Weights of a millionth behind activations of a million count as much as any other."""
    weight = np.random.default_rng(4).standard_normal((8, 64, 1, 1)).astype("float32")
    sizes = np.array([1, 1e-3, 1e-6, 1e-8, 1e-12, 1e3, 1e5, 1e8], "float32").reshape(-1, 1, 1, 1)
    for kind in ("int8", "int8_weights"):
        rounded = bits.rounded(weight * sizes, 0, kind)
        np.testing.assert_allclose(rounded / sizes, bits.rounded(weight, 0, kind), atol=1e-5)


def test_a_weight_that_is_wrong_in_a_small_channel_is_not_stored():
    weight = np.random.default_rng(4).standard_normal((2, 64, 1, 1)).astype("float32")
    weight[0] *= 1e6
    once = bits.rounded(weight, 0, "int8_weights")
    once[1, 5:] *= 1.3
    with pytest.raises(ExportMismatch, match="w: is not rounded to int8_weights"):
        bits.stored(once, "w", 0, "int8_weights", 32)


@pytest.mark.parametrize(
    "kind, largest, expected",
    [
        ("float16", 6e4, "float16"),
        ("float16", 7e4, "float32"),
        ("float16", 1e-3, "float16"),
        ("float16", 3e-6, "float32"),
        ("float16", 0.0, "float16"),
        ("int4_weights", 4e5, "int4_weights"),
        ("int4_weights", 5e5, "int8_weights"),
        ("int4_weights", 1e-3, "int4_weights"),
        ("int4_weights", 1e-4, "int8_weights"),
        ("int4_weights", 0.0, "int4_weights"),
    ],
)
def test_layers_beyond_float16_are_planned_in_more_bits(kind, largest, expected):
    # A channel of nothing, or one that is huge, is no reason: its layer is what counts.
    weight = np.random.default_rng(4).uniform(-1, 1, (64, 64, 1, 1)) * largest * 1e-3
    weight[0] = 0.0
    weight[1, 1] = largest
    flat = conv(weight)
    plan = bits.make_plan(flat, kind)
    assert plan.precision == {"l1.values": expected}
    once = bits.quantize_weights(flat, plan)[0].weight_.numpy()
    assert np.abs(once - weight).max() <= 0.1 * largest


def test_what_float16_does_not_hold_stays_as_it_is():
    """Also by plans that were made before it was known."""
    flat = conv(np.full((4, 64, 1, 1), 7e4))
    flat[0].constant("graphs", np.full((30, 30), -7e4, "float32"))
    bits.quantize_weights(flat, Plan({"l1.values": "float16"}, others="float16"))
    assert (flat[0].weight_.numpy() == 7e4).all() and (flat[0].graphs.numpy() == -7e4).all()
    flat = conv(np.full((4, 64, 1, 1), 7e5))
    with pytest.raises(RecipeError) as problem:
        bits.quantize_weights(flat, Plan({"l1.values": "int4_weights"}))
    for part in ("l1.values.w: has weights up to 700000", "int4 reaches 458528", "int8_weights"):
        assert part in str(problem.value)


def test_zero_is_a_level_of_every_range():
    assert calibrate.scale_and_zero(0.0, 2.55)[1] == 0 and calibrate.scale_and_zero(0.0, 2.55)[
        0
    ] == pytest.approx(0.01)
    scale, zero = calibrate.scale_and_zero(-1.0, 1.55)
    assert (scale, zero) == (pytest.approx(0.01), 100)
    assert np.allclose(
        calibrate.round_to(np.array([0.0, 0.004, 0.006, 9.0, -9.0]), -1.0, 1.55),
        [0, 0, 0.01, 1.55, -1.0],
    )


def test_ranges_of_every_method():
    counts = np.zeros(calibrate.BINS)
    counts[:1024] = 1000  # values 0 to 5, and one lonely 10
    counts[-1] = 1
    assert calibrate.percentile(counts, 0.0, 10.0) == (0.0, pytest.approx(5.0, abs=0.01))
    low, high = calibrate.mse(counts, 0.0, 10.0)
    assert low == 0.0 and 4.9 < high < 6.0
    normal = np.abs(np.random.default_rng(0).standard_normal(20000))
    counts = np.histogram(np.append(normal, 20.0), calibrate.BINS, (0, 20))[0]
    low, high = calibrate.entropy(counts, 0.0, 20.0)
    assert low == 0.0 and 2.5 < high < 10.0
    assert (
        calibrate.mse(np.zeros(4), 0.0, 0.0)
        == (0.0, 0.0)
        == calibrate.entropy(np.zeros(4), 0.0, 0.0)
    )


@pytest.mark.parametrize("method", calibrate.METHODS)
def test_calibrated_ranges_lie_in_what_was_seen(flat, clips, method):
    flat = prepared(flat, integers=True)
    seen, found = (
        calibrate.calibrate(flat, clips, "min_max"),
        calibrate.calibrate(flat, clips, method),
    )
    assert (
        found.keys() == seen.keys()
        and {"data_bn.out", "l1.values", "l1.product", "l1.out"} <= found.keys()
    )
    for name, (low, high) in found.items():
        assert seen[name][0] - 1e-6 <= low <= 0 <= high <= seen[name][1] + 1e-6
    assert found["l1.out"][0] == 0  # behind a ReLU
    assert all(layer.observer is None for layer in flat.sublayers() if hasattr(layer, "observer"))


class Ended(FlatLayer):
    """Logits (N, 1): three times what is above zero of the first coordinate, summed."""

    def __init__(self):
        super().__init__("l1")

    def forward(self, x):
        x = self.point("in", x[:, 0].flatten(1))
        return 3 * paddle.nn.functional.relu(x).sum(1, keepdim=True)


def test_squared_gradients_are_counted_by_value():
    clips = np.array([[-10.0, -4.0, 0.5, 1.0]], "float32").reshape(1, 1, 4, 1, 1)
    found = calibrate.squared_gradients(nn.Sequential(Ended()), clips, {"l1.in": (-10.0, 1.0)})
    expected = np.zeros(calibrate.FINE_BINS)
    # Bins of 11 / 8192 each; what is below zero has no gradient.
    expected[[int(10.5 * calibrate.FINE_BINS / 11), -1]] = 9 * calibrate.GRADIENTS
    np.testing.assert_allclose(found["l1.in"], expected)


def test_gradient_cuts_off_what_changes_no_logit():
    clips = np.linspace(-10, 1, 500, dtype="float32").reshape(1, 1, 500, 1, 1)
    flat = nn.Sequential(Ended())
    low, high = calibrate.calibrate(flat, clips, "gradient")["l1.in"]
    assert low == pytest.approx(-10 * calibrate.FRACTIONS[0]) and 0.8 < high <= 1
    # By size alone, those below zero are most of the error.
    assert calibrate.calibrate(flat, clips, "mse")["l1.in"][0] < -9


@pytest.mark.parametrize("outlier", [10.0, 1e4, 1e8])
def test_percentile_finds_the_range_beside_a_single_enormous_value(outlier):
    values = np.random.default_rng(0).standard_normal(40_000).astype("float32")
    values[7] = outlier
    clips = values.reshape(2, 1, -1, 1, 1)
    low, high = calibrate.calibrate(nn.Sequential(Ended()), clips, "percentile")["l1.in"]
    expected = np.quantile(values, [0.00005, 0.99995])
    np.testing.assert_allclose([low, high], expected, rtol=0.1)


def test_percentile_of_values_that_are_nearly_all_zero():
    clips = np.zeros((2, 1, 40_000, 1, 1), "float32")
    clips[0, 0, 3] = 1.0
    flat = nn.Sequential(Ended())
    found = calibrate.calibrate(flat, clips, "percentile")["l1.in"]
    assert found == (0.0, 1 / calibrate.BINS)
    for tiny in (0.0, 1e-42):
        found = calibrate.calibrate(flat, clips * np.float32(tiny), "percentile")["l1.in"]
        assert 0 <= found[1] <= tiny


def test_calibration_needs_clips(flat, clips):
    with pytest.raises(
        DataError, match="calibration: no clips to calibrate with; give at least one"
    ):
        calibrate.calibrate(flat, clips[:0])
    with pytest.raises(DataError, match="is not finite on these clips"):
        calibrate.calibrate(flat, np.full_like(clips[:1], np.nan))
    with pytest.raises(RecipeError, match="calibration 'best': unknown"):
        calibrate.calibrate(flat, clips, "best")
    with pytest.raises(
        RecipeError, match="marks no values that could be kept in eight bits; take int8_weights"
    ):
        calibrate.calibrate(conv(np.ones((2, 3, 1, 1))), np.ones((1, 3, 5, 4), "float32"))


def test_plan_takes_the_longest_name(flat):
    plan = bits.make_plan(flat, "int8_weights", overrides={"l1": "float32", "l1.values": "float16"})
    assert (
        plan.precision["l1.values"],
        plan.precision["l1.reduce"],
        plan.precision["l4.values"],
    ) == ("float16", "float32", "int8_weights")
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_plan_keeps_no_range_of_what_stays_float(flat, clips):
    ranges = calibrate.calibrate(flat, clips[:1], "min_max")
    plan = bits.make_plan(flat, "int8", ranges, {"l1.values": "float32"})
    assert (
        plan.ranges.keys() == ranges.keys() - {"l1.values"}
        and Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    )


def test_float16_includes_large_constants_of_no_layer():
    flat = conv(np.ones((4, 64, 1, 1)))
    flat[0].constant("graphs", np.full((30, 30), 0.1, "float32"))
    plan = bits.make_plan(flat, "float16")
    assert plan.others == "float16" and [one.name for one in bits.others(flat)] == ["l1.graphs"]
    bits.quantize_weights(flat, plan)
    assert (
        flat[0].graphs.numpy()[0, 0] == np.float32(np.float16(0.1))
        and bits.make_plan(flat, "int8_weights").others == "float32"
    )
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


def test_plan_refuses_what_is_not_there(flat):
    with pytest.raises(
        RecipeError, match=r"precision: the network has no layer 'l1.valeus' \(it has l1.relation"
    ):
        bits.make_plan(flat, "int8_weights", overrides={"l1.valeus": "float32"})
    with pytest.raises(RecipeError, match="precision 'int3': unknown"):
        bits.make_plan(flat, "int3")
    with pytest.raises(RecipeError, match="precision int8: needs the ranges of a calibration"):
        bits.make_plan(flat, "int8")
    with pytest.raises(
        RecipeError, match="plan: has no layer 'l1.relation'; it was made for another network"
    ):
        bits.quantize_weights(flat, Plan({}))


def test_all_forms_of_a_network_have_the_same_layers(flat, tiny_spec, randomised):
    other = flatten(randomised(networks.build(tiny_spec)))
    other = prepared(other, integers=True)
    assert (
        set(bits.layers(flat))
        == set(bits.layers(other))
        >= {one.layer for one in bits.weights(other)}
    )


def test_fake_quantised_network_rounds_and_leaves_the_original(flat, clips):
    flat = prepared(flat, integers=True)
    plan = bits.make_plan(flat, "int8", calibrate.calibrate(flat, clips, "min_max"))
    x = paddle.to_tensor(clips)
    before = flat(x).numpy()
    twin = bits.fake_quantized(flat, plan)
    found = twin(x).numpy()
    assert np.array_equal(flat(x).numpy(), before) and [one.name for one in twin.parameters()] == [
        one.name for one in flat.parameters()
    ]
    assert 15 < decibels(float((before**2).sum()), float(((before - found) ** 2).sum())) < 60


def test_gradients_pass_rounding_but_not_cutting():
    x = paddle.to_tensor([0.3, 5.0], stop_gradient=False)
    y = bits.rounding({"p": (0.0, 2.55)})("p", x)
    assert np.allclose(y.numpy(), [0.3, 2.55])
    y.sum().backward()
    assert x.grad.numpy().tolist() == [1.0, 0.0]


def test_mean_shift_of_grouped_weights():
    change = np.zeros((2, 1, 1, 3))
    change[0], change[1] = 0.1, 0.2
    assert np.allclose(mean_shift(change, np.array([1.0, 10.0]), groups=2), [0.3, 6.0])
    assert np.allclose(mean_shift(np.ones((1, 2, 1, 1)), np.array([1.0, 10.0]), groups=1), [11.0])


def test_bias_correction_keeps_the_mean_output():
    generator = np.random.default_rng(2)
    network = conv(generator.standard_normal((4, 32, 1, 1)))
    x = (generator.random((6, 32, 5, 8)) + 1).astype("float32")
    mean = network(paddle.to_tensor(x)).numpy().mean((0, 2, 3))
    plan = Plan({"l1.values": "int4_weights"})
    plain = bits.fake_quantized(network, plan)(paddle.to_tensor(x)).numpy().mean((0, 2, 3))
    biases = corrected_biases(network, plan, mean_inputs(network, x))
    rounded = bits.fake_quantized(network, plan)
    rounded[0].bias_.set_value(biases["l1.values.b"])
    found = rounded(paddle.to_tensor(x)).numpy().mean((0, 2, 3))
    assert np.abs(plain - mean).max() > 0.02 and np.abs(found - mean).max() < 1e-4
    with pytest.raises(DataError, match="bias correction: no clips"):
        mean_inputs(network, x[:0])


def test_mean_logits_are_of_all_clips(flat, clips):
    # More than a batch, so that the last one is smaller.
    many = np.concatenate([clips, clips])[: calibrate.BATCH + 3]
    expected = flat(paddle.to_tensor(many)).numpy().mean(0)
    np.testing.assert_allclose(mean_logits(flat, many), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(DataError, match="bias correction: no clips to measure on"):
        mean_logits(flat, clips[:0])


def test_layer_report_finds_the_layer_that_was_harmed(flat, clips):
    flat = prepared(flat, integers=True)
    ranges = calibrate.calibrate(flat, clips, "min_max")
    twin = bits.fake_quantized(flat, bits.make_plan(flat, "float32"))
    rows = layer_report(flat, twin, clips)
    assert {row["snr_db"] for row in rows} == {200.0} and rows[-1]["layer"] == "logits"
    harmed = bits.fake_quantized(flat, bits.make_plan(flat, "float32"))
    calibrate.observe(
        harmed, bits.rounding({"l4.values": (ranges["l4.values"][0], ranges["l4.values"][1] / 50)})
    )
    rows = layer_report(flat, harmed, clips)
    assert (
        next(row for row in rows if row["snr_db"] < 200)["layer"] == "l4.values"
        and rows[-1]["snr_db"] < 40
    )
    assert worst(rows)["layer"].startswith("l4.")
    with pytest.raises(DataError, match="layer report: no clips"):
        layer_report(flat, twin, clips[:0])


def test_decibels():
    assert (
        decibels(100.0, 1.0) == 20.0 and decibels(1.0, 0.0) == 200.0 and decibels(0.0, 0.0) == 200.0
    )
