"""STGCN++: published counts, golden outputs, checkpoints in the literal form, pruning, export."""

import dataclasses
import json

import numpy as np
import paddle
import pyskl_reference as literal
import pytest

from export import package
from export.flat.flatten import flatten
from teachers import networks, stgcnpp
from teachers.errors import CheckpointError, RecipeError
from teachers.networks import from_json
from teachers.skeleton import COCO_17, NTU_25, UCLA_20
from teachers.stgcn import keys as stgcn_keys
from teachers.stgcnpp import keys as stgcnpp_keys
from teachers.weights import checkpoints
from teachers.weights.published import Hints

SMALL = stgcnpp.Config(width=8, stages=4, inflate=(3,), down=(3, 4))
HAND = (
    (2, 8, 1),
    (8, 8, 1),
    (8, 16, 2),
    (16, 16, 2),
    (16, 20, 1),
    (20, 20, 1),
)  # six stages; one widens alone, one halves alone
HINTS = Hints(frames=10, persons=1, skeleton=literal.HAND, config=stgcnpp.Config(down=(3, 4)))


def small(classes=5):
    return stgcnpp.default_spec(classes, UCLA_20, 12, 2, config=SMALL)


def loaded(arrays, hints):
    spec, state = stgcnpp_keys.from_published(arrays, hints)
    network = networks.build(spec)
    networks.load_state(network, state, "test")
    network.eval()
    return network


@pytest.mark.parametrize("skeleton, parameters", [(NTU_25, 1_403_144), (COCO_17, 1_393_016)])
def test_published_parameters(skeleton, parameters):
    assert networks.parameters(stgcnpp.default_spec(60, skeleton, 100, 2)) == parameters


def test_own_network_lacks_only_the_biases_that_a_batchnorm_cancels():
    spec = small()
    own = sum(p.size for p in networks.build(spec).parameters() if not p.stop_gradient)
    # leading convs and the plain one: C; dilated convs: all but two branches; the closing conv: C;
    # projections
    cancelled = sum(
        b.out_channels * (2 + b.projects + (b.in_channels != b.out_channels))
        + sum(stgcnpp.branch_widths(b.out_channels)[:4])
        for b in spec.blocks
    )
    assert own + cancelled == networks.parameters(spec)


def test_macs_of_one_block_counted_by_hand():
    spec = dataclasses.replace(small(), blocks=(stgcnpp.Block("l1", 3, 8, 2, False),))
    graph = 3 * 8 * 20 * 12 * (3 + 20) + 3 * 8 * 20 * 12
    temporal = 8 * 7 * 20 * 12 + 20 * 6 * (8 * 1 + 3 * (3 * 3 + 3 * 1) + 8 * 8)
    assert networks.macs(spec) == 2 * (graph + temporal) + 8 * 5


def test_first_branch_takes_the_remainder():
    assert stgcnpp.branch_widths(128) == (23, 21, 21, 21, 21, 21)


def test_reproduces_the_golden_outputs(shared):
    golden = np.load(shared / "golden" / "stgcnpp_ntu60.npz")
    network = checkpoints.load(shared / "weights" / "stgcnpp_ntu60.pth")
    assert network.spec == stgcnpp.default_spec(60, NTU_25, 100, 2)
    with paddle.no_grad():
        logits = network(paddle.to_tensor(golden["input_nmtvc"].transpose(0, 4, 2, 3, 1))).numpy()
    assert np.abs(logits - golden["logits"]).max() <= 1e-5


@pytest.mark.parametrize("fc", ["fc_cls", "fc"])
def test_hand_of_six_stages_from_the_file_and_hints_alone(fc):
    arrays = literal.arrays(HAND, 21, 7, plus=True, fc=fc)
    network = loaded(arrays, HINTS)
    assert [(b.in_channels, b.out_channels, b.stride) for b in network.spec.blocks] == list(HAND)
    assert network.spec.input_shape == (2, 10, 21, 1) and network.spec.skeleton == literal.HAND
    x = np.random.default_rng(1).normal(size=(3, 2, 10, 21, 1)).astype("float32")
    np.testing.assert_allclose(
        network(paddle.to_tensor(x)).numpy(),
        literal.logits(arrays, HAND, x, fc),
        rtol=1e-4,
        atol=1e-4,
    )


