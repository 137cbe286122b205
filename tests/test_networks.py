"""One sweep over every network of teachers/: builds, trains, loses any block, survives a file,
exports to both runtimes."""

import dataclasses
import json

import numpy as np
import paddle
import pytest

from export import deployed, package, verify
from export.flat.flatten import flatten
from teachers import networks
from teachers.errors import RecipeError
from teachers.networks import from_json
from teachers.skeleton import NTU_25, Skeleton
from teachers.weights import checkpoints

FIVE = Skeleton("five", 5, ((2, 1), (3, 1), (4, 1), (5, 4)), centre=1)
DROPPED = ("l3", "l4", "l6", "l7", "l8", "l9", "l10")
NARROW = {
    "ctrgcn": {"width": 8},
    "ctrgcn_light_v1": {"width": 16},
    "ctrgcn_light_v2": {"width": 16},
    "ensemble": {"width": 8, "streams": ("joint", "bone_motion"), "drop": DROPPED},
    "stgcn": {"width": 8},
    "stgcnpp": {"width": 12},
    "efficientgcn": {},
}
CHANNELS = {"efficientgcn": 18}


def narrow(name: str):
    """A small spec of a network: five joints, eight frames, two persons, three classes."""
    config = networks.module(name).Config(**NARROW[name])
    return networks.module(name).default_spec(3, FIVE, 8, 2, CHANNELS.get(name, 3), config)


def logits_of(network, clips):
    with paddle.no_grad():
        return network(paddle.to_tensor(clips)).numpy()


@pytest.fixture(autouse=True)
def seeded():
    paddle.seed(1)


@pytest.fixture(scope="module", params=networks.names())
def trained(request, randomised):
    paddle.seed(1)
    network = randomised(networks.build(narrow(request.param)))
    clips = (
        np.random.default_rng(0).standard_normal((8, *network.spec.input_shape)).astype("float32")
    )
    return network, clips, logits_of(network, clips)


def test_every_network_is_in_the_sweep():
    assert set(NARROW) == set(networks.names())


def test_every_weight_that_learns_gets_a_gradient(trained, randomised):
    network = randomised(networks.build(trained[0].spec))
    network.train()
    loss = paddle.nn.functional.cross_entropy(
        network(paddle.to_tensor(trained[1])), paddle.to_tensor(np.arange(8) % 3)
    )
    loss.backward()
    learning = {name: one for name, one in network.named_parameters() if not one.stop_gradient}
    assert np.isfinite(float(loss)) and learning
    assert not [
        name
        for name, one in learning.items()
        if one.grad is None or not float(one.grad.abs().max()) > 0
    ]


def test_any_block_may_go_and_the_network_still_builds(trained):
    spec = trained[0].spec
    for block in spec.blocks:
        smaller = networks.module(spec.network).drop_blocks(spec, (block.id,))
        network = networks.build(smaller)
        network.eval()
        assert logits_of(network, trained[1][:1]).shape == (1, 3)
        assert networks.macs(smaller) != networks.macs(spec) and networks.parameters(
            smaller
        ) != networks.parameters(spec)
        assert block.id not in {name.split(".")[0] for name in networks.state_of(network)}
    with pytest.raises(RecipeError, match=rf"prune_layers.drop: {spec.network} has no block 'zz'"):
        networks.module(spec.network).drop_blocks(spec, ("zz",))


def test_spec_and_weights_survive_a_file(trained, tmp_path):
    network, clips, expected = trained
    assert (
        from_json(type(network.spec), json.loads(json.dumps(dataclasses.asdict(network.spec))))
        == network.spec
    )
    checkpoints.save(tmp_path / "net.npz", network)
    assert np.array_equal(logits_of(checkpoints.load(tmp_path / "net.npz"), clips), expected)


def test_the_flat_network_computes_the_same(trained):
    network, clips, expected = trained
    assert verify.difference(logits_of(flatten(network), clips), expected)["max_rel_diff"] < 1e-5


def test_both_runtimes_agree_at_any_batch_size(trained, tmp_path):
    network, clips, expected = trained
    package.build(network, tmp_path, ("paddle", "onnx"), {}, clips, expected)
    for kind, predict in deployed.predictors(tmp_path, deployed.read(tmp_path)).items():
        for batch in (1, 8):
            found = verify.difference(predict(clips[:batch]), expected[:batch])
            assert found["agreement"] == 1.0 and found["max_rel_diff"] <= 1e-5, (kind, batch, found)


def test_parameters_are_those_of_the_weights_plus_absorbed_biases(trained):
    """Counted on the published form: never fewer than the network has, and a bias a channel more at
    most."""
    network = trained[0]
    own = sum(int(np.prod(one.shape)) for one in network.parameters() if not one.stop_gradient)
    assert own <= networks.parameters(network.spec) <= 1.2 * own


# An ensemble of narrow networks is nobody's publication.
@pytest.mark.parametrize("name", sorted(set(networks.names()) - {"ensemble"}))
def test_published_size_on_ntu(name):
    parameters = {
        "ctrgcn": 1_446_672,
        "ctrgcn_light_v1": 1_024_110,
        "ctrgcn_light_v2": 1_117_782,
        "stgcn": 3_098_832,
        "stgcnpp": 1_403_144,
        "efficientgcn": 306_201,
    }
    frames = {"efficientgcn": 288, "stgcn": 300, "stgcnpp": 100}.get(name, 64)
    assert (
        networks.parameters(
            networks.module(name).default_spec(60, NTU_25, frames, 2, CHANNELS.get(name, 3))
        )
        == parameters[name]
    )
