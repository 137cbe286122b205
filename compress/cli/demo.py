"""A page that holds a deployed network and runs it: one HTML file, opened from disk, with no request.

Run: featherbone demo runs/NAME/deploy [--teacher runs/NAME/teacher] [--clip FILE ...]

Without --clip the page opens with clips of the validation split of the run that the folder lies in,
or of --recipe. The last line of stdout is JSON.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from compress import recipe as recipes
from compress.budget.sizes import format_size, parse_size
from compress.cli.accuracy import recipe_of
from compress.data import clip_list
from compress.data.file_classes import label_of
from compress.demo import networks, page
from compress.demo.networks import Network
from compress.demo.page import Example, Page
from compress.plan import load_data
from compress.process import console
from compress.recipe import overrides
from export import deployed
from export.serving import image_of, recording
from teachers import storage
from teachers.errors import DataError, RecipeError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say, show
from teachers.terminal.tables import Table

COMMAND = "featherbone demo"
EXAMPLES = 8
OVER_BUDGET = 2


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    options = _parser(command).parse_args(arguments)
    if options.clip and (options.recipe or options.overrides):
        raise RecipeError("give --clip, or --recipe with its overrides: clips come from one place")
    if options.clip and options.examples is not None:
        raise RecipeError("--examples: counts clips of a recipe's data; leave it out with --clip")
    shown = []
    if options.teacher is not None:
        shown.append(networks.read(options.teacher, "teacher", _say_note))
    title = "student" if shown else "network"
    shown.append(networks.read(options.folder, title, _say_note))
    if len(shown) > 1:
        networks.check_alike(*shown)
    failed: list[dict[str, str]] = []
    if options.clip:
        examples = _of_files(options.clip, shown[-1], failed)
    else:
        examples = _of_data(options, shown[-1])
    made = page.render(shown, examples)
    failed += made.failed
    if len(made.failed) == len(examples):
        raise DataError("\n  ".join(each["error"] for each in failed))
    storage.write_text(options.output, made.text)
    return _end(options, shown, made, failed, len(examples) - len(made.failed))


def _end(
    options: argparse.Namespace,
    shown: list[Network],
    made: Page,
    failed: list[dict[str, str]],
    clips: int,
) -> int:
    """Say what was written, with so many clips in it; returns the exit code."""
    size = made.parts["all"]
    rows = [(name, f"{count:,}") for name, count in made.parts.items()]
    show(Table(("part", "bytes"), rows))
    show(f"{options.output}: {format_size(size)}, {clips} clips; open it in a browser")
    content = {
        "output": str(options.output),
        "bytes": size,
        "parts": {name: count for name, count in made.parts.items() if name != "all"},
        "clips": clips,
        "networks": [each.title for each in shown],
    }
    reasons = "".join(f"\n  {each['error']}" for each in failed)
    missing = f"{len(failed)} of {len(failed) + clips} clips are not on the page:{reasons}"
    if failed:
        content["failed"] = failed
    if options.max_size is not None and size > options.max_size:
        if failed:
            say(missing)
        return ending.fail(
            f"{options.output}: {format_size(size)}, more than --max-size"
            f" {format_size(options.max_size)}; take fewer clips, or a smaller network",
            OVER_BUDGET,
            **content,
        )
    if failed:
        # As of predict: the others are there, and whoever asked for all of them has to know.
        return ending.fail(missing, DataError.exit_code, **content)
    ending.print_last_line({"status": "written", **content})
    return 0


def _parser(command: str) -> Parser:
    parser = Parser(
        prog=command, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", type=deployed.place, help="a deployed folder that holds model.onnx, or zoo:NAME"
    )
    parser.add_argument(
        "--teacher", type=deployed.place, metavar="FOLDER", help="another one, to see beside it"
    )
    parser.add_argument(
        "--clip",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="clips that it opens with: what featherbone predict takes",
    )
    parser.add_argument("--recipe", help="a recipe of whose data it shows clips")
    overrides.add_option(parser)
    parser.add_argument(
        "--examples",
        type=int,
        metavar="N",
        help=f"clips of the recipe's data (default {EXAMPLES})",
    )
    parser.add_argument(
        "--max-size", type=_size, metavar="SIZE", help="exit with 2 where the page is larger"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("demo.html"), help="default %(default)s"
    )
    return parser


def _size(text: str) -> int:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _of_files(paths: list[Path], network: Network, failed: list[dict[str, str]]) -> list[Example]:
    """The clips of files, each with the class that a public file name says; `failed` gets those that
    cannot be read."""
    description = network.description
    found = []
    files = clip_list.files_of(paths)
    for clip in clip_list.read(files, recording(description), image_of(description)):
        if clip.raw is None:
            failed.append({"clip": clip.name, "error": clip.problem})
            continue
        for note in clip.notes:
            _say_note(f"{clip.name}: {note}")
        said = label_of(clip.name)
        label = description.classes.index(said) if said in description.classes else None
        found.append(Example(clip.name, label, clip.raw))
    return found


def _of_data(options: argparse.Namespace, network: Network) -> list[Example]:
    """Clips of a validation split, the first of each class, then the second of each."""
    count = EXAMPLES if options.examples is None else options.examples
    if count < 1:
        raise RecipeError(f"--examples {count}: must be at least 1")
    name = options.recipe or recipe_of(options.folder)
    if name is None:
        raise RecipeError(
            f"{options.folder}: lies in no run, so nothing says its data; give --clip FILE, or"
            " --recipe NAME"
        )
    say(f"data of {name}")
    recipe = recipes.load(str(name), options.overrides)
    with console.reading() as progress:
        dataset = load_data(recipe, progress)
    if dataset.classes != network.description.classes:
        raise DataError(
            f"{name}: its data have other classes than {options.folder}; give the recipe that the"
            " network was trained with"
        )
    chosen = spread(dataset.val.labels, count)
    return [
        Example(
            dataset.val.names[index],
            int(dataset.val.labels[index]),
            np.asarray(dataset.val.clips[index], np.float32),
        )
        for index in chosen
    ]


def spread(labels: Iterable[int], count: int) -> list[int]:
    """Places of `count` clips: the first of each class, then the second of each, and so on."""
    seen: dict[int, int] = {}
    order = []
    for place, label in enumerate(labels):
        seen[int(label)] = seen.get(int(label), 0) + 1
        order.append((seen[int(label)], int(label), place))
    return [place for _, _, place in sorted(order)[:count]]


def _say_note(note: str) -> None:
    say(f"note: {note}")
