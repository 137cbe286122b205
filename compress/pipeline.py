"""The order of work: data, teacher, steps, export, comparison in every runtime, budget, report.

Everything finished is on disk before the next thing starts, so `--resume` continues where a run
stopped. Whatever happens, the report is written with what there is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import paddle

from compress import plan, recipe as recipes, registry, teacher as teachers_
from compress.deliver import deliver
from compress.evaluation import accuracy, evaluate, fusion
from compress.plan import load_data, planned_specs, seats
from compress.process import console, interrupt
from compress.recipe.types import Recipe
from compress.reporting import provenance, report as reports
from compress.reporting.record import MemberRow, Report
from compress.reporting.recorder import (
    Recorder,
    data_record,
    ensemble_row,
    member_row,
    network_row,
    step_row,
)
from compress.steps.work import Outcome, State, Work
from compress.task import describe, load_weights, spec_for
from compress.training import checkpoint
from compress.training.curves import Curves
from compress.training.model import Model
from export.quantize.quantized import Quantized
from export.runtimes import in_process
from teachers import networks
from teachers.errors import CheckpointError, FeatherboneError
from teachers.weights import checkpoints


@dataclass(frozen=True)
class Run:
    """One run of a recipe.

    Attributes:
        folder: the output folder.
        shelf: where trained teachers are kept between runs.
        command: as typed, for the report.
    """

    recipe: Recipe
    folder: Path
    shelf: Path
    command: str


def execute(run: Run) -> Report:
    """Run the recipe; returns the report, which is on disk too, also after an error or Ctrl-C.

    Raises:
        FeatherboneError, KeyboardInterrupt: after the partial report was written.
    """
    started = time.monotonic()
    recorder = Recorder(
        Report(
            recipe=run.recipe.name,
            output=str(run.folder),
            provenance=provenance.of_run(run.recipe, run.command),
        )
    )
    try:
        _stages(run, recorder)
    except KeyboardInterrupt:
        recorder.close("interrupted", 130)
        raise
    except FeatherboneError as problem:
        recorder.close(f"failed: {problem}", problem.exit_code)
        raise
    except Exception as problem:
        # A mistake of ours: the report still says how far the run came.
        recorder.close(f"failed: {type(problem).__name__}: {problem}", 1)
        raise
    finally:
        recorder.took(time.monotonic() - started)
        _write_report(recorder.report, run.folder)
    return recorder.report


def _write_report(report: Report, folder: Path) -> None:
    try:
        reports.write(report, folder)
    except FeatherboneError as problem:
        # A full disk: the run's own error matters more than the page about it.
        if report.exit_code in (0, None):
            raise
        console.say(f"the report could not be written either: {problem}")


def _stages(run: Run, recorder: Recorder) -> None:
    recipe = run.recipe
    dataset = load_data(recipe)
    skeleton = (recipe.skeleton or dataset.skeleton).name
    notes = plan.notes(recipe, dataset)
    recorder.data(data_record(dataset, skeleton, notes))
    for note in notes:
        console.say(f"note: {note}")
    planned_specs(recipe, dataset)
    places, place = seats(recipe, dataset)
    recorder.data(data_record(dataset, skeleton, notes, place.view))
    members = recipe.teacher.members
    origin = [
        teachers_.identity(member, where, recipe.seed) for member, where in zip(members, places)
    ]
    work = Work(
        run.folder,
        dataset,
        Curves(run.folder / "curves"),
        recipe.seed,
        checkpoint.digest([origin, repr(recipe.student), place.view.fingerprint]),
    )
    teacher, logits = _teachers(run, work, places, recorder)
    student = _student(recipe, teacher[0], place)
    state = _steps(run, work, State(student, teacher), recorder)
    if state.quantized is not None:
        state.quantized.save(run.folder / "weights" / "quantized.npz")
    checkpoints.save(
        run.folder / "weights" / "student.npz",
        state.student.network,
        describe(dataset, state.student.view),
    )
    deliver(recipe, work, state, logits, recorder)
    work.curves.close()


def _teachers(
    run: Run, work: Work, places: list, recorder: Recorder
) -> tuple[tuple[Model, ...], np.ndarray]:
    """(the teacher's networks, their fused logits (n, K) on the validation split); each is kept in
    `weights/`."""
    members = run.recipe.teacher.members
    single = len(members) == 1
    models: list[Model] = []
    rows: list[MemberRow] = []
    logits: list[np.ndarray] = []
    for number, (member, where) in enumerate(zip(members, places, strict=True), start=1):
        role = "teacher" if single else f"teacher{number}"
        title = f"teacher {number}: {member.network.name}, {where.view.title}"
        name = "teacher" if single else title
        teacher = teachers_.obtain(member, where, work, run.shelf, role)
        recorder.curve(name, teacher.history)
        model = teacher.model
        scores, scored = accuracy.score(
            name, in_process(model.network), work.evaluation(model.view, model.view.clips)
        )
        models.append(model)
        logits.append(scored)
        checkpoints.save(
            run.folder / "weights" / f"{role}.npz",
            model.network,
            describe(work.dataset, model.view),
        )
        if single:
            recorder.network(network_row("teacher", model.network, scores, teacher.origin))
            return (model,), scored
        rows.append(member_row(name, model.network, scores, teacher.origin, member.weight))
        recorder.members(rows)
    return _ensemble(run.recipe, work, models, rows, logits, recorder)


def _ensemble(
    recipe: Recipe,
    work: Work,
    models: list[Model],
    rows: list[MemberRow],
    logits: list[np.ndarray],
    recorder: Recorder,
) -> tuple[tuple[Model, ...], np.ndarray]:
    """Several networks as one teacher: (they with their weights, their fused logits (n, K))."""
    labels = np.asarray(work.dataset.val.labels)
    if recipe.teacher.find_weights:
        weights = fusion.find_weights(logits, labels)
        models = [
            replace(model, weight=weight) for model, weight in zip(models, weights, strict=True)
        ]
        rows = [replace(row, weight=weight) for row, weight in zip(rows, weights, strict=True)]
        recorder.members(rows)
        # Weights that were found on the split that judges them flatter the ensemble.
        recorder.note(
            "the ensemble's weights were found on the validation split; weights of one half judge"
            f" the other half to {fusion.cross_validated(logits, labels):.2f} %"
        )
    fused = fusion.fuse(logits, tuple(model.weight for model in models))
    recorder.network(ensemble_row(rows, evaluate.accuracy(fused, labels)))
    return tuple(models), fused


def _student(recipe: Recipe, teacher: Model, where) -> Model:
    """The network that the steps change: a copy of the (first) teacher, its layout with other
    weights, or one of its own."""
    chosen = recipe.student
    if chosen.weights is not None:
        wanted = chosen.network or recipe.teacher.members[0].network
        return Model(load_weights(chosen.weights, where, wanted), where.view)
    if chosen.network is not None:
        paddle.seed(recipe.seed + 1)
        network = networks.build(spec_for(chosen.network, where))
    else:
        network = networks.build(teacher.network.spec)
        networks.load_state(
            network, networks.state_of(teacher.network), "the student's copy of the teacher"
        )
    network.eval()
    return Model(network, where.view)


def _steps(run: Run, work: Work, state: State, recorder: Recorder) -> State:
    """Apply the enabled steps in order; a step that an earlier attempt finished is read back."""
    for number, step in enumerate(run.recipe.steps, start=1):
        if not step.enabled:
            continue
        module = registry.STEPS.load(step.kind)
        started = time.monotonic()
        work = replace(
            work, origin=checkpoint.digest([work.origin, number, step.kind, repr(step.config)])
        )
        outcome = _finished(work, number, state) or _apply(module, step, work, number, state)
        state = outcome.state
        interrupt.check()
        student = state.student
        scores, _ = accuracy.score(
            f"step {number}: {module.title(step.config)}",
            in_process(state.served()),
            work.evaluation(student.view, student.view.clips),
        )
        recorder.step(
            step_row(
                step.kind,
                module.title(step.config),
                recipes.to_dict(run.recipe)["steps"][number - 1][step.kind],
                time.monotonic() - started,
                outcome.notes,
                student.network,
                scores,
            )
        )
        recorder.curve(f"step {number}: {step.kind}", outcome.history)
    return state


def _apply(module, step, work: Work, number: int, state: State) -> Outcome:
    outcome = module.apply(state, step.config, work, number)
    after = outcome.state
    about = {
        "history": list(outcome.history),
        "best_epoch": outcome.best_epoch,
        "notes": list(outcome.notes),
        "origin": work.origin,
    }
    if len(after.teacher) == 1:  # an ensemble never changes
        about["teacher_view"] = after.teacher[0].view.fingerprint
        checkpoints.save(_step_file(work, number, "teacher"), after.teacher[0].network, about)
    if after.quantized is not None:
        after.quantized.save(_step_file(work, number, "quantized"))
    checkpoints.save(
        _step_file(work, number, "student"), after.student.network, about
    )  # last: it says that the step is finished
    return outcome


def _finished(work: Work, number: int, state: State) -> Outcome | None:
    if not _step_file(work, number, "student").exists():
        return None
    _, _, about = checkpoints.read(_step_file(work, number, "student"))
    if about.get("origin") != work.origin:
        raise CheckpointError(
            f"{_step_file(work, number, 'student')}: belongs to another recipe, data or seed;"
            " resume with the same ones, or start anew with another --output"
        )
    console.say(f"step {number}: was finished before")
    student = replace(state.student, network=checkpoints.load(_step_file(work, number, "student")))
    teacher = state.teacher
    if "teacher_view" in about:
        view = next(
            one.view
            for one in (*state.teacher, state.student)
            if one.view.fingerprint == about["teacher_view"]
        )
        teacher = (Model(checkpoints.load(_step_file(work, number, "teacher")), view),)
    rounded = _step_file(work, number, "quantized")
    quantized = Quantized.read(rounded) if rounded.exists() else None
    return Outcome(
        State(student, teacher, quantized),
        tuple(about["history"]),
        about["best_epoch"],
        tuple(about["notes"]),
    )


def _step_file(work: Work, number: int, role: str) -> Path:
    return work.folder / "state" / f"step{number}_{role}.npz"
