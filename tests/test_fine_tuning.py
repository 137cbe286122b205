"""Fine-tuning: what stays, how fast the rest learns, when it stops."""

from dataclasses import replace

import numpy as np
import paddle
import pytest
from test_fit import equal, job, state

from compress import task
from compress.recipe import trainings
from compress.recipe.types import Step
from compress.steps import qat
from compress.training import fine_tuning, fit as loop, schedule
from compress.training.settings import Config
from teachers import networks
from teachers.errors import RecipeError

PLAIN = Config(epochs=1, lr=0.05, batch_size=8)
BLOCKS = ("l1", "l4", "l5", "l8")


@pytest.fixture
def tiny_job(tiny_dataset, tiny_spec, tiny_view, tmp_path):
    """(config, folder) -> a job on the tiny data."""
    return lambda config, folder=tmp_path: job(config, tiny_dataset, tiny_view, tiny_spec, folder)[
        0
    ]


def moved(config, tiny_job, folder):
    """Names of the tensors whose bytes a training changes."""
    work = tiny_job(config, folder)
    network = work.networks["student"]
    before = state(network)
    loop.fit(work)
    after = state(network)
    return {name for name in before if before[name].tobytes() != after[name].tobytes()}


@pytest.mark.parametrize("ema", [None, 0.9])
def test_frozen_blocks_keep_every_byte_batchnorm_included(ema, tiny_job, tmp_path):
    config = replace(PLAIN, freeze=("data_bn", "l1", "l5"), ema=ema)
    changed = {name.split(".")[0] for name in moved(config, tiny_job, tmp_path)}
    assert changed == {"l4", "l8", "fc"}


@pytest.mark.parametrize("ema", [None, 0.9])
def test_frozen_statistics_stay_while_scale_and_shift_learn(ema, tiny_job, tmp_path):
    changed = moved(replace(PLAIN, frozen_norm=True, ema=ema), tiny_job, tmp_path)
    ends = {name.rpartition(".")[2] for name in changed}
    assert not ends & {"_mean", "_variance"}
    assert "data_bn.weight" in changed and "l8.temporal.bn.bias" in changed


def test_the_next_training_begins_without_what_was_frozen(tiny_job, tmp_path):
    work = tiny_job(replace(PLAIN, freeze=BLOCKS, rate_decay=0.5))
    network = work.networks["student"]
    loop.fit(work)
    assert not any(parameter.stop_gradient for parameter in network.parameters())
    assert {each.optimize_attr["learning_rate"] for each in network.parameters()} == {1.0}


