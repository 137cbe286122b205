"""AdamW and stochastic depth: what they do, and that a killed training resumes exactly."""

from dataclasses import replace

import numpy as np
import paddle
import pytest
from test_fit import equal, job, state

from compress.training import checkpoint, fit as loop, optimizer, stochastic_depth
from compress.training.settings import Config
from teachers import efficientgcn, networks, stgcnpp
from teachers.layers import Residual
from teachers.weights import identity

PLAIN = Config(epochs=2, lr=0.05, batch_size=8)
ADAMW = replace(PLAIN, optimizer="adamw", lr=0.002, weight_decay=0.1)
DEEP = replace(PLAIN, drop_path=0.5)


@pytest.fixture
def tiny_job(tiny_dataset, tiny_spec, tiny_view, tmp_path):
    """(config, folder) -> a job on the tiny data."""
    return lambda config, folder=tmp_path: job(config, tiny_dataset, tiny_view, tiny_spec, folder)[
        0
    ]


def test_adamw_does_what_its_paper_says():
    """Loshchilov and Hutter, arXiv 1711.05101, algorithm 2, in float64."""
    value = np.array([1.0, -2.0, 0.5])
    parameter = paddle.create_parameter([3], "float32")
    parameter.set_value(value.astype("float32"))
    adamw = optimizer.build(ADAMW, [parameter])
    first, second = np.zeros(3), np.zeros(3)
    for step in (1, 2, 3):
        (parameter**3).sum().backward()
        gradient = 3 * value**2
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        value = value - 0.002 * 0.1 * value
        mean, spread = first / (1 - 0.9**step), second / (1 - 0.999**step)
        value = value - 0.002 * mean / (np.sqrt(spread) + 1e-8)
        adamw.step()
        adamw.clear_grad()
    assert np.allclose(parameter.numpy(), value, rtol=1e-5)


@pytest.mark.parametrize("config", [ADAMW, DEEP, replace(ADAMW, drop_path=0.3)])
def test_a_killed_training_resumes_bit_for_bit(config, tiny_job, tmp_path, monkeypatch):
    whole = tiny_job(config, tmp_path / "whole")
    loop.fit(whole)
    killed = tiny_job(config, tmp_path / "killed")
    save = checkpoint.save

    def dies(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", dies)
        with pytest.raises(KeyboardInterrupt):
            loop.fit(killed)
    resumed = tiny_job(config, tmp_path / "killed")
    loop.fit(resumed)
    assert equal(state(resumed.networks["student"]), state(whole.networks["student"]))
    plain = tiny_job(PLAIN, tmp_path / "plain")
    loop.fit(plain)
    assert not equal(state(plain.networks["student"]), state(whole.networks["student"]))


@pytest.mark.parametrize("network", [stgcnpp, efficientgcn])
def test_every_family_has_blocks_that_can_be_passed(network, tiny_spec):
    spec = network.default_spec(3, tiny_spec.skeleton, 8, 1, 6 if network is efficientgcn else 3)
    built = networks.build(spec)
    with stochastic_depth.applied(built, 0.5):
        rates = [one.drop_path for one in built.sublayers() if isinstance(one, Residual)]
        # Layers in front of the blocks, such as EfficientGCN's stems, keep every sample.
        passed = [rate for rate in rates if rate]
        assert sorted(rates) == rates
        assert max(passed) == 0.5 and min(passed) < 0.5
    assert all(one.drop_path == 0 for one in built.sublayers() if isinstance(one, Residual))


def test_a_sample_is_passed_whole_and_the_mean_stays():
    layer = Residual()
    layer.drop_path = 0.25
    paddle.seed(0)
    y = layer.added(paddle.ones([4000, 2, 3, 1])).numpy()
    each = y[:, 0, 0, 0]
    assert (y == each[:, None, None, None]).all()
    assert np.allclose(np.unique(each), [0, 4 / 3])
    assert abs(each.mean() - 1) < 0.05
    layer.eval()
    assert (layer.added(paddle.ones([8, 2, 3, 1])) == 1).all()


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"optimizer": "adamw", "momentum": 0.8}, "momentum: only for `optimizer: sgd`"),
        ({"drop_path": 1.0}, "drop_path: is a probability"),
    ],
)
def test_impossible_settings_are_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        replace(PLAIN, **keys)


def test_what_is_off_changes_no_identity():
    off = replace(PLAIN, optimizer="sgd", drop_path=0.0)
    assert identity.of([PLAIN]) == identity.of([off])
    assert len({identity.of([one]).key for one in (PLAIN, ADAMW, DEEP)}) == 3
