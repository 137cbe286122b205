"""The order of work: data, teacher, steps, export, comparison in every runtime, budget, report.

Everything finished is on disk before the next thing starts, so `--resume` continues where a run
stopped. Whatever happens, the report is written with what there is.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import paddle

from compress import plan, recipe as recipes
from compress.deliver import cost, deliver, described
from compress.evaluation import accuracy, evaluate, fusion
from compress.plan import Plan, PlannedStep, load_data
from compress.process import console, interrupt
from compress.recipe.types import Recipe
from compress.reporting import provenance, report as reports
from compress.steps.work import Outcome, State, Work
from compress.task import describe
from compress.teacher import identity as identity_of_teacher, obtain
from compress.training.curves import Curves
from compress.training.model import Model
from export.quantize.quantized import Quantized
from export.runtimes import in_process
from teachers import networks, storage
from teachers.errors import CheckpointError, FeatherboneError
from teachers.weights import checkpoints, identity
from teachers.weights.identity import Identity

WEIGHTS = "weights.json"  # SHA-256 of the weights files that a run began with, in its state/


@dataclass(frozen=True)
class Run:
    """One run of a recipe.

    Attributes:
        folder: the output folder.
        teacher_cache: where trained teachers are kept between runs.
        command: as typed, for the report.
    """

    recipe: Recipe
    folder: Path
    teacher_cache: Path
    command: str


def execute(run: Run) -> dict:
    """Run the recipe; returns the report, which is on disk too, also after an error or Ctrl-C.

    Raises:
        FeatherboneError, KeyboardInterrupt: after the partial report was written.
    """
    started = time.monotonic()
    report = _opening(run)
    try:
        _stages(run, report)
    except (FeatherboneError, KeyboardInterrupt) as problem:
        interrupted = isinstance(problem, KeyboardInterrupt)
        report |= {
            "status": "interrupted" if interrupted else f"failed: {problem}",
            "exit_code": 130 if interrupted else problem.exit_code,
        }
        raise
    except Exception as problem:  # a mistake of ours: the report still says how far the run came
        report |= {"status": f"failed: {type(problem).__name__}: {problem}", "exit_code": 1}
        raise
    finally:
        report["provenance"]["wall_seconds"] = time.monotonic() - started
        _write_report(report, run.folder)
    return report


def _write_report(report: dict, folder: Path) -> None:
    try:
        reports.write(report, folder)
    except (
        FeatherboneError
    ) as problem:  # a full disk: the run's own error matters more than the page about it
        if report.get("exit_code") in (0, None):
            raise
        console.say(f"the report could not be written either: {problem}")


def _opening(run: Run) -> dict:
    return {
        "recipe": run.recipe.name,
        "status": "running",
        "exit_code": None,
        "output": str(run.folder),
        "networks": [],
        "steps": [],
        "curves": [],
        "provenance": {
            "commit": provenance.commit(),
            "recipe_yaml": run.recipe.text,
            "overrides": list(run.recipe.overrides),
            "effective": recipes.to_dict(run.recipe),
            "seed": run.recipe.seed,
            "versions": provenance.versions(),
            "hardware": provenance.hardware(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": run.command,
        },
    }


def _stages(run: Run, report: dict) -> None:
    recipe = run.recipe
    dataset = load_data(recipe)
    planned = plan.make(recipe, dataset)
    report["data"] = {
        "name": dataset.name,
        "classes": list(dataset.classes),
        "train_clips": len(dataset.train),
        "val_clips": len(dataset.val),
        "skeleton": (recipe.skeleton or dataset.skeleton).name,
        "notes": list(planned.notes),
    }
    for note in report["data"]["notes"]:
        console.say(f"note: {note}")
    view = planned.student.task.view
    report["data"]["input"] = {"title": view.title, "shape": list(view.shape)}
    _check_weights(planned, run.folder)
    work = Work(run.folder, dataset, Curves(run.folder / "curves"), recipe.seed, origin(planned))
    teacher, logits = _teachers(run, work, planned, report)
    student = _student(planned, teacher[0])
    state = _steps(planned, work, State(student, teacher), report)
    if state.quantized is not None:
        state.quantized.save(run.folder / "weights" / "quantized.npz")
    checkpoints.save(
        run.folder / "weights" / "student.npz",
        state.student.network,
        describe(dataset, state.student.view),
    )
    deliver(recipe, work, state, logits, report)
    work.curves.close()


def _check_weights(planned: Plan, folder: Path) -> None:
    """Hold the run to the weights files that it was started with; their hashes are kept in its
    folder.

    A run of an older release has kept none; it is held to what is there when it is resumed first.

    Raises:
        CheckpointError: a file has changed since.
    """
    path = folder / "state" / WEIGHTS
    now = {weights.path: weights.sha256 for weights in planned.weights}
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for file, sha256 in now.items():
        if before.get(file, sha256) != sha256:
            raise CheckpointError(
                f"{file}: has changed since {folder} was started (SHA-256 {before[file][:12]}..."
                f" then, {sha256[:12]}... now); put the old file back, or start anew with another"
                " --output"
            )
    if now and now != before:
        storage.write_text(path, json.dumps(now, indent=1))


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
    return identity.of([teachers, started, planned.student.task.view.identity])


def after_step(before: Identity, planned: PlannedStep) -> Identity:
    """The identity of what a step hands on, made from that of what it starts from: a chain, so that
    a step is done again when anything before it was changed."""
    entry = planned.entry
    return identity.of([before, planned.number, entry.kind, entry.config])


def _teachers(
    run: Run, work: Work, planned: Plan, report: dict
) -> tuple[tuple[Model, ...], np.ndarray]:
    """(the teacher's networks, their fused logits (n, K) on the validation split); each is kept in
    `weights/`."""
    found = []
    single = len(planned.teachers) == 1
    for number, entry in enumerate(planned.teachers, start=1):
        member = entry.member
        name = (
            "teacher"
            if single
            else f"teacher {number}: {member.network.name}, {entry.task.view.title}"
        )
        found.append(
            obtain(entry, work, run.teacher_cache, "teacher" if single else f"teacher{number}")
        )
        report["curves"] += (
            [{"title": name, "epochs": list(found[-1].history)}] if found[-1].history else []
        )
        model = found[-1].model
        row, logits = accuracy.score(
            name, in_process(model.network), work.evaluation(model.view, model.view.clips)
        )
        report.setdefault("members", []).append(
            described(name, model.network, row, found[-1].origin)
            | {
                "name": model.network.spec.network if single else name,
                "weight": member.weight,
                "logits": logits,
            }
        )
        file = "teacher.npz" if single else f"teacher{number}.npz"
        checkpoints.save(
            run.folder / "weights" / file, model.network, describe(work.dataset, model.view)
        )
    models = tuple(one.model for one in found)
    rows, logits = report["members"], [one.pop("logits") for one in report["members"]]
    labels = np.asarray(work.dataset.val.labels)
    if run.recipe.teacher.find_weights:
        weights = fusion.find_weights(logits, labels)
        models = tuple(replace(one, weight=weight) for one, weight in zip(models, weights))
        report["members"] = rows = [row | {"weight": weight} for row, weight in zip(rows, weights)]
        report["data"]["notes"].append(
            "the ensemble's weights were found on the validation split; weights of one half judge"
            f" the other half to {fusion.cross_validated(logits, labels):.2f} %"
        )
    fused = (
        fusion.fuse(logits, tuple(one.weight for one in models)) if len(models) > 1 else logits[0]
    )
    report["networks"].append(_fused_row(rows, fused, labels))
    if single:
        del report["members"]
    return models, fused


def _fused_row(rows: list[dict], logits: np.ndarray, labels: np.ndarray) -> dict:
    """The teacher in the report: its one network, or all of an ensemble together."""
    if len(rows) == 1:
        return {key: value for key, value in rows[0].items() if key != "weight"} | {
            "role": "teacher"
        }
    named = ", ".join(f"{row['name']} x {row['weight']:g}" for row in rows)
    return {
        "role": "teacher",
        "name": f"ensemble of {len(rows)}",
        "blocks": [],
        "params": sum(row["params"] for row in rows),
        "macs": sum(row["macs"] for row in rows),
        **evaluate.accuracy(logits, labels),
        "origin": named,
    }


def _student(planned: Plan, teacher: Model) -> Model:
    """The network that the steps change: a copy of the (first) teacher, its layout with other
    weights, or one of its own."""
    view = planned.student.task.view
    if planned.student.weights is not None:
        return Model(planned.student.weights.network, view)
    if planned.recipe.student.network is not None:
        # Not the teacher's seed: a student with the teacher's layout would begin as its twin
        paddle.seed(planned.recipe.seed + 1)
        network = networks.build(planned.student.spec)
    else:
        network = networks.build(teacher.network.spec)
        networks.load_state(
            network, networks.state_of(teacher.network), "the student's copy of the teacher"
        )
    network.eval()
    return Model(network, view)


def _steps(planned: Plan, work: Work, state: State, report: dict) -> State:
    """Apply the enabled steps in order; a step that an earlier attempt finished is read back."""
    for entry in planned.steps:
        number = entry.number
        step = entry.entry
        if not step.enabled:
            continue
        started = time.monotonic()
        work = replace(work, origin=after_step(work.origin, entry))
        outcome = _finished(work, number, state) or _apply(entry, work, state)
        state = outcome.state
        interrupt.check()
        student = state.student
        row, _ = accuracy.score(
            f"step {number}: {entry.title}",
            in_process(state.served()),
            work.evaluation(student.view, student.view.clips),
        )
        report["steps"].append(
            {
                "name": step.kind,
                "title": entry.title,
                "config": recipes.to_dict(planned.recipe)["steps"][number - 1][step.kind],
                "seconds": time.monotonic() - started,
                "notes": list(outcome.notes),
                **cost(student.network),
                **{key: row[key] for key in ("top1", "top5", "class_mean")},
            }
        )
        if outcome.history:
            report["curves"].append(
                {"title": f"step {number}: {step.kind}", "epochs": list(outcome.history)}
            )
    return state


def _apply(planned: PlannedStep, work: Work, state: State) -> Outcome:
    """Carry a step out and save what it hands on."""
    number = planned.number
    outcome = planned.module.apply(state, planned.entry.config, work, number)
    after = outcome.state
    about = {
        "history": list(outcome.history),
        "best_epoch": outcome.best_epoch,
        "notes": list(outcome.notes),
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
    if not path.exists():
        return None
    network, about = checkpoints.load_with_about(path)
    if not work.origin.accepts(about.get("origin")):
        raise CheckpointError(
            f"{path}: belongs to another recipe, data or seed;"
            " resume with the same ones, or start anew with another --output"
        )
    console.say(f"step {number}: was finished before")
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
    )


def _step_file(work: Work, number: int, role: str) -> Path:
    return work.folder / "state" / f"step{number}_{role}.npz"
