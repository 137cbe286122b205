"""Channel pruning: groups that belong together, exactness, real savings, and everything that a
network does afterwards."""

import dataclasses
import json

import numpy as np
import paddle
import pytest

from benchmarks import train_step
from compress import recipe
from compress.evaluation.evaluate import training_clips
from compress.steps import prune_channels, sensitivity
from compress.steps.prune_channels import Config
from compress.steps.work import State, Work
from compress.training.curves import Curves
from compress.training.model import Model
from export import deployed, package, verify
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.formats import baseline
from teachers import channels, ctrgcn, networks, stgcnpp
from teachers.channels import CRITERIA, folded, score
from teachers.ctrgcn import cost as ctrgcn_cost, keys, prune as ctrgcn_prune
from teachers.errors import RecipeError
from teachers.networks import from_json
from teachers.skeleton import NTU_25, UCLA_20, Skeleton
from teachers.stgcnpp import prune as stgcnpp_prune
from teachers.weights import checkpoints
from teachers.weights.identity import Identity
from teachers.weights.published import Hints

FIVE = Skeleton("five", 5, ((2, 1), (3, 1), (4, 1), (5, 4)), centre=1)
LITE = ctrgcn.drop_blocks(ctrgcn.default_spec(60, NTU_25, 64, 2), ("l10",))
CLIPS = np.random.default_rng(0).standard_normal((8, 3, 8, 5, 2)).astype("float32")


# BatchNorms at whose zero scale and shift the channels of a group are zero, by network and kind of
# group
SILENT = {
    "ctrgcn": {
        "graph": ("graph.bn", "graph.down.bn"),
        "out": ("temporal.bn", "residual.bn"),
        "branches": ("temporal.reduce_bn",),
    },
    "stgcnpp": {
        "graph": ("graph.bn", "graph.down.bn"),
        "out": ("temporal.mix_bn", "residual.bn"),
        "branches": ("temporal.reduce_bn",),
        "mix": ("temporal.bn",),
    },
}
FIXED = {
    "ctrgcn": {"graph.topology", "graph.alpha"},
    "stgcnpp": {"graph.adjacency"},
}  # weights without channels


def narrow(name: str = "ctrgcn", width: int = 16, dropped: tuple[str, ...] = ()):
    network = networks.module(name)
    spec = network.default_spec(3, FIVE, 8, 2, config=network.Config(width=width))
    return network.drop_blocks(spec, dropped) if dropped else spec


def pruner(spec):
    return {"ctrgcn": ctrgcn_prune, "stgcnpp": stgcnpp_prune}[spec.network]


def absorbed(spec) -> int:
    """Biases of the published form that a BatchNorm cancels."""
    if spec.network == "ctrgcn":
        return ctrgcn_cost.cancelled_biases(spec)
    return sum(
        sum(block.inside.inner)
        + sum(block.inside.branches[-2:])
        + sum(block.inside.branches[:4])  # leading, dilated convs
        + block.out_channels * (1 + block.projects)
        + block.inside.graph * block.graph_projects
        for block in spec.blocks
    )


def network_of(spec, state):
    network = networks.build(spec)
    networks.load_state(network, state, "test")
    network.eval()
    return network


def logits_of(network, clips=CLIPS):
    with paddle.no_grad():
        return network(paddle.to_tensor(clips)).numpy()


def exact(spec, state):
    """Logits in float64, where rounding hides nothing."""
    paddle.set_default_dtype("float64")
    try:
        return logits_of(network_of(spec, state), CLIPS.astype("float64"))
    finally:
        paddle.set_default_dtype("float32")


def random_keep(spec, seed: int = 0, share: float = 0.6):
    """About `share` of each section of every group."""
    generator = np.random.default_rng(seed)
    return {
        one.id: channels.strongest(
            one,
            generator.uniform(size=(one.sets, one.size)),
            [max(1, int(share * n)) for n in one.sections],
        )
        for one in pruner(spec).groups(spec)
    }


