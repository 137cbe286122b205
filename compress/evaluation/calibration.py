"""How far scores can be believed: expected calibration error, risk against coverage, a temperature,
and how well known classes are told from unknown ones."""

from __future__ import annotations

import numpy as np

from compress.evaluation.evaluate import cross_entropy, softmax
from compress.evaluation.record import Calibration

# Of Guo et al. (arXiv 1706.04599), whose figures everyone compares with.
BINS = 15
# Of the risk-coverage curve, in percent of the clips that are answered.
COVERAGES = tuple(range(10, 101, 10))
# What a temperature may be: beyond it the network is worth no calibration.
COLDEST, HOTTEST = 0.05, 20.0
# Halvings of the interval of log T by the golden section, to far below a thousandth.
ROUNDS = 60
GOLDEN = (5**0.5 - 1) / 2


def calibration(logits: np.ndarray, labels: np.ndarray, temperature: float = 1.0) -> Calibration:
    """What the scores of logits (n, K) / temperature are worth."""
    scaled = logits.astype(np.float64) / temperature
    scores = softmax(scaled)
    confidence = scores.max(axis=1)
    right = scores.argmax(axis=1) == labels
    curve = risk_coverage(confidence, right)
    shares = [max(1, round(coverage * len(curve) / 100)) for coverage in COVERAGES]
    return Calibration(
        temperature=temperature,
        ece=expected_calibration_error(confidence, right),
        loss=cross_entropy(scaled, labels),
        aurc=float(curve.mean()),
        sure_and_wrong=int((~right & (confidence > 0.9)).sum()),
        coverage=COVERAGES,
        risk=tuple(float(curve[share - 1]) for share in shares),
    )


def expected_calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Mean distance of confidence (n,) from the share that is right (n,), in bins of equal width,
    weighted by their clips (Naeini et al., AAAI 2015)."""
    # A score of exactly 0 belongs to the first bin.
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    apart = np.bincount(bins, weights=confidence - right, minlength=BINS)
    return float(np.abs(apart).sum() / len(confidence))


def risk_coverage(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(n,) share of wrong answers among the 1, 2, ... n surest clips (Geifman and El-Yaniv, arXiv
    1705.08500); its mean is the area under the curve. Clips of one confidence count alike."""
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    wrong = (~right[order]).astype(np.float64)
    # Among equals the order of the split would decide: each gets the mean of all of them.
    _, group, counts = np.unique(-ordered, return_inverse=True, return_counts=True)
    means = np.bincount(group, weights=wrong) / counts
    return np.cumsum(means[group]) / np.arange(1, len(wrong) + 1)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """The T at which the cross-entropy of logits (n, K) / T is least (Guo et al., arXiv 1706.04599);
    convex in 1 / T, so there is one. To four digits, as it is written into deployed.json.

    None where nothing can be fitted: of clips that are all right the loss falls towards T = 0, whatever
    other clips would say, and of scores that know nothing it falls towards equal ones.
    """
    logits = logits.astype(np.float64)
    if (logits.argmax(axis=1) == labels).all():
        return None

    def loss(log_t: float) -> float:
        return cross_entropy(logits / np.exp(log_t), labels)

    low, high = np.log(COLDEST), np.log(HOTTEST)
    for _ in range(ROUNDS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if loss(left) <= loss(right):
            high = right
        else:
            low = left
    fitted = float(f"{np.exp((low + high) / 2):.4g}")
    return fitted if COLDEST * 1.01 < fitted < HOTTEST / 1.01 else None


def confidences(logits: np.ndarray) -> np.ndarray:
    """(n,) the largest softmax score of each clip (Hendrycks and Gimpel, arXiv 1610.02136)."""
    return softmax(logits.astype(np.float64)).max(axis=1)


def auroc(known: np.ndarray, unknown: np.ndarray) -> float:
    """The chance that a clip of a known class has more confidence than one of an unknown class;
    equals count half."""
    ordered = np.sort(unknown)
    below = np.searchsorted(ordered, known, "left")
    equal = np.searchsorted(ordered, known, "right") - below
    return float((below + equal / 2).mean() / len(unknown))


def threshold(confidence: np.ndarray, accepted: float) -> float:
    """The confidence that `accepted` (0..1) of these clips reach."""
    return float(np.quantile(confidence, 1 - accepted, method="lower"))
