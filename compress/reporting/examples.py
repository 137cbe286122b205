"""Clips of the validation split for the report: a few that the student has right, and one for each
of its most frequent confusions."""

from __future__ import annotations

import numpy as np

from compress.data.dataset import Dataset
from compress.evaluation.evaluate import confusion
from compress.reporting.drawing import Row
from compress.reporting.record import ExampleClip, Examples, Frames

# Few enough that a page of any data set stays a page: a frame is some hundred bytes of SVG.
RIGHT = 3
CONFUSED = 5
FRAMES = 6
SIDE = 100.0  # of the square that a frame is drawn in


def examples(dataset: Dataset, logits: np.ndarray) -> Examples:
    """The chosen clips as drawings.

    Args:
        logits: (n, K) of the student on the validation split.
    """
    labels = np.asarray(dataset.val.labels)
    answers = logits.argmax(1)
    clips = []
    for index in (*_right(labels, answers), *_confused(labels, answers, logits.shape[1])):
        clips.append(
            ExampleClip(
                name=dataset.val.names[index],
                class_=dataset.classes[labels[index]],
                predicted=dataset.classes[answers[index]],
                right=bool(labels[index] == answers[index]),
                frames=frames(dataset.val.clips[index], dataset.coordinates),
            )
        )
    bones = tuple(tuple(bone) for bone in dataset.skeleton.bones)
    return Examples(bones, SIDE, tuple(clips))


def _right(labels: np.ndarray, answers: np.ndarray) -> list[int]:
    """The first clip that is right of each of the first classes."""
    right = np.flatnonzero(labels == answers)
    # The first of each class, not a draw: two reports of one network show the same clips.
    _, first = np.unique(labels[right], return_index=True)
    return [int(index) for index in right[first][:RIGHT]]


def _confused(labels: np.ndarray, answers: np.ndarray, classes: int) -> list[int]:
    """The first clip of each of the most frequent pairs (true, answered)."""
    # `confusion` takes logits; a one-hot row has its answer as argmax.
    matrix = confusion(np.eye(classes)[answers], labels, classes)
    np.fill_diagonal(matrix, 0)
    chosen = []
    # Stable, so that among equally frequent pairs a second run shows the same clips.
    for place in np.argsort(-matrix, axis=None, kind="stable")[:CONFUSED]:
        # A good student may have fewer confusions than asked for; the order goes on into zeros.
        if matrix.flat[place]:
            true, answer = np.unravel_index(place, matrix.shape)
            clips = np.flatnonzero((labels == true) & (answers == answer))
            chosen.append(int(clips[0]))
    return chosen


def frames(clip: np.ndarray, coordinates: int) -> Frames:
    """FRAMES frames of a clip (C, T, V, M) from first to last: of each its persons, of each person
    (x, y) by joint in a square of SIDE, y downwards.

    Args:
        coordinates: 3 for metres, y upwards; 2 for key points of images, y downwards already.
    """
    row = Row("", clip, down=coordinates == 2)
    middle, half = row.limits()
    drawn = []
    for time in np.linspace(0, clip.shape[1] - 1, FRAMES).round().astype(int):
        persons = []
        for _, points in row.points(int(time)):
            # 0.46 of the side, not half of it: lines are drawn with a width.
            square = (points - middle) / half * 0.46 * SIDE + SIDE / 2
            # A tenth of a unit is finer than a pixel, and every digit is paid for in the page.
            persons.append(tuple((float(x), float(y)) for x, y in square.round(1)))
        drawn.append(tuple(persons))
    return tuple(drawn)
