"""The order of work: data, teacher, steps, export, comparison in every runtime, budget, report.

Everything finished is on disk before the next thing starts, so `--resume` continues where a run stopped. Whatever
happens, the report is written with what there is.
"""
from __future__ import annotations

import importlib
import time
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from compress import accuracy, budget, checkpoint, console, provenance, recipe as recipes, report as reports, teacher as teachers_
from compress.curves import Curves
from compress.evaluate import EvaluationSet, confusion, predictor
from compress.recipe_types import Recipe
from compress.work import Outcome, State, Work
from export import deployed, package, runtimes
from export.ordinary import save_ordinary
from teachers import checkpoints, networks
from teachers.errors import CheckpointError, FeatherboneError

ORDINARY_CLIPS = 64  # the ordinary export is only compared and timed; it is not what ships


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


def load_data(recipe: Recipe):
    """The recipe's data set, with progress."""
    module = importlib.import_module(f"compress.data.{recipe.data.name}")
    return module.load(recipe.data.config, recipe.seed, console.reading())


def planned_specs(recipe: Recipe, dataset) -> list:
    """The teacher's spec and the student's after each step; a block or weights file that does not fit is found here."""
    spec = (teachers_.load_weights(recipe.teacher.weights, dataset).spec if recipe.teacher.weights is not None
            else teachers_.spec_for(recipe.teacher, dataset))
    specs = [spec]
    if recipe.student.weights is not None:
        spec = teachers_.load_weights(recipe.student.weights, dataset).spec
    for step in recipe.steps:
        if step.enabled:
            spec = importlib.import_module(f"compress.steps.{step.kind}").spec_after(spec, step.config)
        specs.append(spec)
    return specs


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
        report |= {"status": "interrupted" if interrupted else f"failed: {problem}",
                   "exit_code": 130 if interrupted else problem.exit_code}
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
    except FeatherboneError as problem:  # a full disk: the run's own error matters more than the page about it
        if report.get("exit_code") in (0, None):
            raise
        console.say(f"the report could not be written either: {problem}")


