"""Clips that cannot be used: all named in one message, or left out and counted, in every data set;
a set without its bad clips is the set that never had them."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from compress.data import babel, efficientgcn, ntu, nw_ucla, own, pyskl
from compress.data.bad_clips import SHOWN, BadClips
from compress.reporting.recorder import data_record
from teachers.errors import DataError

YAML = "joints: 3\nedges: [[2, 1], [3, 2]]\nsplit: {fraction: 0.25, seed: 1}\n"
GOOD = np.random.default_rng(0).normal(size=(12, 6, 3, 3)).astype(np.float32)


def folder(root: Path, bad: dict[str, object] | None = None) -> Path:
    """An own set of twelve clips of two classes; `bad` replaces some by their names."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset.yaml").write_text(YAML)
    lines = ["file,label"]
    for index, clip in enumerate(GOOD):
        name = f"c{index:02d}.npy"
        lines.append(f"{name},{'walk' if index < 8 else 'sit'}")
        np.save(root / name, (bad or {}).get(name, clip))
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


def failure(module, root, **keys) -> str:
    with pytest.raises(DataError) as caught:
        module.load(module.Config(str(root), **keys), seed=1)
    return str(caught.value)


def load(module, root, **keys):
    return module.load(module.Config(str(root), **keys), seed=1)


def test_a_set_that_is_read_wrongly_says_so_once(tmp_path):
    bad = BadClips(tmp_path, skip=True)
    for number in range(8):
        bad.add(f"c{number}", f"{tmp_path}/c{number}.npy: has shape ({number}, 33, 4); write score")
    with pytest.raises(DataError) as caught:
        bad.check(8)
    assert str(caught.value) == (
        f"{tmp_path}: none of 8 clips can be used; the first: c0.npy: has shape (0, 33, 4); write score"
    )
    with pytest.raises(DataError, match="2 of 2 clips cannot be used:\n  a: torn\n  b: empty"):
        other = BadClips(tmp_path, skip=True)
        other.add("a", f"{tmp_path}/a: torn")
        other.add("b", f"{tmp_path}/b: empty")
        other.check(2)


def test_all_bad_clips_are_named_at_once(tmp_path):
    root = folder(
        tmp_path / "set",
        {"c01.npy": np.zeros((6, 3, 3)), "c05.npy": np.ones((6, 4, 3)), "c09.npy": "text"},
    )
    with (root / "labels.csv").open("a") as file:
        file.write("gone.npy,walk\nc00.npy,\n")
    lines = failure(own, root).splitlines()
    assert lines[0] == f"{root}: 5 of 14 clips cannot be used:"
    assert [line.split(":")[0].strip() for line in lines[1:6]] == [
        "labels.csv",
        "labels.csv",
        "c01.npy",
        "c05.npy",
        "c09.npy",
    ]
    assert "line 14: file 'gone.npy' is not in" in lines[1] and "line 15: the label is" in lines[2]
    assert "has no frame with somebody in it" in lines[3] and "has shape (6, 4, 3)" in lines[4]
    assert lines[6:] == ["or leave them out, counted: -o data.skip_bad=true"]


def test_bad_clips_are_left_out_and_counted(tmp_path):
    empty = np.zeros((6, 3, 3))
    wide = np.ones((6, 4, 3))
    root = folder(tmp_path / "set", {"c01.npy": empty, "c02.npy": empty, "c10.npy": wide})
    dataset = load(own, root, skip_bad=True)
    assert len(dataset.train) + len(dataset.val) == 9
    assert dataset.notes[0] == (
        "3 clips skipped (2 has no frame with somebody in it and without NaN or infinity, 1 has"
        " shape (6, 4, 3) of float64): c01.npy; c02.npy; c10.npy"
    )
    assert [record.name for record in data_record(dataset, "own", ()).skipped] == [
        name for name, _ in dataset.skipped
    ]


def test_a_set_without_its_bad_clips_is_the_set_that_never_had_them(tmp_path):
    bad = folder(tmp_path / "bad", {"c01.npy": np.full((6, 3, 3), np.nan)})
    never = folder(tmp_path / "never")
    lines = (never / "labels.csv").read_text().splitlines()
    (never / "labels.csv").write_text("\n".join(line for line in lines if "c01" not in line))
    (never / "c01.npy").unlink()
    assert load(own, bad, skip_bad=True).fingerprint == load(own, never).fingerprint
    # And without bad clips the key changes nothing.
    whole = folder(tmp_path / "whole")
    assert load(own, whole, skip_bad=True).fingerprint == load(own, whole).fingerprint


def test_a_class_that_loses_all_its_clips_keeps_its_place_and_is_named(tmp_path):
    root = folder(tmp_path, {f"c{index:02d}.npy": np.zeros((6, 3, 3)) for index in range(8, 12)})
    with (root / "labels.csv").open("a") as file:
        file.write("c00.npy,walk\n")
    dataset = load(own, root, skip_bad=True)
    assert dataset.classes == ("sit", "walk")
    assert dataset.notes[1] == "1 class without any clip after that: sit"


