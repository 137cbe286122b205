"""`featherbone VERB ...`: one command for everything a person runs; each verb hands its arguments
to a command that is also a file of its own.

Run: featherbone --help, or python -m compress.cli --help in a checkout.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass

import compress
from teachers.terminal import ending, interrupt

NAME = "featherbone"


@dataclass(frozen=True)
class Verb:
    """What a verb does, in a line, and the module whose `main(arguments, command)` does it."""

    module: str
    about: str
    # A module of `teachers.weights.hint_options.Options` that `main` takes as `hints`.
    hints: str | None = None


# Recipes are no business of the packages below, which these commands stand in.
RECIPES = "compress.cli.recipe_options"
# Modules by name, not by an import: `--help` must not wait the seconds that Paddle takes to load.
VERBS = {
    "run": Verb("compress.run", "train, compress, verify and deliver what a recipe says"),
    "export": Verb("export.scripts", "a weights file -> verified Paddle and ONNX files", RECIPES),
    "predict": Verb("compress.predict", "classify clips with a deployed folder", RECIPES),
    "accuracy": Verb("compress.cli.accuracy", "top-1 and latency of any weights or model files"),
    "shrink": Verb("compress.cli.shrink", "a static model of anybody -> fewer bytes, verified"),
    "budget": Verb("compress.budget.measure", "every byte of a folder, attributed"),
    "prepare": Verb("compress.data.prepare", "raw NTU recordings -> a cache that opens at once"),
    "convert": Verb(
        "teachers.convert", "any weights file -> one that says everything itself", RECIPES
    ),
    "demo": Verb("compress.cli.demo", "a page that runs a deployed folder, offline, in one file"),
    "show": Verb("compress.show", "draw a clip, as recorded and as training sees it"),
    "stream-eval": Verb("compress.cli.stream_eval", "alarms on long recordings, and their cost"),
    "robustness": Verb("compress.cli.robustness", "top-1 on damaged clips, and calibration"),
    "scores": Verb("compress.cli.scores", "the accuracy of scores.npz, counted again, and paired"),
    "zoo": Verb("compress.cli.zoo", "the networks that are installed: zoo:NAME"),
    "search": Verb("compress.cli.search", "the best small networks that keep limits"),
    "compare": Verb("compress.cli.compare", "runs on one page: smaller, faster, less accurate"),
    "rivals": Verb("compress.cli.rivals", "a run's files beside those of other quantisers"),
}


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code of the verb, 1 where there is no such verb."""
    if arguments is None:
        # The process is this command's, though pip's script for it has imported this as a module.
        interrupt.while_loading("__main__")
        arguments = sys.argv[1:]
    return _verb(arguments)


@ending.command
def _verb(arguments: list[str]) -> int:
    first = arguments[0] if arguments else None
    if first in ("-h", "--help"):
        print(help_text())
        return 0
    if first == "--version":
        print(f"{NAME} {compress.__version__}")
        return 0
    if first not in VERBS:
        print(help_text(), file=sys.stderr)
        problem = "name a verb" if first is None else f"unknown verb {first!r}"
        # 1 as for all bad input: argparse's usual 2 means "over budget" here.
        return ending.fail(f"{problem}; known: {', '.join(VERBS)}", 1)
    verb = VERBS[first]
    more = {}
    with interrupt.loading():
        module = importlib.import_module(verb.module)
        if verb.hints is not None:
            more["hints"] = importlib.import_module(verb.hints)
    # By its verb, so that usage and the report show what was typed, not a file of the package.
    return module.main(arguments[1:], command=f"{NAME} {first}", **more)


def help_text() -> str:
    """The verbs, a line each."""
    # Not argparse's subparsers: they would need the options, and so the module, of every verb.
    width = max(len(verb) for verb in VERBS)
    lines = [f"  {name:<{width}}  {verb.about}" for name, verb in VERBS.items()]
    return "\n".join(
        [
            f"usage: {NAME} VERB ...",
            "",
            "Model compression and distillation for skeleton action recognition.",
            "",
            *lines,
            "",
            f"{NAME} VERB --help says what a verb takes; {NAME} --version says which this is.",
        ]
    )
