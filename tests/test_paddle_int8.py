"""Paddle folders with weights in int8, int4 and float16: what is stored, and that the plain
predictor computes the same."""

import numpy as np
import paddle
import pytest

from export import runtimes, verify
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.formats import onnx_weights, paddle_model, paddle_weights, table
from export.quantize import bits
from teachers import networks, stgcn


@pytest.fixture(scope="module")
def network(tiny_spec, randomised):
    return randomised(networks.build(tiny_spec))


@pytest.fixture(scope="module")
def clips(network):
    return (
        np.random.default_rng(0).standard_normal((8, *network.spec.input_shape)).astype("float32")
    )


def logits(layer, clips):
    with paddle.no_grad():
        return layer(paddle.to_tensor(clips)).numpy()


@pytest.mark.parametrize("levels", [[-7, 0, 7, 3], [1, -1, 5], [2]])
def test_two_levels_share_a_byte(levels):
    packed = paddle_weights.pack(np.array(levels, "int8"))
    assert packed.dtype == np.uint8 and len(packed) == (len(levels) + 1) // 2
    both = np.concatenate([packed & 15, packed >> 4]).astype(int) - 8
    assert both[: len(levels)].tolist() == levels


@pytest.mark.parametrize("kind", ["float16", "int8_weights", "int8", "int4_weights", "mixed"])
def test_stored_weights_compute_what_rounded_weights_compute(network, clips, tmp_path, kind):
    flat = flatten(network)
    ranges = {"l1.out": (0.0, 1.0)} if kind == "int8" else {}  # of no account here
    overrides = (
        {"l1": "int4_weights", "l4.values": "float32", "fc": "float16"} if kind == "mixed" else {}
    )
    plan = bits.make_plan(flat, "int8_weights" if kind == "mixed" else kind, ranges, overrides)
    expected, before = (
        logits(bits.quantize_weights(bits.duplicate(flat), plan), clips),
        logits(flat, clips),
    )
    paddle_weights.save(flat, network.spec, tmp_path, plan)
    predict = runtimes.paddle_inference(
        tmp_path / table.files("paddle")[0], tmp_path / "model.pdiparams"
    )
    for batch in (1, 8):
        assert verify.difference(predict(clips[:batch]), expected[:batch])["max_rel_diff"] < 1e-5
    assert np.array_equal(logits(flat, clips), before) and np.abs(expected - before).max() > 1e-6


@pytest.mark.parametrize("stages", [1, 2])
def test_an_odd_number_of_levels_leaves_half_a_byte(tiny_spec, randomised, tmp_path, stages):
    config = stgcn.Config(width=7, stages=stages, inflate=(2,))
    spec = stgcn.default_spec(3, tiny_spec.skeleton, 8, 1, config=config)
    flat = flatten(randomised(networks.build(spec)))
    # Named, for layers as small as these are kept in int8.
    named = dict.fromkeys(bits.layers(flat), "int4_weights")
    plan = bits.make_plan(flat, "int4_weights", overrides=named)
    sizes = [one.parameter.size for one in bits.weights(flat)]
    assert sum(size for size in sizes if size >= bits.SMALL) % 2 == 1
    clips = np.random.default_rng(0).standard_normal((2, *spec.input_shape)).astype("float32")
    expected = logits(bits.quantize_weights(bits.duplicate(flat), plan), clips)
    paddle_weights.save(flat, spec, tmp_path, plan)
    files = (tmp_path / table.files("paddle")[0], tmp_path / "model.pdiparams")
    predict = runtimes.paddle_inference(*files)
    assert verify.difference(predict(clips), expected)["max_rel_diff"] < 1e-5


@pytest.mark.parametrize("module", [onnx_weights, paddle_weights])
def test_int4_keeps_layers_in_int8_whose_files_are_smaller_so(network, tmp_path, module):
    def size(*named: str) -> int:
        # In the form for ONNX, as the steps plan it for all formats.
        own = dict.fromkeys(named, "int4_weights")
        plan = bits.make_plan(prepared(flatten(network)), "int4_weights", overrides=own)
        files = module.save(flatten(network), network.spec, tmp_path, plan)
        return sum(file.stat().st_size for file in files)

    small = sorted(bits.smaller_in_int8(prepared(flatten(network))))
    assert "l5.down" in small and "l8.values" not in small
    ours = size()
    # The two that gain least, and all of them.
    for named in (["l1.values"], ["l5.down"], small):
        assert size(*named) > ours


def test_bytes_of_a_weight_in_four_and_eight_bits():
    # 64 inputs in two groups of 32, and 45 in three of 15
    assert bits.stored_bytes(512, 8, "int4_weights", 32) == 256 + 2 * 16
    assert bits.stored_bytes(135, 3, "int4_weights", 32) == 68 + 2 * 9
    assert bits.stored_bytes(512, 8, "int8_weights", 32) == 512 + 4 * 8


def test_parameters_shrink(tiny_spec, randomised, tmp_path):
    from teachers import ctrgcn

    spec = ctrgcn.drop_blocks(
        ctrgcn.default_spec(3, tiny_spec.skeleton, 8, 1, config=ctrgcn.Config(32)),
        ("l3", "l4", "l6", "l7", "l9", "l10"),
    )
    flat = flatten(randomised(networks.build(spec)))
    paddle_model.save(flat, spec, tmp_path)
    full = (tmp_path / "model.pdiparams").stat().st_size
    for kind, share in (("float16", 0.56), ("int8_weights", 0.36), ("int4_weights", 0.26)):
        paddle_weights.save(flat, spec, tmp_path, bits.make_plan(flat, kind))
        assert (tmp_path / "model.pdiparams").stat().st_size < share * full
        program = (tmp_path / table.files("paddle")[0]).read_bytes()
        assert b"fake_quant" not in program and b"op_callstack" not in program
