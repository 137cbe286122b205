"""The options of every command that reads a weights file: what a published checkpoint does not say by
itself.

`--frames`, `--persons` and `--skeleton` become `Hints`; `--classes` names the logits in `about`, which
travels into the `.npz` and into `deployed.json`. The commands of `featherbone` add `--recipe` to them
(`compress/cli/recipe_options.py`).
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import yaml

from teachers.errors import DataError, RecipeError, did_you_mean, first_line, quoted
from teachers.skeleton import SKELETONS, Skeleton
from teachers.storage import typed_json
from teachers.storage.bounded import read_bytes
from teachers.weights.published import NO_HINTS, Hints

# (spec, state, about) of a weights file.
Content = tuple[Any, dict[str, np.ndarray], dict[str, Any]]
Read = Callable[[str | Path, argparse.Namespace], Content]


class Options(Protocol):
    """What a command takes its options from: this module, or one that adds to it."""

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        """The options, on the parser of a command."""

    def read(self, source: str | Path, options: argparse.Namespace) -> Content:
        """A weights file, with what the options say of it."""


# Bytes of a file of class names or of one skeleton; ten thousand long names have less.
LARGEST_TEXT = 1_000_000
LARGEST_SKELETON = 64_000
# Brackets in brackets; a skeleton has three.
DEEPEST = 20
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options, on the parser of a command."""
    parser.add_argument(
        "--frames",
        type=positive,
        help="input length T, which no shape tells (the network's published one)",
    )
    parser.add_argument(
        "--persons", type=positive, help="persons M (as the file says, else the published one)"
    )
    parser.add_argument(
        "--skeleton",
        metavar="SKELETON",
        help=f"the graph: {', '.join(sorted(SKELETONS))}; or yours, as a YAML or JSON file or in"
        " place: '{name: hand, joints: 21, bones: [[2, 1], ...], centre: 1}' (the published one of"
        " as many joints)",
    )
    parser.add_argument(
        "--classes",
        metavar="NAMES",
        help="the classes' names in the order of the logits: a,b,c or a file with one a line",
    )


def positive(text: str) -> int:
    """A number from 1 on, for argparse."""
    # argparse's own `int` would let 0 and negative sizes through.
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def hints_of(options: argparse.Namespace, under: Hints = NO_HINTS) -> Hints:
    """What the options say, on top of `under`.

    Raises:
        RecipeError: a skeleton that is none.
    """
    return replace(
        under,
        frames=options.frames or under.frames,
        persons=options.persons or under.persons,
        skeleton=under.skeleton if options.skeleton is None else skeleton_of(options.skeleton),
    )


def skeleton_of(text: str) -> Skeleton:
    """A known skeleton by name, or one described in place or in a file, {name, joints, bones,
    centre}.

    Raises:
        RecipeError: none of these, or an edge that joins no two joints.
    """
    if text in SKELETONS:
        return SKELETONS[text]
    where = "--skeleton"
    if not text.lstrip().startswith("{"):
        path = Path(text)
        if not path.is_file():
            known = did_you_mean(text, SKELETONS, always_list=True)
            raise RecipeError(
                f"--skeleton {text}: no such skeleton or file{known}; or describe yours, {{name,"
                " joints, bones, centre}"
            )
        where = str(path)
        text = _text_of(path)
    if len(text) > LARGEST_SKELETON:
        raise RecipeError(f"{where}: is longer than {LARGEST_SKELETON} characters, no skeleton is")
    described = _parsed(text, where)
    # A file may hold it under the key that it has in a recipe.
    if isinstance(described, dict) and set(described) == {"skeleton"}:
        described = described["skeleton"]
    try:
        return typed_json.decode(Skeleton, described, where).checked()
    except DataError as error:
        raise RecipeError(
            f"{error}; describe a skeleton as {{name: hand, joints: 21, bones: [[child, parent],"
            " ...], centre: 1}, joints counted from 1"
        ) from error


