"""What VisualDL shows of an epoch: losses, accuracies, weights, precision and recall, mix-ups.

Every tag is `group/name`: VisualDL folds tags by the part before the slash.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from compress.evaluation.evaluate import confusion, softmax
from compress.training.confusion_picture import draw_confusion
from compress.training.curves import now_ms, tagged

# Layers whose weights are drawn, spread over the network; a tag for each of some 200 tensors would
# make a page that nobody reads.
DRAWN_LAYERS = 12
BINS = 30
# Up to here every class has a curve of its own beside the mean.
CLASS_CURVES = 20
THRESHOLDS = 31


@dataclass(frozen=True)
class EpochResult:
    """An epoch that is done.

    Attributes:
        record: of the training's history.
        losses: (steps,) of its batches, in order.
        logits: (n, K) of the learner on the validation split; labels: (n,).
        classes: K names.
        weights: of the learner as it was judged, by name.
    """

    record: Mapping[str, Any]
    losses: np.ndarray
    logits: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    weights: Mapping[str, np.ndarray]


def records(result: EpochResult) -> Iterator[Any]:
    """All records of an epoch, as VisualDL's protobufs."""
    yield from _scalars(result)
    yield from _histograms(result)
    yield from _precision_recall(result)
    yield from _confusion(result)


def _scalars(result: EpochResult) -> Iterator[Any]:
    # Late, as in `curves.py`: VisualDL takes time to import.
    from visualdl.component.base_component import scalar

    record = result.record
    epoch = record["epoch"]
    values = {"learning rate/learning rate": record["lr"]}
    for split, word in (("train", "training"), ("val", "validation")):
        for name, value in record[split].items():
            values[_tag(name, word)] = value
    for tag, value in values.items():
        yield scalar(tagged(tag), float(value), epoch, now_ms())
    # Batches are counted through the whole training, so that an epoch's begin where the last ended.
    before = (epoch - 1) * len(result.losses)
    for number, loss in enumerate(result.losses, start=before + 1):
        yield scalar("loss/each batch", float(loss), number, now_ms())


def _tag(name: str, split: str) -> str:
    """The tag of a figure of the history: "student/top1" -> "top-1/student, validation"."""
    role, slash, measure = name.rpartition("/")
    words = {"top1": "top-1", "top5": "top-5", "class_mean": "class mean"}
    if not slash:
        # A part of the training loss, or their sum.
        return f"loss/{split}" if name == "loss" else f"loss/{split}, {name}"
    return f"{words.get(measure, measure)}/{role}, {split}"


def _histograms(result: EpochResult) -> Iterator[Any]:
    from visualdl.component.base_component import histogram

    # Vectors are biases and BatchNorm's, whose few values make no distribution.
    layers = [name for name, value in result.weights.items() if value.ndim > 1]
    places = np.linspace(0, len(layers) - 1, min(DRAWN_LAYERS, len(layers))).round().astype(int)
    for place in np.unique(places):
        name = layers[place]
        counts, edges = np.histogram(result.weights[name], BINS)
        yield histogram(tagged(f"weights/{name}"), counts, edges, result.record["epoch"], now_ms())


def _precision_recall(result: EpochResult) -> Iterator[Any]:
    scores = softmax(result.logits)
    # (K, THRESHOLDS) counts of clips whose score reaches a threshold, of the class and of others.
    thresholds = np.linspace(0, 1, THRESHOLDS)
    of_class = result.labels[:, None] == np.arange(len(result.classes))
    # One threshold at a time: together, 50,000 clips of 120 classes would take gigabytes.
    right = np.empty((len(result.classes), THRESHOLDS), dtype=np.int64)
    wrong = np.empty_like(right)
    for place, threshold in enumerate(thresholds):
        reached = scores >= threshold
        right[:, place] = (reached & of_class).sum(0)
        wrong[:, place] = (reached & ~of_class).sum(0)
    clips = of_class.sum(0)
    # A class without clips has no recall, and must not draw the mean down.
    present = clips > 0
    everything = _curve(right[present], wrong[present], clips[present], len(scores))
    yield _pr_record("mean of the classes", everything, result.record["epoch"])
    if len(result.classes) > CLASS_CURVES:
        return
    digits = len(str(len(result.classes) - 1))
    for label in np.flatnonzero(present):
        alone = slice(label, label + 1)
        curve = _curve(right[alone], wrong[alone], clips[alone], len(scores))
        # With its number: tags are sorted as text, and two classes may differ in a "/" alone.
        name = result.classes[label].replace("/", "|").replace("%", "percent")
        yield _pr_record(f"{label:0{digits}} {name}", curve, result.record["epoch"])


def _curve(
    right: np.ndarray, wrong: np.ndarray, clips: np.ndarray, total: int
) -> dict[str, list[float]]:
    """Counts (K, THRESHOLDS) of classes with `clips` (K,) clips of `total`: their sums, and the
    means of precision and recall over the classes."""
    missed = clips[:, None] - right
    # Where nothing reaches a threshold nothing is wrong: precision ends at 1, as its convention is.
    answered = right + wrong
    precision = np.where(answered > 0, right / np.maximum(answered, 1), 1.0)
    return {
        "tp": right.sum(0).tolist(),
        "fp": wrong.sum(0).tolist(),
        "tn": (total - answered - missed).sum(0).tolist(),
        "fn": missed.sum(0).tolist(),
        "precision": precision.mean(0).tolist(),
        "recall": (right / clips[:, None]).mean(0).tolist(),
    }


def _pr_record(name: str, curve: Mapping[str, list[float]], epoch: int) -> Any:
    # Not `pr_curve`: it counts by `np.float`, which NumPy 1.24 took away.
    from visualdl.component.base_component import pr_curve_raw

    return pr_curve_raw(
        tag=tagged(f"precision and recall/{name}"), step=epoch, walltime=now_ms(), **curve
    )


def _confusion(result: EpochResult) -> Iterator[Any]:
    from visualdl.component.base_component import image

    matrix = confusion(result.logits, result.labels, len(result.classes))
    picture = draw_confusion(matrix, list(result.classes))
    yield image("confusion/validation", picture, result.record["epoch"], now_ms())