@pytest.mark.parametrize("names", [("sit", "walk"), ("0", "1"), ("1", "2")])
def test_a_class_whose_files_are_all_missing_keeps_its_place_and_is_named(tmp_path, names):
    root = folder(tmp_path)
    lines = (root / "labels.csv").read_text().replace("sit", names[0]).replace("walk", names[1])
    (root / "labels.csv").write_text(lines)
    for index in range(8, 12):
        (root / f"c{index:02d}.npy").unlink()
    dataset = load(own, root, skip_bad=True)
    called = names if names[0] == "sit" else tuple(f"class {name}" for name in names)
    assert dataset.classes == called and set(dataset.train.labels.tolist()) == {1}
    assert dataset.notes[1] == f"1 class without any clip after that: {called[0]}"


def test_a_refused_line_has_the_class_that_it_names_and_no_other(tmp_path):
    root = folder(tmp_path)
    with (root / "labels.csv").open("a") as file:
        file.write(f"c00.npy,run\ngone.npy,{'x' * 201}\nonly,\n")
    (root / "dataset.yaml").write_text(YAML + "classes: [sit, walk]\n")
    dataset = load(own, root, skip_bad=True)
    assert dataset.classes == ("sit", "walk")
    assert not any("without any clip" in note for note in dataset.notes)


def test_a_long_list_is_in_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATHERBONE_CACHE", str(tmp_path / "cache"))
    bad = BadClips(tmp_path, skip=False)
    for index in range(25):
        bad.add(f"c{index}", f"{tmp_path}/c{index}: is broken; mend it")
    with pytest.raises(DataError) as caught:
        bad.check(100)
    lines = str(caught.value).splitlines()
    (kept,) = (tmp_path / "cache" / "bad-clips").iterdir()
    assert lines[SHOWN + 1] == f"  and 15 more; all are in {kept}"
    assert kept.read_text().splitlines()[24] == "c24: is broken; mend it"
    # Where nothing can be written, the message is the same but for the place.
    monkeypatch.setenv("FEATHERBONE_CACHE", str(kept))
    with pytest.raises(DataError, match="and 15 more\nor leave"):
        bad.check(100)


def test_nothing_but_bad_clips_is_an_error_in_any_case():
    bad = BadClips("set", skip=True)
    bad.add("a", "set/a: is broken; mend it")
    bad.check(2)
    # And no advice to leave out everything.
    with pytest.raises(DataError, match="^set/a: is broken; mend it$"):
        bad.check(1)


def annotation(name: str, label: int, frames: int = 6) -> dict:
    keypoint = np.random.default_rng(len(name)).normal(size=(1, frames, 25, 3)).astype(np.float16)
    return {"frame_dir": name, "label": label, "total_frames": frames, "keypoint": keypoint}


def pickled(path: Path, annotations: list[dict], names: dict | None = None) -> Path:
    names = names or {
        "train": [entry["frame_dir"] for entry in annotations[:-2]],
        "val": [entry["frame_dir"] for entry in annotations[-2:]],
    }
    path.write_bytes(pickle.dumps({"split": names, "annotations": annotations}))
    return path


def test_annotations_that_cannot_be_used_are_left_out(tmp_path):
    good = [
        annotation(name, label) for name, label in zip("abcdef", (1, 2, 1, 2, 1, 2), strict=True)
    ]
    broken = [
        annotation("nan", 1) | {"keypoint": np.full((1, 6, 25, 3), np.nan)},
        # The only clip of class 0, and the only one of class 3.
        annotation("flat", 0) | {"keypoint": np.zeros((6, 25, 3))},
        annotation("joints", 3) | {"keypoint": np.zeros((1, 6, 17, 3))},
        annotation("label", 1) | {"label": "walk"},
    ]
    names = {
        "train": ["nan", "flat", "joints", "label", "a", "b", "c", "d", "gone"],
        "val": ["e", "f"],
    }
    path = pickled(tmp_path / "bad.pkl", [*broken, *good], names)
    lines = failure(pyskl, path).splitlines()
    assert lines[0] == f"{path}: 5 of 11 clips cannot be used:" and len(lines) == 7
    dataset = load(pyskl, path, skip_bad=True)
    assert dataset.train.names == ("a", "b", "c", "d")
    # Labels count from 0 although no clip of class 0 is left, and the classes stay four.
    assert dataset.train.labels.tolist() == [1, 2, 1, 2] and len(dataset.classes) == 4
    assert "2 classes without any clip after that: class 0; class 3" in dataset.notes
    whole = load(pyskl, pickled(tmp_path / "good.pkl", good))
    assert whole.train.labels.tolist() == [0, 1, 0, 1]
    named = load(pyskl, pickled(tmp_path / "good.pkl", good), classes=("x", "y", "z"))
    assert dataset.fingerprint == named.fingerprint


