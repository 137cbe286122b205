"""The pair rule: integer files give the same answers on every CPU, whether or not its kernels
add two products in 16 bits."""

import numpy as np
import onnx
import paddle
import pytest
from onnx import helper, numpy_helper
from test_networks import narrow

from export import runtimes, verify
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.formats import onnx_int8
from export.quantize import bits, calibrate, saturation, trainable
from export.quantize.layer_report import decibels
from teachers import cpu, networks
from teachers.errors import ExportMismatch

SHAPES = [  # of a weight, and the axis of its output channels
    ((12, 8, 1, 1), 0),
    ((12, 7, 1, 1), 0),
    ((6, 3, 1, 5), 0),
    ((6, 4, 1, 5), 0),
    ((9, 2, 1, 3), 0),
    ((4, 2, 1, 2), 0),
    ((10, 6), 1),
    ((11, 6), 1),
    ((1, 4), 1),
]


def by_hand(levels: np.ndarray, axis: int) -> int:
    """The largest sum of two neighbours of one sign, in the order the kernel multiplies them."""
    largest = 0
    for channel in range(levels.shape[axis]):
        if levels.ndim == 2:
            inputs = [int(one) for one in levels[:, channel]]
        else:
            inputs = [
                int(levels[channel, i, 0, tap])
                for tap in range(levels.shape[3])
                for i in range(levels.shape[1])
            ]
        for start in range(0, len(inputs), 2):
            pair = inputs[start : start + 2]
            for sign in (1, -1):
                largest = max(largest, sum(sign * one for one in pair if sign * one > 0))
    return largest


def levels_of(weight: np.ndarray, axis: int) -> np.ndarray:
    found, _ = bits.levels(weight, axis, "int8")
    return np.moveaxis(found.reshape([weight.shape[axis], *np.delete(weight.shape, axis)]), 0, axis)


def conv(*channels) -> np.ndarray:
    """Weights (C, Cin, 1, taps) of channels given as lists of inputs, each a list of taps."""
    return np.array(channels, "float32")[:, :, None]


def test_neighbours_of_one_sign_share_the_range_and_others_do_not():
    weight = conv([[1.0], [0.9]], [[1.0], [-1.0]], [[2.54], [0.0]], [[-1.0], [-0.274]])
    found, scales = bits.levels(weight, 0, "int8")
    assert found[:, 0].tolist() == [[67, 60], [127, -127], [127, 0], [-100, -27]]
    assert np.allclose(scales.reshape(-1), [1.9 / 127.4, 1 / 127, 0.02, 0.01])


def test_whole_levels_are_kept():
    found, scales = bits.levels(conv([[1.0], [1.0]], [[1.0], [0.28]]), 0, "int8")
    assert found[:, 0].tolist() == [[64, 64], [100, 28]] and np.allclose(
        scales.reshape(-1), [1 / 64, 0.01]
    )


def test_two_that_add_up_to_128_after_rounding_are_within_the_bound():
    found, scales = bits.levels(conv([[90.6], [36.7], [0.0], [-12.0]]), 0, "int8")  # 127.3 before
    assert scales[0, 0, 0] == pytest.approx(127.3 / 127.4) and found[0, 0].tolist() == [
        91,
        37,
        0,
        -12,
    ]


