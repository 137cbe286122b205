"""Any weights file this project reads -> its own `.npz`, which says everything about its network by
itself.

Run: python -m teachers.convert weights/ctrgcn.pdparams ctrgcn.npz --frames 64

Published checkpoints do not say everything: the number of frames, and where needed the persons or
the skeleton, are options. `FILE#Teacher` takes the teacher of a distillation checkpoint. The last
line of stdout is JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from teachers import networks, storage
from teachers.arguments import Parser
from teachers.errors import FeatherboneError, RecipeError
from teachers.skeleton import SKELETONS
from teachers.weights import checkpoints, torch_legacy, torch_zip
from teachers.weights.published import Hints

OURS = "this project's"


def convert(source: str, target: Path, hints: Hints = Hints()) -> dict:
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
    file = Path(source) if Path(source).is_file() else Path(source.rpartition("#")[0])
    if file.is_file() and target.exists() and file.samefile(target):
        raise RecipeError(f"{target}: is the file to read; give another name for the result")
    kind = format_of(file) if file.is_file() else None
    if kind == OURS and hints != Hints():
        raise RecipeError(
            f"{file}: says its input and skeleton itself; leave out --frames, --persons and"
            " --skeleton"
        )
    spec, state, about = checkpoints.read(source, hints)
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
    """The format of a file, in words, by its content; whether it can be read is another question."""
    names = torch_zip.names(path)
    if names is not None:
        return OURS if f"{storage.META}.npy" in names else "torch"
    with path.open("rb") as file:
        return "torch before 1.6" if torch_legacy.recognises(file.read(32)) else "Paddle"


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = Parser(
        prog="python -m teachers.convert",
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
    try:
        found = convert(
            options.source,
            options.target,
            Hints(options.frames, options.persons, SKELETONS.get(options.skeleton)),
        )
    except FeatherboneError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    C, T, V, M = found["input"]
    print(
        f"{options.source}: {found['network']} in {found['format']} format, {found['parameters']:,}"
        f" parameters, {found['classes']} classes"
    )
    if found["layouts"]:
        print(f"key names: {' or '.join(found['layouts'])}")
    print(
        f"input: {C} coordinates, {T} frames, {V} joints ({found['skeleton']}), {M}"
        f" person{'s' * (M > 1)}"
    )
    print(f"{found['bytes']:>12,} bytes  {options.target}")
    print(json.dumps(found))
    return 0


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


if __name__ == "__main__":
    sys.exit(main())
