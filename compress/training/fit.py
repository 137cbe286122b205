"""The only training loop. Methods are objectives handed to it; it knows networks, batches and
epochs."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from compress.data import loader
from compress.data.dataset import Dataset
from compress.evaluation.evaluate import EvaluationSet, accuracy, cross_entropy, logits_of
from compress.inputs.view import View
from compress.training import (
    checkpoint,
    fine_tuning,
    frozen as frozen_teachers,
    mixup,
    optimizer as optimizers,
    schedule,
    stochastic_depth,
)
from compress.training.epoch_curves import EpochResult
from compress.training.model import Model, views_of
from compress.training.objectives import Objective
from compress.training.settings import Config
from compress.training.watch import Watch
from export.runtimes import in_process
from teachers import networks
from teachers.errors import TrainingError
from teachers.terminal.interrupt import finish_first
from teachers.weights.identity import Identity

# How often the loss is fetched from the device: every fetch waits for a GPU to finish, so one a
# batch would leave it idle between batches.
REPORT_SECONDS = 0.5


def never() -> bool:
    """A training that is not stopped early."""
    return False


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        title: a person's name for it, for example "student".
        trained: networks that learn, by role.
        learner: the role that is judged and ends with its best weights, "student" or "teacher".
        frozen: networks that only predict, one or an ensemble a role; they stay in evaluation mode.
        config: what the recipe says about this training.
        evaluation: the clips that choose the best epoch, through a view.
        state_path: where progress is kept; an existing file is resumed.
        settings: identity of all that the result depends on.
        watch: shows progress and draws curves.
        start_counts: whether the learner as it comes may be the best there is, as epoch 0.
        frozen_runtime: what computes the frozen networks, see `compress.training.frozen.choose`.
        enough: asked before each epoch; True: the training ends here with its best weights so far,
            and goes on from here when it is started again.
    """

    title: str
    trained: dict[str, Model]
    frozen: dict[str, tuple[Model, ...]]
    config: Config
    objective: Objective
    dataset: Dataset
    evaluation: Callable[[View], EvaluationSet]
    seed: int
    state_path: Path
    settings: Identity
    watch: Watch
    learner: str = "student"
    start_counts: bool = False
    frozen_runtime: frozen_teachers.Choice = "auto"
    enough: Callable[[], bool] = never

    @property
    def networks(self) -> dict[str, nn.Layer]:
        """The networks that learn, by role."""
        return {role: model.network for role, model in self.trained.items()}

    @property
    def views(self) -> tuple[View, ...]:
        """Every view that any of the networks needs."""
        models = list(self.trained.values())
        for ensemble in self.frozen.values():
            models.extend(ensemble)
        return views_of(models)


