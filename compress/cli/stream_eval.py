"""What a deployed folder is worth on live poses: clips joined into long recordings with idle in
between.

Run: featherbone stream-eval DEPLOY [DEPLOY ...] --recipe ctrgcn_lite_dml [-o data.name=nw_ucla -o
data.root=FOLDER]

Thresholds and k of n are found on recordings of training clips and judged on those of validation
clips. A DEPLOY is a deployed folder, or a model file in one (deploy/model.onnx beside the continual
form of the same folder). Several, such as float32 and int8, are tried on the same recordings, and
their cost is measured in turn. --out writes streams.json and streams.html, --write the rule that was
found into deployed.json. The last line of stdout is JSON.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from compress import recipe as recipes
from compress.data.dataset import Dataset
from compress.evaluation.stream_settings import SENSITIVITIES, Config
from compress.evaluation.streams import trial
from compress.evaluation.streams.record import Followed
from compress.plan import load_data
from compress.process import console
from compress.recipe import overrides
from compress.reporting import streams_page
from compress.reporting.streams import print_streams
from export import deployed
from export.deployed import zoo
from teachers.errors import DataError, RecipeError
from teachers.storage import typed_json
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say

COMMAND = "featherbone stream-eval"
DEFAULT_RECIPE = "ctrgcn_lite_dml"
# Options that stand for keys of `streams:` in a recipe.
KEYS = ("clips", "rate", "window", "stride", "sensitivity")


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
    config = _config(options, recipe.streams or Config())
    folders = [trial.folder_of(target) for target in options.targets]
    if options.write and len(set(folders)) < len(folders):
        raise RecipeError("--write: names a folder twice, and it keeps one rule; name it once")
    with console.reading() as progress:
        dataset = load_data(recipe, progress)
    for folder in folders:
        _check(folder, dataset)
    targets = {str(target): target for target in options.targets}
    found = trial.run(targets, config, dataset, options.seed)
    print_streams(found)
    if options.out is not None:
        for path in streams_page.write(options.out, found):
            say(str(path))
    if options.write:
        for folder, each in zip(folders, found.followed, strict=True):
            _write(folder, each, config.sensitivity)
    ending.print_last_line(typed_json.encode(found))
    return 0


def _write(folder: Path, found: Followed, sensitivity: float) -> None:
    """
    Raises:
        DataError: no rule has an alarm of any action.
    """
    reached = trial.reached(found, sensitivity)
    if reached == 0:
        raise DataError(
            f"--write: {folder}: no rule has an alarm of a single action, so none is written; give"
            " a --window that the recordings fill, or --stride"
        )
    trial.write_defaults(folder, trial.rule_of(found, sensitivity))
    if reached < sensitivity:
        say(f"note: no rule reaches {sensitivity:.0%}, the most is {reached:.1%}")
    say(f"{folder / deployed.NAME}: follows live poses by the rule for {sensitivity:.0%}")


def _parser(command: str) -> Parser:
    parser = Parser.documented(
        command, __doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "targets",
        nargs="+",
        type=deployed.place,
        help="deployed folders, model files, or zoo:NAME",
    )
    parser.add_argument("--recipe", default=DEFAULT_RECIPE, help="whose data (%(default)s)")
    overrides.add_option(parser)
    usual = Config()
    parser.add_argument("--clips", type=int, help=f"of each side at most (default {usual.clips})")
    parser.add_argument("--rate", type=float, help=f"frames a second of the data ({usual.rate:g})")
    parser.add_argument(
        "--window",
        type=int,
        help="frames (default: as trained, see input.window, else the median training clip's)",
    )
    parser.add_argument("--stride", type=int, help=f"frames (default {usual.stride})")
    parser.add_argument(
        "--sensitivity",
        type=float,
        choices=SENSITIVITIES,
        help=f"share of actions that --write wants an alarm of (default {usual.sensitivity:g})",
    )
    parser.add_argument("--seed", type=int, default=1, help="of order and idle (%(default)s)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write streams.json and .html")
    parser.add_argument(
        "--write", action="store_true", help="write the rule that was found into deployed.json"
    )
    return parser


def _config(options: argparse.Namespace, usual: Config) -> Config:
    if options.sensitivity is not None and not options.write:
        raise RecipeError(
            "--sensitivity: chooses the rule that --write keeps, and all are shown; leave it out, or"
            " add --write"
        )
    given = {key: getattr(options, key) for key in KEYS if getattr(options, key) is not None}
    try:
        return replace(usual, **given)
    except ValueError as error:
        raise RecipeError(f"--{error}") from error


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
