"""The accuracy comparison: one row per way of running a network on the whole validation split."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from compress.evaluation.evaluate import EvaluationSet, accuracy, logits_of
from compress.process import console
from export.verify import difference

Predict = Callable[[np.ndarray], np.ndarray]
TIMED_CLIPS = 50
WARM_UP = 5


def row(
    name: str,
    predict: Predict,
    clips: EvaluationSet,
    reference: np.ndarray | None = None,
    files: tuple[Path, ...] = (),
    deployed: bool = False,
) -> tuple[dict, np.ndarray]:
    """(a row of report.json's `runtimes`, the logits (n, K)).

    Args:
        reference: logits of the trained network, to compare with; None where this is the trained
            network.
        files: what the runtime reads; their bytes are counted.
    """
    found, logits = score(name, predict, clips)
    found |= {"name": name, "file": files[0].name if files else None, "deployed": deployed}
    found |= difference(logits, logits if reference is None else reference) | latency(
        predict, clips
    )
    return found | {"bytes": sum(path.stat().st_size for path in files) or None}, logits


def score(name: str, predict: Predict, clips: EvaluationSet) -> tuple[dict, np.ndarray]:
    """(top1, top5 and class_mean in percent, the logits (n, K)) of the whole split, with a progress
    bar."""
    with console.bar(name, len(clips)) as advance:
        logits = logits_of(predict, clips, advance=advance)
    return accuracy(logits, clips.labels), logits


def latency(predict: Predict, clips: EvaluationSet) -> dict[str, float]:
    """Milliseconds at batch 1, median and 95th percentile over up to TIMED_CLIPS clips."""
    spent = []
    for x in clips.batches(1):
        started = time.perf_counter()
        predict(x[:1])
        spent.append(1000 * (time.perf_counter() - started))
        if len(spent) == TIMED_CLIPS + WARM_UP:
            break
    timed = spent[WARM_UP:] or spent
    return {"p50_ms": float(np.percentile(timed, 50)), "p95_ms": float(np.percentile(timed, 95))}


def per_class(
    classes: tuple[str, ...], labels: np.ndarray, teacher: np.ndarray, student: np.ndarray
) -> list[dict]:
    """Recall (percent) of each class that occurs, for teacher's and student's logits (n, K)."""
    rows = []
    for label, name in enumerate(classes):
        mine = labels == label
        if mine.any():
            right = {
                role: 100 * float((logits[mine].argmax(1) == label).mean())
                for role, logits in (("teacher", teacher), ("student", student))
            }
            rows.append({"class": name, "clips": int(mine.sum()), **right})
    return rows
