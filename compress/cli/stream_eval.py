"""What a deployed folder is worth on live poses: clips joined into long recordings with idle in
between.

Run: featherbone stream-eval DEPLOY [DEPLOY ...] --recipe ctrgcn_lite_dml [-o data.name=nw_ucla -o
data.root=FOLDER]

Thresholds and k of n are found on recordings of training clips and judged on those of validation
clips. Several folders, such as float32 and int8, are tried on the same recordings, and their cost is
measured in turn. --out writes streams.json and streams.html, --write the rule that was found into
deployed.json. The last line of stdout is JSON.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from compress import recipe as recipes
from compress.data.dataset import Dataset
from compress.live import trial, trial_page
from compress.live.recordings import Recording, joined
from compress.plan import load_data
from compress.process import console
from compress.recipe import overrides
from compress.reporting import wording
from export import deployed
from export.deployed import Live, zoo
from teachers.errors import DataError, RecipeError
from teachers.storage import typed_json
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say, show
from teachers.terminal.tables import Table

COMMAND = "featherbone stream-eval"
DEFAULT_RECIPE = "ctrgcn_lite_dml"
CLIPS_A_RECORDING = 25


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    options = _parser(command).parse_args(arguments)
    inside = [folder for folder in options.targets if zoo.holds(folder)]
    if options.write and inside:
        raise RecipeError(
            f"--write: {inside[0]} is installed with the project; copy the folder, and write there"
        )
    recipe = recipes.load(options.recipe, options.overrides)
    with console.reading() as progress:
        dataset = load_data(recipe, progress)
    for folder in options.targets:
        _check(folder, dataset)
    sides = [
        joined(split, options.rate, options.clips, CLIPS_A_RECORDING, options.seed)
        for split in (dataset.train, dataset.val)
    ]
    live = _live(options, dataset)
    outcomes = _tried(options.targets, live, sides)
    wanted = min(trial.SENSITIVITIES, key=lambda each: abs(each - options.sensitivity))
    about = {
        "data": dataset.name,
        "rate": options.rate,
        "clips": [sum(len(each.actions) for each in side) for side in sides],
        "hours": [sum(each.seconds for each in side) / 3600 for side in sides],
        "window": live.window,
        "stride": live.stride,
        "folders": typed_json.encode(outcomes),
    }
    _print(outcomes, wanted)
    if options.out is not None:
        for path in trial_page.write(options.out, about):
            say(str(path))
    if options.write:
        for folder, outcome in zip(options.targets, outcomes, strict=True):
            rule = next(each.live for each in outcome.choices if each.wanted == wanted)
            trial.write_defaults(folder, rule)
            say(f"{folder / deployed.NAME}: follows live poses by the rule for {wanted:.0%}")
    ending.print_last_line(about)
    return 0


def _parser(command: str) -> Parser:
    parser = Parser.documented(
        command, __doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "targets", nargs="+", type=deployed.place, help="deployed folders, or zoo:NAME"
    )
    parser.add_argument("--recipe", default=DEFAULT_RECIPE, help="whose data (%(default)s)")
    overrides.add_option(parser)
    parser.add_argument(
        "--clips", type=int, default=200, help="of each side at most (default %(default)s)"
    )
    parser.add_argument(
        "--rate", type=float, default=30.0, help="frames a second of the data (%(default)s)"
    )
    parser.add_argument(
        "--window", type=int, default=0, help="frames (default: the median training clip's)"
    )
    parser.add_argument("--stride", type=int, default=4, help="frames (default %(default)s)")
    parser.add_argument(
        "--sensitivity",
        type=float,
        default=0.9,
        help="share of actions that --write wants an alarm of (default %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of order and idle (%(default)s)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write streams.json and .html")
    parser.add_argument(
        "--write", action="store_true", help="write the rule that was found into deployed.json"
    )
    return parser


def _check(folder: Path, dataset: Dataset) -> None:
    """Raises DataError where the folder is of other clips or classes than the data set."""
    description, _ = deployed.read_for(folder)
    recorded = description.recording
    if description.classes != dataset.classes:
        raise DataError(f"{folder}: has other classes than {dataset.name}; name its recipe or data")
    if (recorded.joints, recorded.channels) != (dataset.skeleton.joints, dataset.channels):
        raise DataError(
            f"{folder}: takes {recorded.joints} joints of {recorded.channels} numbers, {dataset.name}"
            f" has {dataset.skeleton.joints} of {dataset.channels}; name its recipe or data"
        )


def _live(options: argparse.Namespace, dataset: Dataset) -> Live:
    lengths = [np.shape(dataset.train.clips[number])[1] for number in range(len(dataset.train))]
    window = options.window or max(2, int(np.median(lengths)))
    try:
        # Recordings are at the data's own rate: nothing is interpolated.
        return Live(
            window=window, stride=options.stride, min_frames=max(1, window // 2), rate=options.rate
        )
    except ValueError as error:
        raise RecipeError(f"--window, --stride, --rate: {error}") from error


def _tried(folders: list[Path], live: Live, sides: list[list[Recording]]) -> list[trial.Outcome]:
    training, judged = sides
    frames = sum(len(each.poses) for side in sides for each in side)
    outcomes = []
    for folder in folders:
        with console.bar(f"following {folder}", frames, "frames") as advance:
            outcomes.append(trial.outcome(folder, live, training, judged, advance))
    costs = trial.costs(folders, live, judged[0])
    return [replace(each, cost_ms=cost) for each, cost in zip(outcomes, costs, strict=True)]


def _print(outcomes: list[trial.Outcome], wanted: float) -> None:
    early = [
        (each.folder, *(f"{100 * each.early[part]:.1f}" for part in each.early))
        for each in outcomes
    ]
    show(Table(("right % after", *(f"{part} %" for part in outcomes[0].early)), early))
    rows = [
        (
            each.folder,
            f"{choice.wanted:.0%}",
            f"{100 * choice.judged.sensitivity:.1f}",
            f"{choice.judged.false_an_hour:.1f}",
            wording.decimals(choice.judged.p50_s, 2),
            wording.decimals(choice.judged.p95_s, 2),
            f"{choice.live.threshold:g}",
            f"{choice.live.votes}/{choice.live.of}",
        )
        for each in outcomes
        for choice in each.choices
    ]
    heads = ("alarms", "wanted", "had %", "false/h", "p50 s", "p95 s", "score", "k/n")
    bold = frozenset(number for number, row in enumerate(rows) if row[1] == f"{wanted:.0%}")
    show(Table(heads, rows, bold=bold))
    cost = [
        (each.folder, *(f"{value:.2f}" for value in each.cost_ms.values())) for each in outcomes
    ]
    show(Table(("ms a frame at stride", *outcomes[0].cost_ms), cost))
