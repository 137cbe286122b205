"""Clips in the report: which are chosen, and where their joints are drawn."""

from dataclasses import replace

import numpy as np

from compress.reporting.examples import FRAMES, PLAYED, SIDE, examples, frames
from compress.reporting.record import Report
from compress.reporting.report import render
from compress.reporting.stick_figures import skeletons


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
    ]
    sides = [
        (pair.true, pair.predicted, pair.clips, pair.mistaken.name, pair.other and pair.other.name)
        for pair in found.pairs
    ]
    assert sides == [("two", "three", 3, "val1", "val2"), ("one", "two", 1, "val3", "val10")]
    assert all(len(pair.mistaken.frames) == PLAYED for pair in found.pairs)
    # A matrix, for the section that the pairs stand in.
    page = render(Report(examples=found, confusion=((1, 0), (0, 1))))
    assert page.count('class="skeletons"') == 3 and page.count('class="film"') == 4


def test_a_class_that_nothing_is_right_in_has_no_other_side(tiny_dataset):
    labels = np.asarray(tiny_dataset.val.labels)
    answers = np.where(labels == 1, 2, 0)
    found = examples(tiny_dataset, np.eye(3)[answers])
    assert [(pair.true, pair.predicted) for pair in found.pairs] == [
        ("two", "three"),
        ("three", "one"),
    ]
    assert found.pairs[0].other is None and found.pairs[1].other.class_ == "one"


def test_frames_are_squares_with_y_downwards():
    clip = np.zeros((3, 4, 2, 2), "float32")
    clip[:, :, 1, 0] = np.array([1.0, 1.0, 0.0])[
        :, None
    ]  # one person, the second joint above and to the right; nobody else
    drawn = frames(clip, 3, FRAMES)
    assert len(drawn) == FRAMES and all(len(persons) == 1 for persons in drawn)
    ((first, second),) = drawn[0]
    assert (
        second[0] > first[0]
        and second[1] < first[1]
        and all(0 <= value <= SIDE for point in drawn[0][0] for value in point)
    )
    assert frames(clip, 2, FRAMES)[0][0][1][1] > frames(clip, 2, FRAMES)[0][0][0][1]
    assert frames(np.zeros_like(clip), 3, FRAMES) == ((),) * FRAMES


def test_drawing_escapes_and_ignores_bones_of_other_joints():
    svg = skeletons('<b>"x"', [[[[0, 0], [10, 5]]]], [(2, 1), (9, 1)], 100.0)
    assert "<b>" not in svg and svg.count('d="M20 10l-20-10"') == 1


def test_bones_that_meet_are_one_stroke():
    # A body of two arms and a head at joint 1.
    points = [[[[50, 50], [20, 40], [80, 40], [50, 20]]]]
    svg = skeletons("x", points, [(2, 1), (3, 1), (4, 1)], 100.0)
    assert 'd="M40 80l+60+20+60-20M100 40l+0+60"' in svg
    # The second frame stands beside the first, and a second person has a colour of his own.
    both = skeletons("x", [points[0], points[0] * 2], [(2, 1)], 100.0)
    assert 'viewBox="0 0 400 200"' in both and "M240 80l" in both
    assert both.count("<path") == 2


def test_a_data_set_of_images_is_drawn_as_it_is(tiny_dataset):
    up = examples(tiny_dataset, np.eye(3)[tiny_dataset.val.labels]).clips[0].frames
    down = (
        examples(replace(tiny_dataset, coordinates=2), np.eye(3)[tiny_dataset.val.labels])
        .clips[0]
        .frames
    )
    assert up != down
