"""What travels between the steps of a run."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paddle import nn

from compress.curves import Curves
from compress.data.dataset import Dataset
from compress.evaluate import EvaluationSet


@dataclass(frozen=True)
class Work:
    """What every step of one run shares.

    Attributes:
        folder: the run's output folder.
        seed: of the recipe; a step derives its own from it and its number.
        origin: hash of everything that decides the data and the starting weights.
    """

    folder: Path
    dataset: Dataset
    validation: EvaluationSet
    curves: Curves
    seed: int
    origin: str


@dataclass(frozen=True)
class State:
    """The networks between two steps. Each carries its spec, so a step may hand on a smaller student."""

    student: nn.Layer
    teacher: nn.Layer


@dataclass(frozen=True)
class Outcome:
    """What a step hands back: the state and, if it trained, its history (a record an epoch) and the best epoch."""

    state: State
    history: tuple[dict, ...] = ()
    best_epoch: int = 0
    notes: tuple[str, ...] = ()