def test_a_class_that_is_lost_is_named_as_the_file_counts_it(tmp_path):
    good = [annotation(name, label) for name, label in zip("abcd", (1, 2, 1, 2), strict=True)]
    broken = annotation("nan", 3) | {"keypoint": np.full((1, 6, 25, 3), np.nan)}
    dataset = load(pyskl, pickled(tmp_path / "x.pkl", [broken, *good]), skip_bad=True)
    assert dataset.classes == ("class 1", "class 2", "class 3")
    assert "1 class without any clip after that: class 3" in dataset.notes


def test_a_clip_with_two_labels_is_left_out_and_one_named_twice_alike_is_not(tmp_path):
    root = folder(tmp_path)
    with (root / "labels.csv").open("a") as file:
        file.write("c00.npy,sit\n./c01.npy,walk\n")
    dataset = load(own, root, skip_bad=True)
    names = {*dataset.train.names, *dataset.val.names}
    assert names == {f"c{index:02d}.npy" for index in range(1, 12)}
    assert [name for name, _ in dataset.skipped] == ["c00.npy", "c00.npy", "c01.npy"]


def test_files_of_nw_ucla_that_cannot_be_used_are_left_out(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a01_s01_e00_v01", "a02_s01_e00_v01", "a01_s01_e00_v03", "a02_s01_e00_v03"):
        content = {"skeletons": rng.normal(size=(5, 20, 3)).tolist()}
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    before = load(nw_ucla, tmp_path)
    (tmp_path / "a03_s01_e00_v01.json").write_text("{")
    (tmp_path / "a07_s01_e00_v01.json").write_text("{}")
    assert failure(nw_ucla, tmp_path).startswith(f"{tmp_path}: 2 of 6 clips cannot be used:\n")
    dataset = load(nw_ucla, tmp_path, skip_bad=True)
    assert dataset.fingerprint == before.fingerprint
    assert "1 class without any clip after that: drop trash" in dataset.notes
    assert [name for name, _ in dataset.skipped] == ["a03_s01_e00_v01.json", "a07_s01_e00_v01.json"]


def arrays(root: Path, names: tuple[str, str], keep: slice, persons: int, lengths: bool) -> Path:
    """Prepared arrays of two splits in the layouts of NTU, BABEL and EfficientGCN."""
    root.mkdir(parents=True)
    for seed, name in enumerate(names):
        data = np.random.default_rng(seed).normal(size=(4, 3, 8, 25, persons)).astype(np.float32)
        data[3] = np.nan
        clips = [f"{name}{index}" for index in range(4)][keep]
        labels = [0, 1, 1, 2][keep]
        np.save(root / f"{name}_data.npy", data[keep])
        content = [clips, labels, [8] * len(labels)] if lengths else [clips, labels]
        (root / f"{name}_label.pkl").write_bytes(pickle.dumps(content))
    return root


@pytest.mark.parametrize("module, val", [(ntu, "val"), (efficientgcn, "eval")])
def test_clips_of_prepared_arrays_that_cannot_be_used_are_left_out(tmp_path, module, val):
    place = Path("xsub") if module is ntu else Path("original/xsub")
    for name, keep in (("bad", slice(4)), ("good", slice(3))):
        arrays(tmp_path / name / place, ("train", val), keep, 2, module is efficientgcn)
    bad = tmp_path / "bad" / place
    assert failure(module, tmp_path / "bad") == (
        f"{bad}: 2 of 8 clips cannot be used:\n"
        "  train_data.npy[3]: every frame holds NaN or infinity; prepare the file again, or remove"
        f" the clip and its label\n  {val}_data.npy[3]: every frame holds NaN or infinity; prepare"
        " the file again, or remove the clip and its label\n"
        "or leave them out, counted: -o data.skip_bad=true"
    )
    dataset = load(module, tmp_path / "bad", skip_bad=True)
    good = load(module, tmp_path / "good")
    assert (dataset.train.names, dataset.val.names) == (good.train.names, good.val.names)
    assert dataset.fingerprint == good.fingerprint
    np.testing.assert_array_equal(dataset.val.clips[2], good.val.clips[2])
    assert "1 class without any clip after that: class 2" in dataset.notes


def test_clips_of_babel_that_cannot_be_used_are_left_out(tmp_path):
    for split in ("train", "val"):
        data = np.random.default_rng(0).normal(size=(3, 3, 9, 25, 1)).astype(np.float32)
        data[1] = np.nan
        np.save(tmp_path / f"{split}_ntu_sk_60.npy", data)
        others = ([0] * 3, list(range(3)), [split] * 3)
        content = (["a", "b", "c"], ([0, 1, 2], *others))
        (tmp_path / f"{split}_label_60.pkl").write_bytes(pickle.dumps(content))
    assert failure(babel, tmp_path).startswith(f"{tmp_path}: 2 of 6 clips cannot be used:\n")
    dataset = load(babel, tmp_path, skip_bad=True)
    assert dataset.train.labels.tolist() == dataset.val.labels.tolist() == [0, 2]
    assert [name for name, _ in dataset.skipped] == ["b_0_1_train", "b_0_1_val"]
