"""The average of weights in one update, and what a gradient scaler leaves behind."""

import warnings

import numpy as np
import paddle
import pytest

from compress.training import checkpoint
from compress.training.average import Average
from compress.training.settings import Config
from compress.training.trainer import Trainer
from teachers import networks
from teachers.weights import identity
from tests.test_fit import job


def test_one_update_is_the_update_of_every_tensor(tiny_spec, randomised):
    learner = networks.build(tiny_spec)
    fixed = {"fc.bias"}
    average = Average(learner, 0.9, fixed)
    expected = networks.state_of(learner)
    for seed in (1, 2, 3):
        randomised(learner, seed)
        average.follow()
        if seed == 2:
            # Looked at in between, as a validation does
            assert average.network.spec == tiny_spec
        for name, value in networks.state_of(learner).items():
            if name not in fixed:
                old, new = paddle.to_tensor(expected[name]), paddle.to_tensor(value)
                expected[name] = (old * 0.9 + new * (1.0 - 0.9)).numpy()
    found = networks.state_of(average.network)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


@pytest.fixture
def scaler(monkeypatch):
    """Paddle's own scaler, as on a GPU: on a CPU it switches itself off."""
    from paddle.amp import grad_scaler

    class Place:
        def is_gpu_place(self):
            return True

    class Tracer:
        _expected_place = Place()

    with monkeypatch.context() as patch:
        patch.setattr(grad_scaler, "_dygraph_tracer", Tracer)
        made = [paddle.amp.GradScaler(init_loss_scaling=1024.0) for _ in range(2)]
    assert all(one.is_enable() for one in made)
    return made


def test_a_scaler_resumes_where_it_was(scaler, tiny_spec, tmp_path):
    before, after = scaler
    before._scale = paddle.to_tensor([256.0])
    before._incr_count = 7
    nets = {"student": networks.build(tiny_spec)}
    optimizer = paddle.optimizer.Momentum(0.1, parameters=nets["student"].parameters())
    settings = identity.of(["x"])
    path = tmp_path / "state.npz"
    checkpoint.save(path, checkpoint.Progress(1), nets, optimizer, before, settings)
    checkpoint.restore(path, nets, optimizer, after, settings)
    assert after.state_dict()["scale"].tolist() == [256.0] and after._incr_count == 7
    assert after.state_dict()["use_dynamic_loss_scaling"] is True


def test_an_overflow_is_skipped(scaler, tiny_dataset, tiny_view, tiny_spec, tmp_path):
    """Gradients that overflow, and a loss that does: neither moves weights nor statistics."""
    config = Config(epochs=1, lr=0.05, batch_size=8)
    one, _ = job(config, tiny_dataset, tiny_view, tiny_spec, tmp_path)
    trainer = Trainer(one)
    trainer.scaler = scaler[0]
    # Of a CPU without half precision, Paddle's scaler would find nothing to scale and end itself
    trainer.scaler.scale = lambda loss: loss * trainer.scaler._scale
    trainer.teach(checkpoint.Progress())
    network = one.networks["student"]
    network.train()
    labels = paddle.full([4, 3], 1 / 3)
    good = paddle.to_tensor(np.stack(tiny_dataset.train.clips[:4]))
    before = networks.state_of(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.step({"tiny view": good * float("inf")}, labels, 0.05)
    found = networks.state_of(network)
    for name, value in before.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert trainer.scaler.state_dict()["scale"].tolist() == [512.0]
    losses, _ = trainer.step({"tiny view": good}, labels, 0.05)
    assert np.isfinite(float(losses["loss"]))
    assert any((networks.state_of(network)[name] != before[name]).any() for name in before)
