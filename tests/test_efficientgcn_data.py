"""EfficientGCN's folders: as recorded or transformed, a deployed network sees recordings the same
way."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from compress.data import clips, efficientgcn
from compress.data.efficientgcn import Config, load
from compress.data.ntu.naming import NTU_120
from compress.inputs import branches, view
from export.preprocess import normalise, ops
from teachers.errors import DataError
from teachers.skeleton import NTU_25

VALID = {"train": (70, 40, 300), "eval": (1, 64)}
LABELS = {"train": (0, 59, 3), "eval": (1, 0)}
TRANSFORM = (
    {"op": "fit", "frames": 300},
    {"op": "view_transform", **normalise.frame_of(NTU_25, None, None)},
)
ONCE = (TRANSFORM[0], {**TRANSFORM[1], "once": True})


def recorded(split: str) -> np.ndarray:
    """(N, 3, 300, 25, 2) float32, zeros behind; the first clip has one person."""
    data = (
        np.random.default_rng(len(split))
        .normal(size=(len(VALID[split]), 3, 300, 25, 2))
        .astype(np.float32)
    )
    for clip, valid in zip(data, VALID[split], strict=True):
        clip[:, valid:] = 0
    data[0, ..., 1] = 0
    return data


def write(root, prepared: str = "original", bench: str = "xsub", **changes):
    folder = root / prepared / bench
    folder.mkdir(parents=True)
    for number, split in enumerate(VALID, start=1):
        data = recorded(split)
        if prepared == "transformed":
            data = np.stack([ops.apply(clip, TRANSFORM) for clip in data])
        np.save(folder / f"{split}_data.npy", data)
        names = [
            f"/data/A100/S00{number}C001P{index:03d}R001A{label + 1:03d}.skeleton"
            for index, label in enumerate(LABELS[split])
        ]
        content = changes.get(split, (names, list(LABELS[split]), list(VALID[split])))
        (folder / f"{split}_label.pkl").write_bytes(pickle.dumps(content, 2))
    return root


def failure(*arguments, **keys) -> str:
    with pytest.raises(DataError) as caught:
        load(Config(*arguments, **keys), seed=1)
    return str(caught.value)


def seen(dataset, **keys):
    return view.build("branches", branches.Config(**keys), dataset)


def test_clips_as_recorded(tmp_path):
    dataset = load(Config(str(write(tmp_path))), seed=1)
    assert dataset.train.names == tuple(
        f"S001C001P{index:03d}R001A{label + 1:03d}.skeleton"
        for index, label in enumerate(LABELS["train"])
    )
    assert dataset.train.labels.tolist() == [0, 59, 3] and dataset.classes == NTU_120[:60]
    for clip, raw, valid in zip(
        dataset.train.clips, recorded("train"), VALID["train"], strict=True
    ):
        np.testing.assert_array_equal(clip, raw[:, :valid])
    assert (dataset.base_ops, dataset.notes, dataset.input) == ((), (), "branches")


@pytest.mark.parametrize("bench", ["xview", "ntu-xview"])
def test_transformed_clips_are_not_transformed_again_but_recordings_are(tmp_path, bench):
    dataset = load(Config(str(write(tmp_path, "transformed", bench)), "xview"), seed=1)
    assert dataset.base_ops == ONCE
    original = load(Config(str(write(tmp_path / "two", "original", bench)), "xview"), seed=1)
    assert original.notes == (
        "clips as recorded; the published X-View weights expect input.view_transform: true",
    )
    plain, again, turned = (
        seen(dataset),
        seen(dataset, view_transform=True),
        seen(original, view_transform=True),
    )
    for clip, raw in zip(dataset.train.clips, recorded("train"), strict=True):
        assert clip.shape == (3, 300, 25, 2)
        expected = turned.prepare(raw)
        for made in (
            plain.prepare(raw),
            plain.prepare(clip),
            plain.augment(clip, np.random.default_rng(0)),
            again.prepare(raw),
            again.augment(clip, np.random.default_rng(0)),
        ):
            np.testing.assert_array_equal(made, expected)
        np.testing.assert_array_equal(ops.apply(clip, dataset.base_ops), clip)


def test_which_preparation_is_read(tmp_path):
    write(tmp_path, "original")
    assert load(Config(str(tmp_path / "original")), seed=1).base_ops == ()
    write(tmp_path, "transformed")
    assert (
        failure(str(tmp_path))
        == f"{tmp_path}: holds more than one xsub preparation (original/xsub, transformed/xsub);"
        " choose with data.prepared, or remove one"
    )
    assert load(Config(str(tmp_path), prepared="transformed"), seed=1).base_ops == ONCE
    assert load(Config(str(tmp_path / "transformed")), seed=1).base_ops == ONCE
    assert (
        failure(str(tmp_path), "xset")
        == f"{tmp_path}: holds no xset preparation of EfficientGCN; give data.root the folder that"
        " holds original/xset/train_data.npy, train_label.pkl, eval_data.npy and eval_label.pkl"
    )


def test_labels_that_do_not_fit_are_refused(tmp_path):
    message = failure(str(write(tmp_path / "a", eval=(["a", "b"], [1]))))
    assert message.startswith(
        f"{tmp_path}/a/original/xsub/eval_label.pkl: expected [names, labels] with one whole number"
        " for each name (2 names"
    )
    message = failure(str(write(tmp_path / "b", eval=([["a"], "b"], [1, 2], [3, 4]))))
    assert "(a name is a list)" in message
    message = failure(str(write(tmp_path / "c", eval=(["x/S001A003.skeleton", "b"], [1, 2]))))
    assert "entry 0, 'S001A003.skeleton', has label 1, but its name says 2" in message


def test_a_real_recording_through_both_preparations(tmp_path, shared):
    """What a deployed network makes of a `.skeleton` file is what it was trained on, whichever
    folder that was."""
    ((_, raw),) = clips.read_clip(
        shared / "data" / "ntu60_samples" / "S001C001P001R001A001.skeleton"
    )
    changed = load(Config(str(write(tmp_path, "transformed"))), seed=1)
    plain = load(Config(str(write(tmp_path / "two"))), seed=1)
    np.testing.assert_allclose(
        seen(changed).prepare(raw), seen(plain, view_transform=True).prepare(raw), atol=1e-6
    )
    assert efficientgcn.find(tmp_path, "xsub", None) == (
        "transformed",
        tmp_path / "transformed" / "xsub",
    )
