"""Clips of the validation split for the report: a few that the student has right, and one for each
of its most frequent confusions."""

from __future__ import annotations

import numpy as np

from compress.data.dataset import Dataset
from compress.evaluation.evaluate import confusion
from compress.reporting.drawing import Row

RIGHT, CONFUSED, FRAMES = 3, 5, 6
SIDE = 100.0  # of the square that a frame is drawn in


def examples(dataset: Dataset, logits: np.ndarray) -> dict:
    """{"bones": [(child, parent)], "side", "clips": [{"name", "class", "predicted", "right",
    "frames"}]}, ready for JSON.

    A frame is a list of persons, each a list of (x, y) by joint in a square of `side`, y downwards.

    Args:
        logits: (n, K) of the student on the validation split.
    """
    labels, answers = np.asarray(dataset.val.labels), logits.argmax(1)
    chosen = [*_right(labels, answers), *_confused(labels, answers, logits.shape[1])]
    clips = [
        {
            "name": dataset.val.names[index],
            "class": dataset.classes[labels[index]],
            "predicted": dataset.classes[answers[index]],
            "right": bool(labels[index] == answers[index]),
            "frames": frames(dataset.val.clips[index], dataset.coordinates),
        }
        for index in chosen
    ]
    return {"bones": [list(bone) for bone in dataset.skeleton.bones], "side": SIDE, "clips": clips}


def _right(labels: np.ndarray, answers: np.ndarray) -> list[int]:
    """The first clip that is right of each of the first classes."""
    right = np.flatnonzero(labels == answers)
    _, first = np.unique(labels[right], return_index=True)
    return right[first][:RIGHT].tolist()


def _confused(labels: np.ndarray, answers: np.ndarray, classes: int) -> list[int]:
    """The first clip of each of the most frequent pairs (true, answered)."""
    matrix = confusion(np.eye(classes)[answers], labels, classes)
    np.fill_diagonal(matrix, 0)
    order = np.argsort(-matrix, axis=None, kind="stable")[:CONFUSED]
    pairs = [np.unravel_index(place, matrix.shape) for place in order if matrix.flat[place]]
    return [int(np.flatnonzero((labels == true) & (answers == said))[0]) for true, said in pairs]


def frames(clip: np.ndarray, coordinates: int) -> list[list[list[list[float]]]]:
    """FRAMES frames of a clip (C, T, V, M) from first to last; key points of images have y
    downwards already."""
    row = Row("", clip, down=coordinates == 2)
    middle, half = row.limits()
    times = np.linspace(0, clip.shape[1] - 1, FRAMES).round().astype(int)
    return [
        [
            ((points - middle) / half * 0.46 * SIDE + SIDE / 2).round(1).tolist()
            for _, points in row.points(int(time))
        ]
        for time in times
    ]