def test_paddlevideo_keeps_its_graph_out_of_the_file():
    arrays = literal.arrays(HAND, 17, 7, plus=True)
    bare = {name: value for name, value in arrays.items() if not name.endswith("gcn.A")}
    for index in range(6):
        arrays[f"gcn.{index}.gcn.A"] = COCO_17.adjacency()
    x = np.random.default_rng(1).normal(size=(2, 2, 10, 17, 1)).astype("float32")
    network = loaded(bare, dataclasses.replace(HINTS, skeleton=COCO_17))
    np.testing.assert_allclose(
        network(paddle.to_tensor(x)).numpy(), literal.logits(arrays, HAND, x), rtol=1e-4, atol=1e-4
    )


def test_the_two_networks_of_these_names_are_told_apart():
    plain, plus = (literal.arrays(HAND, 17, 7, plus=plus) for plus in (False, True))
    assert stgcn_keys.is_published(plain) and not stgcnpp_keys.is_published(plain)
    assert stgcnpp_keys.is_published(plus) and not stgcn_keys.is_published(plus)


def test_what_a_file_lacks_or_has_too_much_is_named():
    arrays = literal.arrays(HAND, 17, 7, plus=True)
    for name in ("gcn.3.gcn.A", "gcn.1.tcn.branches.4.1._mean", "gcn.2.gcn.down.0.weight"):
        with pytest.raises(CheckpointError, match=f"has no '{name}'"):
            stgcnpp_keys.from_published(
                {key: value for key, value in arrays.items() if key != name}
            )
    with pytest.raises(
        CheckpointError, match=r"holds 1 tensors that STGCN\+\+ does not have: gcn\.0\.gcn\.PA"
    ):
        stgcnpp_keys.from_published(arrays | {"gcn.0.gcn.PA": arrays["gcn.0.gcn.A"]})
    with pytest.raises(
        CheckpointError,
        match=r"gcn\.1\.gcn\.conv\.weight has 8 -> 25 channels, expected 3 .*, behind 8",
    ):
        stgcnpp_keys.from_published(
            arrays | {"gcn.1.gcn.conv.weight": np.ones((25, 8, 1, 1), "float32")}
        )


def test_forward_and_backward_reach_every_parameter():
    network = networks.build(small())
    logits = network(paddle.randn([3, *network.spec.input_shape]))
    paddle.nn.functional.cross_entropy(logits, paddle.to_tensor([0, 1, 2])).backward()
    assert logits.shape == [3, 5]
    assert not network.l1.graph.adjacency.stop_gradient
    assert all(
        np.abs(p.grad.numpy()).max() > 0 for p in network.parameters() if not p.stop_gradient
    )


@pytest.mark.parametrize("block", ["l1", "l2", "l3", "l4"])
def test_any_block_may_go(block):
    spec = stgcnpp.drop_blocks(small(), (block,))
    network = networks.build(spec)
    network.eval()
    x = paddle.randn([2, *spec.input_shape])
    assert block not in [one.id for one in spec.blocks] and spec.network == "stgcnpp"
    np.testing.assert_allclose(
        flatten(network)(x).numpy(), network(x).numpy(), rtol=1e-5, atol=1e-5
    )


def test_unknown_block_is_refused():
    with pytest.raises(
        RecipeError, match=r"prune_layers.drop: stgcnpp has no block 'l5' \(it has l1, l2, l3, l4\)"
    ):
        stgcnpp.drop_blocks(small(), ("l5",))


def test_spec_survives_json_and_weights_a_file(tmp_path, randomised):
    spec = small()
    assert from_json(stgcnpp.Spec, json.loads(json.dumps(dataclasses.asdict(spec)))) == spec
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


def test_pooled_branch_keeps_a_negative_scale(randomised):
    network = randomised(networks.build(small()))
    network.l2.temporal.bn.weight.set_value(-network.l2.temporal.bn.weight)
    x = paddle.randn([2, *network.spec.input_shape])
    np.testing.assert_allclose(
        flatten(network)(x).numpy(), network(x).numpy(), rtol=1e-5, atol=1e-5
    )


def test_a_stage_narrower_than_its_branches_is_refused():
    with pytest.raises(
        ValueError, match=r"width: STGCN\+\+ needs 6 channels or more in every stage"
    ):
        stgcnpp.Config(width=4)
