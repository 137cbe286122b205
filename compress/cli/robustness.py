"""Networks side by side on damaged clips: joints and frames lost, jitter, half a clip, another angle;
and what their scores are worth as probabilities.

Run: featherbone robustness runs/NAME [TARGET ...] [--draws 5] [--temperature]

A TARGET is what `featherbone accuracy` takes: a run's folder, a deployed folder, a weights file. Give
float, pruned and int8 files of one network to see them in one row; every network sees the same
damaged clips. Without --recipe the data and the kinds of damage are those of the run that the first
target lies in. The last line of stdout is JSON.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from compress import recipe as recipes
from compress.cli.accuracy import DEFAULT_RECIPE, candidates, recipe_of, try_out
from compress.data.dataset import Dataset
from compress.evaluation import damage, robustness
from compress.evaluation.damage_settings import Config
from compress.evaluation.evaluate import logits_of, training_clips
from compress.plan import load_data, tasks
from compress.process import console, device
from compress.recipe import overrides
from compress.recipe.types import Recipe
from compress.reporting.robustness import print_robustness
from export import runtimes
from export.deployed import place
from teachers.storage import typed_json
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say

COMMAND = "featherbone robustness"
# Training-side clips that temperatures are fitted on, where none are held out.
FITTED_CLIPS = 512


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    options = _parser(command).parse_args(arguments)
    device.select(options.device)
    name = options.recipe or recipe_of(options.targets[0]) or DEFAULT_RECIPE
    say(f"data of {name}")
    recipe = recipes.load(str(name), options.overrides)
    config = _config(recipe, options)
    with console.reading() as progress:
        dataset = load_data(recipe, progress)
    task = tasks(recipe, dataset)[0][0]
    try_out(options.targets, task)
    judged = []
    for target in options.targets:
        for each in candidates(target, task, runtimes.default_threads()):
            judged.append(robustness.Candidate(each.name, each.predict, each.clips.view))
    fitted = _fitted(judged, dataset) if options.temperature else None
    rows = damage.damages(config, dataset.coordinates)
    with console.bar("damaged clips", sum(row.draws for row in rows)) as advance:
        found = robustness.measure(judged, dataset.val, rows, recipe.seed, fitted, advance)
    print_robustness(found)
    ending.print_last_line(
        {
            "data": dataset.name,
            "clips": len(dataset.val),
            "seed": recipe.seed,
            "robustness": typed_json.encode(found),
        }
    )
    return 0


def _fitted(judged: list[robustness.Candidate], dataset: Dataset) -> robustness.Fitted:
    """The temperature of each network, on clips of the side of the training, each seen in as many
    views as it is judged in."""
    split = dataset.train if dataset.holdout is None else dataset.holdout
    kind = "training clips" if dataset.holdout is None else "clips held out of training"
    sides = []
    for each in judged:
        seen = training_clips(split, each.view, FITTED_CLIPS, each.view.clips)
        sides.append((logits_of(each.predict, seen), seen.labels))
    return robustness.fitted_on(sides, f"{min(FITTED_CLIPS, len(split))} {kind}")


def _config(recipe: Recipe, options: argparse.Namespace) -> Config:
    config = recipe.robustness or Config()
    return config if options.draws is None else replace(config, draws=options.draws)


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
        "--draws", type=_positive, metavar="N", help="of every kind (default: the recipe's, or 5)"
    )
    parser.add_argument(
        "--temperature",
        action="store_true",
        help="fit each network's temperature on training-side clips, and judge it on the others",
    )
    parser.add_argument("targets", nargs="+", type=place)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if not 1 <= number <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 to 1000")
    return number
