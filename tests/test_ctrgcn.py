"""CTR-GCN: published counts, golden outputs, equality with the published form, pruning by block."""

import numpy as np
import paddle
import pytest

from benchmarks import train_step
from compress.steps import prune_layers
from compress.steps.work import State
from compress.training.model import Model
from teachers import ctrgcn, networks
from teachers.ctrgcn import cost, keys, published as ctrgcn_published
from teachers.errors import RecipeError
from teachers.skeleton import NTU_25, UCLA_20
from teachers.weights import checkpoints
from teachers.weights.published import Hints

FULL = ctrgcn.default_spec(60, NTU_25, 64, 2)
LITE = ctrgcn.drop_blocks(FULL, ("l10",))


@pytest.mark.parametrize(
    "spec, parameters, gmacs", [(FULL, 1_446_672, 1.939), (LITE, 1_064_444, 1.611)]
)
def test_published_parameters_and_macs(spec, parameters, gmacs):
    published = ctrgcn_published.PublishedCTRGCN(spec)
    assert sum(p.size for p in published.parameters() if not p.stop_gradient) == parameters
    assert cost.parameters(spec) == parameters
    assert round(cost.macs(spec) / 1e9, 3) == gmacs


def test_own_network_lacks_only_the_cancelled_biases():
    own = sum(p.size for p in ctrgcn.CTRGCN(FULL).parameters())
    assert own + cost.cancelled_biases(FULL) == cost.parameters(FULL)


@pytest.mark.parametrize("name", ["ctrgcn_ntu60", "ctrgcn_nwucla"])
def test_reproduces_the_golden_outputs_of_torch_checkpoints(shared, name):
    golden = np.load(shared / "golden" / f"{name}.npz")
    network = checkpoints.load(shared / "weights" / f"{name}.pt")
    with paddle.no_grad():
        logits = network(paddle.to_tensor(golden["input"])).numpy()
    assert np.abs(logits - golden["logits"]).max() <= 1e-4


@pytest.mark.parametrize("dropped", [(), ("l5",), ("l1", "l8", "l10")])
def test_training_equals_the_published_form_in_float64(dropped):
    full = ctrgcn.default_spec(5, UCLA_20, 12, 2, config=ctrgcn.Config(16))
    assert (
        max(train_step.agreement(ctrgcn.drop_blocks(full, dropped) if dropped else full).values())
        < 1e-9
    )


def test_published_names_round_trip(tiny_spec, randomised):
    spec = ctrgcn.default_spec(4, UCLA_20, 52, 1, config=ctrgcn.Config(16))
    state = networks.state_of(randomised(networks.build(spec)))
    back_spec, back = keys.from_published(keys.to_published(spec, state))
    assert back_spec == spec and back.keys() == state.keys()
    assert all(np.array_equal(back[name], state[name]) for name in state)


