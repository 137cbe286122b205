"""Mixup and soft labels: exact values."""

import numpy as np
import paddle

from compress.training import mixup, objectives


def test_blends_inputs_and_labels_with_one_lambda():
    x = paddle.to_tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    y = mixup.soft_labels(paddle.to_tensor([0, 1, 2]), 3)
    mixed_x, mixed_y = (mixup.blend(one, 0.75, paddle.to_tensor([2, 0, 1])) for one in (x, y))
    np.testing.assert_allclose(mixed_x.numpy(), [[2.0, 3.0], [2.5, 3.5], [4.5, 5.5]])
    np.testing.assert_allclose(mixed_y.numpy(), [[0.75, 0, 0.25], [0.25, 0.75, 0], [0, 0.25, 0.75]])


def test_cross_entropy_on_the_blend_is_the_blend_of_cross_entropies():
    generator = np.random.default_rng(0)
    logits = paddle.to_tensor(generator.normal(size=(4, 5)).astype("float32"))
    labels, permutation, lam = np.array([0, 3, 2, 1]), np.array([1, 0, 3, 2]), 0.3
    one_hot = mixup.soft_labels(paddle.to_tensor(labels), 5)
    mixed = mixup.blend(one_hot, lam, paddle.to_tensor(permutation))
    log_p = np.log(np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(1, keepdims=True))
    rows = np.arange(4)
    expected = -(lam * log_p[rows, labels] + (1 - lam) * log_p[rows, labels[permutation]]).mean()
    assert abs(float(objectives.cross_entropy(logits, mixed)) - expected) < 1e-6


def test_draw_is_reproducible_and_beta_distributed():
    first, second = (mixup.draw(0.5, 6, np.random.default_rng(4)) for _ in range(2))
    assert first[0] == second[0] and np.array_equal(first[1], second[1])
    assert sorted(first[1]) == list(range(6))
    generator = np.random.default_rng(0)
    lams = np.array([mixup.draw(0.5, 2, generator)[0] for _ in range(4000)])
    assert (
        abs(lams.mean() - 0.5) < 0.02 and abs(lams.var() - 0.125) < 0.01
    )  # Beta(a, a): variance 1 / (4 (2a + 1))


def test_label_smoothing_spreads_over_all_classes():
    np.testing.assert_allclose(
        mixup.soft_labels(paddle.to_tensor([1]), 4, 0.2).numpy(),
        [[0.05, 0.85, 0.05, 0.05]],
        atol=1e-7,
    )