def test_a_frozen_training_resumes_bit_for_bit(tiny_job, tmp_path, monkeypatch):
    config = replace(PLAIN, epochs=2, freeze=("l1",), rate_decay=0.5, frozen_norm=True, ema=0.9)
    whole = tiny_job(config, tmp_path / "whole")
    loop.fit(whole)
    cut = tiny_job(config, tmp_path / "cut")
    original = loop.run_epoch

    def stops_in_the_second_epoch(trainer, epoch):
        if epoch == 1:
            raise KeyboardInterrupt
        return original(trainer, epoch)

    monkeypatch.setattr(loop, "run_epoch", stops_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        loop.fit(cut)
    monkeypatch.setattr(loop, "run_epoch", original)
    again = tiny_job(config, tmp_path / "cut")
    loop.fit(again)
    assert equal(state(whole.networks["student"]), state(again.networks["student"]))


def test_rates_fall_towards_the_input(tiny_job, tiny_spec):
    network = networks.build(tiny_spec)
    assert fine_tuning.rates(network, 0.5) == {
        "data_bn": 1 / 16,
        "l1": 1 / 16,
        "l4": 1 / 8,
        "l5": 1 / 4,
        "l8": 1 / 2,
        "fc": 1.0,
    }


def test_a_step_moves_each_block_at_its_rate(tiny_spec):
    """Plain gradient descent: the first step is rate times gradient."""
    paddle.seed(1)
    network = networks.build(tiny_spec)
    config = replace(PLAIN, rate_decay=0.5)
    before = state(network)
    x = paddle.rand([2, *tiny_spec.input_shape])
    with fine_tuning.applied(network, config):
        optimizer = paddle.optimizer.Momentum(0.1, 0.0, parameters=network.parameters())
        network(x).square().sum().backward()
        gradients = {name: each.grad.numpy() for name, each in network.named_parameters()}
        optimizer.step()
    after = state(network)
    for name, factor in (("fc.weight", 1.0), ("l8.temporal.near.weight", 0.5)):
        np.testing.assert_allclose(
            before[name] - after[name], 0.1 * factor * gradients[name], rtol=1e-2, atol=1e-6
        )
    assert np.abs(gradients["l8.temporal.near.weight"]).max() > 1e-3


@pytest.mark.parametrize(
    "reached, start, patience, stopped",
    [
        ([], None, 1, False),
        ([50, 60, 60], None, 2, False),
        ([50, 60, 60, 60], None, 2, True),
        ([100, 100, 100], None, 2, True),
        ([50, 40], 60.0, 2, True),
        ([50, 70], 60.0, 2, False),
        ([50, 40, 30, 20], None, None, False),
    ],
)
def test_patience_counts_epochs_since_the_last_better_one(reached, start, patience, stopped):
    config = replace(PLAIN, epochs=9, patience=patience)
    assert schedule.stopped(config, reached, start) == stopped


def test_a_training_stops_early_and_stays_stopped(tiny_job, tmp_path, monkeypatch):
    tops = iter([40.0, 60.0, 50.0, 60.0, 70.0])
    validate = loop._validate

    def scripted(trainer):
        measured, logits = validate(trainer)
        return measured | {"student/top1": next(tops)}, logits

    monkeypatch.setattr(loop, "_validate", scripted)
    config = replace(PLAIN, epochs=5, patience=2)
    progress = loop.fit(tiny_job(config))
    # A tie is no better, yet the later of two equal ones is kept.
    assert (len(progress.history), progress.best_epoch) == (4, 4)
    again = loop.fit(tiny_job(config))
    assert len(again.history) == 4 and next(tops) == 70.0


def test_epochs_follow_from_iterations():
    config = Config(iterations=600, lr=0.1, batch_size=16, warmup_epochs=2)
    few = config.for_clips(50)
    assert (few.epochs, few.iterations, few.warmup_epochs) == (150, None, 2)
    assert config.for_clips(500).epochs == 19
    many = config.for_clips(100_000)
    assert (many.epochs, many.warmup_epochs) == (1, 0.5)
    assert PLAIN.for_clips(50) is PLAIN
    # As if the epochs had been written: the same training has one identity.
    assert few == Config(epochs=150, lr=0.1, batch_size=16, warmup_epochs=2)


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"lr": 0.1}, "epochs: must be at least 1 .or give `iterations`"),
        ({"lr": 0.1, "epochs": 3, "iterations": 9}, "iterations: `epochs` says how long already"),
        ({"lr": 0.1, "iterations": 0}, "iterations: must be at least 1"),
        ({"lr": 0.1, "epochs": 3, "patience": 0}, "patience: must be at least 1"),
        ({"lr": 0.1, "epochs": 3, "rate_decay": 0.0}, "rate_decay: must be above 0"),
        ({"lr": 0.1, "epochs": 3, "rate_decay": 1.5}, "rate_decay: must be above 0"),
    ],
)
def test_impossible_settings_are_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        Config(**keys)


def test_every_training_of_a_recipe_gets_its_epochs():
    for config, found in (
        (Config(iterations=10, lr=0.1), lambda config: config),
        (qat.Config(train=Config(iterations=10, lr=0.1)), lambda config: config.train),
    ):
        training = trainings.of(Step("any", config))
        assert training is found(config)
        assert found(trainings._with(config, training.for_clips(160))).epochs == 1
    assert trainings.of(Step("ptq", object())) is None


@pytest.mark.parametrize(
    "freeze, fresh, message",
    [
        (("l2",), False, r"ctrgcn has no part 'l2' \(it has data_bn, l1, l4, l5, l8, fc\)"),
        (("data_bn", *BLOCKS, "fc"), False, "names every part"),
        (("l1",), True, "these weights are fresh"),
    ],
)
def test_what_cannot_be_frozen_is_said_before_the_work(freeze, fresh, message, tiny_spec):
    with pytest.raises(RecipeError, match=rf"teacher.train.freeze: {message}"):
        task.check_freeze("teacher.train", replace(PLAIN, freeze=freeze), tiny_spec, fresh)


@pytest.mark.parametrize("keys", [{"freeze": ("l1",)}, {"frozen_norm": True}, {"rate_decay": 0.5}])
def test_a_rounded_training_has_no_blocks_to_freeze(keys):
    with pytest.raises(ValueError, match=r"train\.\w+: only in a `train` step"):
        qat.Config(train=replace(PLAIN, **keys))
