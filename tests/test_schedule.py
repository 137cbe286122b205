"""Learning rates: exact values at the ends and in between."""

import math

from compress.training.schedule import learning_rate
from compress.training.settings import Config

COSINE = Config(epochs=100, lr=0.01, warmup_epochs=10, warmup_lr=0.005)


def test_warmup_is_linear_per_iteration():
    assert math.isclose(learning_rate(COSINE, 0, 20), 0.005 + 0.005 / 200)
    assert math.isclose(learning_rate(COSINE, 99, 20), 0.0075)
    assert math.isclose(learning_rate(COSINE, 199, 20), 0.01)


def test_cosine_follows_the_whole_length():
    assert math.isclose(learning_rate(COSINE, 50 * 20, 20), 0.005)
    assert learning_rate(COSINE, 100 * 20 - 1, 20) < 1e-8


def test_steps_fall_at_the_milestones():
    config = Config(epochs=65, lr=0.1, schedule="step", milestones=(35, 55), warmup_epochs=5)
    assert math.isclose(learning_rate(config, 34 * 10 + 9, 10), 0.1)
    assert math.isclose(learning_rate(config, 35 * 10, 10), 0.01)
    assert math.isclose(learning_rate(config, 55 * 10, 10), 0.001)
    assert math.isclose(learning_rate(config, 0, 10), 0.1 / 50)
