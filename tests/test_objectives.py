"""Losses: exact values worked out by hand or in numpy."""

import numpy as np
import paddle
import pytest

from compress.training import objectives
from compress.training.settings import Config, Dml, Kd

S = np.array([[1.0, 0.0, -1.0], [0.5, 0.5, 2.0]], dtype="float32")
T = np.array([[0.0, 2.0, 0.0], [1.0, -1.0, 1.0]], dtype="float32")
Y = np.array([[1, 0, 0], [0, 0.5, 0.5]], dtype="float32")


def softmax(x):
    return np.exp(x) / np.exp(x).sum(1, keepdims=True)


def numpy_kl(target, own):
    p, q = softmax(target), softmax(own)
    return (p * np.log(p / q)).sum(1).mean()


def tensors():
    return {
        "student": paddle.to_tensor(S, stop_gradient=False),
        "teacher": paddle.to_tensor(T, stop_gradient=False),
    }, paddle.to_tensor(Y)


def test_cross_entropy_by_hand():
    logits = paddle.to_tensor([[np.log(3.0), 0.0]], dtype="float32")
    assert (
        abs(float(objectives.cross_entropy(logits, paddle.to_tensor([[1.0, 0.0]]))) - np.log(4 / 3))
        < 1e-6
    )


def test_kl_is_directed_and_batch_meaned():
    a, b = paddle.to_tensor(T), paddle.to_tensor(S)
    assert abs(float(objectives.kl(a, b)) - numpy_kl(T, S)) < 1e-6
    assert abs(float(objectives.kl(b, a)) - numpy_kl(S, T)) < 1e-6
    assert abs(float(objectives.kl(a, a))) < 1e-7


def test_dml_is_half_the_sum_of_both_directions():
    value = float(objectives.dml(paddle.to_tensor(S), paddle.to_tensor(T)))
    assert abs(value - 0.5 * (numpy_kl(T, S) + numpy_kl(S, T))) < 1e-6


def test_kd_scales_with_the_squared_temperature():
    value = float(objectives.kd(paddle.to_tensor(S), paddle.to_tensor(T), 4.0))
    assert abs(value - 16 * numpy_kl(T / 4, S / 4)) < 1e-5


@pytest.mark.parametrize(
    "config, expected",
    [
        (Config(epochs=1, lr=0.1), {"ce"}),
        (Config(epochs=1, lr=0.1, dml=Dml(2.0)), {"ce", "dml"}),
        (Config(epochs=1, lr=0.1, dml=Dml(2.0, freeze_teacher=False)), {"ce", "dml", "teacher_ce"}),
        (Config(epochs=1, lr=0.1, kd=Kd(0.5, 2.0)), {"ce", "kd"}),
    ],
)
def test_objective_is_the_weighted_sum_of_its_parts(config, expected):
    logits, labels = tensors()
    loss, parts = objectives.build(config)(logits, labels)
    assert set(parts) == expected
    weights = {"ce": 1.0, "teacher_ce": 1.0, "dml": 2.0, "kd": 0.5}
    assert (
        abs(float(loss) - sum(weights[name] * float(part) for name, part in parts.items())) < 1e-5
    )
    loss.backward()
    assert logits["student"].grad is not None


def test_focal_loss_by_hand():
    logits, labels = np.array([[2.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.3, 0.7]])
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    weights, gamma = np.array([0.5, 1.5]), 2.0
    expected = -(weights * labels * (1 - p) ** gamma * np.log(p)).sum(1).mean()
    found = objectives.focal(
        paddle.to_tensor(logits), paddle.to_tensor(labels), paddle.to_tensor(weights), gamma
    )
    assert abs(float(found) - expected) < 1e-9


def test_focal_loss_without_weights_and_gamma_is_cross_entropy():
    generator = np.random.default_rng(0)
    logits = paddle.to_tensor(generator.normal(size=(5, 4)).astype("float32"))
    labels = paddle.to_tensor(generator.dirichlet(np.ones(4), 5).astype("float32"))
    found = objectives.focal(logits, labels, paddle.ones([4]), 0.0)
    assert abs(float(found) - float(objectives.cross_entropy(logits, labels))) < 1e-6


def test_class_weights_follow_the_effective_number_of_clips():
    weights = objectives.class_weights(np.array([1, 10, 0, 1000]), 0.99)
    raw = [(1 - 0.99) / (1 - 0.99**n) for n in (1, 10, 1000)]
    np.testing.assert_allclose(weights[[0, 1, 3]], np.array(raw) / np.mean(raw), rtol=1e-6)
    assert weights[2] == 0
    np.testing.assert_allclose(objectives.class_weights(np.array([3, 50]), 0.0), [1, 1])
