"""Several networks' scores as one: weighted sums of logits, and the weights that serve best."""

from __future__ import annotations

import numpy as np

GRID = tuple(step / 10 for step in range(1, 11))  # weights tried, of which only ratios matter
ROUNDS = 4


def fuse(logits: list[np.ndarray], weights: tuple[float, ...]) -> np.ndarray:
    """sum_i weight_i / sum(weights) * logits_i of (n, K) each."""
    total = sum(weights)
    return sum(
        one * np.float32(weight / total) for one, weight in zip(logits, weights, strict=True)
    )


def find_weights(logits: list[np.ndarray], labels: np.ndarray) -> tuple[float, ...]:
    """Weights from GRID that get most clips right; among equals those with the larger margin of the
    true class.

    One member's weight after the other is set to its best value, until nothing changes (at most
    ROUNDS times).
    """
    weights = [1.0] * len(logits)
    for _ in range(ROUNDS):
        before = tuple(weights)
        for member in range(len(weights)):
            tried = [(*weights[:member], value, *weights[member + 1 :]) for value in GRID]
            weights = list(
                max(
                    tried,
                    key=lambda one: (*_merit(fuse(logits, one), labels), tuple(one) == before),
                )
            )
        if tuple(weights) == before:
            break
    return tuple(weights)


def cross_validated(logits: list[np.ndarray], labels: np.ndarray) -> float:
    """Top-1 in percent when the weights of one half of the clips judge the other half, both ways:
    what found weights are worth on clips they were not found on. Clips, sorted by class, alternate
    between the halves."""
    halves = np.zeros(len(labels), dtype=bool)
    halves[np.argsort(labels, kind="stable")[::2]] = True
    right = 0
    for mine in (halves, ~halves):
        weights = find_weights([one[mine] for one in logits], labels[mine])
        right += int(
            (fuse([one[~mine] for one in logits], weights).argmax(1) == labels[~mine]).sum()
        )
    return 100.0 * right / len(labels)


def _merit(logits: np.ndarray, labels: np.ndarray) -> tuple[int, float]:
    rows = np.arange(len(labels))
    others = logits.copy()
    others[rows, labels] = -np.inf
    return int((logits.argmax(1) == labels).sum()), round(
        float((logits[rows, labels] - others.max(1)).mean()), 6
    )