def class_names(text: str) -> tuple[str, ...]:
    """The names in `a,b,c`, or in a file: one a line, or a list in `.json` or `.yaml`.

    Raises:
        RecipeError: an unreadable file, no name, or a name twice.
    """
    path = Path(text)
    names: list[str] = text.split(",")
    where = "--classes"
    if path.is_file():
        where = str(path)
        content = _text_of(path)
        names = content.splitlines()
        if path.suffix in (".json", ".yaml", ".yml"):
            listed = _parsed(content, where)
            if not isinstance(listed, list):
                raise RecipeError(f"{where}: expected a list of names")
            names = [str(name) for name in listed]
    elif "," not in text and path.suffix:
        # `labels.txt` that is mistyped would become the one class of that name.
        raise RecipeError(f"--classes {text}: no such file; check the path, or give names as a,b,c")
    # Blank lines end a file, and are no class.
    names = [name.strip() for name in names if name.strip()]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise RecipeError(
            f"{where}: names {quoted(twice[0])} twice; every class needs a name of its own"
        )
    if not names:
        raise RecipeError(f"{where}: names no class; give a,b,c or a file with one name a line")
    return tuple(names)


def read(source: str | Path, options: argparse.Namespace) -> Content:
    """A weights file, with what the options say of it.

    Raises:
        CheckpointError: the file cannot be used. RecipeError: an option that cannot be, or that the
            file contradicts.
    """
    return read_with(source, hints_of(options), options)


def read_with(source: str | Path, hints: Hints, options: argparse.Namespace) -> Content:
    """As `read`, with hints from elsewhere, too."""
    # Late: reading weights takes Paddle, which `--help` must not wait for.
    from teachers.weights import checkpoints

    names = None if options.classes is None else class_names(options.classes)
    # An error rather than silence: whoever gives --frames expects them to count.
    if hints != NO_HINTS and says_itself(source):
        raise RecipeError(
            f"{source}: says its input and skeleton itself; leave out --frames, --persons and"
            " --skeleton"
        )
    spec, state, about = checkpoints.read(source, hints)
    persons = spec.input_shape[3]
    # A CTR-GCN has statistics for each person, and is for no other number.
    if options.persons not in (None, persons):
        raise RecipeError(
            f"--persons {options.persons}: the weights of {source} are for {persons}; leave out"
            " --persons"
        )
    if names is not None:
        if len(names) != spec.classes:
            raise RecipeError(
                f"--classes: {len(names)} names for the {spec.classes} classes of {source}; give"
                " one for each, in the order of the logits"
            )
        about = about | {"classes": list(names)}
    return spec, state, about


def says_itself(source: str | Path) -> bool:
    """Whether a weights file is this project's, and so needs no hints.

    Raises:
        CheckpointError: no such file, or none that holds weights.
    """
    from teachers.weights import checkpoints, kinds

    data = checkpoints.content(source)
    return kinds.format_of(checkpoints.file_and_part(source)[0], data) == kinds.OURS


def _text_of(path: Path) -> str:
    try:
        return read_bytes(path, LARGEST_TEXT, RecipeError).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path}: not UTF-8 ({error.reason}); save it as UTF-8") from error


def _parsed(text: str, where: str) -> object:
    """YAML, of which JSON is a part."""
    # Before it is parsed: PyYAML takes seconds for thousands of brackets in each other.
    steps = (_STEPS.get(character, 0) for character in text)
    if max(accumulate(steps), default=0) > DEEPEST:
        raise RecipeError(f"{where}: brackets are nested more than {DEEPEST} deep; correct it")
    try:
        return yaml.safe_load(text)
    # PyYAML's own errors, and Python's for numbers of thousands of digits, dates that are none,
    # characters beyond Unicode (`"\Uffffffff"`) and lists in lists.
    except (yaml.YAMLError, ValueError, OverflowError, TypeError, RecursionError) as error:
        raise RecipeError(f"{where}: not YAML or JSON ({first_line(error)}); correct it") from error
