"""ONNX files with integer layers, and with weights in int8, int4 and float16: what is stored, and
that it computes the same."""

import numpy as np
import onnx
import paddle
import pytest
from onnx import TensorProto

from export import package, runtimes, verify
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.formats import onnx_int8, onnx_model, onnx_weights
from export.formats.options import Options
from export.quantize import bits, calibrate
from export.quantize.layer_report import decibels
from export.quantize.quantized import corrected
from teachers import ctrgcn, networks
from teachers.errors import ExportMismatch
from teachers.skeleton import Skeleton

FIVE = Skeleton("five", 5, ((2, 1), (3, 1), (4, 1), (5, 4)), centre=1)


@pytest.fixture(scope="module")
def network(randomised):
    """Wide enough for weights to outweigh names: two blocks with the identity behind one with a
    projection."""
    # Drawn from Paddle's one generator: without a seed, by whatever tests ran before.
    paddle.seed(0)
    full = ctrgcn.default_spec(
        classes=3, skeleton=FIVE, frames=8, persons=2, config=ctrgcn.Config(32)
    )
    return randomised(
        networks.build(ctrgcn.drop_blocks(full, ("l3", "l4", "l6", "l7", "l8", "l9", "l10")))
    )


@pytest.fixture(scope="module")
def clips(network):
    return (
        np.random.default_rng(0).standard_normal((8, *network.spec.input_shape)).astype("float32")
    )


def logits(layer, clips):
    with paddle.no_grad():
        return layer(paddle.to_tensor(clips)).numpy()


def integer_form(network):
    flat = flatten(network)
    flat = prepared(flat, integers=True)
    return flat


def close(found, expected) -> float:
    return decibels(float((expected**2).sum()), float(((found - expected) ** 2).sum()))


