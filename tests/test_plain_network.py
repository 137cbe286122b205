"""A network in one file goes through everything that the networks of teachers/ go through."""

import dataclasses
import json

import numpy as np
import onnx
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F

from compress import registry, run
from export import deployed, package, runtimes, verify
from export.flat import default
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.formats import onnx_int8
from export.quantize import bits
from export.quantize.calibrate import calibrate
from export.quantize.quantized import Quantized, corrected
from teachers import networks
from teachers.errors import CheckpointError, RecipeError
from teachers.networks import Family, from_json
from teachers.skeleton import Skeleton
from teachers.weights import checkpoints, counted

FIVE = Skeleton("five", 5, ((2, 1), (3, 1), (4, 1), (5, 4)), centre=1)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The one row of the table that a network in one file needs."""
    monkeypatch.setitem(networks.NETWORKS, "plain", Family("tests.plain_network"))
    monkeypatch.setitem(registry.NETWORKS.modules, "plain", "tests.plain_network")


@pytest.fixture
def spec():
    plain = networks.module("plain")
    return plain.default_spec(3, FIVE, 8, 2, config=plain.Config(width=8))


@pytest.fixture
def network(spec, randomised):
    paddle.seed(1)
    return randomised(networks.build(spec))


@pytest.fixture
def clips(spec):
    generator = np.random.default_rng(0)
    return generator.standard_normal((8, *spec.input_shape)).astype("float32")


def logits_of(network, clips):
    with paddle.no_grad():
        return network(paddle.to_tensor(clips)).numpy()


def test_every_weight_that_learns_gets_a_gradient(network, clips):
    network.train()
    labels = paddle.to_tensor(np.arange(8) % 3)
    nn.functional.cross_entropy(network(paddle.to_tensor(clips)), labels).backward()
    for name, parameter in network.named_parameters():
        # A bias in front of a BatchNorm learns nothing, whatever its gradient
        if parameter.stop_gradient or name.endswith(
            ("spatial.bias", "temporal.bias", "residual.0.bias")
        ):
            continue
        assert parameter.grad is not None and float(parameter.grad.abs().max()) > 0, name


def test_blocks_may_go(spec, clips):
    for block in spec.blocks:
        smaller = networks.module("plain").drop_blocks(spec, (block.id,))
        assert logits_of(networks.build(smaller), clips[:1]).shape == (1, 3)
        assert networks.parameters(smaller) != networks.parameters(spec)
        assert networks.macs(smaller) != networks.macs(spec)
    with pytest.raises(RecipeError, match="plain has no block 'zz'"):
        networks.module("plain").drop_blocks(spec, ("zz",))


def test_costs_are_counted_on_what_is_built(spec, network):
    learning = sum(p.size for p in network.parameters() if not p.stop_gradient)
    assert networks.parameters(spec) == learning
    V, T, total = 5, 8, 0
    for block in spec.blocks:
        after = T // block.stride
        total += block.in_channels * T * V * V
        total += block.in_channels * block.out_channels * T * V
        total += 3 * block.out_channels**2 * after * V
        total += block.in_channels * block.out_channels * after * V if block.projects else 0
        T = after
    assert networks.macs(spec) == total * spec.persons + 16 * 3


def test_counting_leaves_the_random_numbers_alone(spec):
    counted._counts.cache_clear()
    paddle.seed(5)
    expected = paddle.rand([3]).numpy()
    paddle.seed(5)
    networks.parameters(spec)
    assert np.array_equal(paddle.rand([3]).numpy(), expected)


def test_spec_and_weights_survive_a_file(network, clips, tmp_path):
    description = json.loads(json.dumps(dataclasses.asdict(network.spec)))
    assert from_json(type(network.spec), description) == network.spec
    checkpoints.save(tmp_path / "net.npz", network)
    again = checkpoints.load(tmp_path / "net.npz")
    assert np.array_equal(logits_of(again, clips), logits_of(network, clips))


def test_other_checkpoints_are_still_recognised(tmp_path):
    paddle.save({"strange.weight": paddle.ones([2, 2])}, str(tmp_path / "x.pdparams"))
    with pytest.raises(CheckpointError, match="an unknown layout"):
        checkpoints.load(tmp_path / "x.pdparams")


def test_the_flat_network_computes_the_same_and_folds_every_batchnorm_it_can(network, clips):
    before = networks.state_of(network)
    expected = logits_of(network, clips)
    flat = flatten(network)
    assert verify.difference(logits_of(flat, clips), expected)["max_rel_diff"] < 1e-5
    kinds = [type(layer) for layer in flat.sublayers()]
    assert kinds.count(default.Passed) == 7 and kinds.count(default.Scaled) == 1
    assert not [kind for kind in kinds if kind in default.NORMS or kind is nn.Conv2D]
    assert all(
        np.array_equal(networks.state_of(network)[name], old) for name, old in before.items()
    )
    assert {"l1.spatial", "l2.residual.0", "fc.fc"} <= set(bits.layers(flat))


def test_forms_for_onnx_compute_what_the_network_computes(network, clips):
    flat = flatten(network)
    for integers in (False, True):
        found = logits_of(prepared(flat, integers), clips)
        assert verify.difference(found, logits_of(network, clips))["max_rel_diff"] < 1e-5


@pytest.mark.parametrize("kind", ["float32", "float16", "int8_weights", "int4_weights", "int8"])
def test_every_format_in_every_precision(network, clips, tmp_path, kind):
    quantized = None
    if kind == "int8":
        quantized = corrected(network, clips, "mse", {})
    elif kind != "float32":
        quantized = Quantized(bits.make_plan(flatten(network), kind))
    formats = ("paddle", "onnx")
    reference = logits_of(network, clips)
    package.build(network, tmp_path, formats, {}, clips, reference, quantized)
    predictors = deployed.predictors(tmp_path, deployed.read(tmp_path))
    for name, predict in predictors.items():
        for batch in (1, 8):
            found = verify.difference(predict(clips[:batch]), reference[:batch])
            if kind == "float32":
                assert found["agreement"] == 1.0 and found["max_rel_diff"] <= 1e-5, (name, batch)
            else:
                assert found["max_rel_diff"] < 0.35, (name, batch, found)
    if kind == "int8":
        nodes = [node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node]
        assert nodes.count("QuantizeLinear") >= 8


class Shared(nn.Layer):
    """The convolution's output goes into its BatchNorm and around it."""

    def __init__(self, spec):
        super().__init__()
        self.spec = spec
        self.conv = nn.Conv1D(3, 4, 3, padding=1)
        self.bn = nn.BatchNorm1D(4)

    def forward(self, x):
        y = self.conv(x.mean([3, 4]))
        return (self.bn(y) + self.around * y).mean(2)


