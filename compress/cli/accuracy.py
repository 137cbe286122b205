"""The accuracy comparison for any weights or deployed folder, ours or not, on the whole validation
split of a recipe's data.

Run: featherbone accuracy --recipe ctrgcn_lite_dml [-o data.name=nw_ucla -o data.root=FOLDER] TARGET
[TARGET ...] [--dump result.pkl], or python benchmarks/accuracy.py with the same arguments.

A TARGET is a run's folder, a weights file of any format this project reads, a folder that a run
deployed, a foreign folder with a `.pdmodel`, `.onnx` or Paddle 3's `.json` in it, or such a file.
Without --recipe the data are those of the run that the first target lies in. What a run wrote knows the input it sees
clips through; anything else takes the input of the recipe's teacher. The first target is the
reference for agreement and difference, and its scores are those that --dump writes. The last line
of stdout is JSON.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from compress import recipe as recipes
from compress.data.clutter import is_clutter
from compress.data.dataset import Dataset
from compress.evaluation import accuracy, result_files, scores
from compress.evaluation.evaluate import EvaluationSet, split_result
from compress.evaluation.latency import Stopwatch, turn_of
from compress.evaluation.record import RuntimeRow, SplitResult
from compress.plan import load_data, tasks
from compress.process import console, device
from compress.recipe import overrides
from compress.reporting import wording
from compress.task import Task, any_weights, as_deployed
from export import deployed, runtimes
from export.formats import table
from export.runtimes import Predict, in_process, trial
from teachers.errors import CheckpointError, DataError, RecipeError, printable
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say, show
from teachers.terminal.tables import Table
from teachers.weights import pir_files

COMMAND = "featherbone accuracy"
# The effective recipe in a run's folder, and what the run delivered.
RECIPE = "recipe.yaml"
DEPLOYED = "deploy"
DEFAULT_RECIPE = "ctrgcn_lite_dml"


@dataclass(frozen=True)
class Files:
    """What one way to run a target reads.

    Attributes:
        kind: a row of `export.formats.table.FORMATS`; "" of a weights file.
        paths: the model first.
    """

    kind: str
    paths: tuple[Path, ...]

    @property
    def model(self) -> Path:
        return self.paths[0]


@dataclass(frozen=True)
class Candidate:
    """One way to run a target: how it is called, its logits, its files, and the clips as it sees
    them."""

    name: str
    predict: Predict
    files: tuple[Path, ...]
    clips: EvaluationSet


@dataclass(frozen=True)
class Measured:
    """What one way to run a target came to, and its logits (n, K)."""

    row: RuntimeRow
    result: SplitResult
    logits: np.ndarray


def candidates(target: Path, task: Task, threads: int) -> list[Candidate]:
    """Everything that a target can be run with.

    Args:
        task: how a target sees clips that does not say it itself.
    Raises:
        CheckpointError: nothing there that a runtime reads.
    """
    return [_candidate(found, task, threads) for found in files_of(target)]


def files_of(target: Path) -> list[Files]:
    """The model files of a folder or of what a run deployed, or the file itself.

    Raises:
        CheckpointError: a folder without any, or one whose description is broken.
    """
    if not target.is_dir():
        return [_file(target)]
    is_run = (target / RECIPE).is_file()
    folder = target / DEPLOYED if is_run else target
    if (folder / deployed.NAME).is_file():
        found = _described(folder)
    else:
        found = [
            _guessed(path)
            for path in folder.glob("*")
            if path.is_file() and not is_clutter(path.name)
        ]
    # Sorted: file systems list a folder in any order, and the first row is the reference.
    files = sorted((each for each in found if each.kind), key=lambda each: each.model)
    if not files and is_run:
        raise CheckpointError(_nothing_deployed(target))
    if not files:
        raise CheckpointError(
            f"{target}: holds no .pdmodel, no .onnx and no .json of Paddle 3; give a weights file, a deployed folder or a"
            " run's folder"
        )
    return files


def _nothing_deployed(run: Path) -> str:
    seeds = sorted(each.parent for each in run.glob(f"seed*/{RECIPE}"))
    if seeds:
        return f"{run}: holds a run for each of several seeds; give one of them, such as {seeds[0]}"
    return (
        f"{run}: the run has deployed nothing yet; finish it with --resume, or give a file of"
        f" {run / 'weights'}"
    )


def _described(folder: Path) -> list[Files]:
    """What `deployed.json` says, by which files of one ending may be for several runtimes."""
    description = deployed.read(folder)
    # Somebody may have copied one of two formats.
    kinds = [kind for kind, names in description.files.items() if (folder / names[0]).is_file()]
    return [
        Files(kind, tuple(paths))
        for kind, paths in deployed.model_files(folder, description, kinds).items()
    ]


def _file(path: Path) -> Files:
    """A file that is named by itself: by the description beside it, where that names it, too."""
    guessed = _guessed(path)
    if guessed.kind and (path.parent / deployed.NAME).is_file():
        for each in _described(path.parent):
            if each.model.name == path.name:
                return each
    return guessed


def _guessed(path: Path) -> Files:
    """A model of anybody, by its ending."""
    if path.suffix == ".onnx":
        return Files("onnx", (path,))
    if path.suffix == ".pdmodel" or pir_files.is_program(path):
        return Files("paddle", (path, path.with_suffix(".pdiparams")))
    return Files("", (path,))


def recipe_of(target: Path) -> Path | None:
    """The effective recipe of the run that `target` is, or lies in."""
    # RUN/deploy/model.onnx is the deepest that a run has a target.
    place = target.resolve()
    folders = (place, *place.parents[:2])
    return next((each / RECIPE for each in folders if (each / RECIPE).is_file()), None)


def try_out(targets: list[Path], task: Task) -> None:
    """Loads and runs every model file once in a process of its own: they may come from anywhere.

    Raises:
        CheckpointError, ExportMismatch: a file that cannot be run, or a folder that was changed.
        DataError: a folder of as many classes as the data have not.
    """
    for found in (files for target in targets for files in files_of(target)):
        if not found.kind:
            continue
        folder = found.model.parent
        # First: it refuses classes of other numbers.
        shape = as_deployed(folder, task).shape
        if (folder / deployed.NAME).is_file():
            description = deployed.read(folder)
            note = deployed.unsealed_note(folder, description)
            if note:
                say(f"note: {note}")
            _check_classes(found.model, description.classes, task.dataset)
        load = partial(table.runtime(found.kind).load, found.paths)
        size_bytes = sum(file.stat().st_size for file in found.paths if file.is_file())
        trial.require(found.model, load, (1, *shape), size_bytes)


def _check_classes(model: Path, classes: Sequence[str], dataset: Dataset) -> None:
    _check_count(model, len(classes), dataset)
    if tuple(classes) != tuple(map(printable, dataset.classes)):
        # No error: a published network may have numbers for names, and other data other words.
        say(
            f"note: {model}: its classes have other names than those of {dataset.name}; answers are"
            " held against labels by number"
        )


def _check_count(model: Path, count: int, dataset: Dataset) -> None:
    if count != len(dataset.classes):
        raise DataError(
            f"{model}: answers with {count} classes, {dataset.name} has {len(dataset.classes)}; give"
            " --recipe and -o of the data that it was trained on"
        )


def _checked(model: Path, predict: Predict, dataset: Dataset) -> Predict:
    """The same, of a model that must have a score for each class of the data."""

    def answers(x: np.ndarray) -> np.ndarray:
        logits = predict(x)
        _check_count(model, logits.shape[-1], dataset)
        return logits

    return answers


def _candidate(found: Files, task: Task, threads: int) -> Candidate:
    split = task.dataset.val
    path = found.model
    if not found.kind:
        model = any_weights(path, task)
        clips = EvaluationSet(split, model.view, model.view.clips)
        return Candidate(f"{path} (dygraph)", in_process(model.network), found.paths, clips)
    view = as_deployed(path.parent, task)
    clips = EvaluationSet(split, view, view.clips)
    # No file of a stranger says its classes; its answers do.
    predict = _checked(path, table.runtime(found.kind).load(found.paths, threads), task.dataset)
    return Candidate(f"{path} ({table.runtime_title(found.kind)})", predict, found.paths, clips)


def compared(targets: list[Path], task: Task) -> list[Measured]:
    """A row of `compress.evaluation.accuracy.row` for every way to run every target, and what it got
    right."""
    # All of them before any is run here; see `trial.require`.
    try_out(targets, task)
    threads = runtimes.default_threads()
    found: list[Measured] = []
    turns = []
    for target in targets:
        for candidate in candidates(target, task, threads):
            watched = Stopwatch(candidate.predict)
            # Foreign files have no trained network to be compared with, so the first one is it.
            reference = found[0].logits if found else None
            row, logits = accuracy.row(
                candidate.name, watched, candidate.clips, reference, candidate.files
            )
            silent = int(np.isnan(logits).any(axis=1).sum())
            if silent:
                say(
                    f"note: {candidate.name}: answers {silent} of {len(logits)} clips with NaN; none of"
                    " these answers is right"
                )
            if found:
                row = accuracy.against(row, logits, found[0].logits, candidate.clips.labels)
            result = split_result(logits, candidate.clips.labels, watched.seconds)
            found.append(Measured(row, result, logits))
            turns.append(turn_of(candidate.predict, candidate.clips))
    rows = accuracy.timed([each.row for each in found], turns)
    return [replace(each, row=row) for each, row in zip(found, rows, strict=True)]


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    options = _parser(command).parse_args(arguments)
    if options.dump_format is not None and options.dump is None:
        raise RecipeError(
            f"--dump-format {options.dump_format}: has no effect without --dump; leave it out, or"
            " name the file: --dump result.pkl"
        )
    device.select(options.device)
    name = options.recipe or recipe_of(options.targets[0]) or DEFAULT_RECIPE
    say(f"data of {name}")
    recipe = recipes.load(str(name), options.overrides)
    with console.reading() as progress:
        dataset = load_data(recipe, progress)
    # The first teacher's task, which is known without opening any weights.
    measured = compared(options.targets, tasks(recipe, dataset)[0][0])
    _print([each.row for each in measured])
    _print_paired([each.row for each in measured])
    copied = 0 if dataset.val.copies is None else int(dataset.val.copies.sum())
    if copied:
        show(
            f"clean: without {copied} of the {len(dataset.val)} clips, which are training clips again"
        )
    for each in measured:
        _print_result(each)
    if options.dump is not None:
        form = options.dump_format or result_files.FORMATS[0]
        _dump(options.dump, form, measured[0], dataset)
    ending.print_last_line(
        {
            "data": dataset.name,
            "clips": len(dataset.val),
            "copies": copied,
            "rows": [{**asdict(each.row), **asdict(each.result)} for each in measured],
        },
    )
    return 0


def _parser(command: str) -> Parser:
    parser = Parser.documented(
        command, __doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--recipe",
        help=f"whose data set to use (default: the first target's run, or {DEFAULT_RECIPE})",
    )
    overrides.add_option(parser)
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument(
        "--dump", type=Path, help="write the first target's scores of every clip, as result.pkl"
    )
    parser.add_argument(
        "--dump-format",
        choices=result_files.FORMATS,
        help=f"who reads that file (default: {result_files.FORMATS[0]})",
    )
    parser.add_argument("targets", nargs="+", type=deployed.place)
    return parser


def _dump(path: Path, form: str, measured: Measured, dataset: Dataset) -> None:
    names = tuple(dataset.val.names)
    labels = np.asarray(dataset.val.labels)
    result_files.save(path, scores.Scores(measured.row.name, names, labels, measured.logits), form)
    say(f"{path}: the scores of {measured.row.name}, {len(names)} clips in the order of the split")


def _print_result(measured: Measured) -> None:
    result = measured.result
    speed = result.sequences_per_second
    rate = wording.UNKNOWN if speed is None else f"{speed:.1f}"
    show(measured.row.name)
    # PaddleVideo's own words, to the space: programs look for them in its logs.
    show(f"[TEST] finished, avg_acc1= {result.avg_acc1}, avg_acc5= {result.avg_acc5}")
    show(
        f"top-1 {result.right}/{result.clips}, top-5 {result.right_top5}/{result.clips},"
        f" loss {result.loss:.4f}, {rate} sequences/s"
    )


def _print_paired(rows: list[RuntimeRow]) -> None:
    """How every row differs from the first, clip by clip."""
    for row in rows[1:]:
        show(f"{row.name}, against the first: {wording.paired(row)} (McNemar, exact)")


def _print(rows: list[RuntimeRow]) -> None:
    clean = any(row.clean_top1 is not None for row in rows)
    cells = [
        (
            row.name,
            wording.decimals(row.top1, 2),
            *((wording.decimals(row.clean_top1, 2),) if clean else ()),
            wording.decimals(row.top5, 2),
            wording.decimals(row.class_mean, 2),
            wording.decimals(row.agreement, 4),
            f"{row.max_rel_diff:.0e}",
            wording.decimals(row.p50_ms, 1),
            wording.decimals(row.p95_ms, 1),
            wording.size(row.bytes),
        )
        for row in rows
    ]
    top1 = ("top-1", "clean") if clean else ("top-1",)
    accuracies = (*top1, "top-5", "class mean", "agreement", "rel. diff.")
    show(Table(("target", *accuracies, "p50 ms", "p95 ms", "size"), cells))
