"""What travels between the steps of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from paddle import nn

from compress.data.dataset import Dataset, Split
from compress.evaluation.evaluate import EvaluationSet
from compress.inputs.view import View
from compress.training.answers import Answers
from compress.training.curves import Curves
from compress.training.frozen import Choice
from compress.training.model import Model
from compress.training.watch import History
from export.quantize.quantized import Quantized
from teachers.weights.identity import Identity


@dataclass(frozen=True)
class Work:
    """What every step of one run shares.

    Attributes:
        folder: the run's output folder.
        seed: of the recipe; a step derives its own from it and its number.
        origin: identity of everything that decides the data and the starting weights.
        record: called with the epochs of the training under way, after each of them.
        frozen_runtime: `teacher.runtime` of the recipe.
        answers: of the teacher to batches that it has seen; None: none are kept.
        enough: whether a training ends before its next epoch, see `compress.training.fit.Job`.
    """

    folder: Path
    dataset: Dataset
    curves: Curves
    seed: int
    origin: Identity
    frozen_runtime: Choice = "auto"
    record: History = field(default=lambda history: None, compare=False, repr=False)
    enough: Callable[[], bool] = field(default=lambda: False, compare=False, repr=False)
    answers: Answers | None = field(default=None, compare=False, repr=False)
    # Shared by the copies that `replace` makes for each step, and so by the whole run
    prepared: dict[tuple[str, str, int], EvaluationSet] = field(
        default_factory=dict, compare=False, repr=False
    )

    def evaluation(self, view: View, clips: int = 1) -> EvaluationSet:
        """The validation split through a view, `clips` views a sample; prepared once for all who
        ask."""
        # By what it shows, not by which object it is: networks with equal views share the clips, and
        # a student that is augmented otherwise than its teacher is judged on the same ones.
        return self._set("validation", self.dataset.val, view, clips)

    def selection(self, view: View, clips: int = 1) -> EvaluationSet:
        """The clips that choose, among epochs and whatever else is tried, through a view: the
        validation split, or what is held out for that."""
        if self.dataset.holdout is None:
            return self.evaluation(view, clips)
        return self._set("holdout", self.dataset.holdout, view, clips)

    def _set(self, name: str, split: Split, view: View, clips: int) -> EvaluationSet:
        key = name, view.evaluated, clips
        if key not in self.prepared:
            self.prepared[key] = EvaluationSet(split, view, clips)
        return self.prepared[key]


@dataclass(frozen=True)
class State:
    """The networks between two steps. Each carries its spec, so a step may hand on a smaller
    student.

    Attributes:
        quantized: how the student's files are to be rounded; None: float32.
    """

    student: Model
    teacher: tuple[Model, ...]
    quantized: Quantized | None = None

    def served(self) -> nn.Layer:
        """The network that computes what is deployed."""
        if self.quantized is None:
            return self.student.network
        # In float32: Paddle's own integer predictors return wrong logits for these networks.
        return self.quantized.simulated(self.student.network)


@dataclass(frozen=True)
class Outcome:
    """What a step hands back: the state and, if it trained, its history (a record an epoch) and the
    best epoch.

    Attributes:
        start_top1: percent on the validation split that the training began with, where it was judged
            on it and can end with it.
    """

    state: State
    history: tuple[dict, ...] = ()
    best_epoch: int = 0
    notes: tuple[str, ...] = ()
    start_top1: float | None = None
