"""The accuracy comparison for any weights or deployed folder, ours or not, on the whole validation
split of a recipe's data.

Run: python benchmarks/accuracy.py --recipe ctrgcn_lite_dml [-o data.name=nw_ucla -o
data.root=FOLDER] TARGET [TARGET ...]

A TARGET is a weights file of any format this project reads, a folder that a run deployed, a foreign
folder with a `.pdmodel` or `.onnx` in it, or such a file. What a run wrote knows the input it sees
clips through; anything else takes the input of the recipe's teacher. The first target is the
reference for agreement and difference.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import teachers  # noqa: F401  (prepares the process for Paddle)

# isort: split
from rich.console import Console
from rich.table import Table

from compress import recipe as recipes
from compress.evaluation import accuracy
from compress.evaluation.evaluate import EvaluationSet
from compress.inputs.view import View, from_ops
from compress.plan import load_data, tasks
from compress.process import console, device
from compress.task import Task, any_weights
from export import deployed, runtimes
from export.runtimes import in_process
from teachers.arguments import Parser
from teachers.errors import CheckpointError, FeatherboneError


def predictors(
    target: Path, dataset, task: Task, threads: int
) -> list[tuple[str, object, tuple[Path, ...], View]]:
    """(name, predict, files, view) of everything a target can be run with.

    Args:
        task: how a target sees clips that does not say it itself.
    Raises:
        CheckpointError: nothing there that a runtime reads.
    """
    found = []
    files = (
        sorted(path for path in target.iterdir() if path.suffix in (".pdmodel", ".onnx"))
        if target.is_dir()
        else [target]
    )
    for path in files:
        if path.suffix == ".pdmodel":
            weights = path.with_suffix(".pdiparams")
            found.append(
                (
                    f"{path} (Paddle Inference)",
                    runtimes.paddle_inference(path, weights, threads),
                    (path, weights),
                    described(path, task),
                )
            )
        elif path.suffix == ".onnx":
            found.append(
                (
                    f"{path} (ONNX Runtime)",
                    runtimes.onnx_runtime(path, threads),
                    (path,),
                    described(path, task),
                )
            )
        else:
            model = any_weights(path, dataset, task)
            found.append((f"{path} (dygraph)", in_process(model.network), (path,), model.view))
    if not found:
        raise CheckpointError(
            f"{target}: holds no .pdmodel and no .onnx; give a weights file or a deployed folder"
        )
    return found


def described(path: Path, task: Task) -> View:
    """The view that `deployed.json` beside an exported file tells of, else the recipe's."""
    if not (path.parent / deployed.NAME).is_file():
        return task.view
    description = deployed.read(path.parent)
    return from_ops(
        tuple(description["preprocessing"]),
        tuple(description["input"]["shape"][1:]),
        description.get("views", 1),
    )


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="ctrgcn_lite_dml", help="whose data set to use")
    parser.add_argument(
        "-o", dest="overrides", action="append", default=[], metavar="KEY.PATH=VALUE"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument("targets", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    try:
        device.select(options.device)
        recipe = recipes.load(options.recipe, options.overrides)
        dataset = load_data(recipe)
        task, rows, reference = tasks(recipe, dataset)[0][0], [], None
        for target in options.targets:
            for name, predict, files, view in predictors(
                target, dataset, task, runtimes.default_threads()
            ):
                row, logits = accuracy.row(
                    name, predict, EvaluationSet(dataset.val, view, view.clips), reference, files
                )
                reference = logits if reference is None else reference
                rows.append(row)
    except FeatherboneError as error:
        console.say(f"error: {error}")
        return error.exit_code
    table = Table(
        "target",
        "top-1 %",
        "top-5 %",
        "class mean %",
        "agreement %",
        "max rel. diff.",
        "p50 ms",
        "p95 ms",
        "bytes",
    )
    for row in rows:
        table.add_row(
            row.name,
            f"{row.top1:.2f}",
            f"{row.top5:.2f}",
            f"{row.class_mean:.2f}",
            f"{100 * (row.agreement or 0.0):.2f}",
            f"{row.max_rel_diff:.1e}",
            f"{row.p50_ms:.1f}",
            f"{row.p95_ms:.1f}",
            f"{row.bytes:,}",
        )
    Console(soft_wrap=True).print(table)
    print(
        json.dumps(
            {"data": dataset.name, "clips": len(dataset.val), "rows": [asdict(row) for row in rows]}
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
