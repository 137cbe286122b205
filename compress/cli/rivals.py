"""A run's deployed files beside what other tools make of the same weights, measured now.

Run: featherbone rivals runs/ctrgcn_lite_dml --with onnxruntime_static --with paddleslim_ptq

As `compare:` in a recipe does: its files and the tool's, on the same clips, in turns. The last line of
stdout is JSON.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from compress import recipe as recipes
from compress.evaluation import accuracy, rivals
from compress.evaluation.evaluate import EvaluationSet, training_clips
from compress.evaluation.latency import turn_of
from compress.evaluation.record import RuntimeRow
from compress.plan import load_data, tasks
from compress.process import console
from compress.registry import RIVALS
from compress.reporting import wording
from compress.task import any_weights
from export import deployed, runtimes
from export.formats import table
from export.formats.baseline import save_baseline
from export.runtimes import in_process
from teachers.errors import DataError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.terminal.tables import Table

COMMAND = "featherbone rivals"


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    parser = Parser(prog=command, description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder")
    parser.add_argument(
        "--with",
        dest="tools",
        action="append",
        choices=tuple(RIVALS),
        required=True,
        help="repeatable: quantise the same weights with this tool",
    )
    options = parser.parse_args(arguments)
    # Each run has data and weights of its own, so each is measured by itself.
    found = {str(run): measured(run, options.tools) for run in options.runs}
    for run, rows in found.items():
        show(f"{run}:")
        _show(rows)
    ending.print_last_line(
        {"measured": {run: [asdict(row) for row in rows] for run, rows in found.items()}}
    )
    return 0


def measured(run: Path, tools: Sequence[str]) -> list[RuntimeRow]:
    """A row for the trained student, each deployed file and each tool, timed in turns.

    Args:
        run: the folder of a finished run.
        tools: rows of `compress.registry.RIVALS`.
    Raises:
        DataError: no run that came to its end.
    """
    needed = [run / "recipe.yaml", run / "weights" / "student.npz", run / "deploy" / deployed.NAME]
    missing = [path for path in needed if not path.is_file()]
    if missing:
        raise DataError(
            f"{missing[0]}: no such file, and other tools are compared with a run that is finished;"
            " give its folder, such as runs/NAME"
        )
    recipe = recipes.load(str(needed[0]), [])
    with console.reading() as progress:
        dataset = load_data(recipe, progress)
    student = any_weights(needed[1], tasks(recipe, dataset)[1])
    clips = EvaluationSet(dataset.val, student.view, student.view.clips)
    # Other tools start from it; a run has made it, unless somebody tidied up.
    if not (run / "baseline" / "model.onnx").is_file():
        save_baseline(student.network, run / "baseline")
    network = in_process(student.network)
    row, reference = accuracy.row("trained network (dygraph)", network, clips)
    found, turns = [row], [turn_of(network, clips)]
    threads = runtimes.default_threads()
    description = deployed.read(run / "deploy")
    for kind, predict in deployed.predictors(run / "deploy", description, threads).items():
        files = tuple(run / "deploy" / file for file in description.files[kind])
        title = table.runtime_title(kind)
        row, _ = accuracy.row(title, predict, clips, reference, files, deployed=True)
        found.append(row)
        turns.append(turn_of(predict, clips))
    training = training_clips(dataset.train, student.view, rivals.CLIPS)
    source = rivals.Source(run, training, clips, reference)
    failed = []
    for tool in tools:
        row, turn = rivals.judged(tool, source, threads)
        if turn is None:
            failed.append(row)
        else:
            found.append(row)
            turns.append(turn)
    return [*accuracy.timed(found, turns), *failed]


def _show(rows: Sequence[RuntimeRow]) -> None:
    cells = [
        (
            f"{row.name} *" if row.deployed else row.name,
            wording.decimals(row.top1, 2),
            wording.decimals(row.agreement, 4),
            wording.decimals(row.snr_db, 1),
            wording.decimals(row.p50_ms, 2),
            wording.size(row.bytes),
        )
        for row in rows
    ]
    show(Table(("runtime (* deployed)", "top-1", "agreement", "dB", "p50 ms", "size"), cells))
    for row in rows:
        if row.note:
            show(f"{row.name}: {row.note}")
