"""The options of `featherbone convert`, `export` and `predict` that say what a published checkpoint
does not, `--recipe` among them.

A recipe says the network's own keys, the input and the skeleton, as if its data set were there; what
that comes to (preprocessing, recording, classes) goes into `about`, and so into the `.npz` and
`deployed.json`. Its data are not read. An option beside it wins.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from compress import recipe as recipes
from compress.recipe import overrides
from compress.recipe.types import Choice, Recipe
from teachers.errors import CheckpointError, RecipeError
from teachers.skeleton import Brought, named
from teachers.weights import hint_options
from teachers.weights.hint_options import Content
from teachers.weights.published import NO_HINTS, Hints


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options, on the parser of a command."""
    parser.add_argument(
        "--recipe",
        help="a recipe, by name or file, with the network's keys, its input and skeleton; its data"
        " set need not be there",
    )
    overrides.add_option(parser)
    hint_options.add_options(parser)


def read(source: str | Path, options: argparse.Namespace) -> Content:
    """A weights file, with what recipe and options say of it.

    Raises:
        CheckpointError: the file cannot be used, or holds another network than the recipe's.
        RecipeError: a recipe or option that cannot be, or that the file contradicts.
    """
    if options.recipe is None:
        if options.overrides:
            raise RecipeError(
                f"-o {options.overrides[0]}: changes a recipe, and there is none; give --recipe NAME"
            )
        return hint_options.read(source, options)
    recipe = recipes.load(options.recipe, options.overrides)
    seen = [_with_frames(each, options.frames) for each in _networks(recipe)]
    if hint_options.says_itself(source):
        return _completed(source, options, recipe, seen)
    spec, state, about = _read(source, options, recipe, seen[0])
    network = _named(seen, spec.network, source, recipe)
    if network is not seen[0]:
        spec, state, about = _read(source, options, recipe, network)
    return spec, state, _about(recipe, network, spec, source) | about


@dataclass(frozen=True)
class _Network:
    """A network of a recipe and the input it sees clips through."""

    choice: Choice
    input: Choice


def _networks(recipe: Recipe) -> Iterator[_Network]:
    """Teachers first, as `#Teacher` is what most published checkpoints are to a recipe."""
    # `cast`: inputs are optional in the recipe's types only, `recipe.inputs.fill` gives one to every
    # network.
    for member in recipe.teacher.members:
        yield _Network(member.network, cast(Choice, member.input))
    if recipe.student.network is not None:
        yield _Network(recipe.student.network, cast(Choice, recipe.student.input))


def _with_frames(network: _Network, frames: int | None) -> _Network:
    """The network whose input makes so many frames, as `--frames` says."""
    if frames is None:
        return network
    # Any: each input has a `Config` of its own, and all have `frames`.
    config: Any = network.input.config
    return replace(network, input=replace(network.input, config=replace(config, frames=frames)))


def _read(
    source: str | Path, options: argparse.Namespace, recipe: Recipe, network: _Network
) -> Content:
    config: Any = network.input.config
    skeleton = recipe.skeleton
    under = Hints(
        frames=config.frames,
        # Of PYSKL's files; other data sets say it in their files, or have one number.
        persons=getattr(recipe.data.config, "persons", None),
        skeleton=named(skeleton.to) if isinstance(skeleton, Brought) else skeleton,
        config=network.choice.config,
    )
    return hint_options.read_with(source, hint_options.hints_of(options, under), options)


def _completed(
    source: str | Path, options: argparse.Namespace, recipe: Recipe, seen: list[_Network]
) -> Content:
    """A weights file of this project, which needs a recipe only for the input it does not say."""
    spec, state, about = hint_options.read_with(
        source, hint_options.hints_of(options, NO_HINTS), options
    )
    if about.get("preprocessing"):
        raise RecipeError(f"{source}: says its input itself; leave out --recipe")
    network = _with_frames(_named(seen, spec.network, source, recipe), spec.input_shape[1])
    said = {key: value for key, value in about.items() if value}
    return spec, state, _about(recipe, network, spec, source) | said


def _named(seen: list[_Network], name: str, source: str | Path, recipe: Recipe) -> _Network:
    for network in seen:
        if network.choice.name == name:
            return network
    known = ", ".join(network.choice.name for network in seen)
    raise CheckpointError(
        f"{source}: holds a {name}, the recipe {recipe.name} says {known}; give a recipe of {name},"
        f" or -o teacher.name={name}"
    )


def _about(recipe: Recipe, network: _Network, spec: Any, source: str | Path) -> dict[str, Any]:
    # Late: what decides views takes Paddle, which `--help` must not wait for.
    from compress import plan

    task = plan.task_without_data(recipe, network.input, spec, str(source))
    # Classes that nobody has named are no names.
    return {key: value for key, value in task.about().items() if value}
