"""ST-GCN: published counts, golden outputs, every checkpoint layout against the literal form,
pruning, export."""

import dataclasses
import json

import numpy as np
import paddle
import pyskl_reference as literal
import pytest

from export import package
from export.flat.flatten import flatten
from teachers import networks, stgcn
from teachers.errors import CheckpointError, RecipeError
from teachers.networks import from_json
from teachers.skeleton import COCO_17, NTU_25, NTU_25_PYSKL, UCLA_20, Skeleton
from teachers.stgcn import keys
from teachers.weights import checkpoints
from teachers.weights.published import Hints

SMALL = stgcn.Config(width=8, stages=4, inflate=(3,), down=(3, 4))
PLAN = (
    (2, 6, 1),
    (6, 6, 1),
    (6, 12, 2),
    (12, 12, 1),
    (12, 18, 1),
    (18, 18, 2),
)  # a stage widens alone, one halves alone
HINTS = Hints(frames=10, persons=1, skeleton=literal.HAND, config=stgcn.Config(down=(3, 6)))


def small(joints=UCLA_20, classes=5):
    return stgcn.default_spec(classes, joints, 12, 2, config=SMALL)


def loaded(arrays, hints):
    spec, state = keys.from_published(arrays, hints)
    network = networks.build(spec)
    networks.load_state(network, state, "test")
    network.eval()
    return network


@pytest.mark.parametrize("skeleton, parameters", [(NTU_25, 3_098_832), (COCO_17, 3_088_704)])
def test_published_parameters(skeleton, parameters):
    assert networks.parameters(stgcn.default_spec(60, skeleton, 100, 2)) == parameters


def test_own_network_lacks_only_the_biases_that_a_batchnorm_cancels():
    spec = small()
    own = sum(p.size for p in networks.build(spec).parameters() if not p.stop_gradient)
    cancelled = sum(block.out_channels * (1 + block.projects) for block in spec.blocks)
    assert own + cancelled == networks.parameters(spec)


def test_macs_of_one_block_counted_by_hand():
    spec = dataclasses.replace(small(), blocks=(stgcn.Block("l1", 3, 8, 2, False),))
    graph, temporal = 3 * 8 * 20 * 12 * (3 + 20), 9 * 8 * 8 * 20 * 6
    assert networks.macs(spec) == 2 * (graph + temporal) + 8 * 5


def test_reproduces_the_golden_outputs_and_the_stored_graph(shared):
    golden = np.load(shared / "golden" / "stgcn_ntu60.npz")
    network = checkpoints.load(shared / "weights" / "stgcn_ntu60.pth")
    assert network.spec == stgcn.default_spec(60, NTU_25, 100, 2)
    assert np.array_equal(network.l4.graph.adjacency.numpy(), stgcn.partition(NTU_25_PYSKL))
    with paddle.no_grad():
        logits = network(paddle.to_tensor(golden["input_nmtvc"].transpose(0, 4, 2, 3, 1))).numpy()
    assert np.abs(logits - golden["logits"]).max() <= 1e-5


def test_partition_weighs_neighbours_by_their_side():
    """A chain 1-2-3 with its centre at 1: what counts as nearer is the centre, seen from 2."""
    A = stgcn.partition(Skeleton("chain", 3, ((2, 1), (3, 2)), 1))
    assert np.allclose(np.diagonal(A[0]), [1 / 2, 1 / 3, 1 / 2])
    assert np.allclose(A[1], [[0, 0, 0], [1 / 2, 0, 0], [0, 1 / 3, 0]])
    assert np.allclose(A[2], [[0, 1 / 3, 0], [0, 0, 1 / 2], [0, 0, 0]])
    assert np.allclose(A.sum((0, 1)), 1)


@pytest.mark.parametrize("fc", ["fc_cls", "fc"])
def test_another_plan_and_skeleton_from_the_file_and_hints_alone(fc):
    arrays = literal.arrays(PLAN, 21, 7, plus=False, fc=fc)
    network = loaded(arrays, HINTS)
    assert [(b.in_channels, b.out_channels, b.stride) for b in network.spec.blocks] == list(PLAN)
    assert network.spec.input_shape == (2, 10, 21, 1)
    x = np.random.default_rng(1).normal(size=(3, 2, 10, 21, 1)).astype("float32")
    np.testing.assert_allclose(
        network(paddle.to_tensor(x)).numpy(),
        literal.logits(arrays, PLAN, x, fc),
        rtol=1e-4,
        atol=1e-4,
    )


def test_without_hints_a_stage_that_widens_halves_the_frames():
    spec, _ = keys.from_published(literal.arrays(PLAN, 17, 7, plus=False))
    assert [block.stride for block in spec.blocks] == [1, 1, 2, 1, 2, 2]
    assert (spec.frames, spec.persons, spec.skeleton) == (100, 2, COCO_17)


