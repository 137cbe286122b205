"""Learning rates: exact values at the ends and in between."""

import math
from dataclasses import replace

import pytest

from compress.training.schedule import learning_rate
from compress.training.settings import AutoScaleLr, Config
from teachers.weights import identity

COSINE = Config(epochs=100, lr=0.01, warmup_epochs=10, warmup_lr=0.005)


def test_warmup_is_linear_per_iteration():
    assert math.isclose(learning_rate(COSINE, 0, 20), 0.005 + 0.005 / 200)
    assert math.isclose(learning_rate(COSINE, 99, 20), 0.0075)
    assert math.isclose(learning_rate(COSINE, 199, 20), 0.01)


def test_cosine_follows_the_whole_length():
    assert math.isclose(learning_rate(COSINE, 50 * 20, 20), 0.005)
    assert learning_rate(COSINE, 100 * 20 - 1, 20) < 1e-8


def test_cosine_after_the_warmup_starts_at_the_rate():
    config = replace(COSINE, schedule="cosine_after_warmup")
    assert math.isclose(learning_rate(config, 199, 20), 0.01)
    assert learning_rate(config, 200, 20) == 0.01 > learning_rate(COSINE, 200, 20)
    assert math.isclose(learning_rate(config, 55 * 20, 20), 0.005)
    assert 0 < learning_rate(config, 100 * 20 - 1, 20) < 1e-8
    # Without a warm-up there is one cosine
    bare = replace(COSINE, warmup_epochs=0)
    late = replace(bare, schedule="cosine_after_warmup")
    assert learning_rate(late, 700, 20) == learning_rate(bare, 700, 20)


def test_a_training_may_be_all_warmup():
    config = replace(COSINE, schedule="cosine_after_warmup", warmup_epochs=100)
    assert math.isclose(learning_rate(config, 100 * 20 - 1, 20), 0.01)


def test_steps_fall_at_the_milestones():
    config = Config(epochs=65, lr=0.1, schedule="step", milestones=(35, 55), warmup_epochs=5)
    assert math.isclose(learning_rate(config, 34 * 10 + 9, 10), 0.1)
    assert math.isclose(learning_rate(config, 35 * 10, 10), 0.01)
    assert math.isclose(learning_rate(config, 55 * 10, 10), 0.001)
    assert math.isclose(learning_rate(config, 0, 10), 0.1 / 50)


@pytest.mark.parametrize("batch, base, factor", [(16, 64, 0.25), (64, 64, 1), (128, 32, 4)])
def test_auto_scale_lr_scales_the_whole_curve(batch, base, factor):
    plain = replace(COSINE, batch_size=batch)
    scaled = replace(plain, auto_scale_lr=AutoScaleLr(base))
    for step in (0, 99, 199, 50 * 20, 100 * 20 - 1):
        assert math.isclose(
            learning_rate(scaled, step, 20), factor * learning_rate(plain, step, 20)
        )


def test_auto_scale_lr_changes_no_identity_where_it_is_off():
    assert "auto_scale_lr" not in identity.canonical(COSINE)
    # By which older releases knew a training.
    assert "auto_scale_lr" not in repr(COSINE)
    scaled = replace(COSINE, auto_scale_lr=AutoScaleLr(64))
    assert identity.of([scaled]).key != identity.of([COSINE]).key
    assert identity.of([scaled]).legacy is None and identity.of([COSINE]).legacy is not None
    with pytest.raises(ValueError, match="base_batch: must be at least 1"):
        AutoScaleLr(0)
