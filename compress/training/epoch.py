"""One epoch of a training: its batches, what is drawn for them, and what is counted."""

from __future__ import annotations

import copy
import math
import time

import numpy as np
import paddle

from compress.data import loader
from compress.inputs.view import View
from compress.process import ranks
from compress.training import fine_tuning, finite, mixup, schedule, shares
from compress.training.shares import Share
from compress.training.trainer import Job, Trainer

# How often the loss is fetched from the device: every fetch waits for a GPU to finish, so one a
# batch would leave it idle between batches.
REPORT_SECONDS = 0.5


def run_epoch(trainer: Trainer, epoch: int) -> tuple[dict[str, float], np.ndarray]:
    """One epoch, `repeat` passes over the training split: means over samples of every loss part and
    each network's top-1, and the loss of every batch (steps,). All processes have the same."""
    job = trainer.job
    config = job.config
    # As a larger split, shuffled as one: the generator of a sample depends on its place, so that
    # each copy of a clip is augmented in its own way.
    split = job.dataset.train.repeated(config.repeat)
    # All chance of an epoch comes from (seed, epoch), which is what makes a resumed run equal to
    # one that was never interrupted.
    rng = np.random.default_rng([job.seed, epoch])
    # Dropout must not take the same units in every process.
    paddle.seed(int(rng.integers(2**31)) + ranks.index())
    for role, network in job.networks.items():
        network.train()
        if role == job.learner:
            fine_tuning.keep_statistics(network, config)
    parts = shares.of_epoch(rng.permutation(len(split)), config, rng)
    # Asked once: which views there are is worked out from all networks, and never changes
    views = job.views
    keys = [view.fingerprint for view in views]
    trainer.frames = schedule.frames(config, epoch)
    batches = loader.batches(
        split,
        _augment(views),
        [share.clips for share in parts],
        rng_key=(job.seed, epoch),
        whole=_augment_batch(views),
    )
    count = _Count(job, epoch, len(parts), skips=trainer.scaler is not None)
    lr = 0.0
    with trainer.synchronised():
        for step, (share, (x, y)) in enumerate(zip(parts, batches, strict=True)):
            lr = schedule.learning_rate(config, epoch * len(parts) + step, len(parts))
            batch, labels = _prepared(job, keys, x, y, share)
            losses, logits = trainer.step(batch, labels, lr, share.weight)
            count.add(losses | _right(logits, labels, job.trained), share)
    means, losses_of_steps = count.close(len(split))
    return means | {"lr": lr}, losses_of_steps


class _Count:
    """What an epoch's batches come to, of this process and, in the end, of all.

    Args:
        skips: a loss that overflows is left out, for the scaler has skipped its update.
    """

    def __init__(self, job: Job, epoch: int, steps: int, skips: bool = False):
        self.skips = skips
        self.skipped = 0
        self.job = job
        self.epoch = epoch
        self.steps = steps
        self.sums: dict[str, paddle.Tensor] = {}
        self.losses: list[paddle.Tensor] = []
        # Of this process: the losses' weights in those of the batches, and clips so far.
        self.weights: list[float] = []
        self.seen = 0.0
        self.shown = time.monotonic()

    def add(self, parts: dict[str, paddle.Tensor], share: Share) -> None:
        """Count a batch; now and then, show what there is and see whether it is finite."""
        self.losses.append(parts["loss"])
        self.weights.append(share.weight)
        # Weighted by the batch's size: the last batch is smaller, and a mean of batch means would
        # count its clips more. The sums stay on the device, for to read one waits for it.
        clips = share.weight * share.size
        if self.skips and not math.isfinite(float(parts["loss"])):
            self.skipped += 1
            finite.check_skipped(self.job, self.epoch, self.skipped)
            self.losses[-1] = paddle.zeros_like(parts["loss"])
            parts = {name: paddle.zeros_like(part) for name, part in parts.items()}
        else:
            self.skipped = 0
        for name, part in parts.items():
            weighted = part * clips
            self.sums[name] = self.sums[name] + weighted if name in self.sums else weighted
        self.seen += clips
        done = len(self.losses)
        # By the clock of each process, so nothing here may wait for the others.
        if time.monotonic() - self.shown > REPORT_SECONDS or done == self.steps:
            # A loss that is once not finite leaves the sum so, hence a look now and then suffices.
            finite.check_loss(self.job, float(self.sums["loss"]), self.epoch, done - 1)
            self.job.watch.step(
                done / self.steps,
                float(self.sums["loss"]) / self.seen,
                100 * float(self.sums[f"{self.job.learner}/top1"]) / self.seen,
                round(self.seen * ranks.count()),
            )
            self.shown = time.monotonic()

    def close(self, samples: int) -> tuple[dict[str, float], np.ndarray]:
        """(means over all clips, the loss of every batch (steps,)) of all processes."""
        names = list(self.sums)
        sums = np.array([float(self.sums[name]) for name in names])
        # Fetched together: each alone would wait for the device.
        losses = paddle.stack(self.losses).numpy().reshape(-1)
        if ranks.count() > 1:
            whole = ranks.added(np.concatenate([sums, losses * np.array(self.weights)]))
            sums = whole[: len(names)]
            losses = whole[len(names) :].astype("float32")
            finite.check_loss(self.job, sums[names.index("loss")], self.epoch, self.steps - 1)
        means = {}
        for name, value in zip(names, sums.tolist(), strict=True):
            percent = 100.0 if name.endswith("/top1") else 1.0
            means[name] = value / samples * percent
        return means, losses


def _prepared(job: Job, keys: list[str], x, y: np.ndarray, share: Share):
    """(batch {view: x (N, C, T, V, M)}, soft labels (N, K)) on the device, blended where the config
    has mixup. `keys`: the views' fingerprints, in the loader's order."""
    config = job.config
    # The loader yields a tuple of arrays where there are several views, else the array itself.
    inputs = x if isinstance(x, tuple) else (x,)
    batch = {key: paddle.to_tensor(value) for key, value in zip(keys, inputs, strict=True)}
    labels = mixup.soft_labels(
        paddle.to_tensor(y), len(job.dataset.classes), config.label_smoothing
    )
    if share.blend is None:
        return batch, labels
    # One draw for all views and the labels: teacher and student must see the same blend.
    lam, drawn = share.blend
    partners = paddle.to_tensor(drawn)
    batch = {key: mixup.blend(value, lam, partners) for key, value in batch.items()}
    return batch, mixup.blend(labels, lam, partners)


def _augment(views: tuple[View, ...]):
    """(clip, generator) -> the training view of each; views of one kind crop and turn the clip
    alike."""
    if len(views) == 1:
        return views[0].augment
    # Each view gets its own copy of the generator, so each draws the same numbers: teacher and
    # student see the same crop of the same clip.
    return lambda clip, rng: tuple(view.augment(clip, copy.deepcopy(rng)) for view in views)


def _augment_batch(views: tuple[View, ...]):
    """The same for the clips of a batch at once."""
    if len(views) == 1:
        return views[0].augment_batch
    # Generators are made anew for each view, for the same reason.
    return lambda clips, rngs: tuple(view.augment_batch(clips, rngs) for view in views)


def _right(logits: dict, labels, roles) -> dict[str, paddle.Tensor]:
    """Fraction of the batch whose largest logit is at the largest (mixed) label, of every network
    that learns."""
    # Of the mixed label: under mixup no clip has one true class.
    wanted = labels.argmax(1)
    return {
        f"{role}/top1": (logits[role].detach().argmax(1) == wanted).astype("float32").mean()
        for role in roles
    }
