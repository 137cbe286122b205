"""The order of work: data, teacher, steps, export, comparison in every runtime, budget, report.

Everything finished is on disk before the next thing starts, so `--resume` continues where a run
stopped. Whatever happens, the report is written with what there is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import paddle

from compress import plan, recipe as recipes, registry, teacher as teachers_
from compress.deliver import cost, deliver, described
from compress.evaluation import accuracy, evaluate, fusion
from compress.plan import load_data, planned_specs, seats
from compress.process import console, interrupt
from compress.recipe.types import Recipe
from compress.reporting import provenance, report as reports
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
    report["data"] = {
        "name": dataset.name,
        "classes": list(dataset.classes),
        "train_clips": len(dataset.train),
        "val_clips": len(dataset.val),
        "skeleton": (recipe.skeleton or dataset.skeleton).name,
        "notes": list(plan.notes(recipe, dataset)),
    }
    for note in report["data"]["notes"]:
        console.say(f"note: {note}")
    planned_specs(recipe, dataset)
    places, place = seats(recipe, dataset)
    report["data"]["input"] = {"title": place.view.title, "shape": list(place.view.shape)}
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
    teacher, logits = _teachers(run, work, places, report)
    student = _student(recipe, teacher[0], place)
    state = _steps(run, work, State(student, teacher), report)
    if state.quantized is not None:
        state.quantized.save(run.folder / "weights" / "quantized.npz")
    checkpoints.save(
        run.folder / "weights" / "student.npz",
        state.student.network,
        describe(dataset, state.student.view),
    )
    deliver(recipe, work, state, logits, report)
    work.curves.close()


def _teachers(
    run: Run, work: Work, places: list, report: dict
) -> tuple[tuple[Model, ...], np.ndarray]:
    """(the teacher's networks, their fused logits (n, K) on the validation split); each is kept in
    `weights/`."""
    members, found, single = run.recipe.teacher.members, [], len(run.recipe.teacher.members) == 1
    for number, (member, where) in enumerate(zip(members, places), start=1):
        name = (
            "teacher" if single else f"teacher {number}: {member.network.name}, {where.view.title}"
        )
        found.append(
            teachers_.obtain(
                member, where, work, run.shelf, "teacher" if single else f"teacher{number}"
            )
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


def _steps(run: Run, work: Work, state: State, report: dict) -> State:
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
        row, _ = accuracy.score(
            f"step {number}: {module.title(step.config)}",
            in_process(state.served()),
            work.evaluation(student.view, student.view.clips),
        )
        report["steps"].append(
            {
                "name": step.kind,
                "title": module.title(step.config),
                "config": recipes.to_dict(run.recipe)["steps"][number - 1][step.kind],
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
