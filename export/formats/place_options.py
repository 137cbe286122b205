"""The options of `featherbone export` that a recipe has as keys of `export:`."""

from __future__ import annotations

import argparse
from typing import get_args

from export.formats.options import OPSETS, Integers, Options
from export.formats.profiles import PROFILES
from teachers.errors import RecipeError


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options, on the parser of a command."""
    parser.add_argument(
        "--profile",
        default="ort",
        help=f"the place that model.onnx goes to: {', '.join(PROFILES)} (ort)",
    )
    parser.add_argument(
        "--opset",
        type=int,
        help=f"of the ONNX standard, {OPSETS[0]} to {OPSETS[1]} (the lowest that the weights need)",
    )
    parser.add_argument(
        "--batch",
        help="clips of one call of model.onnx: fixed (1), a number, or free (the default)",
    )
    parser.add_argument(
        "--skip-absent",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="do not compute persons who are not in a clip (the default with a free batch)",
    )
    parser.add_argument(
        "--onnx",
        choices=get_args(Integers),
        help="how eight bits are written: ONNX Runtime's own operators, or pairs that other"
        " runtimes read (the faster one where the place takes it)",
    )


def read(options: argparse.Namespace) -> Options:
    """What was asked for.

    Raises:
        RecipeError: options that do not go together.
    """
    batch = options.batch
    try:
        number = int(batch) if batch is not None and batch.lstrip("-").isdigit() else batch
        return Options(options.skip_absent, options.opset, number, options.profile, options.onnx)
    except ValueError as problem:
        raise RecipeError(f"--{str(problem).replace('_', '-', 1)}") from problem
