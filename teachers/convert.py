"""Any weights file this project reads -> its own `.npz`, which says everything about its network by
itself.

Run: python -m teachers.convert weights/ctrgcn.pdparams ctrgcn.npz --frames 64

Published checkpoints do not say everything: the number of frames, and where needed the persons or
the skeleton, are options. `FILE#Teacher` takes the teacher of a distillation checkpoint. The last
line of stdout is JSON.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# Run as a file, Python puts teachers/ on the path; the package lies one folder up.
if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from teachers.terminal import interrupt

# isort: split
interrupt.while_loading(__name__)

from teachers import networks, storage
from teachers.errors import RecipeError
from teachers.skeleton import SKELETONS
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.weights import checkpoints, torch_legacy, torch_zip
from teachers.weights.published import NO_HINTS, Hints

COMMAND = "python -m teachers.convert"
OURS = "this project's"


def convert(source: str, target: Path, hints: Hints = NO_HINTS) -> dict:
    """Read the weights of `source`, check them against their network, write them to `target`.

    Args:
        source: a path, or `FILE#Teacher`.
        hints: what a published checkpoint does not say.
    Returns:
        what was found: `format` of the file, `network`, `layouts` it is read from, `parameters`,
            `classes`, `skeleton`,
        `joints`, `input` (C, T, V, M), and the bytes written.
    Raises:
        CheckpointError: the source cannot be used.
        RecipeError: hints for a file that says everything itself, or the target is the source.
        StorageError: the target cannot be written.
    """
    # `FILE#Teacher` names a part of a file, unless there is a file of that very name.
    file = Path(source) if Path(source).is_file() else Path(source.rpartition("#")[0])
    if file.is_file() and target.exists() and file.samefile(target):
        raise RecipeError(f"{target}: is the file to read; give another name for the result")
    kind = format_of(file) if file.is_file() else None
    # An error rather than silence: whoever gives --frames expects them to count.
    if kind == OURS and hints != NO_HINTS:
        raise RecipeError(
            f"{file}: says its input and skeleton itself; leave out --frames, --persons and"
            " --skeleton"
        )
    spec, state, about = checkpoints.read(source, hints)
    # Built once though nothing runs: a file that cannot be loaded must not be written.
    networks.load_state(networks.build(spec), state, source)
    checkpoints.save_state(target, spec, state, about)
    return {
        "out": str(target),
        "bytes": target.stat().st_size,
        "format": kind,
        "network": spec.network,
        "layouts": [] if kind == OURS else list(networks.keys(spec.network).READS),
        "parameters": networks.parameters(spec),
        "classes": spec.classes,
        "skeleton": spec.skeleton.name,
        "joints": spec.skeleton.joints,
        "input": list(spec.input_shape),
    }


def format_of(path: Path) -> str:
    """The format of a file, in words, by its content; it may still be damaged."""
    names = torch_zip.names(path)
    if names is not None:
        return OURS if f"{storage.META}.npy" in names else "torch"
    # The head alone: it says the format, and the rest may be large.
    with path.open("rb") as file:
        return "torch before 1.6" if torch_legacy.recognises(file.read(32)) else "Paddle"


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    parser = Parser(
        prog=command,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source", metavar="IN", help="a weights file of any format this project reads"
    )
    parser.add_argument("target", metavar="OUT", type=Path, help="the .npz to write")
    parser.add_argument(
        "--frames", type=_positive, help="input length T (the network's published one)"
    )
    parser.add_argument(
        "--persons", type=_positive, help="persons M (as the file says, else the published one)"
    )
    parser.add_argument(
        "--skeleton",
        choices=sorted(SKELETONS),
        help="the graph (the published one of as many joints)",
    )
    options = parser.parse_args(arguments)
    converted = convert(
        options.source,
        options.target,
        Hints(options.frames, options.persons, SKELETONS.get(options.skeleton)),
    )
    C, T, V, M = converted["input"]
    show(
        f"{options.source}: {converted['network']} in {converted['format']} format,"
        f" {converted['parameters']:,} parameters, {converted['classes']} classes"
    )
    if converted["layouts"]:
        show(f"key names: {' or '.join(converted['layouts'])}")
    persons = "person" if M == 1 else "persons"
    show(f"input: {C} coordinates, {T} frames, {V} joints ({converted['skeleton']}), {M} {persons}")
    show(f"{converted['bytes']:>12,} bytes  {options.target}")
    ending.print_last_line(converted)
    return 0


def _positive(text: str) -> int:
    # argparse's own `int` would let 0 and negative sizes through.
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


if __name__ == "__main__":
    sys.exit(main())
