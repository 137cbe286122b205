"""A static model of anybody, `.pdmodel` or `.onnx`, rewritten so that it computes the same from fewer
bytes, and compared with the original in its own runtime.

Run: featherbone shrink inference.pdmodel [--input clips.npy] [--weights float16] [--to FOLDER]

Call stacks, dead attributes, unread outputs and copies go; BatchNorm and constants are computed
beforehand. Inputs, outputs and files keep their names. Exit code 0: written and verified; 1: bad
input; 2: over --max-size; 4: the model may not be run, or the rewritten one disagrees with it, and
nothing is written. The last line of stdout is JSON.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np

from compress.budget.attribution import parts_of
from compress.budget.sizes import format_size, parse_size
from compress.data import arrays
from export import shrink
from export.formats.foreign.arithmetic import Precision
from export.runtimes import trial
from teachers.errors import BudgetExceeded, DataError, RecipeError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say, show
from teachers.terminal.tables import Table

COMMAND = "featherbone shrink"
# Where it goes without --to: beside the model, which must stay what it is.
FOLDER = "shrunk"


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    options = _parser(command).parse_args(arguments)
    limit_bytes = _limit(options.max_size)
    model: Path = options.model
    folder = options.to or model.parent / FOLDER
    clips = None if options.input is None else _clips(options.input)
    done = shrink.shrink(model, folder, options.params, clips, options.weights, options.seconds)
    before, after = _parts(done.before), _parts(done.after)
    _print(before, after)
    for title, count in done.changes.items():
        say(f"{count} {title}")
    if done.weights_changed:
        say(f"{done.weights_changed} weights stored as {options.weights}, computed in float32")
    _print_comparison(done, options.input)
    total_bytes = sum(after.values())
    within = limit_bytes is None or total_bytes <= limit_bytes
    if not within:
        show(f"OVER THE LIMIT: {format_size(total_bytes)} of {format_size(limit_bytes or 0)}")
    exit_code = 0 if within else BudgetExceeded.exit_code
    ending.print_last_line(
        {
            "exit_code": exit_code,
            "out": str(folder),
            "files": {each.name: each.stat().st_size for each in done.after},
            "before_bytes": sum(before.values()),
            "after_bytes": total_bytes,
            "limit_bytes": limit_bytes,
            "weights": options.weights,
            "changes": done.changes,
            "parts": [
                {"part": part, "kind": kind, "before_bytes": old, "after_bytes": new}
                for (part, kind), old, new in _side_by_side(before, after)
            ],
            "random": done.random,
            "input": done.given,
            "input_clips": done.clips,
        }
    )
    return exit_code


def _parser(command: str) -> Parser:
    parser = Parser.documented(
        command, __doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, metavar="MODEL", help="a .pdmodel or an .onnx")
    parser.add_argument(
        "--params", type=Path, help="of a .pdmodel (default: the .pdiparams beside it)"
    )
    parser.add_argument(
        "--input", type=Path, help="a .npy of clips (n, ...) float32 to compare on, beside random"
    )
    parser.add_argument(
        "--weights",
        choices=get_args(Precision),
        default="float32",
        help="how weights of convolutions and products are stored (default: %(default)s)",
    )
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER", help=f"default: {FOLDER}/ beside the model"
    )
    parser.add_argument("--max-size", help="of all files together, for example 1MB; exit code 2")
    parser.add_argument(
        "--seconds",
        type=float,
        default=trial.SECONDS,
        help="for each batch that either model runs on, before it counts as hung (default:"
        " %(default)s)",
    )
    return parser


def _limit(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return parse_size(text)
    except ValueError as error:
        raise RecipeError(f"--max-size: {error}") from error


def _clips(path: Path) -> np.ndarray:
    clips = arrays.open_npy(path)
    if not clips.size or clips.ndim < 2 or not np.issubdtype(clips.dtype, np.number):
        raise DataError(
            f"{path}: expected numbers (n, ...), n clips as the model takes them, got"
            f" {clips.dtype} {clips.shape}"
        )
    return np.ascontiguousarray(clips, dtype="float32")


Parts = Counter[tuple[str, str]]


def _parts(files: tuple[Path, ...]) -> Parts:
    """Bytes by what they are: blocks apart tell nothing where nobody named them."""
    found: Parts = Counter()
    for path in files:
        for part in parts_of(path, path.stat().st_size):
            name = "weights" if part["kind"] == "weights" else part["part"]
            found[name, part["kind"]] += part["bytes"]
    return found


def _side_by_side(before: Parts, after: Parts) -> list[tuple[tuple[str, str], int, int]]:
    names = sorted(before | after, key=lambda name: (-before[name], name))
    return [(name, before[name], after[name]) for name in names]


def _print(before: Parts, after: Parts) -> None:
    rows = [(part, old, new) for (part, _), old, new in _side_by_side(before, after)]
    rows.append(("all files", sum(before.values()), sum(after.values())))
    cells = [
        (part, format_size(old), format_size(new), f"{100 * new / old:.1f}%" if old else "")
        for part, old, new in rows
    ]
    show(Table(("part", "before", "after", "left"), cells, bold=frozenset({len(cells) - 1})))


def _print_comparison(done: shrink.Shrunk, source: Path | None) -> None:
    if done.random is None:
        say(
            f"note: {done.before[0]} answers random inputs with numbers that are not finite; compared on"
            f" {source} alone"
        )
    for title, found in (("random inputs", done.random), (f"{source}", done.given)):
        if found is not None:
            show(
                f"{title}: relative difference {found['max_rel_diff']:.1e},"
                f" {found['snr_db']:.1f} dB, agreement {100 * found['agreement']:.2f}%"
            )