@pytest.mark.parametrize("around", [0.0, 1.0])
def test_a_batchnorm_is_folded_only_where_nothing_else_reads_the_convolution(
    spec, clips, randomised, around
):
    network = randomised(Shared(spec))
    network.around = around
    flat = default.flatten(network)
    found = verify.difference(logits_of(flat, clips), logits_of(network, clips))
    assert found["max_rel_diff"] < 1e-5
    assert default.foldable(network) == ({"conv": "bn"} if around == 0.0 else {})


class Causal(nn.Layer):
    """A convolution over frames that looks back alone."""

    def __init__(self, spec, padding):
        super().__init__()
        self.spec = spec
        self.conv = nn.Conv1D(3, 4, 3, padding=padding)
        self.bn = nn.BatchNorm1D(4)

    def forward(self, x):
        return self.bn(self.conv(x.mean([3, 4])))[:, :, -1]


@pytest.mark.parametrize("padding", [[2], [2, 0], [[0, 0], [0, 0], [2, 0]]])
def test_a_convolution_over_frames_may_be_padded_at_one_end(spec, clips, randomised, padding):
    network = randomised(Causal(spec, padding))
    flat = default.flatten(network)
    for form in (flat, prepared(flat, integers=True)):
        found = verify.difference(logits_of(form, clips), logits_of(network, clips))
        assert found["max_rel_diff"] < 1e-5
    assert default.foldable(network) == {"conv": "bn"}


class Bounded(nn.Layer):
    """ReLU6 in front of a convolution."""

    def __init__(self, spec):
        super().__init__()
        self.spec = spec
        self.first = nn.Conv2D(3, 8, 1)
        self.last = nn.Conv2D(8, 8, 1)
        self.fc = nn.Linear(8, spec.classes)

    def forward(self, x):
        C, T, V, M = self.spec.input_shape
        x = x.transpose([0, 4, 1, 2, 3]).reshape([-1, C, T, V])
        x = F.relu(self.last(F.relu6(self.first(x))))
        return self.fc(x.mean([2, 3]).reshape([-1, M, 8]).mean(1))


def test_a_bound_of_the_networks_own_is_not_rounded(spec, clips, randomised):
    flat = default.flatten(randomised(Bounded(spec)))
    ranges = calibrate(prepared(flat, integers=True), clips, "min_max")
    plan = bits.make_plan(flat, "int8", ranges, {"last.last": "float32"})
    graph = onnx_int8.convert(flat, spec, plan).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Clip") == 1
    assert kinds.count("QuantizeLinear") == len(plan.ranges) == 2


def test_names_on_disk_do_not_depend_on_what_was_built_before(network):
    names = [[p.name for p in flatten(network).parameters()] for _ in range(2)]
    assert names[0] == names[1] and "l1.graph" in names[0]


def test_runtimes_in_process_agree(network, clips):
    found = runtimes.in_process(flatten(network))(clips)
    assert found.shape == (8, 3)


def test_a_run_trains_prunes_quantises_exports_and_verifies_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.yaml").write_text(
        "data: {name: synthetic, train_clips: 24, val_clips: 12}\n"
        "teacher: {name: plain, width: 8, train: {epochs: 1, lr: 0.02, batch_size: 12, warmup_epochs: 0}}\n"
        "student: {from: teacher}\n"
        "steps:\n"
        "  - prune_layers: {drop: [l3]}\n"
        "  - train: {epochs: 1, lr: 0.02, batch_size: 12, warmup_epochs: 0}\n"
        "  - ptq: {clips: 6}\n"
        "budget: {max_size: 10MB, max_top1_drop: 100}\n",
        encoding="utf-8",
    )
    assert run.main(["--recipe", "plain.yaml", "--device", "cpu"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert summary["status"] == "ok"
    assert {"Paddle Inference", "ONNX Runtime"} == set(summary["deployed"])
    student = checkpoints.load(tmp_path / summary["output"] / "weights" / "student.npz")
    assert [block.id for block in student.spec.blocks] == ["l1", "l2"]
