"""The order of work: data, teacher, steps, export, comparison in every runtime, budget, report.

Everything finished is on disk before the next thing starts, so `--resume` continues where a run
stopped. Whatever happens, the report is written with what there is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import paddle

from compress import plan, recipe as recipes, rehearsal
from compress.deliver import deliver
from compress.evaluation import accuracy, evaluate, fusion
from compress.plan import Plan, PlannedStep, PlannedTeacher, load_data
from compress.process import console, ranks
from compress.recipe.types import Recipe
from compress.reporting import provenance, report as reports
from compress.reporting.record import FromNothing, InputRecord, MemberRow, Report
from compress.reporting.recorder import (
    Recorder,
    data_record,
    ensemble_row,
    member_row,
    network_row,
    step_row,
)
from compress.steps.work import Outcome, State, Work
from compress.teacher import from_nothing, identity as identity_of_teacher, obtain
from compress.training.convergence import unfinished
from compress.training.curves import Curves, NoCurves
from compress.training.model import Model
from export.quantize.quantized import Quantized
from export.runtimes import in_process
from teachers import ensemble, networks
from teachers.errors import CheckpointError, FeatherboneError
from teachers.terminal import interrupt
from teachers.terminal.output import say
from teachers.weights import checkpoints, identity
from teachers.weights.held import HeldFiles, sha256_of
from teachers.weights.identity import Identity


@dataclass(frozen=True)
class Run:
    """One run of a recipe.

    Attributes:
        folder: the output folder.
        teacher_cache: where trained teachers are kept between runs.
        command: as typed, for the report.
        deterministic: the settings of `--deterministic`, for the report.
    """

    recipe: Recipe
    folder: Path
    teacher_cache: Path
    command: str
    deterministic: tuple[str, ...] = ()


def execute(run: Run) -> Report:
    """Run the recipe; returns the report, which is on disk too, also after an error or Ctrl-C.

    Raises:
        FeatherboneError, KeyboardInterrupt: after the partial report was written.
    """
    # Monotonic: a run takes hours, in which the wall clock may be set.
    started = time.monotonic()
    recorder = Recorder(
        Report(
            recipe=run.recipe.name,
            output=str(run.folder),
            provenance=provenance.of_run(run.recipe, run.command, run.deterministic),
        )
    )
    try:
        _stages(run, recorder)
    except BaseException as caught:
        problem = ranks.failed(caught)
        recorder.close(*ending_of(problem))
        if problem is not caught:
            raise problem from caught
        if recorder.report.exit_code in interrupt.EXIT_CODES:
            interrupt.check()
        raise
    finally:
        recorder.took(time.monotonic() - started)
        # Who presses Ctrl-C a second time must not lose the report of the first.
        with interrupt.held():
            write_report(recorder.report, run.folder)
    return recorder.report


def ending_of(problem: BaseException) -> tuple[str, int]:
    """(status, exit code) of a run that was stopped by `problem`."""
    if isinstance(problem, FeatherboneError):
        return f"failed: {problem}", problem.exit_code
    # Paddle turns a KeyboardInterrupt into errors of its own in places.
    if isinstance(problem, KeyboardInterrupt) or interrupt.came():
        return "interrupted", interrupt.exit_code(problem)
    # A mistake of ours: the report still says how far the run came.
    return f"failed: {type(problem).__name__}: {problem}", 1


def write_report(report: Report, folder: Path) -> None:
    """Write the report of a run that may have failed; its own error is the one that is raised."""
    if not ranks.is_first():
        return
    try:
        reports.write(report, folder)
    except FeatherboneError as problem:
        # A full disk: the run's own error matters more than the page about it.
        if report.exit_code in (0, None):
            raise
        say(f"the report could not be written either: {problem}")


def _stages(run: Run, recorder: Recorder) -> None:
    recipe = run.recipe
    with console.reading() as progress:
        dataset = load_data(recipe, progress)
    planned = plan.make(recipe, dataset)
    # With epochs in place of iterations.
    recipe = planned.recipe
    task = planned.student.task
    view = task.view
    seen = InputRecord(view.title, tuple(view.shape))
    recorder.data(data_record(dataset, task.skeleton.name, planned.notes, seen))
    for note in planned.notes:
        say(f"note: {note}")
    # Before any training: a weights file that has changed is no news to have hours later.
    held = HeldFiles(run.folder)
    files = {weights.path: weights.sha256 for weights in planned.weights}
    held.check(files)
    ranks.only_first(lambda: held.keep(files))
    # As early, for the same reason.
    ranks.only_first(lambda: rehearsal.check_place(planned))
    work = Work(
        run.folder,
        dataset,
        Curves(run.folder / "curves") if ranks.is_first() else NoCurves(),
        recipe.seed,
        origin(planned),
        recipe.teacher.runtime,
    )
    teacher, logits = obtain_teachers(run, work, planned, recorder, held)
    student = student_of(planned, teacher)
    before = State(student, teacher)
    state = _steps(planned, work, before, recorder)
    # Export, comparison and timing are one process's work, and the others leave their cores to it.
    if not ranks.goes_on_alone():
        return
    if state.quantized is not None:
        state.quantized.save(run.folder / "weights" / "quantized.npz")
    # Before the export: where that fails, `featherbone export` can still work from this file.
    checkpoints.save(
        run.folder / "weights" / "student.npz",
        state.student.network,
        state.student.about(dataset),
    )
    deliver(recipe, work, state, before, logits, recorder)
    work.curves.close()


def origin(planned: Plan) -> Identity:
    """The identity of everything that decides the data and the weights that the first step starts from."""
    seed = planned.recipe.seed
    teachers = [identity_of_teacher(teacher, seed) for teacher in planned.teachers]
    student = planned.recipe.student
    weights = planned.student.weights
    # By the file's content, wherever it lies. Older releases knew the path alone, and so took a
    # changed file for the old one.
    content = identity.of([replace(student, weights=None), weights.content if weights else None])
    started = Identity(content.key, identity.former_text(student))
    parts: list[object] = [teachers, started, planned.student.task.view.identity]
    # Only where the recipe says it: with `auto`, the state of each training says what computed its
    # teacher, and older runs have Paddle there.
    if planned.recipe.teacher.runtime != "auto":
        parts.append(planned.recipe.teacher.runtime)
    return identity.of(parts)


def after_step(before: Identity, planned: PlannedStep) -> Identity:
    """The identity of what a step hands on, made from that of what it starts from: a chain, so that
    a step is done again when anything before it was changed."""
    entry = planned.entry
    # With the number: seeds follow from it, so a step that moved in the recipe is another one,
    # whatever its keys.
    return identity.of([before, planned.number, entry.kind, entry.config])


def obtain_teachers(
    run: Run, work: Work, planned: Plan, recorder: Recorder, held: HeldFiles
) -> tuple[tuple[Model, ...], np.ndarray]:
    """(the teacher's networks, their fused logits (n, K) on the validation split); each is kept in
    `weights/`."""
    single = len(planned.teachers) == 1
    models: list[Model] = []
    rows: list[MemberRow] = []
    logits: list[np.ndarray] = []
    for number, entry in enumerate(planned.teachers, start=1):
        member = entry.member
        role = "teacher" if single else f"teacher{number}"
        title = f"teacher {number}: {member.network.name}, {entry.task.view.title}"
        name = "teacher" if single else title
        # The report of a run that is stopped in here has the epochs that were finished.
        watched = replace(work, record=partial(recorder.curve, name))
        teacher = obtain(entry, watched, run.teacher_cache, role)
        recorder.curve(name, teacher.history, teacher.best_epoch)
        if teacher.kept is not None:
            file = {teacher.kept.name: sha256_of(teacher.kept)}
            if teacher.reused:
                say(f"{role}: reuses {teacher.kept}")
                # A teacher that this run trained again is another file, and known to be right.
                held.check(file)
            ranks.only_first(partial(held.keep, file))
        # Also of a kept teacher, whose curve is kept with it. One that is only read has none.
        early = unfinished(
            teacher.history, "teacher", len(work.dataset.selection), fresh=member.weights is None
        )
        if early is not None:
            recorder.warn(f"{name}: may not have converged, {early}; train it for more epochs")
        model = teacher.model
        # Judged even when it was read or reused: its top-1 on this split is what the gate counts
        # the loss from.
        scores, scored = accuracy.score(
            name, in_process(model.network), work.evaluation(model.view, model.view.clips)
        )
        models.append(model)
        logits.append(scored)
        if member.compare_scratch:
            _compare_scratch(run, watched, entry, (name, role, scores.top1), recorder)
        if ranks.is_first():
            checkpoints.save(
                run.folder / "weights" / f"{role}.npz",
                model.network,
                model.about(work.dataset),
            )
        if single:
            recorder.network(network_row("teacher", model.network, scores, teacher.origin))
            return (model,), scored
        rows.append(member_row(name, model.network, scores, teacher.origin, member.weight))
        # After each member, so that the report of a stopped run has those that were ready.
        recorder.members(rows)
    return _ensemble(planned.recipe, work, models, rows, logits, recorder)


def _compare_scratch(
    run: Run,
    work: Work,
    entry: PlannedTeacher,
    fine_tuned: tuple[str, str, float],
    recorder: Recorder,
) -> None:
    """Train a teacher from nothing, too, and record both; `fine_tuned`: (title, role, top-1) of it."""
    title, role, top1 = fine_tuned
    curve = f"{title} from nothing"
    watched = replace(work, record=partial(recorder.curve, curve))
    fresh = obtain(from_nothing(entry), watched, run.teacher_cache, f"{role}_from_nothing")
    recorder.curve(curve, fresh.history, fresh.best_epoch)
    model = fresh.model
    scores, _ = accuracy.score(
        curve, in_process(model.network), work.evaluation(model.view, model.view.clips)
    )
    seconds = sum(record["seconds"] for record in fresh.history)
    row = FromNothing(title, scores.top1, top1, len(fresh.history), round(seconds, 1))
    recorder.from_nothing(row)
    say(f"{title}: {top1:.2f} % fine-tuned, {scores.top1:.2f} % from nothing")


def _ensemble(
    recipe: Recipe,
    work: Work,
    models: list[Model],
    rows: list[MemberRow],
    logits: list[np.ndarray],
    recorder: Recorder,
) -> tuple[tuple[Model, ...], np.ndarray]:
    """Several networks as one teacher: (they with their weights, their fused logits (n, K))."""
    val = work.dataset.val
    if recipe.teacher.find_weights:
        labels = np.asarray(work.dataset.selection.labels)
        tried = _logits_that_choose(work, models, logits)
        weights = fusion.find_weights(tried, labels)
        models = [
            replace(model, weight=weight) for model, weight in zip(models, weights, strict=True)
        ]
        rows = [replace(row, weight=weight) for row, weight in zip(rows, weights, strict=True)]
        recorder.members(rows)
        # Weights that were found on the split that judges them flatter the ensemble.
        found_on = "validation split" if work.dataset.holdout is None else "clips held out"
        recorder.note(
            f"the ensemble's weights were found on the {found_on}; weights of one half judge"
            f" the other half to {fusion.cross_validated(tried, labels):.2f} %"
        )
    # Logits are summed, not scores, as CTR-GCN's public script fuses its streams.
    fused = fusion.fuse(logits, tuple(model.weight for model in models))
    scores = evaluate.accuracy(fused, np.asarray(val.labels), val.copies)
    recorder.network(ensemble_row(rows, scores))
    return tuple(models), fused


def _logits_that_choose(
    work: Work, models: list[Model], logits: list[np.ndarray]
) -> list[np.ndarray]:
    """Each member's logits on the clips that choose, `logits` being those on the validation split."""
    if work.dataset.holdout is None:
        return logits
    return [
        evaluate.logits_of(in_process(model.network), work.selection(model.view, model.view.clips))
        for model in models
    ]


def student_of(planned: Plan, teachers: tuple[Model, ...]) -> Model:
    """The network that the steps change: a copy of the (first) teacher, its layout with other
    weights, all of them as one, or one of its own."""
    teacher = teachers[0]
    view = planned.student.task.view
    if planned.student.weights is not None:
        return Model(planned.student.weights.network, view)
    if planned.recipe.student.from_ == "ensemble":
        streams = [plan.stream_of(each.member) for each in planned.teachers]
        networks_ = [(model.network, model.weight) for model in teachers]
        return Model(
            ensemble.joined([(name, *each) for name, each in zip(streams, networks_, strict=True)]),
            view,
        )
    if planned.recipe.student.network is not None:
        # None of the teachers' seeds: a student with their layout would begin as a twin
        paddle.seed(planned.recipe.seed + 1 + max(each.member.seed for each in planned.teachers))
        network = networks.build(planned.student.spec)
        # A layer of Paddle starts in training mode, in which even an evaluation moves BatchNorm
        # statistics.
        network.eval()
    else:
        network = networks.copy_of(teacher.network)
    return Model(network, view)


def _steps(planned: Plan, work: Work, state: State, recorder: Recorder) -> State:
    """Apply the enabled steps in order; a step that an earlier attempt finished is read back."""
    for entry in planned.steps:
        number = entry.number
        step = entry.entry
        if not step.enabled:
            continue
        started = time.monotonic()
        # Below `continue`: a step that is switched off changes nothing that is handed on.
        curve = f"step {number}: {step.kind}"
        work = replace(
            work, origin=after_step(work.origin, entry), record=partial(recorder.curve, curve)
        )
        outcome = _finished(work, number, state) or _done(entry, work, state)
        state = outcome.state
        interrupt.check()
        student = state.student
        scores, _ = accuracy.score(
            f"step {number}: {entry.title}",
            # As deployed, rounding included: the float network would hide what quantising costs.
            in_process(state.served()),
            work.evaluation(student.view, student.view.clips),
        )
        row = step_row(
            step.kind,
            entry.title,
            recipes.to_dict(planned.recipe)["steps"][number - 1][step.kind],
            time.monotonic() - started,
            outcome.notes,
            student.network,
            scores,
        )
        recorder.step(replace(row, start_top1=outcome.start_top1))
        recorder.curve(curve, outcome.history, outcome.best_epoch)
    return state


def _done(planned: PlannedStep, work: Work, state: State) -> Outcome:
    """The outcome of a step that is carried out now, the same in all processes."""
    number = planned.number
    if ranks.count() == 1:
        return _save(planned.module.apply(state, planned.entry.config, work, number), work, number)
    # What trains shares out its batches; the rest is done by the first process and read by the
    # others, which could end up with other last bits on another kind of CPU.
    if hasattr(planned.module, "SHARED"):
        outcome = planned.module.apply(state, planned.entry.config, work, number)
        ranks.only_first(lambda: _save(outcome, work, number))
        return outcome
    say(f"step {number}: {planned.title}, in the first process alone")
    made: list[Outcome] = []
    ranks.only_first(
        lambda: made.append(
            _save(planned.module.apply(state, planned.entry.config, work, number), work, number)
        )
    )
    return made[0] if made else _read(work, number, state)


def _save(outcome: Outcome, work: Work, number: int) -> Outcome:
    """Save what a step hands on."""
    after = outcome.state
    about = {
        "history": list(outcome.history),
        "best_epoch": outcome.best_epoch,
        "notes": list(outcome.notes),
        "start_top1": outcome.start_top1,
        "origin": work.origin.key,
    }
    # An ensemble never changes: it is not worth saving its networks after every step
    if len(after.teacher) == 1:
        about["teacher_view"] = after.teacher[0].view.fingerprint
        checkpoints.save(_step_file(work, number, "teacher"), after.teacher[0].network, about)
    if after.quantized is not None:
        after.quantized.save(_step_file(work, number, "quantized"))
    # Last, for this file says that the step is finished: a run killed above repeats the step
    checkpoints.save(_step_file(work, number, "student"), after.student.network, about)
    return outcome


def _finished(work: Work, number: int, state: State) -> Outcome | None:
    """What an earlier attempt left of a step that it finished; None: it did not."""
    path = _step_file(work, number, "student")
    # The first process decides, for it writes: none may find a file that others did not see yet.
    if not ranks.from_first(path.exists):
        return None
    say(f"step {number}: was finished before")
    return _read(work, number, state)


def _read(work: Work, number: int, state: State) -> Outcome:
    """What `_save` left of a step."""
    path = _step_file(work, number, "student")
    network, about = checkpoints.load_with_about(path)
    if not work.origin.accepts(about.get("origin")):
        # Refused, not done again: what would be overwritten may be hours of work.
        raise CheckpointError(
            f"{path}: belongs to another recipe, data or seed;"
            " resume with the same ones, or start anew with another --output"
        )
    student = replace(state.student, network=network)
    teacher = state.teacher
    if "teacher_view" in about:
        # A step invents no view: its teacher sees clips as one of the networks before it did
        view = next(
            model.view
            for model in (*state.teacher, state.student)
            if model.view.identity.accepts(about["teacher_view"])
        )
        teacher = (Model(checkpoints.load(_step_file(work, number, "teacher")), view),)
    rounded = _step_file(work, number, "quantized")
    quantized = Quantized.read(rounded) if rounded.exists() else None
    return Outcome(
        State(student, teacher, quantized),
        tuple(about["history"]),
        about["best_epoch"],
        tuple(about["notes"]),
        # Of a step that an older release finished, it is not known.
        about.get("start_top1"),
    )


def _step_file(work: Work, number: int, role: str) -> Path:
    return work.folder / "state" / f"step{number}_{role}.npz"
