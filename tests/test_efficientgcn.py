"""EfficientGCN: published counts, golden outputs, checkpoint names of every layer kind, pruning,
and the exported network."""

import dataclasses
import json

import numpy as np
import paddle
import pytest

from export import deployed, package, runtimes, verify
from export.flat.flatten import flatten
from export.formats import table
from teachers import efficientgcn, networks
from teachers.efficientgcn import cost, keys as efficientgcn_keys
from teachers.efficientgcn.layers import LAYERS, SpatialGraph, hop_adjacency, temporal_steps
from teachers.efficientgcn.network import Config
from teachers.errors import CheckpointError, RecipeError
from teachers.networks import copy_by_name, from_json
from teachers.skeleton import COCO_17, NTU_25, Skeleton
from teachers.weights import checkpoints
from teachers.weights.published import Hints

FIVE = Skeleton("five", 5, ((2, 1), (3, 1), (4, 1), (5, 4)), centre=1)
BLOCKS = ("i1", "i2", "m1", "m2")
COUNTS = [
    ("sg", 0, 285_576, 306_201, 2.63),
    ("sg", 1, 389_712, 410_337, 3.36),
    ("sg", 2, 513_840, 534_465, 3.88),
    ("sg", 3, 733_976, 754_601, 5.74),
    ("sg", 4, 1_099_320, 1_119_945, 8.02),
    ("epsep", 0, 324_708, 345_333, 2.97),
    ("epsep", 1, 498_252, 518_877, 4.56),
    ("epsep", 2, 793_776, 814_401, 5.92),
    ("epsep", 3, 1_126_220, 1_146_845, 8.74),
    ("epsep", 4, 2_034_960, 2_055_585, 14.82),
]


def tiny(layer="sg", **keys):
    """B2, two layers deep in the main stream, stem 16, five joints, two persons, three classes."""
    return efficientgcn.default_spec(3, FIVE, 12, 2, config=Config(2, layer, width=16, **keys))


def run(network, clips):
    with paddle.no_grad():
        return network(paddle.to_tensor(clips)).numpy()


def clips_of(spec, count):
    return np.random.default_rng(1).standard_normal((count, *spec.input_shape)).astype("float32")


@pytest.mark.parametrize("layer, scale, without, with_edge, gmacs", COUNTS)
def test_published_parameters_and_macs(layer, scale, without, with_edge, gmacs):
    for edge, parameters in ((False, without), (True, with_edge)):
        assert (
            cost.parameters(
                efficientgcn.default_spec(60, NTU_25, 288, 2, config=Config(scale, layer, edge))
            )
            == parameters
        )
    spec = efficientgcn.default_spec(60, NTU_25, 288, 2, config=Config(scale, layer))
    assert round(cost.conv_macs(spec) / 1e9, 2) == gmacs
    assert 0.60 <= cost.graph_macs(spec) / 1e9 <= 0.96
    assert cost.macs(spec) == cost.conv_macs(spec) + cost.graph_macs(spec) + spec.features * 60


@pytest.mark.parametrize("layer", LAYERS)
def test_cost_counts_the_published_tensors(layer):
    spec = tiny(layer)
    arrays = published(spec)
    counted = sum(
        value.size
        for name, value in arrays.items()
        if not name.endswith((".A", "._mean", "._variance"))
    )
    assert cost.parameters(spec) == counted


@pytest.mark.parametrize("split", ["xsub", "xview"])
def test_reproduces_the_golden_outputs_of_the_paddle_checkpoints(shared, split):
    golden = np.load(shared / "golden" / "efficientgcn_b0_ntu60.npz")
    clip = golden[f"streams_{split}_first"].reshape(1, 18, 288, 25, 2)
    network = checkpoints.load(shared / "weights" / f"efficientgcn_b0_sg_ntu60_{split}.pdparams")
    assert network.spec == efficientgcn.default_spec(60, NTU_25, 288, 2)
    for one in (network, flatten(network)):
        assert (
            verify.difference(run(one, clip), golden[f"logits_{split}"][:1])["max_rel_diff"] < 1e-5
        )


