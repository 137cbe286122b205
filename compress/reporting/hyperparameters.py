"""The settings by which a run is told from others on VisualDL's HYPER PARAMETERS page."""

from __future__ import annotations

from typing import Any

from compress.recipe.types import Recipe


def hyperparameters(recipe: Recipe) -> dict[str, object]:
    """The ten that matter, of some ninety: the page has a column for each, and a filter.

    Their names have no dots: VisualDL 2.5.3 reads `a.b` as a path into its rows, and shows nothing
    there.
    """
    members = recipe.teacher.members
    first = members[0]
    steps = [step for step in recipe.steps if step.enabled]
    training = _training(recipe)
    return {
        "recipe": recipe.name,
        "data": recipe.data.name,
        "input": first.input.name if first.input is not None else "",
        "teacher": " + ".join(member.network.name for member in members),
        "teacher epochs": first.train.epochs if first.train is not None else 0,
        "steps": ", ".join(step.kind for step in steps),
        "epochs": training.epochs if training is not None else 0,
        "learning rate": training.lr * training.lr_factor if training is not None else 0.0,
        "batch size": training.batch_size if training is not None else 0,
        "seed": recipe.seed,
    }


def _training(recipe: Recipe) -> Any:
    """What decides the student's training most: its last `train` step, else the teacher's."""
    for step in reversed(recipe.steps):
        if step.enabled and step.kind == "train":
            return step.config
    return recipe.teacher.members[0].train
