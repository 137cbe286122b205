"""Losses on logits (N, K). An objective maps the logits of every network to a loss and its named
parts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
from paddle.nn import functional as F

from compress.data.dataset import Dataset
from compress.training.settings import Config

# The least 1 - p of a float32 probability that is not 1 is 6e-8.
SUREST = 1e-8
Logits = dict[str, paddle.Tensor]
Objective = Callable[[Logits, paddle.Tensor], tuple[paddle.Tensor, dict[str, paddle.Tensor]]]


def cross_entropy(logits, labels, weights=None):
    """Cross-entropy with soft labels (N, K), batch mean.

    Args:
        weights: (K,) of a recipe's `class_weights`; None: every class counts the same.
    """
    weighed = labels if weights is None else weights * labels
    # The mean of clips, not divided by the batch's weights: in a small batch that would take from a
    # rare class what its weight gives.
    return -(weighed * F.log_softmax(logits, axis=1)).sum(1).mean()


def focal(logits, labels, weights, gamma: float):
    """Class-balanced focal loss, -sum_k w_k y_k (1 - p_k)^gamma log p_k with p = softmax, batch
    mean; soft labels (N, K). Value and gradient are finite for every gamma >= 0.

    Args:
        weights: (K,) of `class_weights`.
    """
    # 0 * log 0 in the gradient of a power; without the power it is plain cross-entropy.
    if gamma == 0:
        return cross_entropy(logits, labels, weights)
    # By log_softmax: the softmax of a very unlikely class rounds to zero, which has no logarithm.
    log_p = F.log_softmax(logits, axis=1)
    # For gamma < 1 the power's slope has no bound at p = 1, and there a probability rounds to once
    # the network is sure. The loss itself is flat there, so what is clipped has no gradient to lose.
    doubt = (1.0 - log_p.exp()).clip(min=SUREST)
    return -(weights * labels * doubt**gamma * log_p).sum(1).mean()


def class_weights(counts: np.ndarray, beta: float) -> np.ndarray:
    """(K,) float32, (1 - beta) / (1 - beta^n) of a class with n clips (Cui et al., arXiv
    1901.05555, eq. 10), scaled to a mean of one over the classes that occur; a class without clips
    weighs nothing."""
    # float64: beta is close to one, and 1 - beta^n of small n cancels most digits.
    counts = np.asarray(counts, dtype="float64")
    present = counts > 0
    # The inner `where` keeps 0 / 0 out of the branch that the outer one drops, but evaluates.
    raw = np.where(present, (1.0 - beta) / np.where(present, 1.0 - beta**counts, 1.0), 0.0)
    # A mean of one keeps the size of the loss, so the learning rate of cross-entropy stays right.
    return (raw / raw[present].mean()).astype("float32")


def balanced_weights(counts: np.ndarray) -> np.ndarray:
    """(K,) float32, n / (K' n_k) of a class with n_k of all n clips, K' classes that occur: the
    `class_weight="balanced"` of scikit-learn. A class without clips weighs nothing."""
    counts = np.asarray(counts, dtype="float64")
    present = counts > 0
    # Their mean over the clips is one, so the learning rate of plain cross-entropy stays right.
    share = counts.sum() / present.sum()
    return np.where(present, share / np.where(present, counts, 1.0), 0.0).astype("float32")


def class_counts(dataset: Dataset) -> np.ndarray:
    """(K,) number of training clips of each class."""
    # minlength: the last classes may have no training clip.
    return np.bincount(dataset.train.labels, minlength=len(dataset.classes))


def kl(target, logits):
    """KL(softmax(target) || softmax(logits)), summed over classes, batch mean."""
    log_target = F.log_softmax(target, axis=1)
    log_learner = F.log_softmax(logits, axis=1)
    # Not F.kl_div, whose default mean divides by the number of classes too.
    return (log_target.exp() * (log_target - log_learner)).sum(1).mean()


def dml(student, teacher):
    """1/2 [KL(t || s) + KL(s || t)] at temperature 1 (symmetric form of Zhang et al., CVPR 2018,
    arXiv 1706.00384)."""
    return 0.5 * (kl(teacher, student) + kl(student, teacher))


def kd(student, teacher, temperature: float):
    """temperature^2 * KL(teacher || student), both softened (Hinton et al., arXiv 1503.02531, eq.
    4)."""
    # Gradients of softened logits shrink with temperature^2; the factor keeps the balance with
    # cross-entropy when the temperature changes.
    return temperature**2 * kl(teacher / temperature, student / temperature)


def build(config: Config, learner: str = "student", counts: np.ndarray | None = None) -> Objective:
    """The objective of a training: CE or focal loss on the learner, plus what the config adds under
    the teacher.

    Args:
        counts: (K,) clips of each class, for losses that weigh classes.
    Raises:
        ValueError: a loss that weighs classes without `counts`.
    """
    weights = _weights(config, counts)
    # A teacher that learns beside the student is weighed by what the recipe says of the data, and
    # not by the student's loss.
    stated = None if config.class_weights is None else weights

    def objective(logits: Logits, labels):
        if config.focal is None:
            loss = cross_entropy(logits[learner], labels, weights)
            parts = {"ce": loss}
        else:
            loss = focal(logits[learner], labels, weights, config.focal.gamma)
            parts = {"focal": loss}
        if config.dml is not None:
            # Mutual learning with gradients through both sides: a teacher that moves gets half of
            # the symmetric term, a frozen one has no gradient to take.
            parts["dml"] = dml(logits[learner], logits["teacher"])
            loss = loss + config.dml.weight * parts["dml"]
            # A teacher that learns needs labels of its own, else both could agree on nonsense.
            if not config.dml.freeze_teacher:
                parts["teacher_ce"] = cross_entropy(logits["teacher"], labels, stated)
                loss = loss + parts["teacher_ce"]
        if config.kd is not None:
            parts["kd"] = kd(logits[learner], logits["teacher"], config.kd.temperature)
            loss = loss + config.kd.weight * parts["kd"]
        return loss, parts

    return objective


def _weights(config: Config, counts: np.ndarray | None) -> paddle.Tensor | None:
    """(K,) that the loss on labels multiplies classes by, on the device; None: it does not.

    Raises:
        ValueError: no `counts`, or not a weight for each class.
    """
    if config.focal is None and config.class_weights is None:
        return None
    if counts is None:
        raise ValueError("a loss that weighs classes needs `counts`, the training clips of each")
    # A focal loss beside class weights has a beta of 0, which weighs nothing.
    if config.class_weights is None:
        assert config.focal is not None
        weights = class_weights(counts, config.focal.beta)
    elif config.class_weights == "balanced":
        weights = balanced_weights(counts)
    else:
        weights = np.array(config.class_weights, dtype="float32")
        if len(weights) != len(counts):
            raise ValueError(f"class_weights: {len(weights)} weights for {len(counts)} classes")
    # Once, not at every batch: the tensor stays on the device.
    return paddle.to_tensor(weights)
