"""Weights as training leaves them (next to nothing after weight decay, huge behind a BatchNorm that
divides by nothing, none at all) through the whole export, every file compared in its runtime."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import paddle
import pytest

from export import api, deployed
from teachers import ctrgcn, networks
from teachers.errors import ExportMismatch
from teachers.skeleton import Skeleton

FIVE = Skeleton("five", 5, ((2, 1), (3, 1), (4, 1), (5, 4)), centre=1)
STORED = {
    "float16": onnx.TensorProto.FLOAT16,
    "int4_weights": onnx.TensorProto.INT4,
    "int8": onnx.TensorProto.INT8,
}
ABOUT = {"classes": ["a", "b", "c"], "preprocessing": []}


def fresh():
    """Never trained: its alphas are zero, and the BatchNorms of its graphs a millionth."""
    paddle.seed(1)
    spec = ctrgcn.default_spec(3, FIVE, 8, 2, config=ctrgcn.Config(32))
    kept = ("l1", "l5")
    spec = ctrgcn.drop_blocks(spec, tuple(one.id for one in spec.blocks if one.id not in kept))
    network = networks.build(spec)
    network.eval()
    return network


def changed(change) -> paddle.nn.Layer:
    """A fresh network; `change(name, value)` changes its weights in place."""
    network = fresh()
    state = networks.state_of(network)
    for name, value in state.items():
        change(name, value)
    networks.load_state(network, state, "test")
    return network


def unlearnt(name, value):
    """BatchNorms that weight decay has left next to nothing of."""
    if name.endswith("graph.bn.weight"):
        value[...] = 6e-6
        value[::4] = 0.0


def dead(name, value):
    value[...] = name.endswith("_variance")


def huge(name, value):
    """A channel that the data hardly moves: weights of some 1e6."""
    if name.endswith("reduce_bn._variance"):
        value[0] = 1e-12
    if name.endswith("reduce_bn.weight"):
        value[0] = 1e4


def infinite(name, value):
    """An outlier that no logit can hold."""
    if name == "fc.weight":
        value[0] = 3e38


def clips_of(network):
    shape = (4, *network.spec.input_shape)
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


@pytest.mark.parametrize(
    "network, kind",
    [
        (fresh, "int4_weights"),
        (lambda: changed(unlearnt), "int4_weights"),
        (lambda: changed(unlearnt), "float16"),
        (lambda: changed(unlearnt), "int8"),
        (lambda: changed(huge), "float16"),
        (lambda: changed(huge), "int4_weights"),
        (lambda: changed(dead), "int4_weights"),
        (lambda: changed(dead), "int8"),
    ],
    ids=[
        "fresh-int4",
        "unlearnt-int4",
        "unlearnt-float16",
        "unlearnt-int8",
        "huge-float16",
        "huge-int4",
        "dead-int4",
        "dead-int8",
    ],
)
def test_both_files_hold_what_the_network_computes(network, kind, tmp_path):
    network = network()
    clips = clips_of(network)
    quantized = api.quantize(network, clips if kind == "int8" else None, kind)
    api.export(network, tmp_path, clips, ["onnx", "paddle"], ABOUT, quantized)
    with paddle.no_grad():
        expected = network(paddle.to_tensor(clips)).numpy()
    for predict in api.predictors(tmp_path).values():
        off = np.abs(predict(clips) - expected).max()
        assert off <= {"float16": 0.01, "int8": 0.15}.get(kind, 0.5) * np.abs(expected).max()
    # What is kept in more bits is said.
    said = deployed.read(tmp_path).precision
    assert said == dict(Counter(quantized.plan.precision.values()))
    stored = {one.data_type for one in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert STORED[kind] in stored


def test_a_network_without_finite_answers_is_named_as_the_cause(tmp_path):
    network = changed(infinite)
    clips = clips_of(network)
    with pytest.raises(ExportMismatch, match="own logits are not finite on [1-4] of 4 clips"):
        api.export(network, tmp_path / "deploy", 100 * clips, ["onnx"], ABOUT)
    assert not (tmp_path / "deploy").exists()