def test_reproduces_the_golden_outputs_of_the_torch_checkpoint(shared):
    """Its graphs are older than the ones built today: normalised over 3 hops. They are kept."""
    golden = np.load(shared / "golden" / "efficientgcn_b0_epsep_xsub.npz")["logits"]
    clip = (np.random.RandomState(0).randn(1, 18, 288, 25, 2) * 0.3).astype("float32")
    network = checkpoints.load(shared / "weights" / "efficientgcn_b0_epsep_ntu60_xsub.pth.tar")
    assert network.spec == efficientgcn.default_spec(
        60, NTU_25, 288, 2, config=Config(layer="epsep", max_hop=3)
    )
    for one in (network, flatten(network)):
        assert verify.difference(run(one, clip), golden)["max_rel_diff"] < 1e-5


def test_stored_graph_is_loaded_and_not_trained(tmp_path):
    arrays = published(tiny())
    graph = np.random.default_rng(5).random((3, 5, 5)).astype("float32")
    arrays = {name: graph if name.endswith(".conv.A") else value for name, value in arrays.items()}
    spec, state = efficientgcn_keys.from_published(arrays, Hints(frames=12, skeleton=FIVE))
    network = networks.build(spec)
    networks.load_state(network, state, "test")
    checkpoints.save(tmp_path / "net.npz", network)
    again = checkpoints.load(tmp_path / "net.npz")
    assert np.array_equal(again.m2.graph.adjacency.numpy(), graph)
    assert (
        not any("adjacency" in name for name, _ in network.named_parameters())
        and not network.m2.graph.edge.stop_gradient
    )


def test_fresh_graph_is_one_normalisation_of_all_near_joints():
    graph = hop_adjacency(FIVE, 2)  # joint 1 has all within two bones; joint 5 has 4, 1 and itself
    assert graph.shape == (3, 5, 5) and np.allclose(
        graph[0].diagonal(), [1 / 5, 1 / 4, 1 / 4, 1 / 5, 1 / 3]
    )
    assert np.allclose(graph[2, :, 4], [1 / 3, 0, 0, 0, 0]) and np.allclose(
        hop_adjacency(FIVE, 3)[2, :, 4], [1 / 5, 0, 0, 0, 0]
    )


