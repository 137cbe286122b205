"""EfficientGCN's folders: as recorded or transformed, a deployed network sees recordings the same
way."""

from __future__ import annotations

import errno
import json
import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import raw_ntu
from compress.data import clips, efficientgcn, ntu, prepare
from compress.data.efficientgcn import Config, load
from compress.data.ntu import array_files, build, clean, skeleton_text
from compress.data.ntu.naming import NTU_120
from compress.inputs import branches, view
from export.preprocess import normalise, ops
from teachers.errors import DataError, StorageError
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


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Fifty generated recordings, defects among them, with both splits of X-Sub."""
    folder = tmp_path_factory.mktemp("raw") / "ntu"
    raw_ntu.write(folder, 50)
    return folder


def in_memory(folder):
    # One cache for all tests, beside the recordings.
    return ntu.of_cache(
        build.open_or_build(folder, "efficientgcn", workers=1, folder=folder.parent / "cache"),
        ntu.Config(str(folder), preparation="efficientgcn"),
    )


def prepared(folder, tmp_path, cache, *arguments) -> int:
    return prepare.main(
        [
            *(str(folder), "--workers", "1", "--cache", str(cache)),
            *("--to", str(tmp_path / "out"), "--json", *arguments),
        ]
    )


def test_what_prepare_writes_is_what_the_memory_has(recordings, tmp_path, capsys):
    assert (
        prepared(
            recordings,
            tmp_path,
            recordings.parent / "cache",
            "--write",
            "original",
            "--write",
            "transformed",
        )
        == 0
    )
    written = json.loads(capsys.readouterr().out.splitlines()[-1])["written"]
    out = tmp_path / "out"
    assert written == [str(out / "original" / "xsub"), str(out / "transformed" / "xsub")]
    expected = in_memory(recordings)
    for name in ("original", "transformed"):
        dataset = load(Config(str(out), prepared=name), seed=1)
        for split, ours in ((expected.train, dataset.train), (expected.val, dataset.val)):
            assert ours.names == tuple(f"{each}.skeleton" for each in split.names)
            assert ours.labels.tolist() == split.labels.tolist()
            for raw, clip in zip(split.clips, ours.clips, strict=True):
                want = raw if name == "original" else ops.apply(raw, TRANSFORM)
                np.testing.assert_array_equal(clip, want)
        # The network sees the same through either folder as from the recordings.
        turned = seen(dataset, view_transform=True)
        np.testing.assert_array_equal(
            turned.prepare(dataset.val.clips[0]),
            seen(expected, view_transform=True).prepare(expected.val.clips[0]),
        )
    folder = out / "original" / "xsub"
    array = np.load(folder / "eval_data.npy", allow_pickle=False)
    assert array.dtype == np.float32 and array.shape == (len(expected.val), 3, 300, 25, 2)
    paths, _, lengths = pickle.loads((folder / "eval_label.pkl").read_bytes())
    assert [Path(path).stem for path in paths] == list(expected.val.names)
    assert lengths == [clip.shape[1] for clip in expected.val.clips]
    assert not array[0][:, lengths[0] :].any() and array[0][:, lengths[0] - 1].any()


def test_writing_goes_on_where_it_was_killed(recordings, tmp_path, monkeypatch):
    dataset = in_memory(recordings)
    whole = array_files.write(dataset, tmp_path / "whole", "transformed", "xsub")
    monkeypatch.setattr(array_files, "NOTED", 2)
    made = []

    def apply(clip, steps):
        # After five clips of the training split: two pairs are noted, the fifth is lost.
        if len(made) == 5:
            raise KeyboardInterrupt
        made.append(clip)
        return ops.apply(clip, steps)

    monkeypatch.setattr(array_files, "ops", SimpleNamespace(apply=apply))
    with pytest.raises(KeyboardInterrupt):
        array_files.write(dataset, tmp_path / "cut", "transformed", "xsub")
    folder = tmp_path / "cut" / "transformed" / "xsub"
    assert json.loads((folder / "train_data.json").read_text())["done"] == 4
    assert not (folder / "train_data.npy").exists()
    seen_clips = []
    monkeypatch.setattr(
        array_files,
        "ops",
        SimpleNamespace(apply=lambda clip, steps: seen_clips.append(1) or ops.apply(clip, steps)),
    )
    heard = []
    array_files.write(dataset, tmp_path / "cut", "transformed", "xsub", heard.append)
    total = len(dataset.train) + len(dataset.val)
    assert heard[0] == 4 and sum(heard) == total and len(seen_clips) == total - 4
    for file in ("train_data.npy", "train_label.pkl", "eval_data.npy", "eval_label.pkl"):
        assert (folder / file).read_bytes() == (whole / file).read_bytes()
    # A third time there is nothing left to do, and only a lost label file is written again.
    seen_clips.clear()
    (folder / "eval_label.pkl").unlink()
    array_files.write(dataset, tmp_path / "cut", "transformed", "xsub")
    assert not seen_clips and (folder / "eval_label.pkl").is_file()
    # Other recordings: everything again.
    array_files.write(replace(dataset, fingerprint="x"), tmp_path / "cut", "transformed", "xsub")
    assert len(seen_clips) == total


def test_files_of_somebody_else_are_not_written_over(recordings, tmp_path):
    dataset = in_memory(recordings)
    write(tmp_path)
    before = (tmp_path / "original" / "xsub" / "train_data.npy").read_bytes()
    # Nor where a note lies beside it that is of something else.
    for note in (None, "{}", '{"done": 5}'):
        if note is not None:
            (tmp_path / "original" / "xsub" / "train_data.json").write_text(note)
        with pytest.raises(DataError, match="was not written by this command"):
            array_files.write(dataset, tmp_path, "original", "xsub")
    assert (tmp_path / "original" / "xsub" / "train_data.npy").read_bytes() == before


def test_a_full_disk_is_said_before_anything_is_written(recordings, tmp_path, monkeypatch):
    dataset = in_memory(recordings)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(array_files.os, "posix_fallocate", full)
    with pytest.raises(StorageError, match="train_data.npy: cannot write it"):
        array_files.write(dataset, tmp_path, "original", "xsub")
    assert not list(tmp_path.rglob("*.unfinished"))


def test_arguments_of_write_that_do_not_go_together(recordings, tmp_path, capsys):
    with pytest.raises(SystemExit):
        prepare.main([str(recordings), "--write", "original"])
    assert "needs --to FOLDER" in capsys.readouterr().err
    wrong = ("--write", "original", "--preparation", "ctrgcn")
    with pytest.raises(SystemExit):
        prepared(recordings, tmp_path, recordings.parent / "cache", *wrong)
    assert "is of --preparation efficientgcn" in capsys.readouterr().err


def test_real_recordings_written_and_read_back(shared, tmp_path):
    folder = shared / "data" / "ntu60_samples"
    assert (
        prepared(
            folder, tmp_path, tmp_path / "cache", "--write", "original", "--benchmark", "xview"
        )
        == 0
    )
    dataset = load(Config(str(tmp_path / "out"), "xview"), seed=1)
    for name, clip in zip(dataset.val.names, dataset.val.clips, strict=True):
        recording = skeleton_text.read(folder / name)
        np.testing.assert_array_equal(clip, ops.trim(clean.efficientgcn_raw(recording)))
