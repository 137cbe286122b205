"""What one training works on, and one update of it: forward, loss, gradients, optimiser."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from compress.data.dataset import Dataset
from compress.evaluation.evaluate import EvaluationSet
from compress.inputs.view import View
from compress.process import ranks
from compress.training import (
    checkpoint,
    fine_tuning,
    frozen as frozen_teachers,
    optimizer as optimizers,
    shares,
    sync_norm,
)
from compress.training.answers import Answers
from compress.training.average import Average, joined, put_back
from compress.training.model import Model, views_of
from compress.training.objectives import Objective
from compress.training.settings import Config
from compress.training.watch import Watch
from teachers.layers import BatchNorm
from teachers.weights.identity import Identity


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
        answers: of the frozen networks to batches that they have seen; None: none are kept.
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
    answers: Answers | None = None
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
        self.average: Average | None = None
        if config.ema is not None:
            learner = job.networks[job.learner]
            self.average = Average(learner, config.ema, fine_tuning.fixed_names(learner, config))
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
        batches = shares.batches_of(len(split.repeated(job.config.repeat)), job.config)
        self.frozen = frozen_teachers.choose(
            job.frozen,
            job.frozen_runtime,
            batches * job.config.epochs,
            split,
            progress.runtime,
        )
        if job.answers is not None and job.frozen:
            self.frozen = job.answers.of(job.frozen, self.frozen)
        progress.runtime = self.frozen.runtime
        progress.note = self.frozen.note

    @property
    def saved(self) -> dict[str, nn.Layer]:
        """The networks that a resumed training needs back."""
        if self.average is None:
            return self.job.networks
        return self.job.networks | {"average": self.average.network}

    @property
    def judged(self) -> nn.Layer:
        """The network that validation judges, and that would be kept: the average if there is one,
        not the weights that move."""
        if self.average is not None:
            return self.average.network
        return self.job.networks[self.job.learner]

    def synchronised(self) -> AbstractContextManager[None]:
        """Around the steps of an epoch: BatchNorm over all processes, if the recipe says so."""
        if not self.job.config.sync_bn:
            return nullcontext()
        return sync_norm.applied(list(self.job.networks.values()))

    @paddle.no_grad()
    def share_statistics(self) -> None:
        """The first process's BatchNorm statistics in all of them: each has those of its own clips,
        and one network is judged and kept."""
        if ranks.count() == 1:
            return
        ranks.copy_first_of(self._statistics(self.saved))

    def _statistics(self, nets: dict[str, nn.Layer]) -> list[paddle.Tensor]:
        return [
            value
            for network in nets.values()
            for layer in network.sublayers(include_self=True)
            if isinstance(layer, BatchNorm)
            for value in (layer._mean, layer._variance)
        ]

    @paddle.no_grad()
    def share_weights(self) -> None:
        """The first process's weights in all of them: where each starts from."""
        if ranks.count() > 1:
            ranks.copy_first_of(
                [v for network in self.saved.values() for v in network.state_dict().values()]
            )

    def step(self, batch: dict, labels, lr: float, weight: float = 1.0):
        """One update on a batch {view: x (N, C, T, V, M)} and soft labels (N, K); (loss parts,
        logits by role), on the device. `weight`: of this process's mean in that over the batch."""
        job = self.job
        assert self.frozen is not None
        # Whole clips: a frozen teacher was trained on them, and its session is made for them.
        logits = self.frozen.compute(batch)
        if self.frames is not None:
            batch = {key: shortened(value, self.frames) for key, value in batch.items()}
        statistics = joined(self._statistics(self.job.networks)) if self.scaler else None
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
        self._update(loss if weight == 1.0 else loss * weight)
        # An overflow in the forward pass: the scaler has skipped the update, but BatchNorm has seen
        # it. To look costs little more, for the scaler has waited for the device already. Not at
        # the loss: ReLU of NaN is 0 in Paddle.
        if statistics is not None:
            now = self._statistics(self.job.networks)
            if not bool(paddle.isfinite(joined(now)).all()):
                put_back(now, statistics)
        if self.average is not None:
            self.average.follow()
        # Detached, since `_epoch` sums them up: else every batch's graph would live to the end of
        # the epoch.
        losses = {"loss": loss.detach()}
        losses |= {name: part.detach() for name, part in parts.items()}
        return losses, logits

    def _update(self, loss) -> None:
        """One step of the optimiser down the sum of all processes' losses."""
        if self.scaler:
            self.scaler.scale(loss).backward()
            self._add_gradients()
            # Gradients that overflowed are skipped, and the next scale is smaller. In all processes
            # alike: the sum overflows where one part did.
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            loss.backward()
            self._add_gradients()
            self.optimizer.step()
        self.optimizer.clear_grad()

    @paddle.no_grad()
    def _add_gradients(self) -> None:
        if ranks.count() == 1:
            return
        gradients = [p.grad for p in self.parameters if p.grad is not None]
        # As one vector: each of hundreds of small sums would wait for the slowest process.
        flat = joined(gradients)
        ranks.add_up(flat)
        put_back(gradients, flat)


def shortened(clips, frames: int):
    """(N, C, T, V, M) -> (N, C, frames, V, M): frames from the middle of equal parts of the clip;
    clips that have no more stay as they are."""
    whole = clips.shape[2]
    if whole <= frames:
        return clips
    picked = ((np.arange(frames) + 0.5) * whole / frames).astype("int64")
    return paddle.index_select(clips, paddle.to_tensor(picked), axis=2)
