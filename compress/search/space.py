"""The space of a search, and the recipe of every point in it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from compress.plan import Plan
from compress.recipe.search import Bits, Search
from compress.recipe.types import QUANTISING, Choice, Recipe, Step, Student
from compress.steps import prune_channels, prune_layers, ptq, weight_only
from compress.training import settings
from teachers import networks
from teachers.errors import RecipeError
from teachers.networks import Spec

# Where a recipe says nothing: up to so many of the last blocks, these shares of the channels, and
# the teacher's frames and parts of them, but no fewer than a network with two strides can use.
LAST_BLOCKS = 3
CHANNELS = (0.0, 0.25, 0.5, 0.75)
PARTS_OF_FRAMES = (1, 2, 4)
FEWEST_FRAMES = 8
# What a recipe asks of a run's files that a search does not do with those of its points.
SECTIONS = ("compare", "robustness", "streams")


@dataclass(frozen=True)
class Shape:
    """A network of the space, which is trained once however many ways its files are stored in.

    Attributes:
        layers: the blocks that are removed.
        channels: the share of the channels that is removed.
    """

    layers: tuple[str, ...]
    channels: float
    frames: int
    stream: str

    @property
    def name(self) -> str:
        """For files and tables."""
        blocks = f"no-{'-'.join(self.layers)}" if self.layers else "all"
        return f"{blocks}-c{round(100 * (1 - self.channels))}-t{self.frames}-{self.stream}"


@dataclass(frozen=True)
class Space:
    """What a search chooses from.

    Attributes:
        base: the recipe, with `epochs` in place of `iterations`.
        shapes: all of them, in a fixed order.
        bits: the ways in which files are stored.
        training: settings of the training that every shape gets.
        own: the shape that the recipe's own steps make, where it is one of them.
    """

    base: Recipe
    shapes: tuple[Shape, ...]
    bits: tuple[Bits, ...]
    training: settings.Config
    own: Shape | None = None


def of(planned: Plan) -> Space:
    """The space of a recipe.

    Raises:
        RecipeError: a recipe that a search cannot vary, or a list of it that fits no network.
    """
    recipe = planned.recipe
    if planned.student.spec.network == "ensemble":
        raise RecipeError(
            f"{recipe.name}: a search varies the one stream of a network, and an ensemble has several;"
            " give a student of one (from: teacher, or a `name`)"
        )
    training = _training(recipe)
    spec = planned.student.spec
    axes = _axes(recipe, spec)
    shapes = tuple(Shape(*values) for values in itertools.product(*axes))
    return Space(recipe, shapes, recipe.search.bits, training, _own(recipe, spec, shapes))


def _training(recipe: Recipe) -> settings.Config:
    trains = [step for step in recipe.steps if step.enabled and step.kind == "train"]
    if len(trains) != 1:
        raise RecipeError(
            f"{recipe.name}: a search trains every network alike, by the one `train` step of its"
            f" recipe, which has {len(trains)}; switch off the others (`enabled: false`) or add one"
        )
    if any(step.enabled and step.kind == "promote" for step in recipe.steps):
        raise RecipeError(f"{recipe.name}: a search cannot vary a recipe with a `promote` step")
    config = cast(settings.Config, trains[0].config)
    if settings.moves_teacher(config):
        raise RecipeError(
            f"{recipe.name}: steps.train.dml.freeze_teacher: networks of a search share one"
            " teacher, which has to stay as it is; leave it true"
        )
    return config


def _axes(recipe: Recipe, spec: Spec) -> tuple[Sequence[Any], ...]:
    search = recipe.search
    layers = search.layers
    if layers is None:
        layers = _removable(spec)
    for drop in layers:
        if drop:
            prune_layers.spec_after(spec, prune_layers.Config(drop))
    channels = search.channels
    able = networks.NETWORKS[spec.network].prune is not None
    if channels is None:
        channels = CHANNELS if able else (0.0,)
    if any(channels) and not able:
        raise RecipeError(
            f"search.channels: the channels of {spec.network} cannot be removed; leave it out"
        )
    chosen = _input(recipe)
    seen = cast(Any, chosen.config)
    for key, wanted in (("frames", search.frames), ("stream", search.streams)):
        if wanted and not hasattr(seen, key):
            axis = "streams" if key == "stream" else key
            raise RecipeError(
                f"search.{axis}: the input {chosen.name} has no key {key!r} to vary; leave it out"
            )
    whole = spec.input_shape[1]
    frames = search.frames or tuple(
        whole // part for part in PARTS_OF_FRAMES if part == 1 or whole // part >= FEWEST_FRAMES
    )
    return layers, channels, frames, search.streams or (getattr(seen, "stream", "joint"),)


def _own(recipe: Recipe, spec: Spec, shapes: Sequence[Shape]) -> Shape | None:
    """What a person would try first: the network of the recipe as it stands."""
    layers: set[str] = set()
    channels = 0.0
    for step in recipe.steps:
        if step.enabled and step.kind == "prune_layers":
            layers.update(cast(prune_layers.Config, step.config).drop)
        elif step.enabled and step.kind == "prune_channels":
            config = cast(prune_channels.Config, step.config)
            # Another cut than those of the space
            if channels or config.blocks or config.ratio is None:
                return None
            channels = config.ratio
    stream = getattr(cast(Any, _input(recipe).config), "stream", "joint")
    wanted = (layers, channels, spec.input_shape[1], stream)
    return next(
        (
            shape
            for shape in shapes
            if (set(shape.layers), shape.channels, shape.frames, shape.stream) == wanted
        ),
        None,
    )


def _removable(spec: Spec) -> tuple[tuple[str, ...], ...]:
    """None of the blocks, the last, the last two, ..., as far as the network goes on without them."""
    ids = [block.id for block in spec.blocks]
    drops: list[tuple[str, ...]] = [()]
    for count in range(1, min(LAST_BLOCKS, len(ids) - 1) + 1):
        drop = tuple(ids[-count:])
        try:
            prune_layers.spec_after(spec, prune_layers.Config(drop))
        except RecipeError:
            break
        drops.append(drop)
    return tuple(drops)


def _input(recipe: Recipe) -> Choice:
    # Optional in the recipe's types only: `recipe.inputs.fill` gives one to every network.
    return cast(Choice, recipe.student.input or recipe.teacher.members[0].input)


def recipe_of(
    space: Space,
    shape: Shape,
    bits: Bits,
    teachers: Sequence[Path],
    stop_after: int | None = None,
    in_int8: Sequence[str] = (),
) -> Recipe:
    """The recipe that makes one point.

    Args:
        teachers: the files of the teacher's networks.
        stop_after: epochs of the schedule that are trained; None: all of them.
        in_int8: the layers that bits "mixed" keep in int8.
    """
    base = space.base
    members = tuple(
        replace(
            member,
            weights=str(file),
            train=None,
            finetune=False,
            head="auto",
            compare_scratch=False,
            seed=0,
        )
        for member, file in zip(base.teacher.members, teachers, strict=True)
    )
    training = space.training
    if stop_after is not None and stop_after < training.epochs:
        training = replace(training, stop_after=stop_after)
    return replace(
        base,
        name=f"{shape.name}-{bits}",
        teacher=replace(base.teacher, members=members),
        student=_student(base, shape, teachers[0]),
        steps=(*_pruning(base, shape), Step("train", training), *_quantising(base, bits, in_int8)),
        search=Search(),
        overrides=(),
        extends=(),
    )


def _student(base: Recipe, shape: Shape, teacher: Path) -> Student:
    chosen = _input(base)
    changes: dict[str, Any] = {}
    for key, value in (("frames", shape.frames), ("stream", shape.stream)):
        if getattr(chosen.config, key, value) != value:
            changes[key] = value
    if not changes:
        return base.student
    seen = replace(chosen, config=replace(cast(Any, chosen.config), **changes))
    if base.student.network is not None:
        return replace(base.student, input=seen)
    # A copy of the teacher sees what the teacher sees: for another input it is a network of its
    # own that begins with the teacher's weights.
    return replace(
        base.student,
        network=base.teacher.members[0].network,
        input=seen,
        weights=base.student.weights or str(teacher),
    )


def _pruning(base: Recipe, shape: Shape) -> tuple[Step, ...]:
    steps: list[Step] = []
    if shape.layers:
        steps.append(Step("prune_layers", prune_layers.Config(shape.layers)))
    if shape.channels:
        own = _config_of(base, "prune_channels") or prune_channels.Config(ratio=0.5)
        steps.append(Step("prune_channels", replace(own, ratio=shape.channels, blocks=())))
    return tuple(steps)


def _quantising(base: Recipe, bits: Bits, in_int8: Sequence[str]) -> tuple[Step, ...]:
    if bits == "float32":
        return ()
    if bits == "int8":
        return (Step("ptq", _config_of(base, "ptq") or ptq.Config()),)
    kind = "int4" if bits == "mixed" else bits
    config = replace(_config_of(base, "weight_only") or weight_only.Config(kind), kind=kind)
    kept = (*config.precision, *((layer, "int8_weights") for layer in in_int8))
    return (Step("weight_only", replace(config, precision=kept)),)


# Any: each step has a `Config` of its own.
def _config_of(base: Recipe, kind: str) -> Any:
    return next((step.config for step in base.steps if step.kind == kind and step.enabled), None)


def notes(base: Recipe) -> list[str]:
    """What a search leaves out of a recipe, in words."""
    found = []
    if any(step.enabled and step.kind == "qat" for step in base.steps):
        found.append(
            f"qat is left out: networks are quantised after training ({', '.join(QUANTISING[:1])})"
        )
    if base.budget.max_drop_at_20pct_joints is not None:
        found.append(
            "budget.max_drop_at_20pct_joints is not judged by a search: run a recipe of its front"
        )
    if base.seeds > 1:
        found.append(
            f"seeds: a search trains every network once, with the seed {base.seed}; run a recipe of its"
            f" front with -o seeds={base.seeds}"
        )
    left_out = [key for key in SECTIONS if getattr(base, key)]
    if left_out:
        found.append(f"{', '.join(left_out)}: no part of a search; run a recipe of its front")
    return found