@pytest.fixture(scope="module")
def int8(network, clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("int8")
    flat = integer_form(network)
    plan = bits.make_plan(flat, "int8", calibrate.calibrate(flat, clips, "min_max"))
    expected = logits(bits.fake_quantized(flat, plan), clips)
    onnx_int8.save(flat, network.spec, folder, plan)
    return folder / "model.onnx", plan, expected


@pytest.mark.parametrize("integers", [False, True])
def test_forms_for_onnx_compute_what_the_network_computes(network, clips, integers):
    flat = flatten(network)
    flat = prepared(flat, integers=integers)
    flat = prepared(flat, integers=integers)  # once is enough, twice does no harm
    assert verify.difference(logits(flat, clips), logits(network, clips))["max_rel_diff"] < 1e-5


@pytest.mark.parametrize("batch", [1, 8])
def test_integer_file_computes_what_the_fake_quantised_network_computes(int8, clips, batch):
    file, _, expected = int8
    found = runtimes.onnx_runtime(file)(clips[:batch])
    assert (
        close(found, expected[:batch]) > 30
        and (found.argmax(1) == expected[:batch].argmax(1)).all()
    )


def test_integer_file_is_close_to_the_float_network(int8, network, clips):
    assert close(runtimes.onnx_runtime(int8[0])(clips), logits(network, clips)) > 20


def test_integer_file_stores_int8(int8, network, tmp_path):
    model = onnx.load(int8[0])
    stored = {one.name: one for one in model.graph.initializer}
    assert stored["l1.values.wq"].data_type == TensorProto.INT8 and "l1.values.w" not in stored
    assert not [node for node in model.graph.node if node.op_type in ("Clip", "FakeQuantize")]
    large = [
        one
        for one in stored.values()
        if one.data_type == TensorProto.FLOAT and np.prod(one.dims) > 200
    ]
    assert not large, [one.name for one in large]
    onnx_model.save(flatten(network), network.spec, tmp_path)
    assert int8[0].stat().st_size < 0.55 * (tmp_path / "model.onnx").stat().st_size


def test_onnx_runtime_fuses_every_conv_and_the_product(int8, tmp_path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = (
        str(tmp_path / "optimized.onnx"),
        4,
    )
    onnxruntime.InferenceSession(str(int8[0]), options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert not {"Conv", "FusedConv"} & set(kinds)
    assert (
        kinds.count("QLinearConv") >= 30
        and kinds.count("QLinearMatMul") == 3
        and kinds.count("QLinearAdd") >= 8
    )


def test_skipped_layer_stays_float_and_helps(int8, network, clips, tmp_path):
    flat = integer_form(network)
    harmed = {**int8[1].ranges, "l2.values": tuple(end / 20 for end in int8[1].ranges["l2.values"])}
    found = {}
    for name, overrides in (("all", {}), ("skipped", {"l2.values": "float32"})):
        (tmp_path / name).mkdir()
        plan = bits.make_plan(flat, "int8", harmed, overrides)
        onnx_int8.save(bits.duplicate(flat), network.spec, tmp_path / name, plan)
        found[name] = close(
            runtimes.onnx_runtime(tmp_path / name / "model.onnx")(clips), logits(network, clips)
        )
    assert found["skipped"] > found["all"] + 5
    stored = [one.name for one in onnx.load(tmp_path / "skipped" / "model.onnx").graph.initializer]
    assert "l2.values.w" in stored and "l1.values.w" not in stored


@pytest.mark.parametrize(
    "kind, share, form",
    [
        ("float16", 0.7, TensorProto.FLOAT16),
        ("int8_weights", 0.55, TensorProto.INT8),
        ("int4_weights", 0.5, TensorProto.INT4),
    ],
)
def test_weights_are_stored_small_and_computed_right(network, clips, tmp_path, kind, share, form):
    flat = flatten(network)
    flat = prepared(flat)
    plan = bits.make_plan(flat, kind)
    expected = logits(bits.fake_quantized(flat, plan), clips)
    onnx_weights.save(flat, network.spec, tmp_path, plan)
    for batch in (1, 8):
        assert (
            verify.difference(
                runtimes.onnx_runtime(tmp_path / "model.onnx")(clips[:batch]), expected[:batch]
            )["max_rel_diff"]
            < 1e-5
        )
    assert form in {one.data_type for one in onnx.load(tmp_path / "model.onnx").graph.initializer}
    size = (tmp_path / "model.onnx").stat().st_size
    onnx_model.save(flatten(network), network.spec, tmp_path)
    assert size < share * (tmp_path / "model.onnx").stat().st_size


@pytest.mark.parametrize("form", ["qdq", "qoperator"])
@pytest.mark.parametrize("weight", [0.0, 3e-7])
def test_a_channel_of_nothing_but_its_bias_is_computed_right(
    network, clips, tmp_path, form, weight
):
    """As of a BatchNorm that has unlearnt it: its bias has more steps than 32 bits."""
    state = networks.state_of(network)
    for name in [name for name in state if name.endswith("._variance")]:
        norm = name.removesuffix("._variance")
        if norm != "data_bn":
            state[f"{norm}.weight"][0], state[f"{norm}.bias"][0] = weight, 1.0
    dead = networks.build(network.spec)
    networks.load_state(dead, state, "test")
    dead.eval()
    quantized = corrected(dead, clips, "min_max", {})
    package.save(dead, tmp_path, ("onnx",), {}, quantized, Options(onnx=form, skip_absent=False))
    expected = logits(quantized.simulated(dead), clips)
    # Cut off, 19 to 21 dB were left.
    assert close(runtimes.onnx_runtime(tmp_path / "model.onnx")(clips), expected) > 35
    stored = {one.name: one for one in onnx.load(tmp_path / "model.onnx").graph.initializer}
    if form == "qoperator":
        biases = [onnx.numpy_helper.to_array(one) for one in stored.values()]
        largest = max(np.abs(one.astype("int64")).max() for one in biases if one.dtype == "int32")
        # float32 scales are exact to a ten-millionth.
        assert 0.99 < largest / onnx_int8.LARGEST_BIAS < 1.001


def test_a_bias_has_room_at_an_input_that_was_at_rest():
    bias = np.array([0.5, -1.0], np.float32)
    levels = np.array([[127, -3], [0, 64]], np.int8)
    scales = np.array([0.01, 0.02], np.float32)
    assert onnx_int8._wider(bias, np.float32(0.1), levels, scales) is None
    wider, raised = onnx_int8._wider(bias, np.float32(4e-11), levels, scales)
    assert (
        np.abs(bias) / (4e-11 * raised.astype("float64")) <= onnx_int8.LARGEST_BIAS * 1.001
    ).all()
    assert (np.abs(wider) <= np.abs(levels)).all() and wider.dtype == np.int8


def test_plan_of_another_network_is_refused(network):
    model = onnx_model.convert(flatten(network), network.spec)
    for one in model.graph.initializer:
        one.name = f"x{one.name}"
    with pytest.raises(ExportMismatch, match="none of the plan's weights is in the ONNX graph"):
        onnx_weights.store(model, flatten(network), bits.make_plan(flatten(network), "float16"))
