"""Losses on logits (N, K). An objective maps the logits of every network to a loss and its named parts."""
from __future__ import annotations

from typing import Callable

import paddle
from paddle.nn import functional as F

Logits = dict[str, paddle.Tensor]
Objective = Callable[[Logits, paddle.Tensor], tuple[paddle.Tensor, dict[str, paddle.Tensor]]]


def cross_entropy(logits, labels):
    """Cross-entropy with soft labels (N, K), batch mean."""
    return -(labels * F.log_softmax(logits, axis=1)).sum(1).mean()


def kl(target, logits):
    """KL(softmax(target) || softmax(logits)), summed over classes, batch mean."""
    log_target, log_own = F.log_softmax(target, axis=1), F.log_softmax(logits, axis=1)
    return (log_target.exp() * (log_target - log_own)).sum(1).mean()


def dml(student, teacher):
    """1/2 [KL(t || s) + KL(s || t)] at temperature 1 (symmetric form of Zhang et al., CVPR 2018, arXiv 1706.00384)."""
    return 0.5 * (kl(teacher, student) + kl(student, teacher))


def kd(student, teacher, temperature: float):
    """temperature^2 * KL(teacher || student), both softened (Hinton et al., arXiv 1503.02531, eq. 4)."""
    return temperature ** 2 * kl(teacher / temperature, student / temperature)


def build(config, learner: str = "student") -> Objective:
    """The objective of a training: CE on the learner, plus what the config adds under the teacher."""

    def objective(logits: Logits, labels):
        parts = {"ce": cross_entropy(logits[learner], labels)}
        loss = parts["ce"]
        if config.dml is not None:
            parts["dml"] = dml(logits[learner], logits["teacher"])
            loss = loss + config.dml.weight * parts["dml"]
            if not config.dml.freeze_teacher:
                parts["teacher_ce"] = cross_entropy(logits["teacher"], labels)
                loss = loss + parts["teacher_ce"]
        if config.kd is not None:
            parts["kd"] = kd(logits[learner], logits["teacher"], config.kd.temperature)
            loss = loss + config.kd.weight * parts["kd"]
        return loss, parts

    return objective