@pytest.mark.parametrize("classifier, weighed", [("fcn", True), ("fc", True), ("fc", False)])
def test_first_repository_and_paddlevideo(classifier, weighed):
    """One graph for all blocks, importance beside the blocks or none, and a 1x1 conv or a Linear as
    classifier."""
    arrays = literal.arrays(PLAN, 21, 7, plus=False)
    for index in range(6):
        arrays[f"gcn.{index}.gcn.A"] = arrays["gcn.0.gcn.A"]
        if not weighed:
            arrays[f"gcn.{index}.gcn.PA"] = np.ones((3, 21, 21), "float32")
    back = {
        "gcn.conv": "gcn.conv",
        "gcn.bn": "tcn.0",
        "tcn.conv": "tcn.2",
        "tcn.bn": "tcn.3",
        "residual.conv": "residual.0",
        "residual.bn": "residual.1",
    }
    old = {"A": arrays["gcn.0.gcn.A"]}
    for name, value in arrays.items():
        _, index, layer, key = name.split(".", 3) if name.startswith("gcn.") else ("", "", "", "")
        if key == "PA":
            old |= {f"edge_importance.{index}": value} if weighed else {}
        elif name.startswith("gcn.") and key != "A":
            layer, key = f"{layer}.{key}".rsplit(".", 1)
            old[f"st_gcn_networks.{index}.{back[layer]}.{key}"] = value
        elif name.startswith("fc_cls"):
            wide = classifier == "fcn" and name.endswith("weight")
            old[name.replace("fc_cls", classifier)] = value.T[:, :, None, None] if wide else value
        elif not name.startswith("gcn."):
            old[name] = value
    assert keys.is_published(old)
    x = np.random.default_rng(1).normal(size=(2, 2, 10, 21, 1)).astype("float32")
    np.testing.assert_allclose(
        loaded(old, HINTS)(paddle.to_tensor(x)).numpy(),
        literal.logits(arrays, PLAN, x),
        rtol=1e-4,
        atol=1e-4,
    )


def test_what_a_file_lacks_or_has_too_much_is_named():
    arrays = literal.arrays(PLAN, 17, 7, plus=False)
    with pytest.raises(CheckpointError, match=r"has no 'gcn\.3\.gcn\.A'"):
        keys.from_published(
            {name: value for name, value in arrays.items() if name != "gcn.3.gcn.A"}
        )
    with pytest.raises(
        CheckpointError, match=r"holds 1 tensors that ST-GCN does not have: gcn\.0\.extra"
    ):
        keys.from_published(arrays | {"gcn.0.extra": arrays["data_bn.bias"]})
    with pytest.raises(
        CheckpointError, match=r"data_bn has 68 channels, expected 2 coordinates x 17; .*MVC"
    ):
        keys.from_published(arrays | {"data_bn.weight": np.ones(68, "float32")})


def test_forward_and_backward_reach_every_parameter():
    network = networks.build(small())
    logits = network(paddle.randn([3, *network.spec.input_shape]))
    paddle.nn.functional.cross_entropy(logits, paddle.to_tensor([0, 1, 2])).backward()
    assert logits.shape == [3, 5]
    trainable = {name: p for name, p in network.named_parameters() if not p.stop_gradient}
    assert "l1.graph.importance" in trainable and "l1.graph.adjacency" not in trainable
    assert all(np.abs(p.grad.numpy()).max() > 0 for p in trainable.values())


@pytest.mark.parametrize("block", ["l1", "l2", "l3", "l4"])
def test_any_block_may_go(block):
    spec = stgcn.drop_blocks(small(), (block,))
    network = networks.build(spec)
    network.eval()
    x = paddle.randn([2, *spec.input_shape])
    assert block not in [one.id for one in spec.blocks]
    np.testing.assert_allclose(
        flatten(network)(x).numpy(), network(x).numpy(), rtol=1e-5, atol=1e-5
    )


def test_next_block_takes_over_width_and_stride_and_unknown_ids_are_refused():
    four = stgcn.drop_blocks(small(), ("l3",)).blocks[-1]
    assert (four.id, four.in_channels, four.out_channels, four.stride) == ("l4", 8, 16, 4)
    with pytest.raises(
        RecipeError, match=r"prune_layers.drop: stgcn has no block 'l5' \(it has l1, l2, l3, l4\)"
    ):
        stgcn.drop_blocks(small(), ("l5",))
    with pytest.raises(RecipeError, match="names every block; at least one must stay"):
        stgcn.drop_blocks(small(), ("l1", "l2", "l3", "l4"))


def test_spec_survives_json_and_weights_a_file(tmp_path, randomised):
    spec = small()
    assert from_json(stgcn.Spec, json.loads(json.dumps(dataclasses.asdict(spec)))) == spec
    network = randomised(networks.build(spec))
    checkpoints.save(tmp_path / "weights.npz", network)
    back = checkpoints.load(tmp_path / "weights.npz")
    x = paddle.randn([2, *spec.input_shape])
    assert back.spec == spec and np.array_equal(back(x).numpy(), network(x).numpy())


@pytest.mark.parametrize("count", [1, 8])
def test_exported_files_agree_at_any_batch_size(tmp_path, randomised, count):
    network = randomised(networks.build(small()))
    x = np.random.default_rng(2).normal(size=(count, *network.spec.input_shape)).astype("float32")
    reference = network(paddle.to_tensor(x)).numpy()
    flat = flatten(network)(paddle.to_tensor(x)).numpy()
    assert np.abs(flat - reference).max() < 1e-5 * np.abs(reference).max()
    found = package.build(network, tmp_path, ("paddle", "onnx"), {}, x, reference)
    assert all(one["max_rel_diff"] < 1e-5 and one["agreement"] == 1 for one in found.values())


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"width": 0}, "width: must be at least 1"),
        ({"down": (1,)}, "down: the first stage keeps"),
        ({"ratio": 0.05}, "ratio: 0.05 leaves a stage without channels"),
    ],
)
def test_impossible_plans_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        stgcn.Config(**wrong)
