"""BABEL: the public features, and the same clips as annotation pickles; few classes have most of
the clips."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from compress.data import babel, pyskl
from compress.inputs import loop, view
from teachers.errors import DataError
from teachers.skeleton import NTU_25

LABELS = {"train": [0, 0, 0, 59, 1], "val": [1, 0]}


def features(split: str) -> np.ndarray:
    return (
        np.random.default_rng(len(split))
        .normal(size=(len(LABELS[split]), 3, 150, 25, 1))
        .astype(np.float32)
    )


def write(root, classes: int = 60, **changes):
    for split, labels in LABELS.items():
        n = len(labels)
        np.save(
            root / f"{split}_ntu_sk_{classes}.npy", changes.get(f"{split}_data", features(split))
        )
        content = (
            [f"seg{index}" for index in range(n)],
            (labels, [7] * n, list(range(n)), [f"{split}{index}" for index in range(n)]),
        )
        (root / f"{split}_label_{classes}.pkl").write_bytes(
            pickle.dumps(changes.get(f"{split}_label", content), 2)
        )
    return root


def load(root, **keys):
    return babel.load(babel.Config(str(root), **keys), seed=1)


def test_public_features_are_read(tmp_path):
    dataset = load(write(tmp_path))
    assert dataset.train.names == (
        "seg0_7_0_train0",
        "seg1_7_1_train1",
        "seg2_7_2_train2",
        "seg3_7_3_train3",
        "seg4_7_4_train4",
    )
    assert (
        dataset.train.labels.tolist() == LABELS["train"]
        and dataset.val.labels.tolist() == LABELS["val"]
    )
    np.testing.assert_array_equal(np.stack(dataset.val.clips), features("val"))
    assert (
        dataset.persons,
        dataset.channels,
        dataset.skeleton,
        len(dataset.classes),
        dataset.input,
    ) == (1, 3, NTU_25, 60, "loop")
    assert dataset.notes == (
        (
            "classes have 0 to 3 clips to train on, median 0; `focal` of a train step weighs them,"
            " class_mean judges them alike"
        ),
    )
    assert view.build("loop", loop.Config(**babel.INPUT_DEFAULTS), dataset).shape == (3, 150, 25, 1)


def test_classes_are_120_and_named_where_files_say_so(tmp_path):
    write(tmp_path, 120)
    (tmp_path / babel.NAMES).write_text(json.dumps({"walk": 0, "stand": 1, "flail arms": 149}))
    assert (
        load(tmp_path).classes[:3] == ("walk", "stand", "class 2")
        and len(load(tmp_path).classes) == 120
    )
    write(tmp_path)
    assert len(load(tmp_path, benchmark=60).classes) == 60
    with pytest.raises(
        DataError, match="holds both 60 and 120 classes; choose with data.benchmark$"
    ):
        load(tmp_path)


def test_the_same_clips_as_annotations(tmp_path):
    """mmaction2's babel60_train.pkl and babel60_val.pkl: keypoint (M, T, V, C), one person, no
    splits inside."""
    for split, labels in LABELS.items():
        annotations = [
            {
                "keypoint": clip.transpose(3, 1, 2, 0),
                "label": label,
                "frame_dir": f"{split}{index}",
                "total_frames": 150,
            }
            for index, (clip, label) in enumerate(zip(features(split), labels, strict=True))
        ]
        (tmp_path / f"babel60_{split}.pkl").write_bytes(pickle.dumps(annotations))
    dataset = pyskl.load(pyskl.Config(str(tmp_path), persons=1), seed=1)
    np.testing.assert_array_equal(np.stack(dataset.val.clips), features("val"))
    assert (
        dataset.train.labels.tolist() == LABELS["train"]
        and len(dataset.classes) == 60
        and dataset.skeleton == NTU_25
    )


def test_clips_named_alike_are_told_apart(tmp_path):
    dataset = load(write(tmp_path, val_label=(["a", b"a"], ([0, 1], [1, 1], [0, 0], ["x", "x"]))))
    assert dataset.val.names == ("a_1_0_x", "a_1_0_x#2")
    assert dataset.notes[0] == "val_label_60.pkl: 1 clip named like another, told apart by a number"


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"val_label": ["a", "b"]},
            (
                "val_label_60.pkl: expected [segments, [labels, sequences, chunks, annotations]],"
                " as many of each ("
            ),
        ),
        (
            {"val_label": (["a", "b"], ([0, 1], [1]))},
            (
                "val_label_60.pkl: expected [segments, [labels, sequences, chunks, annotations]],"
                " as many"
            ),
        ),
        (
            {"val_label": (["a", []], ([0, 1],))},
            "as many of each (a name is a list); copy it again",
        ),
        (
            {"val_label": (["a", "b"], ([0, 60],))},
            "val_label_60.pkl: label 60 of 'b' (entry 1) is outside 0-59",
        ),
        (
            {"val_data": np.zeros((2, 3, 150, 25, 2), np.float32)},
            "val_ntu_sk_60.npy has shape (2, 3, 150, 25, 2) of float32, expected (N, 3, frames",
        ),
        (
            {"val_data": np.zeros((3, 3, 150, 25, 1), np.float32)},
            "has 3 clips, but val_label_60.pkl has 2 labels; they must come from the same",
        ),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, change, message):
    with pytest.raises(DataError) as caught:
        load(write(tmp_path, **change))
    assert message in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_folder_without_features(tmp_path):
    with pytest.raises(
        DataError,
        match="holds no train_ntu_sk_60.npy; give data.root the folder of BABEL's features",
    ):
        load(tmp_path)
