"""The command line that `featherbone export`, `export/static.py` and `export/to_onnx.py` share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import paddle

from export import package
from export.formats import place_options, table
from export.formats.profiles import needed
from export.preprocess import published
from teachers.errors import RecipeError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say, show
from teachers.weights import checkpoints, hint_options
from teachers.weights.hint_options import Options

# Random clips that a script compares on; a run compares on its validation split.
CLIPS = 8


@ending.command
def export(arguments: list[str] | None, kind: str, about: str) -> int:
    """Export a weights file in one format; the last line of stdout is JSON."""
    options = _parser(about).parse_args(arguments)
    return _export(options, (kind,), hint_options)


@ending.command
def main(
    arguments: list[str] | None = None,
    command: str = "featherbone export",
    hints: Options = hint_options,
) -> int:
    """`featherbone export`: the formats that are asked for, else all; returns the exit code.

    Args:
        hints: the options that say what a published checkpoint does not.
    """
    parser = _parser("A weights file -> a verified folder that a runtime serves.", command, hints)
    parser.add_argument(
        "--format",
        dest="formats",
        action="append",
        choices=table.names(),
        help=f"repeatable; without it {' and '.join(table.usual())}",
    )
    options = parser.parse_args(arguments)
    # A format that is named twice is written once.
    return _export(options, tuple(dict.fromkeys(options.formats or table.usual())), hints)


def _parser(about: str, command: str | None = None, hints: Options = hint_options) -> Parser:
    parser = Parser(
        prog=command, description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--weights",
        required=True,
        help="a weights file of any format this project reads; FILE#Teacher, FILE#ema",
    )
    parser.add_argument("--out", required=True, type=Path, help="the folder to write")
    hints.add_options(parser)
    place_options.add_options(parser)
    return parser


def _export(options: argparse.Namespace, kinds: tuple[str, ...], hints: Options) -> int:
    # Before the weights are read: options that contradict each other need no network.
    placed = place_options.read(options, kinds)
    _require_kept(options.weights, options.out, kinds)
    spec, state, trained_on = hints.read(options.weights, options)
    # A published checkpoint says nothing of its data: what is guessed is said, here and in the folder.
    trained_on, notes = published.complete(spec, state, trained_on, str(options.weights))
    for note in notes:
        say(f"note: {note}")
    network = checkpoints.network_of(spec, state, options.weights)
    shape = (CLIPS, *network.spec.input_shape)
    clips = np.random.default_rng(0).standard_normal(shape).astype("float32")
    with paddle.no_grad():
        reference = network(paddle.to_tensor(clips)).numpy()
    differences = package.build(
        network, options.out, kinds, trained_on, clips, reference, options=placed
    )
    # Not all that lies there: the folder may hold other files than these.
    files = {name: (options.out / name).stat().st_size for name in sorted(package.names(kinds))}
    for name, size in files.items():
        show(f"{size:>12,} bytes  {options.out / name}")
    for kind, difference in differences.items():
        show(
            f"{kind}: compared with {options.weights} on {CLIPS} random clips: relative difference"
            f" {difference['max_rel_diff']:.1e}"
        )
    requires = {}
    for kind in kinds:
        paths = [options.out / name for name in table.files(kind)]
        requires[kind] = table.load(kind).needs(paths, placed)
        show(f"{kind}: needs {needed(requires[kind])}")
    # One format: its differences stand beside `out` and `files`, as the two scripts always printed.
    beside = differences[kinds[0]] if len(kinds) == 1 else {"formats": differences}
    ending.print_last_line(
        {"out": str(options.out), "files": files, "requires": requires, **beside}
    )
    return 0


def _require_kept(weights: str, folder: Path, kinds: Sequence[str]) -> None:
    """Raises RecipeError where the export would write over the weights file, or remove it."""
    file, _ = checkpoints.file_and_part(weights)
    # A file that is not there is reported by its reader.
    if not file.is_file():
        return
    for path in package.replaced(folder, kinds):
        if path.exists() and path.samefile(file):
            raise RecipeError(
                f"--out: {path} is the file given with --weights, and an export writes over that"
                " name or removes it; give another folder"
            )