def silenced(spec, state, keep):
    """The state with every channel that `keep` leaves out at exactly zero: BatchNorm scale and
    shift, or what reads a relation."""
    state = {name: value.copy() for name, value in state.items()}

    def mute(norm, gone):
        for key in ("weight", "bias"):
            if f"{norm}.{key}" in state:
                state[f"{norm}.{key}"][gone] = 0

    gone = {
        one.id: [np.setdiff1d(np.arange(one.size), kept) for kept in keep[one.id]]
        for one in pruner(spec).groups(spec)
    }
    for block in spec.blocks:
        _, graph, out = channels.wiring(spec)[block.id]
        for kind, norms in SILENT[spec.network].items():
            group = {"graph": graph, "out": out}.get(kind, f"{block.id}.{kind}")
            for norm in norms if group else ():
                mute(f"{block.id}.{norm}", gone[group][0])
        for subset, relations in enumerate(gone.get(f"{block.id}.relations", ())):
            state[f"{block.id}.graph.refine_weight"][:, subset, relations] = 0
    return state


@pytest.fixture(scope="module", params=["ctrgcn", "stgcnpp"])
def trained(request, randomised):
    paddle.seed(1)
    return randomised(networks.build(narrow(request.param)))


@pytest.fixture(scope="module")
def pruned(trained):
    return network_of(
        *pruner(trained.spec).prune(
            trained.spec, networks.state_of(trained), random_keep(trained.spec)
        )
    )


@pytest.fixture(scope="module")
def network(randomised):
    paddle.seed(1)
    return randomised(networks.build(narrow()))


def work_in(folder, dataset) -> Work:
    return Work(folder, dataset, Curves(folder / "curves"), 1, Identity("origin"))


def state_of(network, view=None) -> State:
    return State(Model(network, view), (Model(network, view),))


def test_identity_residuals_tie_blocks_together():
    tied = channels.wiring(LITE)
    assert tied["l1"] == (None, "l1.graph", "l1-l4.out")
    assert tied["l3"] == ("l1-l4.out", "l1-l4.out", "l1-l4.out")
    assert tied["l5"] == ("l1-l4.out", "l5.graph", "l5-l7.out")
    assert tied["l9"] == ("l8-l9.out", "l8-l9.out", "l8-l9.out")
    found = {one.id: one for one in ctrgcn_prune.groups(LITE)}
    assert len(found) == 24 and found["l1-l4.out"] == channels.Group(
        "l1-l4.out", ("l1", "l2", "l3", "l4"), (16, 16, 16, 16)
    )
    assert found["l9.relations"] == channels.Group("l9.relations", ("l9",), (32,), sets=3)
    assert found["l5.graph"].size == 128 and found["l5.branches"].sections == (32, 32)


def test_removing_channels_that_are_zero_changes_nothing(trained):
    keep = random_keep(trained.spec)
    state = silenced(trained.spec, networks.state_of(trained), keep)
    expected, found = (
        exact(trained.spec, state),
        exact(*pruner(trained.spec).prune(trained.spec, state, keep)),
    )
    assert np.abs(expected - logits_of(trained)).max() > 0.1
    assert np.abs(found - expected).max() < 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("criterion", ["bn_scale", "l1"])
def test_criteria_find_the_channels_that_are_zero(trained, criterion):
    keep = random_keep(trained.spec, seed=3)
    state = silenced(trained.spec, networks.state_of(trained), keep)
    for one in pruner(trained.spec).groups(trained.spec):
        worth = pruner(trained.spec).importance(trained.spec, state, one, criterion)
        counts = channels.section_counts(one.sections, keep[one.id][0])
        assert np.array_equal(channels.strongest(one, worth, counts), keep[one.id]), one.id


def test_criteria_have_the_values_of_their_papers():
    norm = {"weight": np.array([2.0, -1.0, 0.5]), "_variance": np.full(3, 1 - 1e-5)}
    producer = folded(
        0, np.array([[1.0, 3.0], [2.0, 2.0], [0.0, 8.0]]), norm
    )  # folded: (2, 6), (-2, -2), (0, 4)
    np.testing.assert_allclose(score(3, [producer], "bn_scale"), [2, 1, 0.5])
    np.testing.assert_allclose(score(3, [producer], "l1"), np.array([4, 2, 2]) / (8 / 3))
    distances = np.array(
        [np.sqrt(80) + np.sqrt(8), np.sqrt(80) + np.sqrt(40), np.sqrt(8) + np.sqrt(40)]
    )
    np.testing.assert_allclose(score(3, [producer], "fpgm"), distances / distances.mean())


