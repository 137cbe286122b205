"""The accuracy comparison for any weights or deployed folder, ours or not, on the whole validation
split of a recipe's data.

Run: featherbone accuracy --recipe ctrgcn_lite_dml [-o data.name=nw_ucla -o data.root=FOLDER] TARGET
[TARGET ...], or python benchmarks/accuracy.py with the same arguments.

A TARGET is a weights file of any format this project reads, a folder that a run deployed, a foreign
folder with a `.pdmodel` or `.onnx` in it, or such a file. What a run wrote knows the input it sees
clips through; anything else takes the input of the recipe's teacher. The first target is the
reference for agreement and difference. The last line of stdout is JSON.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from compress import recipe as recipes
from compress.evaluation import accuracy
from compress.evaluation.evaluate import EvaluationSet
from compress.evaluation.latency import turn_of
from compress.evaluation.record import RuntimeRow
from compress.plan import load_data, tasks
from compress.process import console, device
from compress.recipe import overrides
from compress.reporting import wording
from compress.task import Task, any_weights, as_deployed
from export import deployed, runtimes
from export.runtimes import Predict, in_process, inference, ort, trial
from teachers.errors import CheckpointError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say, show
from teachers.terminal.tables import Table

COMMAND = "featherbone accuracy"
MODELS = (".pdmodel", ".onnx")


@dataclass(frozen=True)
class Candidate:
    """One way to run a target: how it is called, its logits, its files, and the clips as it sees
    them."""

    name: str
    predict: Predict
    files: tuple[Path, ...]
    clips: EvaluationSet


def candidates(target: Path, task: Task, threads: int) -> list[Candidate]:
    """Everything that a target can be run with.

    Args:
        task: how a target sees clips that does not say it itself.
    Raises:
        CheckpointError: nothing there that a runtime reads.
    """
    return [_candidate(path, task, threads) for path in files_of(target)]


def files_of(target: Path) -> list[Path]:
    """The model files of a folder, or the file itself.

    Raises:
        CheckpointError: a folder without any.
    """
    files = [target]
    if target.is_dir():
        # Sorted: file systems list a folder in any order, and the first row is the reference.
        files = sorted(path for path in target.iterdir() if path.suffix in MODELS)
    if not files:
        raise CheckpointError(
            f"{target}: holds no .pdmodel and no .onnx; give a weights file or a deployed folder"
        )
    return files


def try_out(targets: list[Path], task: Task) -> None:
    """Loads and runs every model file once in a process of its own: they may come from anywhere.

    Raises:
        CheckpointError, ExportMismatch: a file that cannot be run, or a folder that was changed.
    """
    for path in (file for target in targets for file in files_of(target)):
        if path.suffix not in MODELS:
            continue
        if (path.parent / deployed.NAME).is_file():
            note = deployed.unsealed_note(path.parent, deployed.read(path.parent))
            if note:
                say(f"note: {note}")
        files = [path]
        load = ort.load
        if path.suffix == ".pdmodel":
            files = [path, path.with_suffix(".pdiparams")]
            load = inference.load
        shape = as_deployed(path.parent, task).shape
        size_bytes = sum(file.stat().st_size for file in files if file.is_file())
        trial.require(path, partial(load, files), (1, *shape), size_bytes)


def _candidate(path: Path, task: Task, threads: int) -> Candidate:
    split = task.dataset.val
    if path.suffix not in (".pdmodel", ".onnx"):
        model = any_weights(path, task)
        clips = EvaluationSet(split, model.view, model.view.clips)
        return Candidate(f"{path} (dygraph)", in_process(model.network), (path,), clips)
    view = as_deployed(path.parent, task)
    clips = EvaluationSet(split, view, view.clips)
    if path.suffix == ".pdmodel":
        weights = path.with_suffix(".pdiparams")
        predict = runtimes.paddle_inference(path, weights, threads)
        return Candidate(f"{path} (Paddle Inference)", predict, (path, weights), clips)
    predict = runtimes.onnx_runtime(path, threads)
    return Candidate(f"{path} (ONNX Runtime)", predict, (path,), clips)


def compared(targets: list[Path], task: Task) -> list[RuntimeRow]:
    """A row of `compress.evaluation.accuracy.row` for every way to run every target."""
    # All of them before any is run here; see `trial.require`.
    try_out(targets, task)
    threads = runtimes.default_threads()
    rows = []
    turns = []
    reference = None
    for target in targets:
        for candidate in candidates(target, task, threads):
            row, logits = accuracy.row(
                candidate.name, candidate.predict, candidate.clips, reference, candidate.files
            )
            # Foreign files have no trained network to be compared with, so the first one is it.
            reference = logits if reference is None else reference
            rows.append(row)
            turns.append(turn_of(candidate.predict, candidate.clips))
    return accuracy.timed(rows, turns)


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    parser = Parser(prog=command, description=__doc__.split("\n\n")[0])
    parser.add_argument("--recipe", default="ctrgcn_lite_dml", help="whose data set to use")
    overrides.add_option(parser)
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument("targets", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    device.select(options.device)
    recipe = recipes.load(options.recipe, options.overrides)
    with console.reading() as progress:
        dataset = load_data(recipe, progress)
    # The first teacher's task, which is known without opening any weights.
    rows = compared(options.targets, tasks(recipe, dataset)[0][0])
    _print(rows)
    ending.print_last_line(
        {"data": dataset.name, "clips": len(dataset.val), "rows": [asdict(row) for row in rows]},
    )
    return 0


def _print(rows: list[RuntimeRow]) -> None:
    cells = [
        (
            row.name,
            wording.decimals(row.top1, 2),
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
    accuracies = ("top-1", "top-5", "class mean", "agreement", "rel. diff.")
    show(Table(("target", *accuracies, "p50 ms", "p95 ms", "size"), cells))
