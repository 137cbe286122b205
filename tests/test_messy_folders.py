"""Folders as people have them: encodings, delimiters, words for splits, links, files of the
system."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from compress.data import clips, nw_ucla, own, pyskl
from compress.data.clutter import is_clutter
from compress.data.ntu import recordings
from compress.data.pyskl.files import pair
from compress.data.split_names import meaning, parted
from teachers.errors import DataError, RecipeError

YAML = "joints: 3\nedges: [[2, 1], [3, 2]]\n"
LABELS = "file,label,split\na.npy,walk,train\nb.npy,sit,train\nc.npy,walk,val\nd.npy,sit,val\n"
CLIPS = np.random.default_rng(0).normal(size=(4, 6, 3, 3)).astype(np.float32)


def write(root: Path, labels: str | bytes = LABELS, yaml: str | bytes = YAML) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for name, content in (("labels.csv", labels), ("dataset.yaml", yaml)):
        (root / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    for name, clip in zip("abcd", CLIPS, strict=True):
        np.save(root / f"{name}.npy", clip)
    return root


def load(root: Path, **keys):
    return own.load(own.Config(str(root), **keys), seed=1)


def failure(root: Path, error: type[Exception] = DataError, **keys) -> str:
    with pytest.raises(error) as caught:
        load(root, **keys)
    return str(caught.value).replace(str(root), "ROOT")


CHINESE = LABELS.replace("walk", "行走").replace("sit", "坐下")


@pytest.mark.parametrize(
    "encoding, key",
    [
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", ""),
        ("utf-32", ""),
        ("gbk", "encoding: gbk\n"),
        ("gb18030", "encoding: 'GB18030'\n"),
        ("utf-16-le", "encoding: utf-16-le\n"),
        # A key that was left behind after the file was saved anew.
        ("utf-8", "encoding: gbk\n"),
    ],
)
def test_labels_in_any_encoding_are_the_same_data(tmp_path, encoding, key):
    plain = load(write(tmp_path / "plain", CHINESE))
    dataset = load(write(tmp_path / "set", CHINESE.encode(encoding), YAML + key))
    assert dataset.classes == ("坐下", "行走")
    assert dataset.fingerprint == plain.fingerprint


def test_the_description_may_be_in_the_encoding_that_it_names(tmp_path):
    yaml = YAML + "classes: [marché, assis]\nencoding: latin-1\n"
    labels = LABELS.replace("walk", "marché").replace("sit", "assis")
    dataset = load(write(tmp_path, labels.encode("latin-1"), yaml.encode("latin-1")))
    assert dataset.classes == ("marché", "assis")


def test_no_encoding_is_guessed(tmp_path):
    fix = (
        "; save it as UTF-8, or name its encoding in dataset.yaml: `encoding: gbk` (big5,"
        " shift_jis, cp1252, latin-1, ...)"
    )
    gbk = CHINESE.encode("gbk")
    assert failure(write(tmp_path, gbk)) == "ROOT/labels.csv: line 2: is not UTF-8 text" + fix
    assert (
        failure(write(tmp_path, CHINESE.encode("utf-16-le")))
        == "ROOT/labels.csv: line 2: is not UTF-8 text" + fix
    )
    assert (
        failure(write(tmp_path, LABELS.encode("utf-16-le")))
        == "ROOT/labels.csv: line 1: holds NUL, as UTF-16 without its mark does" + fix
    )
    wrong = write(tmp_path, "é".encode("latin-1") + gbk, YAML + "encoding: ascii\n")
    assert failure(wrong).startswith("ROOT/labels.csv: line 1: is not ascii text; save it")
    for name in ("klingon", "rot13", "idna"):
        message = failure(write(tmp_path, yaml=YAML + f"encoding: {name}\n"), RecipeError)
        assert f"encoding: {name!r} is none that Python knows" in message


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_semicolons_tabs_index_and_other_columns(tmp_path, delimiter):
    plain = load(write(tmp_path / "plain"))
    lines = [line.split(",") for line in LABELS.splitlines()]
    rows = [["", *lines[0], "who", "Unnamed: 0"]]
    rows += [[str(number), *line, "P1, P2", "7"] for number, line in enumerate(lines[1:])]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    dataset = load(write(tmp_path / "set", text))
    assert dataset.fingerprint == plain.fingerprint
    assert dataset.notes == ("3 columns of labels.csv not used: (no name); unnamed: 0; who",)


@pytest.mark.parametrize(
    "train, val",
    [
        ("Train", "Val"),
        ("TRAINING", "validation"),
        ("training", "valid"),
        ("train", "test"),
        ("Train", "Testing"),
        ("train", "dev"),
        ("train", "eval"),
    ],
)
def test_splits_in_other_words(tmp_path, train, val):
    plain = load(write(tmp_path / "plain"))
    labels = LABELS.replace(",train", f",{train}").replace(",val", f",{val}")
    dataset = load(write(tmp_path / "set", labels))
    assert dataset.fingerprint == plain.fingerprint
    words = [
        f"{word} = {split}" for word, split in ((train, "train"), (val, "val")) if word != split
    ]
    note = f"{2 * len(words)} clips with the split in another word: {'; '.join(sorted(words))}"
    assert dataset.notes == (note,)


def test_a_test_split_is_not_used_beside_a_val_split(tmp_path):
    labels = LABELS.replace("b.npy,sit,train", "b.npy,sit,TEST")
    dataset = load(write(tmp_path, labels))
    assert (dataset.train.names, dataset.val.names) == (("a.npy",), ("c.npy", "d.npy"))
    assert dataset.notes == ("1 clip of the split test not used, as there is a split val: b.npy",)


def test_words_for_splits():
    assert [meaning(word) for word in (" Val ", "TRAIN", "tset", "")] == [
        "val",
        "train",
        None,
        None,
    ]
    assert parted("xsub_Train") == ("train", "xsub_") and parted("Xsub_validation") == (
        "val",
        "xsub_",
    )
    assert parted("pretrain_test") == ("test", "pretrain_") and parted("a") is None


@pytest.mark.parametrize(
    "names, benchmark, chosen",
    [
        (("Train", "Validation"), None, ("Train", "Validation")),
        (("TRAINING", "testing", "valid"), None, ("TRAINING", "valid")),
        (
            ("xsub_Train", "xsub_Test", "xview_train", "xview_val"),
            "xsub",
            ("xsub_Train", "xsub_Test"),
        ),
    ],
)
def test_splits_of_annotations_in_other_words(names, benchmark, chosen):
    assert pair(benchmark, names, "file") == chosen


def test_annotations_say_which_splits_were_taken(tmp_path):
    entries = [
        {
            "frame_dir": name,
            "label": index % 2,
            "total_frames": 6,
            "keypoint": np.random.default_rng(index).normal(size=(1, 6, 25, 3)),
        }
        for index, name in enumerate("abcd")
    ]
    for name, part in (("Train", entries[:2]), ("Valid", entries[2:])):
        (tmp_path / f"{name}.PKL").write_bytes(pickle.dumps(part))
        (tmp_path / f"._{name}.pkl").write_bytes(b"\0\5\x16\7")
    dataset = pyskl.load(pyskl.Config(str(tmp_path)), seed=1)
    assert dataset.train.names == ("a", "b")
    assert "split Train is trained on, Valid validated with" in dataset.notes


def test_paths_in_every_spelling(tmp_path):
    root = tmp_path / "set"
    plain = write(root / "sub")
    (root / "dataset.yaml").write_text(YAML)
    names = [f"{root}/sub/a.npy", "./sub/b.npy", "sub\\c.npy", "sub/D.NPY"]
    lines = [line.split(",", 1)[1] for line in LABELS.splitlines()[1:]]
    rows = [f'"{name}",{line}' for name, line in zip(names, lines, strict=True)]
    (plain / "labels.csv").unlink()
    (root / "labels.csv").write_text("\n".join(["file,label,split", *rows]))
    dataset = load(root)
    assert dataset.train.names == ("sub/a.npy", "sub/b.npy")
    assert dataset.val.names == ("sub/D.NPY", "sub/c.npy")
    assert dataset.notes == ("1 file called otherwise in letter case: sub/D.NPY = sub/d.npy",)


def test_two_files_that_differ_in_case_alone_are_not_guessed_between(tmp_path):
    root = write(tmp_path, LABELS.replace("a.npy", "A.npy"))
    np.save(root / "a.NPY.npy", CLIPS[0])
    (root / "a.NPY.npy").rename(root / "a.NPY")
    assert "line 2: file 'A.npy' is not in ROOT" in failure(root)


def test_links_lead_where_the_recipe_lets_them(tmp_path):
    plain = load(write(tmp_path / "plain"))
    store = tmp_path / "cache" / "files"
    store.mkdir(parents=True)
    root = write(tmp_path / "set")
    # As DVC and hub caches keep files: by content, without a suffix.
    for number, name in enumerate("ab"):
        (root / f"{name}.npy").rename(store / f"{number}")
        (root / f"{name}.npy").symlink_to(store / f"{number}")
    assert failure(root).startswith(
        "ROOT: 2 of 4 clips cannot be used:\n  labels.csv: line 2: file"
    )
    assert f"-o data.link_root={store}" in failure(root)
    for allowed in (store, tmp_path / "cache"):
        assert load(root, link_root=str(allowed)).fingerprint == plain.fingerprint
    # A folder beside it is none of it, whatever its name begins with.
    (tmp_path / "cache2").mkdir()
    (root / "a.npy").unlink()
    np.save(tmp_path / "cache2" / "x.npy", CLIPS[0])
    (root / "a.npy").symlink_to(tmp_path / "cache2" / "x.npy")
    message = failure(root, link_root=str(tmp_path / "cache"))
    assert message.startswith("ROOT/labels.csv: line 2: file 'a.npy' leads out of the folder")
    assert "no such folder; give data.link_root" in failure(root, link_root=str(tmp_path / "no"))


def test_equal_clips_of_a_store_are_two_clips(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    root = write(tmp_path / "set")
    np.save(store / "x.npy", CLIPS[0])
    for name in "ac":
        (root / f"{name}.npy").unlink()
        (root / f"{name}.npy").symlink_to(store / "x.npy")
    dataset = load(root, link_root=str(store))
    assert len(dataset.train) == len(dataset.val) == 2


def test_files_of_the_system_are_not_read(tmp_path):
    assert [
        is_clutter(name) for name in ("._a.npy", "x/Thumbs.db", "__MACOSX/a.npy", "a._npy")
    ] == [
        True,
        True,
        True,
        False,
    ]
    plain = load(write(tmp_path / "plain"))
    root = write(tmp_path / "set", LABELS + "._a.npy,walk,train\nThumbs.db,walk,val\n")
    for name in ("._a.npy", "._labels.csv", "__MACOSX/b.npy", ".dvc/c.npy", "Thumbs.db"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(b"\0\5\x16\7")
    dataset = load(root)
    assert dataset.fingerprint == plain.fingerprint
    assert dataset.notes == ("2 files of the system, not read: ._a.npy; Thumbs.db",)


def test_suffixes_in_capitals_and_files_of_the_system_in_public_sets(tmp_path):
    for view in (1, 3):
        content = {"skeletons": np.ones((2, 20, 3)).tolist()}
        (tmp_path / f"a01_s01_e00_v0{view}.JSON").write_text(json.dumps(content))
        (tmp_path / f"._a01_s01_e00_v0{view}.json").write_bytes(b"\0")
    assert len(nw_ucla.load(nw_ucla.Config(str(tmp_path)), seed=1).train) == 1
    ((name, _),) = clips.read_clip(tmp_path / "a01_s01_e00_v01.JSON")
    assert name == "a01_s01_e00_v01"
    (tmp_path / "S001C001P001R001A001.SKELETON").write_text("0\n")
    (tmp_path / "._S001C001P001R001A002.skeleton").write_text("0\n")
    (file,) = recordings.listing(tmp_path).files
    assert file[0] == "S001C001P001R001A001.SKELETON"