@pytest.mark.parametrize("criterion", CRITERIA)
def test_importance_covers_every_channel(trained, criterion):
    for one in pruner(trained.spec).groups(trained.spec):
        worth = pruner(trained.spec).importance(
            trained.spec, networks.state_of(trained), one, criterion
        )
        assert worth.shape == (one.sets, one.size) and np.isfinite(worth).all() and worth.min() >= 0
        # Two filters are equally far from each other: only rounding, which differs between CPUs,
        # tells them apart by FPGM
        assert worth.std() > 0 or (criterion == "fpgm" and one.size == 2)


@pytest.mark.parametrize(
    "ratio, parameters, gmacs, widths",
    [(0.3, 532_609, 0.814, (44, 88, 180)), (0.5, 287_660, 0.446, (32, 64, 128))],
)
def test_sizes_of_pruned_ctrgcn_lite(ratio, parameters, gmacs, widths):
    spec = prune_channels.spec_after(LITE, Config(ratio))
    own = networks.build(spec)
    assert networks.parameters(spec) == parameters and round(networks.macs(spec) / 1e9, 3) == gmacs
    assert sum(one.size for one in own.parameters()) + absorbed(spec) == parameters
    assert [block.out_channels for block in spec.blocks] == [widths[0]] * 4 + [widths[1]] * 3 + [
        widths[2]
    ] * 2