def test_pairs_of_an_odd_number_of_channels_straddle_taps():
    """Order (tap, channel): a0 b0 | c0 a1 | b1 c1; taps of one channel are no neighbours."""
    apart = levels_of(conv([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), 0)  # a0, b1
    assert apart.max() == 127
    beside = levels_of(conv([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]), 0)  # a1, c0
    assert beside[0, :, 0].tolist() == [[0, 64], [0, 0], [64, 0]]
    even = levels_of(conv([[0.0, 1.0], [1.0, 0.0]]), 0)  # b0 and a1 are in two pairs
    assert even.max() == 127


def test_the_right_operand_of_a_product_is_paired_and_the_left_is_not():
    assert bits.levels(np.array([[1.0], [1.0], [1.0]]), 1, "int8")[0].tolist() == [[[64, 64, 64]]]
    assert bits.levels(np.array([[1.0, 1.0, 1.0]]), 0, "int8")[0].tolist() == [[[127, 127, 127]]]


def test_what_is_computed_in_float_or_channel_by_channel_keeps_all_levels():
    assert bits.levels(conv([[1.0], [1.0]]), 0, "int8_weights")[0].tolist() == [[[127, 127]]]
    assert bits.levels(conv([[1.0, 1.0, 1.0]], [[0.5, 1.0, 0.0]]), 0, "int8")[0].tolist() == [
        [[127] * 3],
        [[64, 127, 0]],
    ]


@pytest.mark.parametrize("above", [0.9, 1.0001, 1.001, 1.003, 1.01, 1.2])
def test_a_channel_of_nearly_nothing_that_touches_the_rule_is_rounded_once(above):
    """Its scale is the least there is, or the rule's a little above it."""
    generator = np.random.default_rng(3)
    for _ in range(50):
        share = generator.uniform(0.4, 0.6)
        pair = np.array([share, 1 - share]) * above * 127.4 * bits.SMALLEST / 127
        weight = conv(pair[:, None].tolist()).astype("float32")
        once = bits.rounded(weight, 0, "int8")
        assert by_hand(levels_of(once, 0), 0) <= 128
        np.testing.assert_allclose(bits.rounded(once, 0, "int8"), once, rtol=1e-5)


@pytest.mark.parametrize("shape, axis", SHAPES)
@pytest.mark.parametrize("kind", ["normal", "equal", "positive", "sparse", "tiny", "least", "zero"])
def test_no_pair_is_above_the_bound_and_rounding_again_changes_nothing(shape, axis, kind):
    generator = np.random.default_rng(sum(shape))
    for _ in range(20):
        weight = {
            "normal": generator.standard_normal(shape),
            "equal": np.full(shape, 0.3),
            "positive": generator.random(shape),
            "sparse": generator.standard_normal(shape) * (generator.random(shape) < 0.3),
            "tiny": generator.standard_normal(shape) * 1e-6,
            "least": generator.standard_normal(shape) * bits.SMALLEST,
            "zero": np.zeros(shape),
        }[kind].astype("float32")
        found, once = levels_of(weight, axis), bits.rounded(weight, axis, "int8")
        assert by_hand(found, axis) <= 128 and np.abs(found.astype(int)).max() <= 127
        scales = bits.levels(weight, axis, "int8")[1].reshape(
            [-1 if one == axis else 1 for one in range(len(shape))]
        )
        assert (np.abs(once - weight) <= 0.5001 * scales).all()  # rounded, not cut off
        again, twice = levels_of(once, axis), bits.rounded(once, axis, "int8")
        assert (np.abs(twice - once) <= 1e-4 * scales).all()
        assert np.array_equal(again, found)
        bits.stored(once, "w", axis, "int8", 32)
        # Others may be on whole levels by chance, which training need not find
        if kind in ("normal", "positive", "zero"):
            through = trainable.straight_through(paddle.to_tensor(weight), axis, "int8").numpy()
            assert (np.abs(through - once) <= 1e-3 * scales).all()


def test_a_channel_that_needs_no_more_uses_the_whole_range():
    """The scale is the smallest that the rule allows: the bound is reached, not merely kept."""
    weight = np.random.default_rng(5).standard_normal((64, 16, 1, 1)).astype("float32")
    found = levels_of(weight, 0)
    each = [max(by_hand(one[None], 0), int(np.abs(one.astype(int)).max())) for one in found]
    assert min(each) >= 126


@pytest.fixture(scope="module", params=networks.names())
def exported(request, randomised, tmp_path_factory):
    """(name, clips, ONNX file in eight bits, simulated network)."""
    paddle.seed(1)
    network = randomised(networks.build(narrow(request.param)))
    clips = (
        np.random.default_rng(0).standard_normal((8, *network.spec.input_shape)).astype("float32")
    )
    flat = flatten(network)
    flat = prepared(flat, integers=True)
    plan = bits.make_plan(flat, "int8", calibrate.calibrate(flat, clips, "min_max"))
    simulated = runtimes.in_process(bits.fake_quantized(flat, plan))
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, clips, onnx_int8.save(flat, network.spec, folder, plan)[0], simulated


def test_every_exported_weight_keeps_the_rule(exported):
    graph = onnx.load(exported[2]).graph
    stored = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    made = {
        node.output[0]: node.input[0] for node in graph.node if node.op_type == "DequantizeLinear"
    }
    checked = 0
    for node in graph.node:
        weight = stored.get(made.get(node.input[1])) if node.op_type in ("Conv", "MatMul") else None
        if weight is None or weight.dtype != np.int8:
            continue
        checked += 1
        if weight.ndim == 2 or weight.shape[1] > 1:
            assert by_hand(weight, 1 if weight.ndim == 2 else 0) <= 128, made[node.input[1]]
    assert checked >= 10 and not list(saturation.broken(graph))


def unsigned(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same function with weights in uint8 around 128, whose kernels are exact everywhere."""
    stored = {one.name: one for one in model.graph.initializer}
    for node in model.graph.node:
        tensor = stored.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if tensor is None or tensor.data_type != onnx.TensorProto.INT8:
            continue
        levels = numpy_helper.to_array(tensor).astype(int) + 128
        tensor.CopyFrom(numpy_helper.from_array(levels.astype("uint8"), tensor.name))
        zeros = np.full(stored[node.input[1]].dims, 128, "uint8")
        node.input.append(f"{tensor.name}z")
        model.graph.initializer.append(numpy_helper.from_array(zeros, node.input[2]))
    return model


def close(found, expected) -> float:
    return decibels(float(np.square(expected).sum()), float(np.square(found - expected).sum()))


def test_this_cpu_computes_what_every_other_computes(exported, tmp_path):
    """Not one product is cut off; what differs without optimisations is where ties are rounded to,
    and spreads from there."""
    name, clips, file, simulated = exported
    found, exact = (
        runtimes.onnx_runtime(file, optimised=optimised)(clips) for optimised in (True, False)
    )
    onnx.save(unsigned(onnx.load(file)), tmp_path / "unsigned.onnx")
    assert close(found, runtimes.onnx_runtime(tmp_path / "unsigned.onnx")(clips)) > 100
    assert close(exact, simulated(clips)) > 60
    assert close(found, exact) > (28 if name in ("ctrgcn", "ctrgcn_light_v1") else 39)
    compared = verify.require_close(file, lambda x: found, clips, simulated(clips), lambda x: exact)
    assert compared["exact_snr_db"] > 60


def one_layer(op_type: str, weight: np.ndarray, **attributes) -> onnx.ModelProto:
    axis = 0 if op_type == "Conv" else 1
    scales = np.ones(weight.shape[axis], "float32")
    nodes = [
        helper.make_node("DequantizeLinear", ["l1.near.wq", "l1.near.ws"], ["w"], axis=axis),
        helper.make_node(op_type, ["x", "w"], ["y"], **attributes),
    ]
    tensors = [
        numpy_helper.from_array(weight.astype("int8"), "l1.near.wq"),
        numpy_helper.from_array(scales, "l1.near.ws"),
    ]
    return helper.make_model(helper.make_graph(nodes, "g", [], [], tensors))


@pytest.mark.parametrize(
    "op_type, weight, attributes, sums",
    [
        ("Conv", conv([[100.0], [28.0]]), {}, None),
        ("Conv", conv([[100.0], [29.0]]), {}, 129),
        ("Conv", conv([[-100.0], [-29.0]]), {}, 129),
        ("Conv", conv([[100.0], [-100.0]]), {}, None),
        ("Conv", conv([[0.0, 100.0], [0.0, 0.0], [100.0, 0.0]]), {}, 200),
        ("Conv", conv([[100.0, 100.0]], [[9.0, 0.0]]), {"group": 2}, None),
        ("Conv", conv([[100.0, 100.0]], [[9.0, 0.0]]), {}, 200),
        ("MatMul", np.array([[1.0], [1.0], [100.0], [29.0]]), {}, 129),
        ("MatMul", np.array([[1.0], [100.0], [29.0], [1.0]]), {}, None),
    ],
)
def test_a_finished_model_with_a_pair_above_the_bound_is_refused(op_type, weight, attributes, sums):
    model = one_layer(op_type, weight, **attributes)
    if sums is None:
        onnx_int8.require_pairs(model)
        return
    with pytest.raises(
        ExportMismatch,
        match=rf"l1.near.wq: two neighbouring int8 weights add up to {sums}, .*skip: \[l1.near\]",
    ):
        onnx_int8.require_pairs(model)


def test_export_looks_at_what_it_wrote(tiny_spec, randomised, monkeypatch):
    """Were weights rounded without the rule, no file would be left."""
    flat = flatten(randomised(networks.build(tiny_spec)))
    flat = prepared(flat, integers=True)
    clips = np.random.default_rng(0).standard_normal((2, *tiny_spec.input_shape)).astype("float32")
    plan = bits.make_plan(flat, "int8", calibrate.calibrate(flat, clips, "min_max"))
    monkeypatch.setattr(bits, "paired_scales", lambda rows, scales: scales)
    with pytest.raises(ExportMismatch, match="two neighbouring int8 weights add up to"):
        onnx_int8.convert(flat, tiny_spec, plan)


def test_what_only_this_cpu_computes_wrongly_is_said(tmp_path, monkeypatch):
    expected = np.random.default_rng(0).standard_normal((8, 3))
    clips, right = np.zeros((8, 3, 8, 5, 2), "float32"), lambda x: expected
    onnx.save(one_layer("Conv", conv([[100.0], [100.0]])), tmp_path / "f.onnx")
    assert (
        verify.require_close(tmp_path / "f.onnx", right, clips, expected, right)["exact_snr_db"]
        > 100
    )
    monkeypatch.setattr(cpu, "read", lambda: cpu.Cpu("AuthenticAMD", "EPYC", ("avx2",)))
    with pytest.raises(ExportMismatch) as problem:
        verify.require_close(tmp_path / "f.onnx", lambda x: -expected, clips, expected, right)
    for part in (
        "does not compute what was simulated",
        "integer kernels for this CPU, AuthenticAMD EPYC (has avx2; lacks avx512f",
        "add two products in 16 bits",
        "1 weights break the pair rule (l1.near.wq)",
    ):
        assert part in str(problem.value), part
    monkeypatch.setattr(
        cpu, "read", lambda: cpu.Cpu("GenuineIntel", "Xeon", ("avx2", "avx512f", "avx512_vnni"))
    )
    onnx.save(one_layer("Conv", conv([[100.0], [-100.0]])), tmp_path / "f.onnx")
    with pytest.raises(ExportMismatch) as problem:
        verify.require_close(tmp_path / "f.onnx", lambda x: -expected, clips, expected, right)
    assert (
        "GenuineIntel Xeon" in str(problem.value)
        and "16 bits" not in str(problem.value)
        and "pair rule" not in str(problem.value)
    )


@pytest.mark.parametrize("served", [1, -1])
def test_a_file_that_is_wrong_without_optimisations_is_refused(served):
    expected = np.random.default_rng(0).standard_normal((8, 3))
    clips = np.zeros((8, 3, 8, 5, 2), "float32")
    with pytest.raises(ExportMismatch) as problem:
        verify.require_close(
            "f.onnx", lambda x: served * expected, clips, expected, lambda x: -expected
        )
    assert ("without graph optimisations" in str(problem.value)) == (
        served == 1
    ) and "CPU," not in str(problem.value)
