"""Classify clips with a deployed folder: class, score and top-5, in either runtime.

Run: python compress/predict.py runs/NAME/deploy CLIP [CLIP ...] [--runtime paddle|onnx]
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):
    # A script's own folder comes first in sys.path; imports here begin at the repository root.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from teachers.terminal import interrupt

# isort: split
interrupt.while_loading(__name__)

import numpy as np

from compress.data import clips
from export import deployed
from export.formats import table
from export.serving import answer, prepare, recording, top_classes
from teachers.errors import DataError, printable
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say, show

COMMAND = "python compress/predict.py"


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command, called as `command`; returns the exit code."""
    parser = Parser(prog=command, description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="a deployed folder")
    parser.add_argument(
        "clips", nargs="+", type=Path, help="clip files of any format the data readers know"
    )
    parser.add_argument(
        "--runtime", choices=table.names(), help="default: onnx if the folder has it"
    )
    options = parser.parse_args(arguments)
    results = []
    description = deployed.read(options.folder)
    note = deployed.unsealed_note(options.folder, description)
    if note:
        say(f"note: {note}")
    deployed.try_out(options.folder, description)
    predictors = deployed.predictors(options.folder, description)
    # ONNX where there is a choice: its int8 files compute in integers, Paddle's in float32.
    kind = options.runtime or ("onnx" if "onnx" in predictors else next(iter(predictors)))
    if kind not in predictors:
        raise DataError(
            f"{options.folder}: holds no {kind} model (it holds {', '.join(predictors)})"
        )
    for path in options.clips:
        for name, raw in clips.read_clip(path, recording(description)):
            # Every view that validation averaged: one alone falls short of its accuracy.
            views = [prepare(raw, description, name, number) for number in range(description.views)]
            best = top_classes(
                answer(predictors[kind], np.stack(views), description, name), description.classes
            )
            results.append({"clip": name, **best[0], "top5": best})
            show(
                f"{printable(name)}: {best[0]['class']} ({100 * best[0]['score']:.1f}%)   "
                + ", ".join(f"{one['class']} {100 * one['score']:.1f}%" for one in best[1:])
            )
    ending.print_last_line({"runtime": kind, "clips": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