def _opening(run: Run) -> dict:
    return {"recipe": run.recipe.name, "status": "running", "exit_code": None, "output": str(run.folder), "networks": [], "steps": [],
            "curves": [], "provenance": {
                "commit": provenance.commit(), "recipe_yaml": run.recipe.text, "overrides": list(run.recipe.overrides),
                "effective": recipes.to_dict(run.recipe), "seed": run.recipe.seed, "versions": provenance.versions(),
                "hardware": provenance.hardware(), "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "command": run.command}}


def _stages(run: Run, report: dict) -> None:
    recipe = run.recipe
    dataset = load_data(recipe)
    report["data"] = {"name": dataset.name, "classes": list(dataset.classes), "train_clips": len(dataset.train),
                      "val_clips": len(dataset.val), "input_shape": list(dataset.input_shape), "skeleton": dataset.skeleton.name,
                      "notes": list(dataset.notes)}
    planned_specs(recipe, dataset)
    origin = teachers_.identity(recipe.teacher, dataset, recipe.seed)
    work = Work(run.folder, dataset, EvaluationSet(dataset, dataset.val), Curves(run.folder / "curves"), recipe.seed,
                checkpoint.digest([origin, recipe.student.weights]))
    teacher = teachers_.obtain(recipe.teacher, work, run.shelf)
    if teacher.history:
        report["curves"].append({"title": "teacher", "epochs": list(teacher.history)})
    row, teacher_logits = accuracy.score("teacher", predictor(teacher.network), work.validation)
    report["networks"].append(_network("teacher", teacher.network, row, teacher.origin))
    checkpoints.save(run.folder / "weights" / "teacher.npz", teacher.network, teachers_.describe(dataset))
    state = _steps(run, work, State(_student(recipe, teacher.network, dataset), teacher.network), report)
    checkpoints.save(run.folder / "weights" / "student.npz", state.student, teachers_.describe(dataset))
    _deliver(run, work, state, row["top1"], teacher_logits, report)
    work.curves.close()


def _student(recipe: Recipe, teacher, dataset):
    """The network that the steps change: a copy of the teacher, or one read from `student.weights`."""
    if recipe.student.weights is not None:
        return teachers_.load_weights(recipe.student.weights, dataset)
    student = networks.build(teacher.spec)
    networks.load_state(student, networks.state_of(teacher), "the student's copy of the teacher")
    student.eval()
    return student


def _steps(run: Run, work: Work, state: State, report: dict) -> State:
    """Apply the enabled steps in order; a step that an earlier attempt finished is read back."""
    for number, step in enumerate(run.recipe.steps, start=1):
        if not step.enabled:
            continue
        module = importlib.import_module(f"compress.steps.{step.kind}")
        started = time.monotonic()
        work = replace(work, origin=checkpoint.digest([work.origin, number, step.kind, repr(step.config)]))
        outcome = _finished(work, number, state) or _apply(module, step, work, number, state)
        state = outcome.state
        row, _ = accuracy.score(f"step {number}: {module.title(step.config)}", predictor(state.student), work.validation)
        report["steps"].append({"name": step.kind, "title": module.title(step.config), "config": recipes.to_dict(run.recipe)["steps"][number - 1][step.kind],
                                "seconds": time.monotonic() - started, "notes": list(outcome.notes), **_cost(state.student),
                                **{key: row[key] for key in ("top1", "top5", "class_mean")}})
        if outcome.history:
            report["curves"].append({"title": f"step {number}: {step.kind}", "epochs": list(outcome.history)})
    return state


def _apply(module, step, work: Work, number: int, state: State) -> Outcome:
    outcome = module.apply(state, step.config, work, number)
    about = {"history": list(outcome.history), "best_epoch": outcome.best_epoch, "notes": list(outcome.notes), "origin": work.origin}
    for role in ("teacher", "student"):  # the student last: its file says that the step is finished
        checkpoints.save(_step_file(work, number, role), getattr(outcome.state, role), about)
    return outcome


def _finished(work: Work, number: int, state: State) -> Outcome | None:
    if not _step_file(work, number, "student").exists():
        return None
    _, _, about = checkpoints.read(_step_file(work, number, "student"))
    if about.get("origin") != work.origin:
        raise CheckpointError(f"{_step_file(work, number, 'student')}: belongs to another recipe, data or seed; resume with the same ones, "
                              "or start anew with another --output")
    console.say(f"step {number}: was finished before")
    state = State(*(checkpoints.load(_step_file(work, number, role)) for role in ("student", "teacher")))
    return Outcome(state, tuple(about["history"]), about["best_epoch"], tuple(about["notes"]))


def _step_file(work: Work, number: int, role: str) -> Path:
    return work.folder / "state" / f"step{number}_{role}.npz"


def _cost(network) -> dict:
    return {"params": networks.parameters(network.spec), "macs": networks.macs(network.spec)}


def _network(role: str, network, row: dict, origin: str) -> dict:
    return {"role": role, "name": network.spec.network, "blocks": [block.id for block in network.spec.blocks], **_cost(network),
            **{key: row[key] for key in ("top1", "top5", "class_mean")}, "origin": origin}


def _deliver(run: Run, work: Work, state: State, teacher_top1: float, teacher_logits: np.ndarray, report: dict) -> None:
    """Export, verify, compare, weigh, judge."""
    recipe, dataset, clips = run.recipe, work.dataset, work.validation
    row, logits = accuracy.row("trained network (dygraph)", predictor(state.student), clips)
    report["networks"].append(_network("student", state.student, row, "this run"))
    matrix = confusion(logits, clips.labels, len(dataset.classes))
    report |= {"runtimes": [row], "confusion": matrix.tolist(),
               "per_class": accuracy.per_class(dataset.classes, clips.labels, teacher_logits, logits)}
    sample = next(clips.batches(ORDINARY_CLIPS))
    folder = run.folder / "deploy"
    package.build(state.student, folder, recipe.export.formats, dataset.classes, dataset.eval_ops, dataset.name, sample,
                  logits[:len(sample)])
    description = deployed.read(folder)
    threads = runtimes.default_threads()
    for kind, predict in deployed.predictors(folder, description, threads).items():
        name = {"paddle": "Paddle Inference", "onnx": "ONNX Runtime"}[kind]
        files = tuple(folder / file for file in description["files"][kind])
        report["runtimes"].append(accuracy.row(name, predict, clips, logits, files, deployed=True)[0])
    report["ordinary_export"] = save_ordinary(state.student, run.folder / "ordinary")
    report["runtimes"] += _ordinary_rows(run.folder / "ordinary", threads, clips, sample, logits)
    report["budget"] = budget.measure(folder, recipe.budget.max_size)
    _judge(run, work, report, teacher_top1, matrix)


def _ordinary_rows(folder: Path, threads: int, clips: EvaluationSet, sample: np.ndarray, logits: np.ndarray) -> list[dict]:
    rows = []
    for name, predict, files in (
            ("ordinary export, Paddle Inference", runtimes.paddle_inference(folder / "model.pdmodel", folder / "model.pdiparams", threads),
             sorted(folder.glob("model.pd*"))),
            ("ordinary export, ONNX Runtime", runtimes.onnx_runtime(folder / "model.onnx", threads), [folder / "model.onnx"])):
        rows.append({"name": name, "file": files[0].name, "deployed": False, "bytes": sum(file.stat().st_size for file in files),
                     "note": f"compared on the first {len(sample)} clips", **package.verify.difference(predict(sample), logits[:len(sample)]),
                     **accuracy.latency(predict, clips)})
    return rows


def _judge(run: Run, work: Work, report: dict, teacher_top1: float, matrix: np.ndarray) -> None:
    """Gates, status and exit code; over budget (2) comes before the accuracy gate (3)."""
    limits = run.recipe.budget
    rows = [one for one in report["runtimes"] if one["deployed"]]
    worst = min(rows, key=lambda one: one["top1"])
    drop = teacher_top1 - worst["top1"]
    weighed = report["budget"]
    report["gates"] = [
        {"name": "size", "limit": limits.max_size, "value": weighed["total_bytes"], "passed": weighed["within"],
         "says": f"{weighed['total_bytes'] / 1e6:.3f} MB of {limits.max_size / 1e6:g} MB"},
        {"name": "top-1 drop", "limit": limits.max_top1_drop, "value": drop, "passed": drop <= limits.max_top1_drop + 1e-9,
         "says": f"{worst['top1']:.2f}% in {worst['name']}, teacher {teacher_top1:.2f}%: {drop:+.2f} points lost, "
                 f"{limits.max_top1_drop:g} allowed"}]
    over, lost = not report["gates"][0]["passed"], not report["gates"][1]["passed"]
    report |= {"exit_code": 2 if over else 3 if lost else 0,
               "status": "over budget" if over else "accuracy gate failed" if lost else "ok"}
    work.curves.confusion(0, matrix, list(work.dataset.classes))
    work.curves.hyperparameters(recipes.flatten(recipes.to_dict(run.recipe)),
                                {"student/top1": report["networks"][1]["top1"], "deployed/bytes": float(weighed["total_bytes"])})
