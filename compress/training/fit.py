"""The only training loop. Methods are objectives handed to it; it knows networks, batches and
epochs."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from compress.data import loader
from compress.data.dataset import Dataset
from compress.evaluation.evaluate import EvaluationSet, accuracy, logits_of
from compress.inputs.view import View
from compress.process.interrupt import finish_first
from compress.training import checkpoint, mixup, schedule
from compress.training.model import Model, fused, views_of
from compress.training.objectives import Objective
from export.runtimes import in_process
from teachers import networks
from teachers.errors import TrainingError

REPORT_SECONDS = 0.5  # how often the loss is fetched from the device


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        title: a person's name for it, for example "student".
        trained: networks that learn, by role.
        learner: the role that is judged and ends with its best weights, "student" or "teacher".
        frozen: networks that only predict, one or an ensemble a role; they stay in evaluation mode.
        evaluation: the validation split through a view.
        config: a `compress.training.settings.Config`.
        state_path: where progress is kept; an existing file is continued.
        settings: hash of all that the result depends on.
        watch: a `compress.training.watch.Watch` that shows progress and draws curves.
        start_counts: whether the learner as it comes may be the best there is, as epoch 0.
    """

    title: str
    trained: dict[str, Model]
    frozen: dict[str, tuple[Model, ...]]
    config: object
    objective: Objective
    dataset: Dataset
    evaluation: Callable[[View], EvaluationSet]
    seed: int
    state_path: Path
    settings: str
    watch: object
    learner: str = "student"
    start_counts: bool = False

    @property
    def networks(self) -> dict[str, nn.Layer]:
        """The networks that learn, by role."""
        return {role: one.network for role, one in self.trained.items()}

    @property
    def views(self) -> tuple[View, ...]:
        """Every view that any of the networks needs."""
        return views_of(
            [*self.trained.values(), *(one for members in self.frozen.values() for one in members)]
        )


class Trainer:
    """What one training needs beyond its job: optimiser, gradient scaler, average of weights."""

    def __init__(self, job: Job):
        self.job, config = job, job.config
        self.parameters = [
            one
            for net in job.networks.values()
            for one in net.parameters()
            if not one.stop_gradient
        ]
        clip = nn.ClipGradByGlobalNorm(config.clip_norm) if config.clip_norm else None
        self.optimizer = paddle.optimizer.Momentum(
            config.lr,
            config.momentum,
            parameters=self.parameters,
            use_nesterov=True,
            weight_decay=config.weight_decay,
            grad_clip=clip,
        )
        self.amp = config.amp and paddle.get_device().startswith("gpu")
        self.scaler = paddle.amp.GradScaler() if self.amp else None
        self.average = None
        if config.ema is not None:
            self.average = networks.build(job.networks[job.learner].spec)
            networks.load_state(
                self.average, networks.state_of(job.networks[job.learner]), "average of weights"
            )
            self.average.eval()
        for one in (one for members in job.frozen.values() for one in members):
            one.network.eval()

    @property
    def saved(self) -> dict[str, nn.Layer]:
        return self.job.networks | ({"average": self.average} if self.average is not None else {})

    def step(self, batch: dict, labels, lr: float):
        """One update on a batch {view: x (N, C, T, V, M)} and soft labels (N, K); (loss parts,
        logits by role), on the device."""
        job = self.job
        with paddle.no_grad():
            logits = {role: fused(members, batch) for role, members in job.frozen.items()}
        with paddle.amp.auto_cast(enable=self.amp):
            logits |= {role: one(batch) for role, one in job.trained.items()}
        loss, parts = job.objective(
            {role: value.astype("float32") for role, value in logits.items()}, labels
        )
        self.optimizer.set_lr(lr)
        if self.scaler:
            self.scaler.scale(loss).backward()
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            loss.backward()
            self.optimizer.step()
        self.optimizer.clear_grad()
        if self.average is not None:
            self._follow()
        return {"loss": loss.detach()} | {
            name: part.detach() for name, part in parts.items()
        }, logits

    @paddle.no_grad()
    def _follow(self):
        decay = self.job.config.ema
        own = self.job.networks[self.job.learner].state_dict()
        for name, value in self.average.state_dict().items():
            paddle.assign(value * decay + own[name] * (1.0 - decay), output=value)


