"""The teacher: networks read from files, or trained first and kept under a hash of all that decides
their weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import paddle

from compress.process import console
from compress.recipe.types import Member
from compress.steps.work import Work
from compress.task import Seat, describe, load_weights, spec_for
from compress.training import checkpoint, objectives
from compress.training.fit import Job, fit
from compress.training.model import Model
from compress.training.watch import Watch
from teachers import networks
from teachers.weights import checkpoints


@dataclass(frozen=True)
class Teacher:
    """A ready teacher network; `origin` says in words where its weights come from, `history` how it
    was trained."""

    model: Model
    origin: str
    history: tuple[dict, ...] = ()
    best_epoch: int = 0


def identity(member: Member, where: Seat, seed: int) -> str:
    """Hash of everything that decides a teacher's weights."""
    file = Path(member.weights) if member.weights else None
    weights = (
        hashlib.sha256(file.read_bytes()).hexdigest() if file and file.is_file() else member.weights
    )
    trained = repr(member.train) if member.weights is None or member.finetune else None
    return checkpoint.digest(
        [
            repr(spec_for(member.network, where)),
            weights,
            trained,
            where.dataset.fingerprint,
            where.view.fingerprint,
            seed,
        ]
    )


def obtain(member: Member, where: Seat, work: Work, shelf: Path, name: str = "teacher") -> Teacher:
    """A teacher network. A trained one is kept on `shelf` and found there by the next run with the
    same recipe.

    Args:
        name: of the training, in curves and messages; an ensemble's members are told apart by it.
    Raises:
        CheckpointError, TrainingError, StorageError: see `load_weights` and
            `compress.training.fit.fit`.
    """
    wanted = member.network
    if member.weights is not None and not member.finetune:
        return Teacher(
            Model(load_weights(member.weights, where, wanted), where.view, member.weight),
            member.weights,
        )
    key = identity(member, where, work.seed)
    path = shelf / f"{member.network.name}-{key}.npz"
    if path.exists():
        _, _, about = checkpoints.read(path)
        console.say(f"{name}: reuses {path}")
        model = Model(load_weights(str(path), where), where.view, member.weight)
        return Teacher(model, f"reused: {path}", tuple(about["history"]), about["best_epoch"])
    if member.weights is not None:
        network, origin = (
            load_weights(member.weights, where, wanted),
            f"trained in this run from {member.weights}",
        )
    else:
        paddle.seed(work.seed)
        network, origin = networks.build(spec_for(member.network, where)), "trained in this run"
    model = Model(network, where.view, member.weight)
    progress = _train(model, member, work, key, name)
    checkpoints.save(
        path,
        network,
        describe(work.dataset, where.view)
        | {
            "history": progress.history,
            "best_epoch": progress.best_epoch,
        },
    )
    return Teacher(model, origin, tuple(progress.history), progress.best_epoch)


def _train(model: Model, member: Member, work: Work, key: str, name: str) -> checkpoint.Progress:
    watch = Watch(work.curves, name)
    objective = objectives.build(member.train, "teacher", objectives.class_counts(work.dataset))
    try:
        return fit(
            Job(
                name,
                {"teacher": model},
                {},
                member.train,
                objective,
                work.dataset,
                work.evaluation,
                seed=work.seed * 1000,
                state_path=work.folder / "state" / f"{name}.npz",
                settings=key,
                watch=watch,
                learner="teacher",
            )
        )
    finally:
        watch.end()
