"""Networks side by side on damaged clips, and what their scores are worth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from compress.data.dataset import Split
from compress.evaluation import calibration
from compress.evaluation.damage import Damage, batches
from compress.evaluation.evaluate import averaged, right_answers
from compress.evaluation.record import DamageRow, Robustness, Spread, Unknown
from compress.inputs.view import View
from export.runtimes.contract import Predict

# Clips at a time: their views are prepared once for all networks that share a view.
BATCH = 16
# advance(1): after every draw.
Callback = Callable[[int], None]


@dataclass(frozen=True)
class Candidate:
    """A network to be judged; `view` is how it sees clips, and `temperature` divides its logits
    where its scores are served."""

    name: str
    predict: Predict
    view: View
    temperature: float = 1.0


@dataclass(frozen=True)
class Fitted:
    """Temperatures of the candidates, and on which clips they were fitted, in words."""

    temperatures: tuple[float, ...]
    clips: str


def measure(
    candidates: Sequence[Candidate],
    split: Split,
    rows: Sequence[Damage],
    seed: int,
    fitted: Fitted | None = None,
    advance: Callback = lambda draws: None,
) -> Robustness:
    """The table of `rows`, the first of which leaves clips as they are, and calibration there."""
    labels = np.asarray(split.labels)
    table = []
    whole: list[np.ndarray] = []
    for row in rows:
        reached: list[list[float]] = [[] for _ in candidates]
        for number in range(row.draws):
            logits = draw(candidates, split.clips, row, number, seed)
            whole = whole or logits
            for values, each in zip(reached, logits, strict=True):
                values.append(100 * float(right_answers(each, labels).mean()))
            advance(1)
        spreads = tuple(spread(values) for values in reached)
        table.append(DamageRow(row.key, row.title, row.draws, spreads))
    calibrated = () if fitted is None else fitted.temperatures
    return Robustness(
        networks=tuple(candidate.name for candidate in candidates),
        rows=tuple(table),
        calibration=tuple(calibration.calibration(each, labels) for each in whole),
        calibrated=tuple(
            calibration.calibration(each, labels, temperature)
            for each, temperature in zip(whole, calibrated, strict=bool(calibrated))
        ),
        fitted_on="" if fitted is None else fitted.clips,
    )


def draw(
    candidates: Sequence[Candidate],
    clips: Sequence[np.ndarray],
    damage: Damage,
    number: int,
    seed: int,
) -> list[np.ndarray]:
    """Logits (n, K) of every candidate on draw `number` of all clips."""
    views = {candidate.view.evaluated: candidate.view for candidate in candidates}
    found: list[list[np.ndarray]] = [[] for _ in candidates]
    for view in views.values():
        size = max(1, BATCH // view.clips)
        for x in batches(clips, damage.view(view, number, seed), size):
            for place, candidate in enumerate(candidates):
                if candidate.view.evaluated == view.evaluated:
                    found[place].append(candidate.predict(x))
    return [
        averaged(np.concatenate(rows), candidate.view.clips)
        for rows, candidate in zip(found, candidates, strict=True)
    ]


def spread(values: Sequence[float]) -> Spread:
    """Mean, deviation (of a sample) and range."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Spread(float(np.mean(values)), deviation, min(values), max(values))


def fitted_on(sides: Sequence[tuple[np.ndarray, np.ndarray]], clips: str) -> Fitted:
    """The temperatures that are fitted on each network's (logits (n, K), labels (n,)); 1 where they
    tell none."""
    found = [calibration.fit_temperature(logits, labels) for logits, labels in sides]
    if None in found:
        clips += "; T is 1 where these tell none, since all of them are right, or hardly any"
    return Fitted(tuple(each or 1.0 for each in found), clips)


def unknown(
    known: np.ndarray,
    left_out: np.ndarray,
    training_side: np.ndarray,
    answered: float,
    temperature: float = 1.0,
) -> Unknown:
    """How a network's logits (n, K) tell clips of known classes from those of classes that it was
    not trained on; the threshold lets `answered` of the training-side clips through. Scores are
    those that are served, at `temperature`."""
    known = calibration.confidences(known / temperature)
    left_out = calibration.confidences(left_out / temperature)
    least = calibration.threshold(calibration.confidences(training_side / temperature), answered)
    return Unknown(
        clips=len(left_out),
        auroc=calibration.auroc(known, left_out),
        threshold=least,
        known_answered=100 * float((known >= least).mean()),
        unknown_answered=100 * float((left_out >= least).mean()),
    )


def drop(table: Robustness, key: str) -> tuple[float, ...] | None:
    """Points of top-1 that each network loses in a row, against clips as they are; None: the table
    has no such row."""
    rows = {row.key: row for row in table.rows}
    if key not in rows:
        return None
    return tuple(
        whole.mean - damaged.mean
        for whole, damaged in zip(rows["none"].top1, rows[key].top1, strict=True)
    )