def fit(job: Job) -> checkpoint.Progress:
    """Train to the end; the learner is left with its best weights, `best_epoch` 0 if they are those
    it came with.

    Progress is saved after every epoch; an epoch that was under way when the process died is done
    again, identically.

    Raises:
        TrainingError: a loss that is not finite; the last epoch's state is kept.
        StorageError: progress cannot be written.
    """
    trainer = Trainer(job)
    progress = checkpoint.restore(
        job.state_path, trainer.saved, trainer.optimizer, trainer.scaler, job.settings
    )
    job.watch.begin(job.title, job.learner, job.config.epochs, progress.history)
    judged = f"{job.learner}/top1"
    if job.start_counts and progress.start is None:
        progress.start = _validate(trainer)[judged]
        progress.best = networks.state_of(job.networks[job.learner])
        job.watch.start(progress.start)
    while progress.epoch < job.config.epochs:
        started = time.monotonic()
        train = _epoch(trainer, progress.epoch)
        record = {
            "epoch": progress.epoch + 1,
            "lr": train.pop("lr"),
            "train": train,
            "val": _validate(trainer),
        }
        record["seconds"] = time.monotonic() - started
        progress.epoch += 1
        progress.history.append(record)
        if record["val"][judged] >= max(
            [one["val"][judged] for one in progress.history] + [progress.start or 0.0]
        ):
            progress.best_epoch = progress.epoch
            progress.best = networks.state_of(
                trainer.average if trainer.average is not None else job.networks[job.learner]
            )
        with finish_first():
            checkpoint.save(
                job.state_path,
                progress,
                trainer.saved,
                trainer.optimizer,
                trainer.scaler,
                job.settings,
            )
        job.watch.epoch(record, progress.best_epoch)
    job.watch.end()
    networks.load_state(job.networks[job.learner], progress.best, f"best epoch of {job.title}")
    for net in job.networks.values():
        net.eval()
    return progress


def _epoch(trainer: Trainer, epoch: int) -> dict[str, float]:
    """One pass over the training split; means over samples of every loss part and each network's
    top-1."""
    job, config = trainer.job, trainer.job.config
    samples = len(job.dataset.train.names)
    steps = math.ceil(samples / config.batch_size)
    rng = np.random.default_rng([job.seed, epoch])
    paddle.seed(int(rng.integers(2**31)))
    for net in job.networks.values():
        net.train()
    sums: dict[str, paddle.Tensor] = {}
    shown, seen, lr = time.monotonic(), 0, 0.0
    keys = [view.fingerprint for view in job.views]
    batches = loader.batches(
        job.dataset.train,
        _augment(job.views),
        config.batch_size,
        rng.permutation(samples),
        rng_key=(job.seed, epoch),
    )
    for step, (x, y) in enumerate(batches):
        lr = schedule.learning_rate(config, epoch * steps + step, steps)
        batch = {
            key: paddle.to_tensor(one)
            for key, one in zip(keys, x if isinstance(x, tuple) else (x,))
        }
        labels = mixup.soft_labels(
            paddle.to_tensor(y), len(job.dataset.classes), config.label_smoothing
        )
        if config.mixup is not None:
            lam, permutation = mixup.draw(config.mixup.alpha, len(y), rng)
            permutation = paddle.to_tensor(permutation)
            batch = {key: mixup.blend(one, lam, permutation) for key, one in batch.items()}
            labels = mixup.blend(labels, lam, permutation)
        parts, logits = trainer.step(batch, labels, lr)
        for name, part in (parts | _right(logits, labels, job.trained)).items():
            weighted = part * float(len(y))
            sums[name] = sums[name] + weighted if name in sums else weighted
        seen += len(y)
        if time.monotonic() - shown > REPORT_SECONDS or step + 1 == steps:
            _require_finite(job, float(sums["loss"]), epoch, step)
            job.watch.step(
                (step + 1) / steps,
                float(sums["loss"]) / seen,
                100 * float(sums[f"{job.learner}/top1"]) / seen,
                seen,
            )
            shown = time.monotonic()
    scale = {name: 100.0 if name.endswith("/top1") else 1.0 for name in sums}
    return {name: float(value) / samples * scale[name] for name, value in sums.items()} | {"lr": lr}


def _augment(views: tuple[View, ...]):
    """(clip, generator) -> the training view of each; views of one kind crop and turn the clip
    alike."""
    if len(views) == 1:
        return views[0].augment
    return lambda clip, rng: tuple(view.augment(clip, copy.deepcopy(rng)) for view in views)


def _right(logits: dict, labels, roles) -> dict[str, paddle.Tensor]:
    """Fraction of the batch whose largest logit is at the largest (mixed) label, of every network
    that learns."""
    wanted = labels.argmax(1)
    return {
        f"{role}/top1": (logits[role].detach().argmax(1) == wanted).astype("float32").mean()
        for role in roles
    }


def _require_finite(job: Job, loss: float, epoch: int, step: int) -> None:
    if not math.isfinite(loss):
        kept = (
            f"the state after epoch {epoch} is kept in {job.state_path}"
            if epoch
            else "no epoch was finished"
        )
        raise TrainingError(
            f"{job.title}: the loss became {loss} in epoch {epoch + 1}, iteration {step + 1};"
            f" {kept}. Lower `lr`, lengthen `warmup_epochs` or set `clip_norm`, and start again"
            " with another --output"
        )


def _validate(trainer: Trainer) -> dict[str, float]:
    """Top-1 and top-5 of every network that learns, on the validation split; the learner's is the
    average's if there is one."""
    job, found = trainer.job, {}
    for role, one in job.trained.items():
        judged = (
            trainer.average if role == job.learner and trainer.average is not None else one.network
        )
        clips = job.evaluation(one.view)
        logits = logits_of(in_process(judged), clips, advance=job.watch.validating)
        found |= {f"{role}/{key}": value for key, value in accuracy(logits, clips.labels).items()}
    return found