@pytest.mark.parametrize("Cin, C", [(8, 4), (4, 8), (4, 4)])
def test_graph_convolution_equals_its_formula(Cin, C, randomised):
    layer = SpatialGraph(Cin, C, FIVE, 10, True)
    layer.eval()
    rng = np.random.default_rng(0)
    weight, bias, edge = (
        rng.standard_normal(shape).astype("float32") for shape in ((3, C, Cin), (3, C), (3, 5, 5))
    )
    order = (
        weight.transpose(1, 2, 0).reshape(C, -1)
        if Cin < C
        else weight.transpose(1, 0, 2).reshape(-1, Cin)
    )
    layer.values.weight.set_value(order[:, :, None, None])
    layer.values_bias.set_value(bias.T.copy())
    layer.edge.set_value(edge)
    x = rng.standard_normal((2, Cin, 5, 6)).astype("float32")
    values = np.einsum("kci,bivt->bkcvt", weight, x) + bias[None, :, :, None, None]
    expected = np.einsum("bkcvt,kvw->bcwt", values, hop_adjacency(FIVE, 10) * edge) / np.sqrt(
        1 + 1e-5
    )
    expected += x if Cin == C else run(layer.residual, x)
    np.testing.assert_allclose(
        run(layer, x), expected / (1 + np.exp(-expected)), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("layer", LAYERS)
def test_checkpoints_of_every_layer_kind_are_read(layer, randomised):
    spec = tiny(layer)
    read, state = efficientgcn_keys.from_published(published(spec), Hints(frames=12, skeleton=FIVE))
    assert dataclasses.replace(read, max_hop=spec.max_hop) == spec
    network = networks.build(read)
    networks.load_state(network, state, "test")
    network.eval()
    clips = clips_of(spec, 3)
    assert (
        verify.difference(run(flatten(network), clips), run(network, clips))["max_rel_diff"] < 1e-5
    )


def test_checkpoint_with_missing_or_unknown_keys_is_refused():
    hints, arrays = Hints(frames=12, skeleton=FIVE), published(tiny())
    for name in (
        "main_stream.block-1_att.att.conv_v.bias",
        "input_branches.2.stem_tcn.bn._mean",
        "classifier.fc.bias",
    ):
        with pytest.raises(CheckpointError, match=f"has no '{name}'"):
            efficientgcn_keys.from_published(
                {key: value for key, value in arrays.items() if key != name}, hints
            )
    with pytest.raises(
        CheckpointError, match="holds 1 tensors that EfficientGCN does not have: main_stream.extra"
    ):
        efficientgcn_keys.from_published(arrays | {"main_stream.extra": np.zeros(3)}, hints)
    with pytest.raises(
        CheckpointError, match="convolutions .*odd_conv.*, those of no known temporal layer"
    ):
        efficientgcn_keys.from_published(
            arrays | {"main_stream.block-0_tcn-0.odd_conv.0.weight": np.zeros((1, 1, 1, 1))}, hints
        )


@pytest.mark.parametrize("layer", LAYERS)
def test_a_training_step_moves_every_parameter(layer):
    paddle.seed(0)
    network = networks.build(tiny(layer, dropout=0.0))
    network.train()
    paddle.nn.functional.cross_entropy(
        network(paddle.to_tensor(clips_of(network.spec, 4))), paddle.to_tensor([0, 1, 2, 0])
    ).backward()
    assert [
        name
        for name, value in network.named_parameters()
        if value.grad is None or not np.isfinite(value.grad.numpy()).all()
    ] == []


@pytest.mark.parametrize(
    "dropped", [*[(name,) for name in BLOCKS], ("i1", "i2"), ("m1", "m2"), ("i1", "i2", "m1")]
)
def test_any_block_may_go(dropped):
    spec = efficientgcn.drop_blocks(tiny(), dropped)
    network = networks.build(spec)
    network.eval()
    clips = clips_of(spec, 2)
    logits = run(network, clips)
    assert [block.id for block in spec.blocks] == [
        name for name in BLOCKS if name not in dropped
    ] and logits.shape == (2, 3)
    assert verify.difference(run(flatten(network), clips), logits)["max_rel_diff"] < 1e-5
    assert from_json(efficientgcn.Spec, json.loads(json.dumps(dataclasses.asdict(spec)))) == spec


def test_next_block_takes_over_width_and_stride():
    full = efficientgcn.default_spec(60, NTU_25, 288, 2)
    two = efficientgcn.drop_blocks(full, ("m1",)).blocks[-1]
    assert (two.in_channels, two.out_channels, two.stride) == (96, 128, 4)
    assert efficientgcn.drop_blocks(full, ("i1", "i2")).blocks[0].in_channels == 192
    assert efficientgcn.drop_blocks(full, ("m1", "m2")).features == 96


def test_unknown_block_is_refused():
    with pytest.raises(
        RecipeError,
        match=r"prune_layers.drop: efficientgcn has no block 'm3' \(it has i1, i2, m1, m2\)",
    ):
        efficientgcn.drop_blocks(tiny(), ("m3",))
    with pytest.raises(RecipeError, match="names every block; at least one must stay"):
        efficientgcn.drop_blocks(tiny(), BLOCKS)


def test_pruning_copies_by_block_id(randomised):
    teacher = randomised(networks.build(tiny()))
    before = networks.state_of(teacher)
    student = networks.build(efficientgcn.drop_blocks(teacher.spec, ("m2",)))
    assert copy_by_name(before, student, ("m2",)) == ["fc.weight"]
    after = networks.state_of(student)
    assert {name for name in before if name not in after} == {
        name for name in before if name.startswith("m2.")
    }
    assert all(np.array_equal(before[name], after[name]) for name in after if name != "fc.weight")


@pytest.mark.parametrize("channels, branches", [(20, 3), (3, 3), (2, 3)])
def test_input_without_branches_is_refused(channels, branches):
    with pytest.raises(
        RecipeError,
        match=(
            rf"3 branches cannot take an input of {channels} channels: give `input: {{name:"
            r" branches}`"
        ),
    ):
        efficientgcn.default_spec(3, FIVE, 12, 2, channels, Config(branches=branches))


@pytest.mark.parametrize(
    "channels", [3, 16, 18]
)  # fewer than, as many as and more than the stem has
def test_one_stream_another_skeleton_and_one_person(channels, randomised):
    spec = efficientgcn.default_spec(
        4, COCO_17, 20, 1, channels, Config(width=16, branches=1, edge=False)
    )
    network = randomised(networks.build(spec))
    clips = clips_of(spec, 2)
    assert clips.shape == (2, channels, 20, 17, 1) and network.m1.graph.in_channels == 16
    assert (
        verify.difference(run(flatten(network), clips), run(network, clips))["max_rel_diff"] < 1e-5
    )


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"scale": 5}, "scale: "),
        ({"width": 24}, "width: "),
        ({"branches": 0}, "branches: "),
        ({"expand": 0}, "expand: "),
        ({"reduction": 32}, "reduction: "),
        ({"dropout": 1.0}, "dropout: "),
    ],
)
def test_config_that_cannot_work_is_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        Config(**keys)


