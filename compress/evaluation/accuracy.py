"""The accuracy comparison: one row per way of running a network on the whole validation split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from compress.evaluation.evaluate import EvaluationSet, accuracy, logits_of, right_answers
from compress.evaluation.latency import Turn, in_turns
from compress.evaluation.paired import mcnemar
from compress.evaluation.record import Accuracy, ClassRow, RuntimeRow
from compress.process import console
from export.runtimes.contract import Predict
from export.verify import difference


def row(
    name: str,
    predict: Predict,
    clips: EvaluationSet,
    reference: np.ndarray | None = None,
    files: tuple[Path, ...] = (),
    deployed: bool = False,
) -> tuple[RuntimeRow, np.ndarray]:
    """(a row of report.json's `runtimes`, the logits (n, K)). It is timed by `timed`, with the rows
    that it is to be compared with.

    Args:
        reference: logits of the trained network, to compare with; None where this is the trained
            network.
        files: what the runtime reads; their bytes are counted.
    """
    scores, logits = score(name, predict, clips)
    # The trained network against itself: its row reads full agreement and 0, not nothing.
    differences = difference(logits, logits if reference is None else reference)
    runtime = RuntimeRow(
        name=name,
        file=files[0].name if files else None,
        deployed=deployed,
        top1=scores.top1,
        top5=scores.top5,
        class_mean=scores.class_mean,
        clean_top1=scores.clean_top1,
        agreement=differences["agreement"],
        max_abs_diff=differences["max_abs_diff"],
        max_rel_diff=differences["max_rel_diff"],
        # A network in this process has no file: nothing was counted, which is not 0 bytes.
        bytes=sum(path.stat().st_size for path in files) or None,
    )
    return runtime, logits


def against(
    row: RuntimeRow, logits: np.ndarray, other: np.ndarray, labels: np.ndarray
) -> RuntimeRow:
    """The row with how its logits (n, K) differ from another network's on the same clips."""
    found = mcnemar(right_answers(other, labels), right_answers(logits, labels))
    return replace(row, gained=found.gained, lost=found.lost, p=found.p)


def score(name: str, predict: Predict, clips: EvaluationSet) -> tuple[Accuracy, np.ndarray]:
    """(accuracy, logits (n, K)) of the whole split, with a progress bar."""
    with console.bar(name, len(clips)) as advance:
        logits = logits_of(predict, clips, advance=advance)
    return accuracy(logits, clips.labels, clips.copies), logits


def timed(
    rows: Sequence[RuntimeRow], turns: Sequence[Turn], persons: Sequence[int] = ()
) -> list[RuntimeRow]:
    """The rows with their latencies, measured in turns; `turns` in the order of the rows, `persons`
    of `compress.evaluation.latency.persons_of`."""
    latencies = in_turns(turns, persons)
    return [replace(row, **asdict(latency)) for row, latency in zip(rows, latencies, strict=True)]


def per_class(
    classes: tuple[str, ...], labels: np.ndarray, teacher: np.ndarray, student: np.ndarray
) -> tuple[ClassRow, ...]:
    """Recall (percent) of each class that occurs, for teacher's and student's logits (n, K)."""
    rows = []
    for label, name in enumerate(classes):
        of_class = labels == label
        # The recall of a class without clips is 0 / 0.
        if of_class.any():
            rows.append(
                ClassRow(
                    class_=name,
                    clips=int(of_class.sum()),
                    teacher=_recall(teacher[of_class], label),
                    student=_recall(student[of_class], label),
                )
            )
    return tuple(rows)


def _recall(logits: np.ndarray, label: int) -> float:
    return 100 * float((logits.argmax(1) == label).mean())
