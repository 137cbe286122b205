"""The trainings of a recipe, wherever they stand in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from compress.recipe.types import Recipe, Step
from compress.training import settings


def of(step: Step) -> settings.Config | None:
    """The training of a step: a `train` step is one, a `qat` step has one."""
    training = getattr(step.config, "train", step.config)
    return training if isinstance(training, settings.Config) else None


def every(recipe: Recipe) -> list[tuple[str, settings.Config | None, bool]]:
    """(place in the recipe, settings, whether it is done) of everything in it that could be a
    training; steps that are switched off are checked like the others."""
    places: list[tuple[str, settings.Config | None, bool]] = [
        ("teacher.train", member.train, member.weights is None or member.finetune)
        for member in recipe.teacher.members
    ]
    for index, step in enumerate(recipe.steps):
        places.append((f"steps[{index}].{step.kind}", of(step), step.enabled))
    return places


def with_epochs(recipe: Recipe, clips: int) -> Recipe:
    """The recipe with `epochs` in place of `iterations`, once the training split is known to have so
    many clips."""
    members = tuple(
        replace(member, train=member.train.for_clips(clips)) if member.train else member
        for member in recipe.teacher.members
    )
    steps = []
    for step in recipe.steps:
        training = of(step)
        if training is not None:
            step = replace(step, config=_with(step.config, training.for_clips(clips)))
        steps.append(step)
    return replace(recipe, teacher=replace(recipe.teacher, members=members), steps=tuple(steps))


# Any: each step has a `Config` of its own.
def _with(config: Any, training: settings.Config) -> Any:
    if isinstance(config, settings.Config):
        return training
    return replace(config, train=training)
