"""Clips in the report: which are chosen, and where their joints are drawn."""

from dataclasses import replace

import numpy as np

from compress.reporting.charts import skeletons
from compress.reporting.examples import FRAMES, SIDE, examples, frames
from compress.reporting.record import Report
from compress.reporting.report import render


def test_right_clips_and_the_most_frequent_confusions(tiny_dataset):
    labels = np.asarray(tiny_dataset.val.labels)  # 0 1 2 0 1 2 ...
    answers = labels.copy()
    answers[[1, 4, 7]] = 2  # "two" taken for "three", most often
    answers[3] = 1
    found = examples(tiny_dataset, np.eye(3)[answers])
    told = [(clip.class_, clip.predicted, clip.right, clip.name) for clip in found.clips]
    assert told == [
        ("one", "one", True, "val0"),
        ("two", "two", True, "val10"),
        ("three", "three", True, "val2"),
        ("two", "three", False, "val1"),
        ("one", "two", False, "val3"),
    ]
    page = render(Report(examples=found))
    assert page.count('class="skeletons"') == 5 and "taken for" in page


def test_frames_are_squares_with_y_downwards():
    clip = np.zeros((3, 4, 2, 2), "float32")
    clip[:, :, 1, 0] = np.array([1.0, 1.0, 0.0])[
        :, None
    ]  # one person, the second joint above and to the right; nobody else
    drawn = frames(clip, coordinates=3)
    assert len(drawn) == FRAMES and all(len(persons) == 1 for persons in drawn)
    ((first, second),) = drawn[0]
    assert (
        second[0] > first[0]
        and second[1] < first[1]
        and all(0 <= value <= SIDE for point in drawn[0][0] for value in point)
    )
    assert frames(clip, coordinates=2)[0][0][1][1] > frames(clip, coordinates=2)[0][0][0][1]
    assert frames(np.zeros_like(clip), coordinates=3) == ((),) * FRAMES


def test_drawing_escapes_and_ignores_bones_of_other_joints():
    svg = skeletons('<b>"x"', [[[[0, 0], [10, 5]]]], [(2, 1), (9, 1)], 100.0)
    assert "<b>" not in svg and svg.count("M10 5L0 0") == 1 and svg.count("L") == 1


def test_a_data_set_of_images_is_drawn_as_it_is(tiny_dataset):
    up = examples(tiny_dataset, np.eye(3)[tiny_dataset.val.labels]).clips[0].frames
    down = (
        examples(replace(tiny_dataset, coordinates=2), np.eye(3)[tiny_dataset.val.labels])
        .clips[0]
        .frames
    )
    assert up != down
