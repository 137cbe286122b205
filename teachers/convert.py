"""Any weights file this project reads -> its own `.npz`, which says everything about its network by
itself.

Run: python -m teachers.convert weights/ctrgcn.pdparams ctrgcn.npz --frames 64

Published checkpoints do not say everything: the number of frames, and where needed the persons, the
skeleton and the classes' names, are options; `featherbone convert` takes them from a `--recipe`, too.
`FILE#Teacher` takes the teacher of a distillation checkpoint, `FILE#ema` averaged weights. The last
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

from teachers import networks
from teachers.errors import RecipeError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.weights import checkpoints, hint_options, kinds
from teachers.weights.hint_options import Options, Read

COMMAND = "python -m teachers.convert"


def convert(
    source: str, target: Path, options: argparse.Namespace, read: Read = hint_options.read
) -> dict:
    """Read the weights of `source`, check them against their network, write them to `target`.

    Args:
        source: a path, or `FILE#Teacher`.
        options: what a published checkpoint does not say.
        read: what makes weights of `source` and `options`.
    Returns:
        what was found: `format` of the file, `network`, `layouts` it is read from, `parameters`,
            `classes`, `class_names` where they are known, `skeleton`, `joints`, `input` (C, T, V,
            M), `preprocessing` steps, and the bytes written.
    Raises:
        CheckpointError: the source cannot be used.
        RecipeError: hints for a file that says everything itself, or the target is the source.
        StorageError: the target cannot be written.
    """
    file, _ = checkpoints.file_and_part(source)
    if file.is_file() and target.exists() and file.samefile(target):
        raise RecipeError(f"{target}: is the file to read; give another name for the result")
    spec, state, about = read(source, options)
    # Built once though nothing runs: a file that cannot be loaded must not be written.
    networks.load_state(networks.build(spec), state, source)
    checkpoints.save_state(target, spec, state, about)
    kind = kinds.format_of(file, checkpoints.content(file))
    return {
        "out": str(target),
        "bytes": target.stat().st_size,
        "format": kind,
        "network": spec.network,
        "layouts": [] if kind == kinds.OURS else list(networks.keys(spec.network).READS),
        "parameters": networks.parameters(spec),
        "classes": spec.classes,
        "class_names": about.get("classes"),
        "skeleton": spec.skeleton.name,
        "joints": spec.skeleton.joints,
        "input": list(spec.input_shape),
        "preprocessing": [step["op"] for step in about.get("preprocessing", ())],
    }


@ending.command
def main(
    arguments: list[str] | None = None, command: str = COMMAND, hints: Options = hint_options
) -> int:
    """The command, called as `command`; returns the exit code.

    Args:
        hints: the options that say what a published checkpoint does not.
    """
    parser = Parser(
        prog=command,
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "source", metavar="IN", help="a weights file of any format this project reads"
    )
    parser.add_argument("target", metavar="OUT", type=Path, help="the .npz to write")
    hints.add_options(parser)
    options = parser.parse_args(arguments)
    converted = convert(options.source, options.target, options, hints.read)
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


if __name__ == "__main__":
    sys.exit(main())
