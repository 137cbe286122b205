"""The teacher: networks read from files, or trained first and kept under a hash of all that decides
their weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import paddle

from compress.plan import PlannedTeacher
from compress.process import ranks
from compress.steps.work import Work
from compress.task import check_fits, spec_for
from compress.training import checkpoint, objectives, settings
from compress.training.fit import fit
from compress.training.model import Model
from compress.training.trainer import Job
from compress.training.watch import Watch
from teachers import networks
from teachers.weights import checkpoints, identity as identities
from teachers.weights.identity import Identity


@dataclass(frozen=True)
class Teacher:
    """A ready teacher network.

    Attributes:
        origin: where its weights come from, in words.
        history: how it was trained, an epoch each.
        kept: its file in the teacher cache.
        reused: it was taken from there.
    """

    model: Model
    origin: str
    history: tuple[dict, ...] = ()
    best_epoch: int = 0
    kept: Path | None = None
    reused: bool = False


def identity(planned: PlannedTeacher, seed: int) -> Identity:
    """Of everything that decides a teacher's weights."""
    member = planned.member
    task = planned.task
    # How a network that is only read was once trained does not change it
    training = member.train if member.weights is None or member.finetune else None
    parts: list[object] = [
        spec_for(member.network, task),
        _content(planned),
        training,
        task.dataset.fingerprint,
        task.view.identity,
        seed + member.seed,
    ]
    # The layout of another's weights file, which may be pruned.
    if planned.weights is None and planned.spec != parts[0]:
        parts.append(planned.spec)
    # Only where the recipe says it, so that teachers of before the key are found again.
    if member.head != "auto":
        parts.append(member.head)
    return identities.of(parts)


def from_nothing(planned: PlannedTeacher) -> PlannedTeacher:
    """The teacher of a fine-tuning as it is trained from fresh weights, with the same schedule."""
    member = planned.member
    train = member.train.from_nothing() if member.train is not None else None
    fresh = replace(
        member, weights=None, finetune=False, head="auto", compare_scratch=False, train=train
    )
    return replace(planned, member=fresh, weights=None)


def _content(planned: PlannedTeacher) -> Identity | None:
    """Of the weights file that a teacher begins with."""
    weights = planned.weights
    if weights is None:
        return None
    # The older key of `FILE#Teacher` was the text itself, for there is no such file to hash
    legacy = weights.sha256 if Path(weights.path).is_file() else weights.path
    return Identity(identities.digest(weights.content), legacy)


def obtain(
    planned: PlannedTeacher, work: Work, teacher_cache: Path, name: str = "teacher"
) -> Teacher:
    """A teacher network. A trained one is kept in `teacher_cache` and found there by the next run
    with the same recipe.

    Args:
        name: of the training, in curves and messages; an ensemble's members are told apart by it.
    Raises:
        CheckpointError, TrainingError, StorageError: see `load_weights` and
            `compress.training.fit.fit`.
    """
    member = planned.member
    view = planned.task.view
    weights = planned.weights
    if weights is not None and not member.finetune:
        return Teacher(Model(weights.network, view, member.weight), weights.path)
    seed = work.seed + member.seed
    key = identity(planned, work.seed)
    cached = _cached(planned, key, teacher_cache)
    if cached is not None:
        return cached
    if weights is not None:
        network = weights.network
        origin = f"trained in this run from {weights.path}"
    else:
        # Initial weights are drawn from Paddle's one global generator: seeded here, they do not
        # depend on what was built before
        paddle.seed(seed)
        network = networks.build(planned.spec)
        origin = "trained in this run"
    model = Model(network, view, member.weight)
    # `Member` refuses a network that is neither read whole nor told how to train
    assert member.train is not None
    progress = _train(model, member.train, replace(work, seed=seed), key, name)
    about = model.about(work.dataset) | {
        "history": progress.history,
        "best_epoch": progress.best_epoch,
    }
    # Under the key by content only: files with the older key are read and never written.
    kept = _cache_file(teacher_cache, planned, key.key)
    ranks.only_first(lambda: checkpoints.save(kept, network, about))
    return Teacher(model, origin, tuple(progress.history), progress.best_epoch, kept)


def _cached(planned: PlannedTeacher, key: Identity, teacher_cache: Path) -> Teacher | None:
    """The teacher as an earlier run kept it, under today's key or the one of older releases."""
    for text in (key.key, key.legacy):
        if text is None:
            continue
        path = _cache_file(teacher_cache, planned, text)
        # The first process decides, for it writes there, as may other runs meanwhile.
        if ranks.from_first(path.exists):
            network, about = checkpoints.load_with_about(path)
            check_fits(str(path), network.spec, planned.task)
            model = Model(network, planned.task.view, planned.member.weight)
            return Teacher(
                model,
                f"reused: {path}",
                tuple(about["history"]),
                about["best_epoch"],
                path,
                reused=True,
            )
    return None


def _cache_file(teacher_cache: Path, planned: PlannedTeacher, key: str) -> Path:
    # The name is there for people; the key alone decides.
    return teacher_cache / f"{planned.member.network.name}-{key}.npz"


def _train(
    model: Model, config: settings.Config, work: Work, key: Identity, name: str
) -> checkpoint.Progress:
    # VisualDL sorts by name: teachers come before the first step.
    watch = Watch(work.curves, f"00_{name}", work.record)
    objective = objectives.build(config, "teacher", objectives.class_counts(work.dataset))
    try:
        return fit(
            Job(
                name,
                {"teacher": model},
                {},
                config,
                objective,
                work.dataset,
                work.selection,
                # Far from `seed + 1`, which a fresh student is drawn with
                seed=work.seed * 1000,
                state_path=work.folder / "state" / f"{name}.npz",
                settings=key,
                watch=watch,
                learner="teacher",
            )
        )
    finally:
        watch.end()