class Trainer:
    """What one training needs beyond its job: optimiser, gradient scaler, average of weights."""

    def __init__(self, job: Job):
        self.job = job
        config = job.config
        self.parameters: list[paddle.Tensor] = []
        for network in job.networks.values():
            self.parameters.extend(p for p in network.parameters() if not p.stop_gradient)
        self.optimizer = optimizers.build(config, self.parameters)
        # Paddle 2.6.2 warns and ignores auto_cast on a CPU; a recipe with `amp` trains there in
        # float32 without the noise.
        self.amp = config.amp and paddle.get_device().startswith("gpu")
        self.scaler = paddle.amp.GradScaler() if self.amp else None
        self.average = None
        if config.ema is not None:
            learner = job.networks[job.learner]
            # Starts as a copy of the learner, not from zeros, so it needs no bias correction in
            # its first steps.
            self.average = networks.build(learner.spec)
            networks.load_state(self.average, networks.state_of(learner), "average of weights")
            self.average.eval()
        # An average of equal numbers is not always that number in float32, so what stays is left
        # out of it.
        self.fixed = fine_tuning.fixed_names(job.networks[job.learner], config)
        # In train mode a frozen teacher's BatchNorm statistics would drift with every batch, and
        # its logits with them.
        for ensemble in job.frozen.values():
            for model in ensemble:
                model.network.eval()
        self.frozen: frozen_teachers.Frozen | None = None
        # What the networks that learn see of a clip in this epoch, None: all of it.
        self.frames: int | None = None

    def teach(self, progress: checkpoint.Progress) -> None:
        """Decide what computes the frozen networks, and note it in the progress."""
        job = self.job
        split = job.dataset.train
        batches = _batches(len(split.repeated(job.config.repeat)), job.config)
        self.frozen = frozen_teachers.choose(
            job.frozen,
            job.frozen_runtime,
            batches * job.config.epochs,
            split,
            progress.runtime,
        )
        progress.runtime = self.frozen.runtime
        progress.note = self.frozen.note

    @property
    def saved(self) -> dict[str, nn.Layer]:
        """The networks that a resumed training needs back."""
        if self.average is None:
            return self.job.networks
        return self.job.networks | {"average": self.average}

    @property
    def judged(self) -> nn.Layer:
        """The network that validation judges, and that would be kept: the average if there is one,
        not the weights that move."""
        return self.average if self.average is not None else self.job.networks[self.job.learner]

    def step(self, batch: dict, labels, lr: float):
        """One update on a batch {view: x (N, C, T, V, M)} and soft labels (N, K); (loss parts,
        logits by role), on the device."""
        job = self.job
        assert self.frozen is not None
        # Whole clips: a frozen teacher was trained on them, and its session is made for them.
        logits = self.frozen.compute(batch)
        if self.frames is not None:
            batch = {key: shortened(value, self.frames) for key, value in batch.items()}
        with paddle.amp.auto_cast(enable=self.amp):
            logits |= {role: model(batch) for role, model in job.trained.items()}
        # The losses are taken in float32 even under amp: a sum of logarithms of small
        # probabilities loses too much in float16.
        loss, parts = job.objective(
            {role: value.astype("float32") for role, value in logits.items()}, labels
        )
        # Set at every step from a pure function of the step number, so a resumed run needs no
        # state of a scheduler.
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
        # Detached, since `_epoch` sums them up: else every batch's graph would live to the end of
        # the epoch.
        losses = {"loss": loss.detach()}
        losses |= {name: part.detach() for name, part in parts.items()}
        return losses, logits

    @paddle.no_grad()
    def _follow(self):
        decay = self.job.config.ema
        learned = self.job.networks[self.job.learner].state_dict()
        # BatchNorm statistics are averaged along: those of the learner belong to its own weights,
        # not to the averaged ones.
        for name, value in self.average.state_dict().items():
            if name in self.fixed:
                continue
            # In place: `state_dict` hands out the network's own tensors.
            paddle.assign(value * decay + learned[name] * (1.0 - decay), output=value)


def fit(job: Job) -> checkpoint.Progress:
    """Train to the end; the learner is left with its best weights, `best_epoch` 0 if they are those
    it came with.

    Progress is saved after every epoch; an epoch that was under way when the process died is done
    again, identically.

    Raises:
        TrainingError: a loss or a weight that is not finite; the last epoch's state is kept.
        StorageError: progress cannot be written.
    """
    learner = job.networks[job.learner]
    with (
        fine_tuning.applied(learner, job.config),
        stochastic_depth.applied(learner, job.config.drop_path),
    ):
        return _fit(job)


def _fit(job: Job) -> checkpoint.Progress:
    trainer = Trainer(job)
    progress = checkpoint.restore(
        job.state_path, trainer.saved, trainer.optimizer, trainer.scaler, job.settings
    )
    # A training that was finished before has nothing left to compute.
    if not _finished(job, progress):
        trainer.teach(progress)
    clips = len(job.dataset.selection)
    job.watch.begin(job.title, job.learner, job.config.epochs, progress.history, clips)
    # `start` is kept with the progress: after a resume the learner is no longer as it came.
    if job.start_counts and progress.start is None:
        measured, _ = _validate(trainer)
        progress.start = measured[f"{job.learner}/top1"]
        progress.best = networks.state_of(job.networks[job.learner])
    if progress.start is not None:
        job.watch.start(progress.start)
    while not (_finished(job, progress) or job.enough()):
        started = time.monotonic()
        train, losses = _epoch(trainer, progress.epoch)
        _require_finite_weights(job, progress.epoch)
        val, logits = _validate(trainer)
        record = {"epoch": progress.epoch + 1, "lr": train.pop("lr"), "train": train, "val": val}
        record["seconds"] = time.monotonic() - started
        progress.epoch += 1
        progress.history.append(record)
        _keep_best(trainer, progress)
        # Before the save: an epoch that is killed in between is done again, and its curves with
        # it, which replace these. After it, they would be missing for good.
        job.watch.draw(_result(trainer, record, losses, logits))
        # A Ctrl-C waits for the file: half of an epoch's state would be no state at all.
        with finish_first():
            checkpoint.save(
                job.state_path,
                progress,
                trainer.saved,
                trainer.optimizer,
                trainer.scaler,
                job.settings,
            )
        job.watch.epoch(record)
    job.watch.finished(progress.best_epoch, progress.epoch)
    networks.load_state(job.networks[job.learner], progress.best, f"best epoch of {job.title}")
    for network in job.networks.values():
        network.eval()
    return progress


