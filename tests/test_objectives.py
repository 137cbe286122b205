"""Losses: exact values worked out by hand or in numpy."""

import numpy as np
import paddle
import pytest

from compress.training import objectives
from compress.training.settings import Config, Dml, Focal, Kd

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


# The logit of a class above two others at zero: probabilities from 1 - 2e-26, which float32 rounds
# to 1, down to 3e-27. Paddle 2.6.2's log_softmax ends at exp(-64), 1.6e-28, on a CPU.
LOGITS = [60.0, 40.0, 20.0, 17.5, 17.0, 16.5, 15.0, 10.0, 5.0, 1.0, 0.0, -5.0, -20.0, -60.0]


def focal_in_numpy(logits, labels, weights, gamma):
    """(losses, gradients by the logits) of each clip alone, in float64."""
    largest = logits.max(1, keepdims=True)
    log_p = logits - largest - np.log(np.exp(logits - largest).sum(1, keepdims=True))
    p = np.exp(log_p)
    # 1 - p as the sum of the others: exact where p rounds to 1
    doubt = np.empty_like(p)
    for k in range(p.shape[1]):
        doubt[:, k] = np.delete(p, k, axis=1).sum(1)
    losses = -(weights * labels * doubt**gamma * log_p).sum(1)
    # d/d log p_k of -(1 - p_k)^gamma log p_k; then log p_k by the logits is (one_k - p)
    slopes = weights * labels * (gamma * doubt ** (gamma - 1) * p * log_p - doubt**gamma)
    return losses, slopes - p * slopes.sum(1, keepdims=True)


@pytest.mark.parametrize("gamma", [0.0, 0.01, 0.1, 0.5, 0.99, 1.0, 1.5, 2.0, 5.0, 50.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_focal_loss_and_its_gradient_are_right_from_certain_to_impossible(gamma, smoothing):
    logits = np.array([[value, 0.0, 0.0] for value in LOGITS])
    labels = np.array([[1.0, 0.0, 0.0]] * len(LOGITS)) * (1 - smoothing) + smoothing / 3
    weights = np.array([0.5, 2.0, 1.0])
    losses, gradients = focal_in_numpy(logits, labels, weights, gamma)
    for index in range(len(LOGITS)):
        x = paddle.to_tensor(logits[[index]].astype("float32"), stop_gradient=False)
        y = paddle.to_tensor(labels[[index]].astype("float32"))
        loss = objectives.focal(x, y, paddle.to_tensor(weights.astype("float32")), gamma)
        loss.backward()
        np.testing.assert_allclose(float(loss), losses[index], rtol=2e-4, atol=1e-6)
        np.testing.assert_allclose(x.grad.numpy()[0], gradients[index], rtol=2e-4, atol=1e-6)


def test_balanced_weights_are_those_of_scikit_learn():
    # compute_class_weight("balanced") of labels with 6, 3 and 1 clips; a class without clips has no
    # row there.
    weights = objectives.balanced_weights(np.array([6, 0, 3, 1]))
    np.testing.assert_allclose(weights, [10 / 18, 0, 10 / 9, 10 / 3], rtol=1e-6)


COUNTS = np.array([6, 3, 1])


@pytest.mark.parametrize(
    "keys, weights",
    [
        ({"class_weights": "balanced"}, [10 / 18, 10 / 9, 10 / 3]),
        ({"class_weights": (1.0, 0.0, 4.0)}, [1, 0, 4]),
        ({"class_weights": (1.0, 0.0, 4.0), "focal": Focal(0.0, 0.0)}, [1, 0, 4]),
    ],
)
def test_class_weights_multiply_the_loss_on_labels(keys, weights):
    logits, labels = tensors()
    loss, parts = objectives.build(Config(epochs=1, lr=0.1, **keys), counts=COUNTS)(logits, labels)
    expected = -(np.array(weights) * Y * np.log(softmax(S))).sum(1).mean()
    assert abs(float(loss) - expected) < 1e-5
    assert set(parts) == {"focal" if "focal" in keys else "ce"}


def test_class_weights_count_for_a_teacher_that_learns_too():
    config = Config(epochs=1, lr=0.1, dml=Dml(1.0, freeze_teacher=False), class_weights=(1, 0, 4))
    _, parts = objectives.build(config, counts=COUNTS)(*tensors())
    expected = -(np.array([1, 0, 4]) * Y * np.log(softmax(T))).sum(1).mean()
    assert abs(float(parts["teacher_ce"]) - expected) < 1e-5


def test_equal_weights_are_no_weights():
    config = Config(epochs=1, lr=0.1, class_weights="balanced")
    loss, _ = objectives.build(config, counts=np.array([4, 4, 4]))(*tensors())
    plain, _ = objectives.build(Config(epochs=1, lr=0.1))(*tensors())
    assert float(loss) == float(plain)


@pytest.mark.parametrize(
    "keys, message",
    [
        ({"class_weights": (1.0, -1.0)}, "class_weights: must not be negative"),
        ({"class_weights": (1.0, float("nan"))}, "class_weights: must not be negative"),
        ({"class_weights": (0.0, 0.0)}, "class_weights: at least one must be above 0"),
        ({"class_weights": ()}, "class_weights: at least one must be above 0"),
        ({"class_weights": "balanced", "focal": Focal()}, "`focal` weighs the classes already"),
    ],
)
def test_class_weights_that_mean_nothing_are_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        Config(epochs=1, lr=0.1, **keys)
