"""Latency at batch 1. Whatever is compared is timed in turns, in one process: what the machine does
beside it then hits all alike, and not the file that was timed while it did."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from compress.evaluation.evaluate import EvaluationSet
from export.runtimes.contract import Predict

TIMINGS = 50
# The first runs of a runtime allocate memory and choose kernels; they are no measure of the rest.
WARM_UP = 5
# Of `undisturbed`, as many runs as the others have.
CLIPS = 10
REPEATS = 5

# Runs the clip of a turn, counted from 0; clips come again where there are fewer than turns.
Turn = Callable[[int], object]


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one clip: median, 95th percentile, distance between the quartiles; of how many
    timings; and the medians of clips with one person and with all persons, where both were timed."""

    p50_ms: float
    p95_ms: float
    spread_ms: float
    timings: int
    one_person_ms: float | None = None
    all_persons_ms: float | None = None


class Stopwatch:
    """A network that adds up how long it computes, in `seconds`."""

    def __init__(self, predict: Predict):
        self._predict = predict
        self.seconds = 0.0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        started = time.perf_counter()
        logits = self._predict(x)
        self.seconds += time.perf_counter() - started
        return logits


def turn_of(predict: Predict, clips: EvaluationSet) -> Turn:
    """Runs the first view of one clip after the other."""
    samples = _samples(clips)
    return lambda turn: predict(samples[turn % len(samples)])


def persons_of(clips: EvaluationSet, nobody: np.ndarray) -> tuple[int, ...]:
    """How many persons are in the clip of each turn, as the network sees it.

    Args:
        nobody: of `teachers.networks.absent`.
    """
    person = nobody.reshape(1, -1, 1, 1, 1)
    return tuple(int((x != person).any(axis=(0, 1, 2, 3)).sum()) for x in _samples(clips))


def _samples(clips: EvaluationSet) -> list[np.ndarray]:
    # A sample may come as several views; one of them is what a user would send. Copies, or each
    # would keep the whole batch that it is a view of.
    return [x[:1].copy() for x in islice(clips.batches(1), TIMINGS)]


def together(turns: Sequence[Turn]) -> Turn:
    """All of them, one after the other: an ensemble's networks."""

    def run(turn: int) -> None:
        for each in turns:
            each(turn)

    return run


def in_turns(turns: Sequence[Turn], persons: Sequence[int] = ()) -> list[Latency]:
    """The latency of each, in their order; every round runs each of them once.

    Args:
        persons: of `persons_of`, to tell clips of one person from clips of all.
    """
    spent: list[list[float]] = [[] for _ in turns]
    for number in range(WARM_UP + TIMINGS):
        for times, run in zip(spent, turns, strict=True):
            started = time.perf_counter()
            run(number)
            times.append(1000 * (time.perf_counter() - started))
    there = np.array(
        [persons[turn % len(persons)] if persons else 0 for turn in range(len(spent[0]))]
    )
    return [_summary(np.array(times[WARM_UP:]), there[WARM_UP:]) for times in spent]


def undisturbed(turns: Sequence[Turn]) -> list[float]:
    """Milliseconds of each on a machine that does other things as well: the median over clips of
    the least that a clip took, in turns."""
    # Not the least of all: a clip of one person takes less than one of two.
    spent = np.full((len(turns), CLIPS, REPEATS), np.inf)
    for repeat in range(-1, REPEATS):
        for clip in range(CLIPS):
            for place, run in enumerate(turns):
                started = time.perf_counter()
                run(clip)
                # The first round warms up.
                if repeat >= 0:
                    spent[place, clip, repeat] = 1000 * (time.perf_counter() - started)
    return [float(each) for each in np.median(spent.min(axis=2), axis=1)]


def _summary(times: np.ndarray, persons: np.ndarray) -> Latency:
    quartile, median, upper, p95 = (float(each) for each in np.percentile(times, (25, 50, 75, 95)))
    alone = persons == 1
    crowded = persons == max(2, persons.max())
    if not (alone.any() and crowded.any()):
        return Latency(median, p95, upper - quartile, len(times))
    return Latency(
        median,
        p95,
        upper - quartile,
        len(times),
        float(np.median(times[alone])),
        float(np.median(times[crowded])),
    )
