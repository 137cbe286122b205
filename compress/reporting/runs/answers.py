"""Which clips each run has right, as far as runs have kept their answers and are of the same clips as
the first one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from compress.evaluation import scores
from compress.evaluation.paired import mcnemar
from compress.evaluation.record import Paired
from compress.reporting.runs.reading import Run
from teachers.errors import FeatherboneError


@dataclass(frozen=True)
class Answers:
    """A run's answers.

    Attributes:
        right: (n,) bool by the name of what answered, in the order of the first run's clips; empty
            where `problem` says why there are none.
        labels: (n,) of these clips.
    """

    right: dict[str, np.ndarray] = field(default_factory=dict)
    labels: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    classes: tuple[str, ...] = ()
    problem: str = ""


def of(runs: Sequence[Run]) -> list[Answers]:
    """The answers of each run; one that has none does not end a comparison."""
    first: scores.Results | None = None
    found = []
    for run in runs:
        path = run.folder / scores.NAME
        if not path.is_file():
            found.append(Answers(problem=f"kept no answers ({scores.NAME})"))
            continue
        try:
            results = scores.load_all(path)
        except FeatherboneError as error:
            found.append(Answers(problem=str(error)))
            continue
        if run is runs[0]:
            first = results
        # One run's logits at a time: those of a large split are hundreds of megabytes.
        found.append(_answers(results, first))
    return found


def _answers(results: scores.Results, first: scores.Results | None) -> Answers:
    if first is None:
        return Answers(problem="the first run kept no answers to compare with")
    place = {name: index for index, name in enumerate(results.names)}
    alike = set(place) == set(first.names) and len(place) == len(results.names)
    if not alike or results.classes != first.classes:
        return Answers(problem="was judged on other clips than the first run")
    order = np.array([place[name] for name in first.names])
    labels = results.labels[order]
    if not np.array_equal(labels, first.labels):
        return Answers(problem="has other labels than the first run")
    right = {name: logits[order].argmax(1) == labels for name, logits in results.logits.items()}
    return Answers(right, labels, results.classes)


def pair(
    base: Answers, base_name: str, other: Answers, name: str, label: int | None = None
) -> Paired | None:
    """What `name` gained and lost against `base_name`, of one class or of all; None: either has no
    answers."""
    if base_name not in base.right or name not in other.right:
        return None
    among = slice(None) if label is None else base.labels == label
    return mcnemar(base.right[base_name][among], other.right[name][among])


def holm(chances: Sequence[float]) -> list[float]:
    """p values of several tests, raised so that all of them together err as often as one would
    (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    order = sorted(range(len(chances)), key=lambda place: chances[place])
    raised = [0.0] * len(chances)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(chances) - rank) * chances[place]))
        raised[place] = highest
    return raised