def test_biases_before_batchnorm_are_absorbed(randomised):
    """A published checkpoint with non-zero biases computes the same without them."""
    spec = ctrgcn.default_spec(4, UCLA_20, 8, 1, config=ctrgcn.Config(16))
    arrays = keys.to_published(spec, networks.state_of(randomised(networks.build(spec))))
    generator = np.random.default_rng(3)
    for name, value in arrays.items():
        if name.endswith(("0.bias", "conv.bias")):
            arrays[name] = generator.normal(0, 0.5, value.shape).astype("float32")
    reference = ctrgcn_published.published(spec, arrays)
    own_spec, state = keys.from_published(arrays, Hints(frames=8))
    own = networks.build(own_spec)
    networks.load_state(own, state, "test")
    own.eval()
    x = paddle.randn([3, *spec.input_shape])
    np.testing.assert_allclose(own(x).numpy(), reference(x).numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("block", [f"l{number}" for number in range(1, 11)])
def test_any_block_may_go(block):
    spec = ctrgcn.drop_blocks(
        ctrgcn.default_spec(4, UCLA_20, 8, 1, config=ctrgcn.Config(8)), (block,)
    )
    network = networks.build(spec)
    network.eval()
    assert block not in [one.id for one in spec.blocks] and len(spec.blocks) == 9
    assert network(paddle.randn([2, *spec.input_shape])).shape == [2, 4]


def test_next_block_takes_over_width_and_stride():
    spec = ctrgcn.drop_blocks(FULL, ("l5",))
    six = next(block for block in spec.blocks if block.id == "l6")
    assert (six.in_channels, six.out_channels, six.stride) == (64, 128, 2)


def test_unknown_block_is_refused():
    with pytest.raises(
        RecipeError, match=r"prune_layers.drop: ctrgcn has no block 'l11' \(it has l1, l2, .*l10\)"
    ):
        ctrgcn.drop_blocks(FULL, ("l11",))
    with pytest.raises(RecipeError, match="names every block; at least one must stay"):
        ctrgcn.drop_blocks(FULL, tuple(block.id for block in FULL.blocks))


def test_pruning_copies_by_block_id(tiny_spec, randomised):
    teacher = randomised(
        networks.build(ctrgcn.default_spec(4, UCLA_20, 8, 1, config=ctrgcn.Config(8)))
    )

    class Work:
        seed = 1

    outcome = prune_layers.apply(
        State(Model(teacher, None), (Model(teacher, None),)), prune_layers.Config(("l10",)), Work, 1
    )
    before, after = networks.state_of(teacher), networks.state_of(outcome.state.student.network)
    assert outcome.notes == ()
    assert {name for name in before if name not in after} == {
        name for name in before if name.startswith("l10.")
    }
    assert all(np.array_equal(before[name], after[name]) for name in after)
    assert outcome.state.teacher[0].network is teacher


def test_pruning_a_widening_block_says_what_starts_afresh():
    teacher = networks.build(ctrgcn.default_spec(4, UCLA_20, 8, 1, config=ctrgcn.Config(8)))

    class Work:
        seed = 1

    outcome = prune_layers.apply(
        State(Model(teacher, None), (Model(teacher, None),)), prune_layers.Config(("l5",)), Work, 1
    )
    assert "l6.graph.relation_weight" in outcome.notes[0]


def in_pyskl_names(arrays, generator):
    """Published arrays renamed to PYSKL's layout, as they are: another network, for PYSKL reads
    them differently."""
    renamed = {"A": generator.normal(size=(3, 20, 20)).astype("float32")}
    for name, value in arrays.items():
        block, _, rest = name.partition(".")
        name = f"net.{int(block[1:]) - 1}.{rest}" if block[1:].isdigit() else name
        renamed[name.replace("gcn1.PA", "gcn1.A").replace("fc.", "fc_cls.")] = value
    return renamed


def test_pyskl_and_mmaction2_names(randomised):
    """Their graph unit sums over the first index of Q, and their difference runs from source to
    target."""
    spec = ctrgcn.default_spec(4, UCLA_20, 52, 1, config=ctrgcn.Config(16))
    generator = np.random.default_rng(4)
    original = keys.to_published(spec, networks.state_of(randomised(networks.build(spec))))
    arrays = in_pyskl_names(original, generator)
    assert keys.is_published(arrays)
    own_spec, state = keys.from_published(arrays, Hints(frames=52, skeleton=UCLA_20))
    assert own_spec == spec and state.keys() == networks.state_of(networks.build(spec)).keys()
    own = networks.build(spec)
    networks.load_state(own, state, "test")
    own.eval()
    x = generator.normal(size=(2, 3, 6, 20)).astype("float32")  # (B, C, T, V)
    unit, y = "net.0.gcn1", 0
    for subset in range(3):
        weights = {
            number: arrays[f"{unit}.convs.{subset}.conv{number}.weight"][:, :, 0, 0]
            for number in range(1, 5)
        }
        biases = {
            number: arrays[f"{unit}.convs.{subset}.conv{number}.bias"][:, None, None]
            for number in range(1, 5)
        }
        one, two, three = (
            np.einsum("rc,bctv->brtv", weights[number], x) + biases[number] for number in (1, 2, 3)
        )
        relation = np.tanh(one.mean(2)[..., None] - two.mean(2)[..., None, :])  # (B, R, u, v)
        Q = (np.einsum("cr,bruv->bcuv", weights[4], relation) + biases[4]) * arrays[
            f"{unit}.alpha"
        ] + arrays[f"{unit}.A"][subset]
        y = y + np.einsum("bcuv,bctu->bctv", Q, three)
    norm = {
        key: arrays[f"{unit}.bn.{key}"][:, None, None]
        for key in ("weight", "bias", "_mean", "_variance")
    }
    y = (y - norm["_mean"]) / np.sqrt(norm["_variance"] + 1e-5) * norm["weight"] + norm["bias"]
    down = own.l1.graph.down(paddle.to_tensor(x.transpose(0, 1, 3, 2))).numpy()
    expected = np.maximum(y.transpose(0, 1, 3, 2) + down, 0)
    found = own.l1.graph(paddle.to_tensor(x.transpose(0, 1, 3, 2))).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    turned = networks.build(spec)
    networks.load_state(turned, keys.from_published(original, Hints(frames=52))[1], "test")
    assert (
        np.abs(turned.l1.graph(paddle.to_tensor(x.transpose(0, 1, 3, 2))).numpy() - expected).max()
        > 0.1
    )
