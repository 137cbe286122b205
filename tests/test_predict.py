"""What `predict.py` makes of a raw clip: recordings differ from network inputs in channels, persons
and number of views."""

from __future__ import annotations

import numpy as np
import pytest

from compress.data.dataset import Dataset, Split
from compress.inputs import branches, uniform, view
from export import serving
from export.deployed.record import (
    FORMAT,
    VERSION,
    Description,
    Input,
    Output,
    Recorded,
)
from export.preprocess import ops
from teachers.errors import DataError
from teachers.skeleton import NTU_25

RAW = np.random.default_rng(0).normal(size=(3, 40, 25, 1)).astype(np.float32)


def description(through: view.View, **changes) -> Description:
    said = {
        "recorded": Recorded(channels=3, joints=25),
        "views": through.clips,
        "preprocessing": tuple(through.eval_ops),
    } | changes
    return Description(
        format=FORMAT,
        version=VERSION,
        network="stgcn",
        classes=("a", "b"),
        input=Input("clip", (None, *through.shape)),
        output=Output("logits", (None, 2)),
        skeleton=NTU_25,
        files={"onnx": ("model.onnx",)},
        **said,
    )


def seen(name: str, config) -> view.View:
    empty = Split((), (), np.zeros(0, np.int64))
    return view.build(name, config, Dataset("ntu", empty, empty, ("one",), NTU_25, 2, 3, ""))


def test_a_recording_becomes_branches_of_as_many_persons_as_the_network_takes():
    through = seen("branches", branches.Config(frames=16))
    x = serving.prepare(RAW, description(through), "clip")
    both = np.concatenate([RAW, np.zeros_like(RAW)], axis=3)
    assert x.shape == (18, 16, 25, 2)
    np.testing.assert_array_equal(x, through.prepare(both))
    np.testing.assert_array_equal(
        serving.prepare(np.concatenate([both, both], axis=3), description(through), "clip"), x
    )


def test_every_view_is_the_one_that_was_tested_with():
    through = seen("uniform", uniform.Config(frames=8, clips=3))
    both = np.concatenate([RAW, np.zeros_like(RAW)], axis=3)
    for number in range(3):
        np.testing.assert_array_equal(
            serving.prepare(RAW, description(through), "clip", number),
            through.prepare(both, number),
        )


def test_scores_are_averaged_over_views_after_the_softmax():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]], np.float32)) + np.array(
        [[5], [-5]], np.float32
    )
    scores = serving.scores_of(logits)
    np.testing.assert_allclose(scores, [0.4, 0.4, 0.2], rtol=1e-5)
    best = serving.top_classes(np.array([0.1, 0.6, 0.3]), ["a", "b", "c"], 2)
    assert best == [{"class": "b", "score": 0.6}, {"class": "c", "score": 0.3}]


@pytest.mark.parametrize("raw", [RAW[:2], RAW[:, :, :20]])
def test_another_recording_is_refused(raw):
    with pytest.raises(DataError) as caught:
        serving.prepare(raw, description(seen("branches", branches.Config(frames=16))), "clip")
    assert (
        str(caught.value)
        == f"clip: has {len(raw)} coordinates of {raw.shape[2]} joints; this network needs 3 of 25"
        " (ntu_25)"
    )


def test_a_folder_that_does_not_say_how_to_prepare_a_clip_is_told():
    with pytest.raises(
        DataError,
        match="clip: has 40 frames of 3 channels after preprocessing, the network needs 16 of 18",
    ):
        serving.prepare(
            RAW, description(seen("branches", branches.Config(frames=16)), preprocessing=()), "clip"
        )
    # As folders were written before they said so.
    old = description(
        seen("uniform", uniform.Config(frames=40, normalise="none")), recorded=None, views=1
    )
    assert serving.prepare(RAW, old, "clip").shape == (3, 40, 25, 2)
    np.testing.assert_array_equal(serving.prepare(RAW, old, "clip")[..., :1], ops.uniform(RAW, 40))
