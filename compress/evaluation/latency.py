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

# Runs the clip of a turn, counted from 0; clips come again where there are fewer than turns.
Turn = Callable[[int], object]


@dataclass(frozen=True)
class Latency:
    """Milliseconds of one clip: median, 95th percentile, distance between the quartiles; and of how
    many timings."""

    p50_ms: float
    p95_ms: float
    spread_ms: float
    timings: int


def turn_of(predict: Predict, clips: EvaluationSet) -> Turn:
    """Runs the first view of one clip after the other."""
    # A sample may come as several views; one of them is what a user would send. Copies, or each
    # would keep the whole batch that it is a view of.
    samples = [x[:1].copy() for x in islice(clips.batches(1), TIMINGS)]
    return lambda turn: predict(samples[turn % len(samples)])


def together(turns: Sequence[Turn]) -> Turn:
    """All of them, one after the other: an ensemble's networks."""

    def run(turn: int) -> None:
        for each in turns:
            each(turn)

    return run


def in_turns(turns: Sequence[Turn]) -> list[Latency]:
    """The latency of each, in their order; every round runs each of them once."""
    spent: list[list[float]] = [[] for _ in turns]
    for number in range(WARM_UP + TIMINGS):
        for times, run in zip(spent, turns, strict=True):
            started = time.perf_counter()
            run(number)
            times.append(1000 * (time.perf_counter() - started))
    return [_summary(times[WARM_UP:]) for times in spent]


def _summary(times: list[float]) -> Latency:
    quartile, median, upper, p95 = (float(each) for each in np.percentile(times, (25, 50, 75, 95)))
    return Latency(median, p95, upper - quartile, len(times))