@pytest.mark.parametrize("layer, branches", [("sg", 3), ("epsep", 1)])
def test_exported_files_agree_at_any_batch_size(layer, branches, randomised, tmp_path):
    spec = efficientgcn.default_spec(
        3, FIVE, 12, 2, 6 * branches, Config(layer=layer, width=16, branches=branches)
    )
    network = randomised(networks.build(spec))
    clips = clips_of(network.spec, 8)
    reference = run(network, clips)
    package.build(
        network, tmp_path, ("paddle", "onnx"), {"classes": ("a", "b", "c")}, clips, reference
    )
    predictors = deployed.predictors(tmp_path, deployed.read(tmp_path))
    predictors["onednn"] = runtimes.paddle_inference(
        tmp_path / table.files("paddle")[0], tmp_path / "model.pdiparams", onednn=True
    )
    for kind, predict in predictors.items():
        for count in (1, 8):
            found = verify.difference(predict(clips[:count]), reference[:count])
            assert found["agreement"] == 1.0 and found["max_rel_diff"] < (
                1e-4 if kind == "onednn" else 1e-5
            ), (kind, count, found)


def published(spec, seed=0):
    """A checkpoint of random weights under the published names."""
    rng, arrays = np.random.default_rng(seed), {}

    def add(name, *shape):
        arrays[name] = (rng.standard_normal(shape) * 0.3).astype("float32")

    def conv(name, out, last, kernel=1, norm=None):
        add(f"{name}.weight", out, last, kernel, 1)
        add(f"{name}.bias", out)
        if norm:
            for key in ("weight", "bias", "_mean", "_variance"):
                add(f"{norm}.{key}", out)
            arrays[f"{norm}._variance"] = arrays[f"{norm}._variance"] ** 2 + 0.5

    def graph(name, last, channels):
        conv(f"{name}.conv.gcn", 3 * channels, last)
        arrays[f"{name}.conv.A"], arrays[f"{name}.conv.edge"] = (
            hop_adjacency(spec.skeleton, 3),
            rng.random((3, 5, 5)).astype("float32"),
        )
        conv(f"{name}.residual.0", channels, last, norm=f"{name}.residual.1")
        for key in ("weight", "bias", "_mean", "_variance"):
            arrays[f"{name}.bn.{key}"] = arrays[f"{name}.residual.1.{key}"]
        if last == channels:
            for key in [key for key in arrays if key.startswith(f"{name}.residual.")]:
                del arrays[key]

    def temporal(name, layer, channels, hidden, stride):
        for step in temporal_steps(layer, channels, hidden, stride):
            here, norm = (
                (f"{name}.conv", f"{name}.bn")
                if layer == "basic"
                else (f"{name}.{step.name}.0", f"{name}.{step.name}.1")
            )
            conv(here, step.out_channels, step.in_channels // step.groups, step.kernel, norm)
        if stride != 1:
            conv(f"{name}.residual.0", channels, channels, norm=f"{name}.residual.1")

    def unit(name, block):
        C, attention = block.out_channels, f"{name}_att.att"
        graph(f"{name}_scn", block.in_channels, C)
        for number in range(block.depth):
            temporal(
                f"{name}_tcn-{number}", block.layer, C, block.hidden, 1 if number else block.stride
            )
        conv(f"{attention}.fcn.0", block.attention, C, norm=f"{attention}.fcn.1")
        conv(f"{attention}.conv_t", C, block.attention, norm=f"{name}_att.bn")
        conv(f"{attention}.conv_v", C, block.attention)

    per_branch = spec.channels // spec.branches
    for number in range(spec.branches):
        branch = f"input_branches.{number}"
        for key in ("weight", "bias", "_mean", "_variance"):
            arrays[f"{branch}.init_bn.{key}"] = np.full(per_branch, 1 + number, "float32")
        graph(f"{branch}.stem_scn", per_branch, spec.stem)
        temporal(f"{branch}.stem_tcn", "basic", spec.stem, 0, 1)
        for index, block in enumerate([block for block in spec.blocks if block.branched]):
            unit(f"{branch}.block-{index}", block)
    for index, block in enumerate([block for block in spec.blocks if not block.branched]):
        unit(f"main_stream.block-{index}", block)
    add("classifier.fc.weight", spec.classes, spec.features, 1, 1, 1)
    add("classifier.fc.bias", spec.classes)
    return arrays
