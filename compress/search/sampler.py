"""Which network of the space is tried next.

Each choice is a function of the seed and of what is known by then, with no state of its own, so that
a search that is resumed goes on as it would have gone on.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from compress.search.space import Shape, Space
from teachers.errors import RecipeError

AXES = ("layers", "channels", "frames", "stream")
# Suggestions that were tried before are asked for again so often; then any other network is taken.
TRIES = 20


@dataclass(frozen=True)
class Tried:
    """A network that was trained for a while: the bytes of its smallest point, its top-1."""

    shape: Shape
    size_bytes: int
    top1: float


def check(space: Space) -> None:
    """
    Raises:
        RecipeError: the recipe's sampler is not installed.
    """
    if space.base.search.sampler == "tpe":
        _optuna()


def propose(space: Space, seen: Collection[str], tried: Sequence[Tried]) -> Shape | None:
    """A shape whose name is not among `seen`; None: there is none left."""
    seed = space.base.seed
    left = [shape for shape in space.shapes if shape.name not in seen]
    if not left:
        return None
    if space.own is not None and space.own.name not in seen:
        return space.own
    # Until a wave was trained there is nothing to learn from.
    if space.base.search.sampler == "tpe" and len(tried) >= space.base.search.candidates:
        found = _tpe(space, seed + len(seen), seen, tried)
        if found is not None:
            return found
    order = list(space.shapes)
    random.Random(seed).shuffle(order)
    return next(shape for shape in order if shape in left)


def _tpe(space: Space, seed: int, seen: Collection[str], tried: Sequence[Tried]) -> Shape | None:
    """What Optuna's tree-structured Parzen estimator suggests for more top-1 in fewer bytes."""
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    choices = {axis: sorted({getattr(shape, axis) for shape in space.shapes}) for axis in AXES}
    # By place: Optuna warns of values that are no plain data, as lists of blocks are.
    distributions = {
        axis: optuna.distributions.CategoricalDistribution(tuple(range(len(values))))
        for axis, values in choices.items()
    }
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=0)
    study = optuna.create_study(directions=("maximize", "minimize"), sampler=sampler)
    for each in tried:
        places = {axis: values.index(getattr(each.shape, axis)) for axis, values in choices.items()}
        study.add_trial(
            optuna.trial.create_trial(
                params=places,
                distributions=distributions,
                values=(each.top1, each.size_bytes),
            )
        )
    for _ in range(TRIES):
        trial = study.ask(distributions)
        shape = Shape(*(choices[axis][trial.params[axis]] for axis in AXES))
        if shape.name not in seen:
            return shape
    return None


def _optuna():
    try:
        import optuna
    except ImportError:
        raise RecipeError(
            "search.sampler: tpe is Optuna's, which is not installed; pip install"
            " 'featherbone[search]' (or pip install optuna==4.9.0), or take -o search.sampler=random"
        ) from None
    return optuna