def _finished(job: Job, progress: checkpoint.Progress) -> bool:
    # From the history alone, so that a resumed training stops where it would have stopped.
    reached = [record["val"][f"{job.learner}/top1"] for record in progress.history]
    last = min(job.config.epochs, job.config.stop_after or job.config.epochs)
    return progress.epoch >= last or schedule.stopped(job.config, reached, progress.start)


def _keep_best(trainer: Trainer, progress: checkpoint.Progress) -> None:
    """Take over the weights of the epoch just done if none before it was better."""
    job = trainer.job
    judged = f"{job.learner}/top1"
    # The epoch itself is among them, so a tie goes to the later epoch: it has trained longer at a
    # lower rate.
    reached = [record["val"][judged] for record in progress.history]
    if reached[-1] < max([*reached, progress.start or 0.0]):
        return
    progress.best_epoch = progress.epoch
    progress.best = networks.state_of(trainer.judged)


def _epoch(trainer: Trainer, epoch: int) -> tuple[dict[str, float], np.ndarray]:
    """One epoch, `repeat` passes over the training split: means over samples of every loss part and
    each network's top-1, and the loss of every batch (steps,)."""
    job = trainer.job
    config = job.config
    # As a larger split, shuffled as one: the generator of a sample depends on its place, so that
    # each copy of a clip is augmented in its own way.
    split = job.dataset.train.repeated(config.repeat)
    samples = len(split)
    steps = _batches(samples, config)
    # All chance of an epoch comes from (seed, epoch), which is what makes a resumed run equal to
    # one that was never interrupted.
    rng = np.random.default_rng([job.seed, epoch])
    paddle.seed(int(rng.integers(2**31)))
    for role, network in job.networks.items():
        network.train()
        if role == job.learner:
            fine_tuning.keep_statistics(network, config)
    sums: dict[str, paddle.Tensor] = {}
    losses: list[paddle.Tensor] = []
    shown = time.monotonic()
    seen = 0
    lr = 0.0
    # Asked once: which views there are is worked out from all networks, and never changes
    views = job.views
    keys = [view.fingerprint for view in views]
    trainer.frames = schedule.frames(config, epoch)
    batches = loader.batches(
        split,
        _augment(views),
        config.batch_size,
        rng.permutation(samples),
        rng_key=(job.seed, epoch),
    )
    for step, (x, y) in enumerate(batches):
        lr = schedule.learning_rate(config, epoch * steps + step, steps)
        batch, labels = _prepared(job, keys, x, y, rng)
        parts, logits = trainer.step(batch, labels, lr)
        losses.append(parts["loss"])
        # Weighted by the batch's size: the last batch is smaller, and a mean of batch means would
        # count its clips more. The sums stay on the device, for to read one waits for it.
        for name, part in (parts | _right(logits, labels, job.trained)).items():
            weighted = part * float(len(y))
            sums[name] = sums[name] + weighted if name in sums else weighted
        seen += len(y)
        if time.monotonic() - shown > REPORT_SECONDS or step + 1 == steps:
            # A loss that is once not finite leaves the sum so, hence a look now and then suffices.
            _require_finite(job, float(sums["loss"]), epoch, step)
            job.watch.step(
                (step + 1) / steps,
                float(sums["loss"]) / seen,
                100 * float(sums[f"{job.learner}/top1"]) / seen,
                seen,
            )
            shown = time.monotonic()
    means = {}
    for name, value in sums.items():
        percent = 100.0 if name.endswith("/top1") else 1.0
        means[name] = float(value) / samples * percent
    # Fetched together: each alone would wait for the device.
    return means | {"lr": lr}, paddle.stack(losses).numpy().reshape(-1)


