"""Accuracy counts samples; nothing is dropped or shuffled."""

import numpy as np
import pytest

from compress.evaluation import evaluate
from compress.evaluation.evaluate import EvaluationSet, accuracy, confusion, logits_of
from export.verify import difference

LOGITS = np.array(
    [[3, 2, 1, 0, 0, 0], [0, 1, 2, 3, 4, 5], [9, 1, 2, 3, 4, 5], [0, 0, 7, 0, 0, 0]],
    dtype="float32",
)


def test_accuracy_by_hand():
    found = accuracy(LOGITS, np.array([0, 0, 0, 2]))
    assert found.top1 == 75.0
    assert found.top5 == 75.0  # the second clip's class is its sixth choice
    assert abs(found.class_mean - 100 * (2 / 3 + 1) / 2) < 1e-9


def test_what_is_no_number_is_no_right_answer():
    logits = LOGITS.copy()
    logits[0] = np.nan
    logits[3, 5] = np.nan
    found = accuracy(logits, np.array([0, 5, 0, 2]))
    assert (found.top1, found.top5) == (50.0, 50.0)


def test_confusion_rows_are_true_classes():
    matrix = confusion(LOGITS, np.array([0, 1, 0, 2]), 6)
    assert matrix.sum() == 4 and matrix[1, 5] == 1 and matrix[0, 0] == 2 and matrix[2, 2] == 1


def test_every_clip_is_judged_once_in_order(tiny_dataset, tiny_view):
    clips = EvaluationSet(tiny_dataset.val, tiny_view)
    for batch in (1, 4, 14, 100):
        seen = logits_of(lambda x: x.reshape(len(x), -1)[:, :3], clips, batch)
        expected = np.stack(
            [tiny_view.prepare(clip).reshape(-1)[:3] for clip in tiny_dataset.val.clips]
        )
        assert np.array_equal(seen, expected)


@pytest.mark.parametrize("kept", [True, False])
def test_several_views_of_a_sample_are_averaged_as_softmax(
    tiny_dataset, tiny_view, monkeypatch, kept
):
    class Shifted(type(tiny_view)):
        def prepare(self, clip, number=0):
            return (
                clip[:1, :1, :3, :1] * 0
                + np.float32(number) * np.array([1, 0, 2], "float32")[None, None, :, None]
            )

    monkeypatch.setattr(evaluate, "CACHE_BYTES", 10**9 if kept else 0)
    view = Shifted(tiny_view.name, (1, 1, 3, 1), (), tiny_view.augment, "shifted", clips=2)
    clips, advanced = EvaluationSet(tiny_dataset.val, view, clips=2), []
    found = logits_of(lambda x: x.reshape(len(x), 3), clips, batch_size=3, advance=advanced.append)
    one, two = np.array([1, 1, 1]) / 3, np.exp([1, 0, 2]) / np.exp([1, 0, 2]).sum()
    assert found.shape == (14, 3) and sum(advanced) == 14
    np.testing.assert_allclose(found, np.log((one + two) / 2)[None].repeat(14, 0), rtol=1e-5)


def test_difference_sees_nan():
    bad = LOGITS.copy()
    bad[0, 0] = np.nan
    assert difference(bad, LOGITS)["max_abs_diff"] == float("inf")
    assert difference(LOGITS, LOGITS) == {
        "agreement": 1.0,
        "max_abs_diff": 0.0,
        "max_rel_diff": 0.0,
    }
