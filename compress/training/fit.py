"""The only training loop. Methods are objectives handed to it; it knows networks, epochs and what is
kept. One epoch is in `epoch.py`, one update in `trainer.py`."""

from __future__ import annotations

import time
from dataclasses import asdict

import numpy as np

from compress.evaluation.evaluate import accuracy, cross_entropy, logits_of
from compress.process import ranks
from compress.training import checkpoint, fine_tuning, finite, schedule, stochastic_depth
from compress.training.epoch import run_epoch
from compress.training.epoch_curves import EpochResult
from compress.training.trainer import Job, Trainer
from export.runtimes import in_process
from teachers import networks
from teachers.terminal.interrupt import finish_first


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
        trainer.share_weights()
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
    while not (_finished(job, progress) or ranks.from_first(job.enough)):
        started = time.monotonic()
        train, losses = run_epoch(trainer, progress.epoch)
        finite.check_weights(job, progress.epoch)
        trainer.share_statistics()
        val, logits = _validate(trainer)
        record = {"epoch": progress.epoch + 1, "lr": train.pop("lr"), "train": train, "val": val}
        record["seconds"] = time.monotonic() - started
        progress.epoch += 1
        progress.history.append(record)
        _keep_best(trainer, progress)
        # Before the save: an epoch that is killed in between is done again, and its curves with
        # it, which replace these. After it, they would be missing for good.
        job.watch.draw(_result(trainer, record, losses, logits))
        ranks.only_first(lambda: _save(trainer, progress))
        job.watch.epoch(record)
    job.watch.finished(progress.best_epoch, progress.epoch)
    networks.load_state(job.networks[job.learner], progress.best, f"best epoch of {job.title}")
    for network in job.networks.values():
        network.eval()
    return progress


def _save(trainer: Trainer, progress: checkpoint.Progress) -> None:
    job = trainer.job
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