def _batches(samples: int, config: Config) -> int:
    """Iterations of an epoch: the loader keeps the last, smaller batch."""
    return math.ceil(samples / config.batch_size)


def _prepared(job: Job, keys: list[str], x, y: np.ndarray, rng: np.random.Generator):
    """(batch {view: x (N, C, T, V, M)}, soft labels (N, K)) on the device, blended where the config
    has mixup. `keys`: the views' fingerprints, in the loader's order."""
    config = job.config
    # The loader yields a tuple of arrays where there are several views, else the array itself.
    inputs = x if isinstance(x, tuple) else (x,)
    batch = {key: paddle.to_tensor(value) for key, value in zip(keys, inputs, strict=True)}
    labels = mixup.soft_labels(
        paddle.to_tensor(y), len(job.dataset.classes), config.label_smoothing
    )
    if config.mixup is None:
        return batch, labels
    # One draw for all views and the labels: teacher and student must see the same blend.
    lam, drawn = mixup.draw(config.mixup.alpha, len(y), rng)
    permutation = paddle.to_tensor(drawn)
    batch = {key: mixup.blend(value, lam, permutation) for key, value in batch.items()}
    return batch, mixup.blend(labels, lam, permutation)


def shortened(clips, frames: int):
    """(N, C, T, V, M) -> (N, C, frames, V, M): frames from the middle of equal parts of the clip;
    clips that have no more stay as they are."""
    whole = clips.shape[2]
    if whole <= frames:
        return clips
    picked = ((np.arange(frames) + 0.5) * whole / frames).astype("int64")
    return paddle.index_select(clips, paddle.to_tensor(picked), axis=2)


def _augment(views: tuple[View, ...]):
    """(clip, generator) -> the training view of each; views of one kind crop and turn the clip
    alike."""
    if len(views) == 1:
        return views[0].augment
    # Each view gets its own copy of the generator, so each draws the same numbers: teacher and
    # student see the same crop of the same clip.
    return lambda clip, rng: tuple(view.augment(clip, copy.deepcopy(rng)) for view in views)


def _right(logits: dict, labels, roles) -> dict[str, paddle.Tensor]:
    """Fraction of the batch whose largest logit is at the largest (mixed) label, of every network
    that learns."""
    # Of the mixed label: under mixup no clip has one true class.
    wanted = labels.argmax(1)
    return {
        f"{role}/top1": (logits[role].detach().argmax(1) == wanted).astype("float32").mean()
        for role in roles
    }


def _require_finite(job: Job, loss: float, epoch: int, step: int) -> None:
    if not math.isfinite(loss):
        raise _diverged(
            job, f"the loss became {loss} in epoch {epoch + 1}, iteration {step + 1}", epoch
        )


def _require_finite_weights(job: Job, epoch: int) -> None:
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


def _result(trainer: Trainer, record: dict, losses: np.ndarray, logits: np.ndarray) -> EpochResult:
    job = trainer.job
    labels = np.asarray(job.dataset.selection.labels)
    weights = networks.state_of(trainer.judged)
    return EpochResult(record, losses, logits, labels, job.dataset.classes, weights)


def _validate(trainer: Trainer) -> tuple[dict[str, float], np.ndarray]:
    """Accuracy and loss of every network that learns, on the validation split, and the learner's
    logits (n, K); the learner's are the average's if there is one."""
    job = trainer.job
    judged = np.empty(0)
    measured: dict[str, float] = {}
    for role, model in job.trained.items():
        network = trainer.judged if role == job.learner else model.network
        clips = job.evaluation(model.view)
        logits = logits_of(in_process(network), clips, advance=job.watch.validating)
        for name, value in asdict(accuracy(logits, clips.labels)).items():
            # Copies among the clips are not looked for here, so that nothing is known of the others.
            if value is not None:
                measured[f"{role}/{name}"] = value
        measured[f"{role}/loss"] = cross_entropy(logits, clips.labels)
        if role == job.learner:
            judged = logits
    return measured, judged
