"""The best small networks that keep limits, found within a time.

Run: featherbone search --recipe ctrgcn_lite_dml --max-size 3MB --max-drop 2 --time 10m

Layers, channels, frames and bits of the recipe's network are varied, as its section `search:` says.
Exit codes: 0 a point keeps all limits, 1 bad input or failure, 2 none fits size and latency, 3 none
of those is accurate enough, 130 interrupted, 143 stopped. The last line of stdout is one JSON object.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from compress import recipe as recipes
from compress.budget.sizes import parse_size
from compress.process import lock, ranks
from compress.recipe import effective, overrides
from compress.recipe.types import Recipe
from teachers import storage
from teachers.errors import FeatherboneError, RecipeError
from teachers.terminal import ending, interrupt
from teachers.terminal.arguments import Parser
from teachers.terminal.output import LOG_NAME, log_to, say, show

if TYPE_CHECKING:
    from compress.search.engine import Request

COMMAND = "featherbone search"
RUNS = Path("runs")
UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600}


def parse_time(text: str) -> float:
    """Seconds of "2h", "90m", "1h30m" or "45s".

    Raises:
        argparse.ArgumentTypeError: anything else.
    """
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)(h|min|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", ""):
        raise argparse.ArgumentTypeError(
            f"cannot read the time {text!r}: write hours, minutes or seconds, such as 2h, 90m, 1h30m"
        )
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def _size(text: str) -> int:
    try:
        size = parse_size(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    if size == 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return size


def _points(text: str) -> float:
    value = _positive(text)
    if value > 100:
        raise argparse.ArgumentTypeError(f"expected points of top-1, at most 100, got {text!r}")
    return value


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number that is not negative, got {text!r}")
    return value


def parser(command: str = COMMAND) -> Parser:
    """The command line of `command`."""
    line = Parser(
        prog=command,
        description=__doc__.split("\n\n")[0],
        epilog=__doc__.split("\n\n")[2],
    )
    line.add_argument("--recipe", required=True, help="a name in configs/, or a path")
    overrides.add_option(line)
    line.add_argument(
        "--max-size", type=_size, help="of the deployed folder (default: budget.max_size)"
    )
    line.add_argument("--max-ms", type=_positive, help="of one clip on this machine, one at a time")
    line.add_argument(
        "--max-drop",
        type=_points,
        help="points of top-1 below the teacher (default: budget.max_top1_drop)",
    )
    line.add_argument(
        "--time", type=parse_time, help="such as 2h or 90m (default: until the space is searched)"
    )
    line.add_argument("--output", type=Path, help="the folder (default: runs/RECIPE-search)")
    line.add_argument("--resume", action="store_true", help="continue the search in --output")
    line.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    return line


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser(command).parse_args(arguments)
    if ranks.launched():
        # What it decides follows from one log, and its networks are small.
        if ranks.launched_as()[0] > 0:
            return 0
        say("note: a search runs in the first process of a launcher alone; the others end here")
    recipe = _limited(recipes.load(options.recipe, options.overrides), options)
    with interrupt.loading():
        from compress.process import device
        from compress.search import engine
        from compress.search.log import NAME
        from compress.search.state import Limits
    device.select(options.device)
    folder = options.output or RUNS / f"{recipe.name}-search"
    begun = (folder / NAME).exists()
    if begun and not options.resume:
        raise RecipeError(
            f"--output {folder}: holds a search already; add --resume to continue it, or choose"
            " another folder"
        )
    # Either writes its weights and its report over the other's.
    if (folder / effective.NAME).exists():
        raise RecipeError(f"--output {folder}: holds a run; choose another folder")
    if options.resume and not begun:
        raise RecipeError(f"--resume: {folder} holds no search; leave --resume out to start one")
    storage.make_folder(folder)
    limits = Limits(
        recipe.budget.max_size,
        options.max_ms,
        recipe.budget.max_top1_drop,
        options.time,
        recipe.budget.min_top1,
    )
    typed = shlex.join([*command.split(), *arguments])
    advice = "wait until it ends, or stop it and type the same again"
    with lock.hold(folder / lock.NAME, advice), log_to(folder / LOG_NAME):
        say(f"{recipe.name}: search {'resumed ' if begun else ''}in {folder}")
        request = engine.Request(recipe, folder, limits, folder.parent / "teachers", typed)
        return _search(request)


def _search(request: Request) -> int:
    """The search, with what ends it and what it found in its log; returns the exit code."""
    from compress.search import engine, report

    folder = request.folder
    try:
        result = engine.execute(request)
    except KeyboardInterrupt as stopped:
        message = "interrupted; everything finished is kept. Continue with --resume"
        return ending.fail(message, interrupt.exit_code(stopped), output=str(folder))
    except FeatherboneError as error:
        return ending.fail(str(error), error.exit_code, output=str(folder))
    for part in report.printed(result, folder):
        show(part)
    ending.print_last_line(report.last_line(result, folder))
    return report.exit_code(result)


def _limited(recipe: Recipe, options: argparse.Namespace) -> Recipe:
    """The recipe with the limits of the command line in its budget."""
    budget = recipe.budget
    if options.max_size is not None:
        budget = replace(budget, max_size=options.max_size)
    if options.max_drop is not None:
        budget = replace(budget, max_top1_drop=options.max_drop)
    return replace(recipe, budget=budget)
