"""The difference of two results on the same clips, tested exactly."""

from __future__ import annotations

import numpy as np

from compress.evaluation.record import Paired


def mcnemar(first: np.ndarray, second: np.ndarray) -> Paired:
    """McNemar's test in its exact form: of the clips (n,) that just one of two networks has right,
    each is as likely to have either, if they are as good (Dietterich, Neural Computation 10, 1998).
    """
    gained = int((~first & second).sum())
    lost = int((first & ~second).sum())
    return Paired(gained=gained, lost=lost, p=two_sided(gained, gained + lost))


def two_sided(count: int, trials: int) -> float:
    """The chance of `count` heads in `trials` tosses of a fair coin, or of a count as far from the
    half."""
    tail = 0
    # Each binomial coefficient from the one before: anew, those of 10,000 trials take seconds.
    ways = 1
    for heads in range(min(count, trials - count) + 1):
        tail += ways
        ways = ways * (trials - heads) // (heads + 1)
    # Whole numbers to the last step: 2^-trials is 0 in floats from 1,075 trials on.
    doubled = min(2 * tail, 2**trials)
    return doubled / 2**trials
