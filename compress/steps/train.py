"""Train the student, alone or under the teacher: cross-entropy, mixup, DML, classic distillation."""

from __future__ import annotations

from dataclasses import replace

from compress.steps.work import Outcome, State, Work
from compress.training import objectives
from compress.training.fit import fit
from compress.training.settings import Config, moves_teacher
from compress.training.trainer import Job
from compress.training.watch import Watch
from teachers import networks
from teachers.networks import Spec
from teachers.weights import identity

# Of several processes, all take part.
SHARED = True


def title(config: Config) -> str:
    """What the step does, in honest words: with a frozen teacher, DML is one-way distillation."""
    words = ["train"]
    if config.focal is not None:
        words.append(
            f"class-balanced focal loss (beta {config.focal.beta:g}, gamma {config.focal.gamma:g})"
        )
    if config.class_weights is not None:
        balanced = config.class_weights == "balanced"
        words.append("balanced class weights" if balanced else "class weights")
    if config.mixup is not None:
        words.append(f"mixup {config.mixup.alpha:g}")
    if config.dml is not None:
        words.append(
            # Papers call this mutual learning too; with a teacher that stays it is not mutual
            "one-way distillation, symmetric KL, frozen teacher"
            if config.dml.freeze_teacher
            else "mutual learning, both networks trained"
        )
    if config.kd is not None:
        words.append(
            f"classic distillation, temperature {config.kd.temperature:g}, "
            + ("moving teacher" if moves_teacher(config) else "frozen teacher")
        )
    if config.ema is not None:
        words.append(f"average of weights {config.ema:g}")
    if config.progressive_frames:
        stages = ", ".join(str(stage.frames) for stage in config.progressive_frames)
        words.append(f"{stages} frames first")
    return ", ".join([f"{words[0]} {config.epochs} epochs", *words[1:]])


def spec_after(spec: Spec, config: Config) -> Spec:
    """The student's spec after the step: training changes none of it."""
    return spec


def apply(state: State, config: Config, work: Work, number: int) -> Outcome:
    """Train `state.student`; the result has the weights of its best epoch. A moving teacher is a copy
    of the one before, which the result is compared with, and ends with its last weights."""
    needed = config.dml is not None or config.kd is not None
    moving = moves_teacher(config)
    trained = {"student": state.student}
    if moving:
        # Never an ensemble: the recipe refuses that
        before = state.teacher[0]
        teacher = replace(before, network=networks.copy_of(before.network))
        trained["teacher"] = teacher
        state = replace(state, teacher=(teacher,))
    # Only for a loss that asks for it: a teacher costs a forward pass at every batch.
    frozen = {"teacher": state.teacher} if needed and not moving else {}
    name = f"step{number}_train"
    watch = Watch(work.curves, f"{number:02}_train", work.record)
    objective = objectives.build(config, counts=objectives.class_counts(work.dataset))
    job = Job(
        "student" if needed else name,
        trained,
        frozen,
        config,
        objective,
        work.dataset,
        work.selection,
        # A thousand apart: no step shares its random numbers with a step of the next seed.
        seed=work.seed * 1000 + number,
        state_path=work.folder / "state" / f"{name}.npz",
        settings=identity.of([work.origin, number, config, work.seed, state.student.network.spec]),
        watch=watch,
        frozen_runtime=work.frozen_runtime,
        answers=work.answers,
        enough=work.enough,
    )
    try:
        progress = fit(job)
    finally:
        watch.end()
    notes = (progress.note,) if progress.note else ()
    return Outcome(state, tuple(progress.history), progress.best_epoch, notes)
