"""The teacher: read from a file, or trained first and kept under a hash of all that decides its weights."""
from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import paddle
from paddle import nn

from compress import checkpoint, console, objectives
from compress.console import Watch
from compress.data.dataset import Dataset
from compress.fit import Job, fit
from compress.recipe_types import Teacher as Config
from compress.work import Work
from teachers import checkpoints, networks
from teachers.errors import CheckpointError
from teachers.published import Hints


@dataclass(frozen=True)
class Teacher:
    """A ready teacher; `origin` says in words where its weights come from, `history` how it was trained."""

    network: nn.Layer
    origin: str
    history: tuple[dict, ...] = ()
    best_epoch: int = 0


def spec_for(config: Config, dataset: Dataset):
    """The teacher's spec for this data, before any weights are read."""
    return networks.module(config.name).default_spec(len(dataset.classes), dataset.skeleton, dataset.frames, dataset.persons,
                                                     dataset.channels, config.width)


def load_weights(path: str, dataset: Dataset) -> nn.Layer:
    """A network from a weights file, checked against the data.

    Raises:
        CheckpointError: the file cannot be used, or is for another input or class count.
    """
    network = checkpoints.load(path, Hints(dataset.frames, dataset.persons, dataset.skeleton))
    spec = network.spec
    for what, own, wanted in (("input (C, T, V, M)", spec.input_shape, dataset.input_shape),
                              ("number of classes", spec.classes, len(dataset.classes)),
                              ("skeleton", spec.skeleton.name, dataset.skeleton.name)):
        if own != wanted:
            raise CheckpointError(f"{path}: its {what} is {own}, that of data set {dataset.name!r} is {wanted}; give weights "
                                  "trained on this data, or the data they were trained on")
    return network


def identity(config: Config, dataset: Dataset, seed: int) -> str:
    """Hash of everything that decides the teacher's weights."""
    weights = hashlib.sha256(Path(config.weights).read_bytes()).hexdigest() if config.weights and Path(config.weights).is_file() else None
    trained = repr(config.train) if config.weights is None or config.finetune else None
    return checkpoint.digest([repr(spec_for(config, dataset)), weights, trained, dataset.fingerprint, seed])


def obtain(config: Config, work: Work, shelf: Path) -> Teacher:
    """The teacher of a run. A trained one is kept on `shelf` and found there by the next run with the same recipe.

    Raises:
        CheckpointError, TrainingError, StorageError: see `load_weights` and `compress.fit.fit`.
    """
    dataset = work.dataset
    if config.weights is not None and not config.finetune:
        return Teacher(load_weights(config.weights, dataset), config.weights)
    key = identity(config, dataset, work.seed)
    path = shelf / f"{config.name}-{key}.npz"
    if path.exists():
        _, _, about = checkpoints.read(path)
        console.say(f"teacher: reuses {path}")
        return Teacher(load_weights(str(path), dataset), f"reused: {path}", tuple(about["history"]), about["best_epoch"])
    if config.weights is not None:
        network, origin = load_weights(config.weights, dataset), f"trained in this run from {config.weights}"
    else:
        paddle.seed(work.seed)
        network, origin = networks.build(spec_for(config, dataset)), "trained in this run"
    progress = _train(network, config, work, key)
    checkpoints.save(path, network, describe(dataset) | {"history": progress.history, "best_epoch": progress.best_epoch})
    return Teacher(network, origin, tuple(progress.history), progress.best_epoch)


def describe(dataset: Dataset) -> dict:
    """What a weights file says about its data: enough to export and feed the network later."""
    return {"data": dataset.name, "classes": list(dataset.classes), "preprocessing": list(dataset.eval_ops)}


def _train(network: nn.Layer, config: Config, work: Work, key: str) -> checkpoint.Progress:
    watch = Watch(work.curves, "teacher")
    try:
        return fit(Job("teacher", {"teacher": network}, {}, config.train, objectives.build(config.train, "teacher"), work.dataset,
                       work.validation, seed=work.seed * 1000, state_path=work.folder / "state" / "teacher.npz", settings=key,
                       watch=watch, learner="teacher"))
    finally:
        watch.end()