def test_macs_are_those_of_the_layers(network):
    """Counted by hand from the shapes of the published form's convs."""
    spec, state = ctrgcn_prune.prune(
        network.spec, networks.state_of(network), random_keep(network.spec)
    )
    frames, V, total = spec.frames, spec.skeleton.joints, 0
    arrays = keys.to_published(spec, state)
    for block in spec.blocks:
        later = -(-frames // block.stride)
        for name, value in arrays.items():
            if not name.startswith(f"{block.id}.") or value.ndim != 4:
                continue
            kept = (
                later if "residual" in name or "branches.3" in name or ".3.conv" in name else frames
            )
            total += value.size * (V * V if "conv4" in name else V * kept)
        total += 3 * block.inside.graph * V * V * frames
        frames = later
    assert networks.macs(spec) == total * spec.persons + spec.blocks[-1].out_channels * spec.classes


def test_every_tensor_follows_the_spec(pruned, trained):
    before, after = networks.state_of(trained), networks.state_of(pruned)
    assert before.keys() == after.keys() == networks.state_of(networks.build(pruned.spec)).keys()
    unpruned = {name for name in before if before[name].shape == after[name].shape}
    assert {name.partition(".")[2] for name in unpruned if name[0] == "l"} == FIXED[
        trained.spec.network
    ]
    assert sum(one.size for one in pruned.parameters()) + absorbed(
        pruned.spec
    ) == networks.parameters(pruned.spec)
    assert networks.macs(pruned.spec) < 0.6 * networks.macs(trained.spec)


def test_pruned_spec_survives_json_and_old_files_have_no_widths(pruned, trained):
    assert (
        from_json(type(pruned.spec), json.loads(json.dumps(dataclasses.asdict(pruned.spec))))
        == pruned.spec
    )
    old = json.loads(json.dumps(dataclasses.asdict(trained.spec)))
    for block in old["blocks"]:
        assert block.pop("widths") is None
    assert from_json(type(trained.spec), old) == trained.spec
    assert "widths" not in repr(trained.spec)


def test_keeping_everything_is_the_same_network(trained):
    state = networks.state_of(trained)
    spec, same = pruner(trained.spec).prune(trained.spec, state, {})
    assert spec == trained.spec and all(np.array_equal(same[name], state[name]) for name in state)


def test_pruned_weights_survive_a_file(pruned, tmp_path):
    checkpoints.save(tmp_path / "net.npz", pruned)
    assert np.array_equal(logits_of(checkpoints.load(tmp_path / "net.npz")), logits_of(pruned))


def test_published_form_and_names_follow(network):
    pruned = network_of(
        *ctrgcn_prune.prune(network.spec, networks.state_of(network), random_keep(network.spec))
    )
    assert max(train_step.agreement(pruned.spec).values()) < 1e-9
    expected = logits_of(pruned)
    assert verify.difference(logits_of(networks.published(pruned)), expected)["max_rel_diff"] < 1e-5
    state = networks.state_of(pruned)
    spec, back = keys.from_published(
        keys.to_published(pruned.spec, state), Hints(frames=8, skeleton=FIVE)
    )
    assert spec == pruned.spec and all(np.array_equal(back[name], state[name]) for name in state)


def test_the_flat_network_of_all_blocks_computes_the_same(pruned):
    assert verify.difference(logits_of(flatten(pruned)), logits_of(pruned))["max_rel_diff"] < 1e-5


@pytest.mark.parametrize("left", [(1, 2, 2, 1), (2, 1, 1, 1), (1, 1, 2, 1)])
def test_the_form_for_eight_bits_fills_up_channels_whatever_branches_are_left(left, randomised):
    """Up to a multiple of four, where a graph unit widens."""
    whole = randomised(networks.build(narrow("ctrgcn", 8)))
    groups = {one.id: one for one in ctrgcn_prune.groups(whole.spec)}
    chain = groups["l1-l4.out"]
    keep = {chain.id: channels.strongest(chain, np.zeros((1, chain.size)), left)}
    small = network_of(*ctrgcn_prune.prune(whole.spec, networks.state_of(whole), keep))
    found = logits_of(prepared(flatten(small), integers=True))
    assert verify.difference(found, logits_of(small))["max_rel_diff"] < 1e-5


@pytest.mark.parametrize("name", SILENT)
def test_exports_are_smaller_and_agree_at_any_batch_size(name, randomised, tmp_path):
    whole = randomised(networks.build(narrow(name, 32, ("l2", "l3", "l6", "l7", "l9", "l10"))))
    small = network_of(
        *pruner(whole.spec).prune(whole.spec, networks.state_of(whole), random_keep(whole.spec))
    )
    expected = logits_of(small)
    package.build(small, tmp_path / "small", ("paddle", "onnx"), {}, CLIPS, expected)
    package.build(whole, tmp_path / "full", ("paddle", "onnx"), {}, CLIPS, logits_of(whole))
    for kind, predict in deployed.predictors(
        tmp_path / "small", deployed.read(tmp_path / "small")
    ).items():
        for batch in (1, 8):
            found = verify.difference(predict(CLIPS[:batch]), expected[:batch])
            assert found["agreement"] == 1.0 and found["max_rel_diff"] <= 1e-5, (kind, batch, found)
    for file in ("model.onnx", "model.pdiparams"):
        after, before = ((tmp_path / folder / file).stat().st_size for folder in ("small", "full"))
        assert after < 0.8 * before, file
    weights = {
        one["file"]: one["bytes"]
        for one in baseline.save_baseline(small, tmp_path / "baseline")["files"]
    }["model.pdiparams"]
    assert 3.5 * networks.parameters(small.spec) < weights < 4 * networks.parameters(whole.spec)


def test_a_pruned_network_learns(pruned):
    network = network_of(pruned.spec, networks.state_of(pruned))
    stepper = train_step.Stepper(network)
    x, labels = (
        paddle.to_tensor(CLIPS),
        train_step.soft_labels(paddle.to_tensor(np.arange(8) % 3), 3),
    )
    losses = [stepper(x, labels)[0] for _ in range(6)]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    train_step.cross_entropy(network(x), labels).backward()
    assert not [
        name for name, one in network.named_parameters() if not float(one.grad.abs().max()) > 0
    ]


@pytest.mark.parametrize("block", [f"l{number}" for number in range(1, 11)])
def test_any_block_of_a_pruned_network_may_go(pruned, block):
    spec = networks.module(pruned.spec.network).drop_blocks(pruned.spec, (block,))
    network = networks.build(spec)
    network.eval()
    assert logits_of(network).shape == (8, 3)
    assert sum(one.size for one in network.parameters()) + absorbed(spec) == networks.parameters(
        spec
    )
    pruner(spec).prune(spec, networks.state_of(network), random_keep(spec, share=0.8))


def test_pruning_again_prunes_further(pruned):
    keep = random_keep(pruned.spec, seed=5)
    state = silenced(pruned.spec, networks.state_of(pruned), keep)
    spec, left = pruner(pruned.spec).prune(pruned.spec, state, keep)
    expected = exact(pruned.spec, state)
    assert networks.parameters(spec) < networks.parameters(pruned.spec)
    assert np.abs(exact(spec, left) - expected).max() < 1e-12 * np.abs(expected).max()


def test_projections_stay_where_both_ends_become_as_wide(trained):
    """l5.graph down to the width of its input, and l1.graph to the three coordinates."""
    everything = {one.id: one for one in pruner(trained.spec).groups(trained.spec)}
    keep = {
        "l5.graph": channels.strongest(everything["l5.graph"], np.ones((1, 32)), (16,)),
        "l1.graph": channels.strongest(everything["l1.graph"], np.ones((1, 16)), (3,)),
    }
    state = silenced(
        trained.spec, networks.state_of(trained), random_keep(trained.spec, share=1.0) | keep
    )
    spec, left = pruner(trained.spec).prune(trained.spec, state, keep)
    five = next(block for block in spec.blocks if block.id == "l5")
    assert (
        five.in_channels == five.inside.graph == 16
        and five.graph_projects
        and "l5.graph.down.conv.weight" in left
    )
    expected = exact(trained.spec, state)
    assert np.abs(exact(spec, left) - expected).max() < 1e-12 * np.abs(expected).max()
    if spec.network == "ctrgcn":
        again, _ = keys.from_published(
            keys.to_published(spec, left), Hints(frames=8, skeleton=FIVE)
        )
        assert again == spec


def test_a_pruned_stgcnpp_is_as_small():
    spec = stgcnpp.default_spec(60, NTU_25, 100, 2)
    assert {one.id for one in stgcnpp_prune.groups(spec)} >= {
        "l1.graph",
        "l1-l4.out",
        "l5.graph",
        "l5-l7.out",
        "l9.branches",
        "l9.mix",
    }
    after = prune_channels.spec_after(spec, Config(0.3))
    assert (
        networks.parameters(after) == 703_724
        and round(networks.macs(after) / networks.macs(spec), 3) == 0.512
    )
    assert [block.out_channels for block in after.blocks] == [45] * 4 + [90] * 3 + [179] * 3


def test_step_prunes_the_student_and_leaves_the_teacher(trained, tmp_path, tiny_dataset):
    config = Config(ratio=0.5)
    outcome = prune_channels.apply(state_of(trained), config, work_in(tmp_path, tiny_dataset), 1)
    student = outcome.state.student.network
    assert student.spec == prune_channels.spec_after(trained.spec, config) and not student.training
    assert outcome.state.teacher[0].network is trained
    assert "l1-l4.out 16 to 8" in outcome.notes[0] and "l8-l10.out 64 to 32" in outcome.notes[0]
    assert (
        f"parameters {networks.parameters(trained.spec):,} to {networks.parameters(student.spec):,}"
        in outcome.notes[0]
    )
    assert prune_channels.title(config) == "remove 50% of the channels (bn_scale)"


def test_blocks_have_ratios_of_their_own_and_ties_take_the_smallest():
    spec = prune_channels.spec_after(
        LITE, Config(blocks=(("l8", 0.5), ("l9", 0.25), ("l5.graph", 0.75)))
    )
    by_id = {block.id: block for block in spec.blocks}
    assert (
        by_id["l9"].out_channels == 192
        and by_id["l8"].inside.inner == (32, 32)
        and by_id["l9"].inside.inner == (48, 48)
    )
    assert by_id["l5"].inside.graph == 32 and by_id["l5"].inside.inner == (32, 32)
    assert by_id["l4"] == LITE.blocks[3]
    mixed = prune_channels.spec_after(LITE, Config(ratio=0.5, blocks=(("l1", 0.0),)))
    assert [block.out_channels for block in mixed.blocks] == [64] * 4 + [64] * 3 + [128] * 2
    assert mixed.blocks[1].inside.inner == (8, 8)


def test_a_group_keeps_its_least_number_of_channels():
    for least, relations in ((4, 4), (7, 7), (100, 8)):
        spec = prune_channels.spec_after(LITE, Config(ratio=0.9, min_channels=least))
        assert spec.blocks[0].relation_channels == relations
    assert prune_channels.spec_after(LITE, Config(ratio=0.99, min_channels=1)).blocks[
        0
    ].inside.branches == (1, 1, 1, 1)


def test_global_ranking_takes_the_weakest_channels_anywhere(network, tmp_path, tiny_dataset):
    state = networks.state_of(network)
    for name in list(state):
        if name.startswith("l9.temporal.reduce_bn.weight"):
            state[name][:12] *= 1e-3  # most of l9.branches (16 + 16) means little
    config = Config(ratio=0.2, ranking="global")
    outcome = prune_channels.apply(
        state_of(network_of(network.spec, state)), config, work_in(tmp_path, tiny_dataset), 1
    )
    after = outcome.state.student.network.spec
    groups = {one.id: one for one in ctrgcn_prune.groups(network.spec)}
    left = {one.id: one.size for one in ctrgcn_prune.groups(after)}
    removed = sum(one.size for one in groups.values()) - sum(left.values())
    assert removed == round(0.2 * sum(one.size for one in groups.values()))
    assert next(block for block in after.blocks if block.id == "l9").inside.inner[0] <= 4


def test_balanced_ratios_cost_the_same_and_meet_the_target():
    rows = {
        "robust": [
            {"ratio": 0.0, "loss": 1.0},
            {"ratio": 0.5, "loss": 1.1},
            {"ratio": 0.8, "loss": 1.4},
        ],
        "tender": [
            {"ratio": 0.0, "loss": 1.0},
            {"ratio": 0.5, "loss": 2.0},
            {"ratio": 0.8, "loss": 1.9},
        ],
    }

    def cost(ratios):
        return 100 * (2 - ratios["robust"] - ratios["tender"])

    found = sensitivity.balanced(
        rows, cost, 135.0
    )  # a rise of 0.15 allows 0.55 and 0.075; 0.2: 0.6 and 0.1
    assert cost(found) == pytest.approx(135, abs=1e-3)
    assert found["robust"] == pytest.approx(0.5 + 0.3 * (found["tender"] * 2 - 0.1) / 0.3, abs=2e-3)
    assert sensitivity.balanced(rows, cost, 0.0) == {"robust": 0.8, "tender": 0.8}
    free = {group: [{**row, "loss": 1.0} for row in curve] for group, curve in rows.items()}
    assert sensitivity.balanced(free, cost, 135.0) == pytest.approx(
        {"robust": 0.325, "tender": 0.325}, abs=1e-4
    )


def test_sensitivity_is_measured_once_saved_and_met(
    tmp_path, tiny_dataset, tiny_view, randomised, monkeypatch
):
    network = randomised(
        networks.build(narrow(dropped=tuple(f"l{number}" for number in (2, 3, 4, 6, 7, 8, 9, 10))))
    )
    config, work = Config(ratio=0.4, sensitivity=True, clips=6), work_in(tmp_path, tiny_dataset)
    first = prune_channels.apply(
        state_of(network, tiny_view), config, work, 2
    ).state.student.network
    path = tmp_path / "state" / "step2_sensitivity.json"
    kept = json.loads(path.read_text())
    assert set(kept["groups"]) == {one.id for one in ctrgcn_prune.groups(network.spec)}
    assert [row["ratio"] for row in kept["groups"]["l5.graph"]] == [0.0, *sensitivity.RATIOS]
    assert {"ratio", "loss", "top1"} == kept["groups"]["l5.graph"][0].keys()
    assert networks.parameters(first.spec) <= networks.parameters(
        prune_channels.spec_after(network.spec, config)
    )

    kept["groups"].pop("l5.out")  # a run that was stopped before its last group
    path.write_text(json.dumps(kept))
    measured, measure = [], sensitivity._measure
    monkeypatch.setattr(sensitivity, "_measure", lambda *a: measured.append(1) or measure(*a))
    second = prune_channels.apply(
        state_of(network, tiny_view), config, work, 2
    ).state.student.network
    assert len(measured) == 1 + len(sensitivity.RATIOS) and second.spec == first.spec
    third = prune_channels.apply(
        state_of(network, tiny_view), config, work, 2
    ).state.student.network
    assert len(measured) == 1 + len(sensitivity.RATIOS) and third.spec == first.spec
    prune_channels.apply(
        state_of(network, tiny_view), dataclasses.replace(config, criterion="l1"), work, 2
    )
    assert len(measured) > 1 + len(sensitivity.RATIOS), "another criterion is another scan"


def test_training_clips_are_spread_and_never_validation(tiny_dataset, tiny_view):
    clips = training_clips(tiny_dataset.train, tiny_view, 6)
    assert clips.split.names == ("train0", "train5", "train10", "train15", "train20", "train25")
    assert len(training_clips(tiny_dataset.train, tiny_view, 1000)) == 26


@pytest.mark.parametrize(
    "given, says",
    [
        ({}, "give `ratio`, the share of channels to remove from every group, or `blocks`"),
        (
            {"ratio": 0.0},
            r"ratio: must lie between 0 and 1, got 0 \(0.3 removes 30 % of the channels\)",
        ),
        ({"ratio": 1.0}, "ratio: must lie between 0 and 1, got 1 "),
        ({"ratio": 30.0}, "ratio: must lie between 0 and 1, got 30 "),
        ({"blocks": (("l5", 1.0),)}, "blocks: l5: the ratio must be at least 0 and below 1, got 1"),
        ({"blocks": (("l5", 0.5), ("l5", 0.4))}, "blocks: names a block twice"),
        (
            {"blocks": (("l5", 0.5),), "sensitivity": True},
            "sensitivity: chooses the ratio of each group itself",
        ),
        (
            {"blocks": (("l5", 0.5),), "ratio": 0.5, "ranking": "global"},
            "ranking: chooses the ratio of each group itself",
        ),
        (
            {"ratio": 0.9, "sensitivity": True},
            "sensitivity: works without `ranking: global`, and for a `ratio` of at most 0.8",
        ),
        ({"ratio": 0.5, "min_channels": 0}, "min_channels: must be at least 1, got 0"),
    ],
)
def test_impossible_settings_are_refused(given, says):
    with pytest.raises(ValueError, match=says):
        Config(**given)


def test_a_recipe_names_ratio_blocks_and_criterion(tmp_path):
    text = """data: {name: synthetic}
teacher: {name: ctrgcn, train: {epochs: 1, lr: 0.1}}
steps:
  - prune_channels: {ratio: 0.3, blocks: [[l5, 0.5], [l8.graph, 0]], criterion: l1}
budget: {max_size: 10MB}
"""
    (tmp_path / "r.yaml").write_text(text)
    assert recipe.load(tmp_path / "r.yaml").steps[0].config == Config(
        0.3, (("l5", 0.5), ("l8.graph", 0.0)), "l1"
    )
    for old, new, says in (
        ("0.3", "30", r"steps\[0\].prune_channels.ratio: must lie between 0 and 1, got 30"),
        ("[l5, 0.5]", "l5", r"steps\[0\].prune_channels.blocks\[0\]: expected a list, got 'l5'"),
        ("criterion: l1", "criterion: l2", "expected one of bn_scale, l1, fpgm, got 'l2'"),
    ):
        (tmp_path / "r.yaml").write_text(text.replace(old, new))
        with pytest.raises(RecipeError, match=says):
            recipe.load(tmp_path / "r.yaml")


def test_unknown_blocks_networks_and_channels_are_refused(network):
    with pytest.raises(
        RecipeError,
        match=(
            r"prune_channels.blocks: ctrgcn has no block or group 'l11' \(it has l1, .*l9; groups"
            r" l1.graph"
        ),
    ):
        prune_channels.spec_after(LITE, Config(blocks=(("l11", 0.5),)))
    other = networks.module("efficientgcn").default_spec(10, UCLA_20, 16, 1, 18)
    with pytest.raises(
        RecipeError,
        match=(
            r"the channels of efficientgcn cannot be pruned \(those of ctrgcn.* can\); use"
            r" prune_layers"
        ),
    ):
        prune_channels.spec_after(other, Config(ratio=0.5))
    for keep, says in (
        ({"l0.out": np.arange(4)[None]}, "no group of channels 'l0.out'"),
        (
            {"l1.graph": np.array([[3, 3]])},
            "l1.graph: expected .1, kept. channels in rising order, each below 16",
        ),
        ({"l1.relations": np.array([[0, 1]])}, "l1.relations: expected .3, kept. channels"),
        ({"l1.branches": np.arange(4)[None]}, "l1.branches: branch 2 would have no channel left"),
    ):
        with pytest.raises(RecipeError, match=says):
            ctrgcn_prune.narrowed(network.spec, keep)
