"""Whether a training had come to rest is judged by its curve alone."""

from __future__ import annotations

import pytest

from compress.training.convergence import unfinished


def history(losses, top1, val_losses=None):
    records = []
    for number, (loss, right) in enumerate(zip(losses, top1, strict=True)):
        val = {"teacher/top1": right}
        if val_losses is not None:
            val["loss"] = val_losses[number]
        records.append({"train": {"loss": loss}, "val": val})
    return records


# The teacher of the built-in data on an AMD EPYC (Zen 3), 150 iterations.
BUILT_IN = history([4.24, 1.22, 0.65, 0.38, 0.26], [29.2, 84.2, 92.1, 94.6, 95.0])
FLAT = [50.0] * 5


def test_the_built_in_teacher_has_converged():
    assert unfinished(BUILT_IN, "teacher", 240) is None


def test_a_fine_tuned_network_that_hardly_moves_has_converged():
    """CTR-GCN on NW-UCLA from a public checkpoint, as recorded in benchmarks/results."""
    losses = [0.96, 1.026, 0.987, 0.973, 0.967, 0.923, 0.912, 0.898, 0.856, 0.873]
    top1 = [89.66, 88.58, 89.22, 88.58, 89.44, 89.66, 90.3, 90.3, 90.09, 89.87]
    assert unfinished(history(losses, top1), "teacher", 464, fresh=False) is None
    # The same curve of a network that began from nothing has learnt nothing.
    reason = unfinished(history(losses, top1), "teacher", 464)
    assert reason == "its training loss fell from 0.96 to 0.87 only"


@pytest.mark.parametrize(
    "curve, reason",
    [
        (
            history([3.0, 1.0, 0.6, 0.5, 0.5], [10.0, 40.0, 60.0, 70.0, 80.0]),
            "its top-1 was still rising at the end, by 10.00 points in the last epoch",
        ),
        (
            history([3.3, 2.9, 2.5, 2.1, 1.7], FLAT),
            "its training loss was still falling at the end, from 2.10 to 1.70 in the last epoch",
        ),
        (
            history([3.3, 1.0, 0.6, 0.5, 0.5], FLAT, [3.0, 2.5, 2.0, 1.5, 1.0]),
            "its validation loss was still falling at the end, from 1.50 to 1.00 in the last epoch",
        ),
        (
            history([3.3, 2.9, 2.8, 2.75, 2.74], [5.0, 15.0, 19.0, 20.0, 20.0]),
            "its training loss fell from 3.30 to 2.74 only",
        ),
        (history([3.0], [90.0]), "its training had one epoch, which shows no curve"),
    ],
)
def test_what_has_not_come_to_rest_is_named(curve, reason):
    assert unfinished(curve, "teacher", 240) == reason


def test_long_trainings_are_judged_by_the_means_of_many_epochs():
    """A jump of one epoch says nothing; the same rise of half the end of the curve does."""
    losses = [3.0] + [0.1] * 59
    jump = [80.0] * 59 + [86.0]
    rise = [80.0] * 54 + [86.0] * 6
    assert unfinished(history(losses, jump), "teacher", 1000) is None
    assert "by 6.00 points in the last 6 epochs" in unfinished(
        history(losses, rise), "teacher", 1000
    )


def test_a_rise_within_the_spread_of_the_clips_is_none():
    curve = history([3.0, 0.2, 0.1, 0.1, 0.1], [50.0, 60.0, 70.0, 70.0, 75.0])
    assert unfinished(curve, "teacher", 100) is None
    assert "rising" in unfinished(curve, "teacher", 2000)


def test_a_network_without_a_curve_is_not_judged():
    assert unfinished((), "teacher", 240) is None
    unknown = history([3.0, None, 0.1], [50.0, None, 90.0])
    assert unfinished(unknown, "teacher", 240) is None
