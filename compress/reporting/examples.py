"""Clips of the validation split for the report: a few that the student has right, and of its most
frequent confusions one clip of either class."""

from __future__ import annotations

import numpy as np

from compress.data.dataset import Dataset
from compress.evaluation.evaluate import confusion
from compress.reporting.drawing import Row
from compress.reporting.record import ConfusedPair, ExampleClip, Examples, Frames

# Few enough that a page of any data set stays a page: a frame is a hundred bytes of SVG and more.
RIGHT = 3
PAIRS = 4
# Of a strip, and of a clip that plays.
FRAMES = 6
PLAYED = 16
SIDE = 100.0  # of the square that a frame is drawn in


def examples(dataset: Dataset, logits: np.ndarray) -> Examples:
    """The chosen clips as drawings.

    Args:
        logits: (n, K) of the student on the validation split.
    """
    labels = np.asarray(dataset.val.labels)
    answers = logits.argmax(1)

    def clip(index: int, count: int) -> ExampleClip:
        return ExampleClip(
            name=dataset.val.names[index],
            class_=dataset.classes[labels[index]],
            predicted=dataset.classes[answers[index]],
            right=bool(labels[index] == answers[index]),
            frames=frames(dataset.val.clips[index], dataset.coordinates, count),
        )

    # `confusion` takes logits; a one-hot row has its answer as argmax.
    matrix = confusion(np.eye(logits.shape[1])[answers], labels, logits.shape[1])
    pairs = []
    for true, answer in _confused(matrix):
        others = np.flatnonzero((labels == answer) & (answers == answer))
        mistaken = np.flatnonzero((labels == true) & (answers == answer))
        pairs.append(
            ConfusedPair(
                dataset.classes[true],
                dataset.classes[answer],
                int(matrix[true, answer]),
                int(matrix[true].sum()),
                clip(int(mistaken[0]), PLAYED),
                clip(int(others[0]), PLAYED) if len(others) else None,
            )
        )
    bones = tuple(tuple(bone) for bone in dataset.skeleton.bones)
    chosen = tuple(clip(index, FRAMES) for index in _right(labels, answers))
    return Examples(bones, SIDE, chosen, tuple(pairs))


def _right(labels: np.ndarray, answers: np.ndarray) -> list[int]:
    """The first clip that is right of each of the first classes."""
    right = np.flatnonzero(labels == answers)
    # The first of each class, not a draw: two reports of one network show the same clips.
    _, first = np.unique(labels[right], return_index=True)
    return [int(index) for index in right[first][:RIGHT]]


def _confused(matrix: np.ndarray) -> list[tuple[int, int]]:
    """The most frequent pairs (true, answered) of a confusion matrix (K, K)."""
    wrong = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    share = wrong / np.maximum(matrix.sum(1, keepdims=True), 1)
    # As `reporting.confusion` lists them: equally many clips weigh more in a class that has fewer.
    # Stable, so that a second run shows the same clips.
    places = np.lexsort((-share.reshape(-1), -wrong.reshape(-1)))[:PAIRS]
    # A good student may have fewer confusions than asked for; the order goes on into zeros.
    found = [place for place in places if wrong.flat[place]]
    return [(int(place) // len(matrix), int(place) % len(matrix)) for place in found]


def frames(clip: np.ndarray, coordinates: int, count: int) -> Frames:
    """`count` frames of a clip (C, T, V, M) from first to last: of each its persons, of each person
    (x, y) by joint in a square of SIDE, y downwards.

    Args:
        coordinates: 3 for metres, y upwards; 2 for key points of images, y downwards already.
    """
    row = Row("", clip, down=coordinates == 2)
    middle, half = row.limits()
    drawn = []
    for time in np.linspace(0, clip.shape[1] - 1, count).round().astype(int):
        persons = []
        for _, points in row.points(int(time)):
            # 0.46 of the side, not half of it: lines are drawn with a width.
            square = (points - middle) / half * 0.46 * SIDE + SIDE / 2
            # A tenth of a unit is finer than a pixel, and every digit is paid for in the page.
            persons.append(tuple((float(x), float(y)) for x, y in square.round(1)))
        drawn.append(tuple(persons))
    return tuple(drawn)
