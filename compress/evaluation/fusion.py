"""Several networks' scores as one: weighted sums of logits, and the weights that serve best."""

from __future__ import annotations

import numpy as np

# Weights that are tried. `fuse` divides by their sum, so only their ratios matter.
GRID = tuple(step / 10 for step in range(1, 11))
ROUNDS = 4


def fuse(logits: list[np.ndarray], weights: tuple[float, ...]) -> np.ndarray:
    """sum_i weight_i / sum(weights) * logits_i of (n, K) each."""
    total = sum(weights)
    fused = np.zeros_like(logits[0])
    for scores, weight in zip(logits, weights, strict=True):
        # float32 like the logits: a float64 factor would make all that follows float64.
        fused = fused + scores * np.float32(weight / total)
    return fused


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
            # Among equals the weights stay as they are, or the search would go in a circle.
            best = max(
                tried,
                key=lambda candidate: (
                    *_merit(fuse(logits, candidate), labels),
                    candidate == before,
                ),
            )
            weights = list(best)
        if tuple(weights) == before:
            break
    return tuple(weights)


def cross_validated(logits: list[np.ndarray], labels: np.ndarray) -> float:
    """Top-1 in percent when the weights of one half of the clips judge the other half, both ways:
    what found weights are worth on clips they were not found on. Clips, sorted by class, alternate
    between the halves."""
    halves = np.zeros(len(labels), dtype=bool)
    # Every second clip of the clips sorted by class: both halves have every class.
    halves[np.argsort(labels, kind="stable")[::2]] = True
    right = 0
    for half in (halves, ~halves):
        weights = find_weights([scores[half] for scores in logits], labels[half])
        judged = fuse([scores[~half] for scores in logits], weights)
        right += int((judged.argmax(1) == labels[~half]).sum())
    return 100.0 * right / len(labels)


def _merit(logits: np.ndarray, labels: np.ndarray) -> tuple[int, float]:
    rows = np.arange(len(labels))
    others = logits.copy()
    # Not 0: the best of the other classes may have a negative logit.
    others[rows, labels] = -np.inf
    right = int((logits.argmax(1) == labels).sum())
    margin = float((logits[rows, labels] - others.max(1)).mean())
    # Rounded, because equal ratios at another scale (1 : 2 and 0.5 : 1) differ in the last digits.
    return right, round(margin, 6)
