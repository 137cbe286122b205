"""The options of `featherbone export` that a recipe has as keys of `export:`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import get_args

from export.formats.options import OPSETS, USUAL, Integers, Options
from export.formats.profiles import PROFILES
from teachers.errors import RecipeError
from teachers.terminal.arguments import given

# What no other format has.
OF_ONNX = ("profile", "opset", "batch", "onnx")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options, on the parser of a command."""
    parser.add_argument(
        "--profile",
        help=f"the place that model.onnx goes to: {', '.join(PROFILES)} ({USUAL.profile})",
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


def read(options: argparse.Namespace, kinds: Sequence[str]) -> Options:
    """What was asked for, of these formats.

    Raises:
        RecipeError: options that do not go together, or have no effect.
    """
    useless = [] if "onnx" in kinds else given(options, OF_ONNX)
    if useless:
        raise RecipeError(
            f"{', '.join(useless)}: say how model.onnx is written, and there is none of the format"
            f" {' and '.join(kinds)}; leave them out, or export to onnx"
        )
    if options.onnx is not None:
        raise RecipeError(
            f"--onnx {options.onnx}: says how eight bits are written, and an export of weights has"
            " none; leave it out, or give it as export.onnx to a recipe with ptq or qat"
        )
    batch = options.batch
    try:
        number = int(batch) if batch is not None and batch.lstrip("-").isdigit() else batch
        profile = options.profile or USUAL.profile
        return Options(options.skip_absent, options.opset, number, profile)
    except ValueError as problem:
        raise RecipeError(f"--{str(problem).replace('_', '-', 1)}") from problem
