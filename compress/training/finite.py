"""A loss or a weight that is not finite ends a training, and says where it can go on from."""

from __future__ import annotations

import math

import numpy as np

from compress.training.trainer import Job
from teachers import networks
from teachers.errors import TrainingError

MOST_SKIPPED = 20


def check_loss(job: Job, loss: float, epoch: int, step: int) -> None:
    if not math.isfinite(loss):
        raise _diverged(
            job, f"the loss became {loss} in epoch {epoch + 1}, iteration {step + 1}", epoch
        )


def check_skipped(job: Job, epoch: int, running: int) -> None:
    """`running` batches in a row have overflowed under amp."""
    # The scale is halved each time: from 65536 it has come down to 1 by then, and what overflows
    # still does so for another reason.
    if running > MOST_SKIPPED:
        raise _diverged(
            job, f"{running} batches in a row overflowed in epoch {epoch + 1} (amp)", epoch
        )


def check_weights(job: Job, epoch: int) -> None:
    # The loss alone does not tell: ReLU of NaN is 0 in Paddle, so a layer that is lost behind one
    # answers with zeros, and the network goes on without it.
    for role, network in job.networks.items():
        for name, value in networks.state_of(network).items():
            if not np.isfinite(value).all():
                raise _diverged(job, f"{role}: {name} is not finite after epoch {epoch + 1}", epoch)


def _diverged(job: Job, what: str, epoch: int) -> TrainingError:
    # The weights of this epoch are lost already, so the message points to the last good state.
    kept = (
        f"the state after epoch {epoch} is kept in {job.state_path}"
        if epoch
        else "no epoch was finished"
    )
    return TrainingError(
        f"{job.title}: {what}; {kept}. Lower `lr`, lengthen `warmup_epochs` or set `clip_norm`, and"
        " start again with another --output"
    )
