"""NTU RGB+D files in both layouts: the same clips, labels and views from either; what is wrong is
named."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from compress.data import ntu
from compress.data.ntu import prepared_files
from compress.data.ntu.naming import NTU_120
from compress.inputs import crop_resize, view
from export.preprocess import ops
from teachers.errors import DataError

VALID = {"train": (70, 40, 100), "val": (1, 64)}
LABELS = {"train": (0, 59, 3), "val": (1, 0)}


def clips(split: str, frames: int = 120) -> np.ndarray:
    """(N, 3, T, 25, 2) float32 as CTR-GCN prepares it: joint 2 of person 1 starts at the origin,
    zeros behind."""
    data = (
        np.random.default_rng(len(split))
        .normal(size=(len(VALID[split]), 3, frames, 25, 2))
        .astype(np.float32)
    )
    data -= data[:, :, :1, 1:2, :1]
    for clip, valid in zip(data, VALID[split], strict=True):
        clip[:, valid:] = 0
    data[0, :, :, :, 1] = 0  # one person
    return data


def write_npz(path, save=np.savez, classes: int = 60, **changes):
    arrays = {}
    for ours, theirs in (("train", "train"), ("val", "test")):
        data = clips(ours)
        arrays[f"x_{theirs}"] = data.transpose(0, 2, 4, 3, 1).reshape(len(data), data.shape[2], 150)
        arrays[f"y_{theirs}"] = np.eye(classes)[list(LABELS[ours])]
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, **(arrays | changes))
    return path


def write_folder(folder, protocol: int = 2, as_bytes: bool = False, **changes):
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "val"):
        names = [
            f"S001C001P{index:03d}R001A{label + 1:03d}.skeleton"
            for index, label in enumerate(LABELS[split])
        ]
        if split == "val":
            names = [name.replace("S001", "S002") for name in names]
        names = [name.encode() if as_bytes else name for name in names]
        np.save(folder / f"{split}_data.npy", changes.get(f"{split}_data", clips(split)))
        labels = changes.get(f"{split}_label", [names, list(LABELS[split])])
        (folder / f"{split}_label.pkl").write_bytes(pickle.dumps(labels, protocol))
    return folder


def load(root, **keys):
    return ntu.load(ntu.Config(str(root), **keys), seed=1)


def failure(root, **keys) -> str:
    with pytest.raises(DataError) as caught:
        load(root, **keys)
    return str(caught.value)


def seen(dataset, **keys):
    return view.build(dataset.input, crop_resize.Config(**keys), dataset)


def same(first, second) -> None:
    for field in ("fingerprint", "base_ops", "classes"):
        assert getattr(first, field) == getattr(second, field)
    for a, b in ((first.train, second.train), (first.val, second.val)):
        np.testing.assert_array_equal(a.labels, b.labels)
        for one, other in zip(a.clips, b.clips, strict=True):
            np.testing.assert_array_equal(one, other)


def test_every_layout_is_the_same_data(tmp_path):
    npz = load(write_npz(tmp_path / "ctr" / "NTU60_CS.npz").parent)
    same(npz, load(tmp_path / "ctr" / "NTU60_CS.npz"))
    same(npz, load(write_npz(tmp_path / "small" / "NTU60_CS.npz", save=np.savez_compressed)))
    same(npz, load(write_folder(tmp_path / "paddle" / "xsub").parent))
    same(npz, load(tmp_path / "paddle" / "xsub"))
    same(npz, load(write_folder(tmp_path / "bytes" / "xsub", protocol=0, as_bytes=True)))


def test_clips_are_what_was_written_without_padding(tmp_path):
    dataset = load(write_npz(tmp_path / "NTU60_CS.npz"))
    assert dataset.train.names == ("x_train[0]", "x_train[1]", "x_train[2]")
    assert dataset.train.labels.tolist() == [0, 59, 3]
    assert [clip.shape for clip in dataset.train.clips] == [
        (3, valid, 25, 2) for valid in VALID["train"]
    ]
    np.testing.assert_array_equal(dataset.train.clips[2], clips("train")[2, :, :100])
    assert seen(dataset).shape == (3, 64, 25, 2) and dataset.notes == ()
    assert dataset.classes == NTU_120[:60] and dataset.classes[42] == "falling down"


def test_stored_arrays_stay_on_disk_and_compressed_ones_are_loaded(tmp_path):
    for save, kind in ((np.savez, np.memmap), (np.savez_compressed, np.ndarray)):
        part, _ = prepared_files.read(write_npz(tmp_path / "NTU60_CS.npz", save=save), "xsub")
        assert type(part.data) is kind
    part, _ = prepared_files.read(write_folder(tmp_path / "xsub"), "xsub")
    assert type(part.data) is np.memmap and part.names[1] == "S001C001P001R001A060.skeleton"


@pytest.mark.parametrize(
    "name, benchmark, classes",
    [
        ("NTU60_CV.npz", "xview", 60),
        ("NTU120_CSub.npz", "xsub", 120),
        ("NTU120_CSet.npz", "xset", 120),
    ],
)
def test_every_published_file_name_is_found(tmp_path, name, benchmark, classes):
    write_npz(tmp_path / name, classes=classes)
    assert len(load(tmp_path, benchmark=benchmark).classes) == classes


def test_large_labels_mean_ntu_120(tmp_path):
    dataset = load(
        write_folder(tmp_path / "xset", val_label=[["a", "b"], np.array([1, 60])]), benchmark="xset"
    )
    assert dataset.classes == NTU_120 and len(set(NTU_120)) == 120
    assert dataset.val.labels.dtype == np.int64


def test_a_recorded_clip_is_brought_to_what_the_set_holds(tmp_path):
    dataset = load(write_npz(tmp_path / "NTU60_CS.npz"))
    assert dataset.base_ops == ({"op": "centre", "joint": 1, "frame": 0},)
    for clip in dataset.train.clips:
        np.testing.assert_array_equal(ops.apply(clip, dataset.base_ops), clip)
    clip, through = clips("train")[0], seen(dataset)
    np.testing.assert_array_equal(
        through.prepare(dataset.train.clips[0]), ops.resize(clip[:, 1:69], 64)
    )
    np.testing.assert_array_equal(
        through.prepare(clip), through.prepare(dataset.train.clips[0])
    )  # padded or not
    raw = clip.copy()
    raw[:, :70, :, 0] += np.array([0.5, -0.25, 3], np.float32).reshape(
        3, 1, 1
    )  # in front of a camera
    np.testing.assert_allclose(through.prepare(raw), through.prepare(clip), atol=1e-5)


def test_data_that_are_not_centred_are_left_where_they_are(tmp_path):
    dataset = load(write_folder(tmp_path / "xsub", val_data=clips("val") + 1))
    assert dataset.base_ops == () and seen(dataset).eval_ops == (
        {"op": "crop_resize", "ratio": 0.95, "frames": 64},
    )


def test_content_changes_the_fingerprint(tmp_path):
    root = write_folder(tmp_path / "xsub")
    before = load(root).fingerprint
    write_folder(root, train_label=[["a", "b", "c"], [0, 59, 4]])
    assert load(root).fingerprint != before


def test_broken_frames_are_mended_and_empty_clips_kept_and_both_counted(tmp_path):
    train, val = clips("train"), clips("val")
    train[1, 0, 38:40, 5, 1], train[1, 2, 0] = (
        np.nan,
        np.inf,
    )  # the last two valid frames and the first
    val[1] = 0
    dataset = load(write_folder(tmp_path / "xsub", train_data=train, val_data=val))
    clip = dataset.train.clips[1]
    assert (
        clip.shape[1] == 40
    )  # mended from the valid frame before, not from the padding behind, which is nearer
    np.testing.assert_array_equal(clip[:, 39], train[1][:, 37])
    np.testing.assert_array_equal(clip[:, 0], train[1][:, 1])
    empty, through = dataset.val.clips[1], seen(dataset)
    assert (
        not through.prepare(empty).any()
        and not through.augment(empty, np.random.default_rng(0)).any()
    )
    assert dataset.notes == (
        (
            "1 clip repaired (frames with NaN or infinity take the nearest good frame): "
            f"{tmp_path / 'xsub' / 'train_data.npy'}[1]: 3 frames"
        ),
        (
            "1 clip empty, nothing but zeros (kept, and counted like any other):"
            f" {tmp_path / 'xsub' / 'val_data.npy'}[1]"
        ),
    )


def test_a_clip_of_nothing_but_nan_is_an_error(tmp_path):
    train = clips("train")
    train[2] = np.nan
    assert (
        failure(write_folder(tmp_path / "xsub", train_data=train))
        == f"{tmp_path / 'xsub' / 'train_data.npy'}[2]: every frame holds NaN or infinity; prepare"
        " the file again, or remove the clip and its label\nor leave it out, counted: -o"
        " data.skip_bad=true"
    )


def test_progress_is_told_to_the_end(tmp_path):
    told = []
    ntu.load(
        ntu.Config(str(write_npz(tmp_path / "NTU60_CS.npz"))),
        1,
        lambda *progress: told.append(progress),
    )
    assert told == [(5, 5, "checking NTU clips")]


def test_a_clip_in_both_splits_is_told(tmp_path):
    root = write_folder(
        tmp_path / "xsub", train_label=[["a", "b", "c"], [1, 2, 3]], val_label=[["b", "d"], [2, 3]]
    )
    first, _ = load(root).notes
    assert first == "1 clip named in both splits, so accuracy is flattered: b"


def test_other_actions_in_ntus_layout_do_not_get_ntus_names(tmp_path):
    """Five gestures of one's own are not drink water, eat meal, brush teeth, ..."""
    files = {"train_label": [["a", "b", "c"], [0, 4, 2]], "val_label": [["d", "e"], [1, 3]]}
    dataset = load(write_folder(tmp_path / "own" / "xsub", **files))
    assert dataset.classes == tuple(f"class {index}" for index in range(5))
    assert dataset.notes[-1].startswith("clips are not named like NTU's (the first is 'a')")
    # Whoever has all of NTU's classes has NTU, whatever the clips are called.
    every = np.arange(60)
    part = prepared_files.Part("x", np.zeros((60, 1)), every, tuple(map(str, every)), None)
    assert ntu.classes_of(part, part) == NTU_120[:60]
    assert ntu.class_notes(part, part, NTU_120[:60]) == ()


def of_others(numbers: int, joints: int, persons: int, score: bool = False) -> dict:
    """Arrays (N, C, T, V, M) of other joints, with labels from 0 to 2."""
    generator = np.random.default_rng(joints)
    files: dict = {}
    for split, count in (("train", 4), ("val", 3)):
        data = generator.normal(size=(count, numbers, 9, joints, persons)).astype(np.float32)
        if score:
            data[:, 2] = generator.uniform(size=data[:, 2].shape)
        files[f"{split}_data"] = data
        names = [f"{split}{index}.json" for index in range(count)]
        files[f"{split}_label"] = [names, [index % 3 for index in range(count)]]
    return files


@pytest.mark.parametrize(
    "numbers, joints, persons, score, skeleton, coordinates",
    [
        (3, 18, 2, True, "openpose_18", 2),
        (3, 18, 2, False, "openpose_18", 3),
        (3, 25, 1, False, "ntu_25", 3),
        (3, 25, 1, True, "joints_25", 2),
        (2, 17, 1, False, "coco_17", 2),
        (3, 21, 1, False, "joints_21", 3),
    ],
)
def test_arrays_of_other_joints_are_read_and_what_they_are_is_a_note(
    tmp_path, numbers, joints, persons, score, skeleton, coordinates
):
    """Kinetics-Skeleton, figure skating and PP-Human lie in ST-GCN's form."""
    files = of_others(numbers, joints, persons, score)
    dataset = load(write_folder(tmp_path / "others", **files))
    assert dataset.skeleton.name == skeleton
    assert (dataset.persons, dataset.channels, dataset.coordinates) == (
        persons,
        numbers,
        coordinates,
    )
    assert dataset.classes == ("class 0", "class 1", "class 2")
    np.testing.assert_array_equal(dataset.train.clips[1], files["train_data"][1])
    assert any("score behind two" in note for note in dataset.notes) is score
    # Without bones the recipe has to describe it, and says so.
    named = any(f"taken for {skeleton}" in note for note in dataset.notes)
    assert named is bool(dataset.skeleton.bones)


def test_labels_may_be_an_array_without_names(tmp_path):
    root = write_folder(tmp_path / "skating", **of_others(3, 25, 1))
    for split, count in (("train", 4), ("val", 3)):
        (root / f"{split}_label.pkl").unlink()
        np.save(root / f"{split}_label.npy", np.arange(count) % 3)
    dataset = load(root)
    assert dataset.train.names == tuple(f"train[{index}]" for index in range(4))
    assert dataset.train.labels.tolist() == [0, 1, 2, 0]
    np.save(root / "val_label.npy", np.zeros(3))
    assert "val_label.npy: expected [names, labels] with one whole number" in failure(root)


def test_npz_of_few_classes_under_any_name_and_of_other_joints(tmp_path):
    path = write_npz(tmp_path / "mine.npz", classes=61)
    dataset = load(tmp_path)
    assert dataset.classes == tuple(f"class {index}" for index in range(61))
    assert dataset.skeleton.name == "ntu_25"
    files = of_others(3, 17, 2)
    flat = {
        f"x_{part}": np.ascontiguousarray(files[f"{split}_data"].transpose(0, 2, 4, 3, 1)).reshape(
            len(files[f"{split}_data"]), 9, 102
        )
        for split, part in (("train", "train"), ("val", "test"))
    }
    labels = {"y_train": np.eye(3)[[0, 1, 2, 0]], "y_test": np.eye(3)}
    np.savez(path, **flat, **labels)
    assert "x_train has shape (4, 9, 102)" in failure(tmp_path)
    dataset = load(tmp_path, joints=17)
    assert (dataset.persons, dataset.channels, len(dataset.classes)) == (2, 3, 3)
    np.testing.assert_array_equal(dataset.val.clips[2], files["val_data"][2])


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"x_train": np.zeros((3, 120, 75))},
            (
                ": x_train has shape (3, 120, 75) of float64, expected (N, frames, 150) of "
                "floats, at least one clip; set data.joints if it is of others"
            ),
        ),
        (
            {"x_test": np.zeros((0, 120, 150))},
            (
                ": x_test has shape (0, 120, 150) of float64, expected (N, frames, 150) of "
                "floats, at least one clip"
            ),
        ),
        (
            {"x_train": np.zeros((2, 9, 150))},
            (
                ": x_train has 2 clips, but y_train has 3 labels; they must come from the "
                "same preparation"
            ),
        ),
        (
            {"y_test": np.zeros((2, 1))},
            ": y_test has shape (2, 1), expected one-hot labels (N, classes)",
        ),
        (
            {"y_test": np.zeros((2, 60))},
            ": y_test[0] marks 0 classes, expected one; prepare the file again",
        ),
        (
            {"y_test": np.eye(120)[:2]},
            (
                ": x_train: labels of 60 classes, but the test part has 120; they must come from "
                "the same preparation"
            ),
        ),
    ],
)
def test_npz_content_that_cannot_be_used(tmp_path, changes, message):
    path = write_npz(tmp_path / "NTU60_CS.npz", **changes)
    assert failure(path) == f"{path}{message}"


def test_npz_without_an_array_or_damaged(tmp_path):
    path = tmp_path / "NTU60_CS.npz"
    np.savez(path, x_train=np.zeros((1, 9, 150)), y_train=np.eye(60)[:1])
    assert (
        failure(path)
        == f"{path}: has no array x_test; prepare it with CTR-GCN's scripts, or copy it again"
    )
    whole = write_npz(path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert (
        failure(path)
        == f"{path}: not a readable .npz file of numbers, or truncated (BadZipFile: File is not a "
        "zip file); copy it again"
    )
    np.savez(path, x_train=np.array([{}], dtype=object))
    assert failure(path).startswith(
        f"{path}: not a readable .npz file of numbers, or truncated (ValueError: "
        "x_train.npy holds Python"
    )


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"train_data": np.zeros((3, 3, 9, 20, 2))},
            (
                "train_data.npy has 20 joints of 3 numbers and 2 persons, ROOT/val_data.npy 25 of 3"
                " and 2; they must come from the same preparation"
            ),
        ),
        (
            {"train_data": np.zeros((3, 4, 9, 25, 2))},
            (
                "train_data.npy has shape (3, 4, 9, 25, 2) of float64, expected (N, 2 or 3, frames,"
                " joints, persons) of floats, at least one clip"
            ),
        ),
        (
            {"val_label": [["a"], [1]]},
            (
                "val_data.npy has 2 clips, but val_label.pkl has 1 labels; they must come from the "
                "same preparation"
            ),
        ),
        (
            {"val_label": [["a", "b"], [1, 120]]},
            "val_label.pkl: label 120 of 'b' (entry 1) is outside 0-119; labels count from 0",
        ),
        (
            {"val_label": [["a", "b"], [-1, 1]]},
            "val_label.pkl: label -1 of 'a' (entry 0) is outside 0-119; labels count from 0",
        ),
        (
            {"val_label": [["x", "S001A007"], [1, 7]]},
            (
                "val_label.pkl: entry 1, 'S001A007', has label 7, but its name says "
                "6; names or labels were reordered, copy the file again"
            ),
        ),
        (
            {"val_label": [["a", "a"], [1, 1]]},
            "val_label.pkl: names 'a' twice; every clip may be in a split once",
        ),
        (
            {"val_label": [["a", "b"], [1, 0.5]]},
            (
                "val_label.pkl: expected [names, labels] with one whole number for each "
                "name (2 names, labels float64 of shape (2,))"
            ),
        ),
        (
            {"val_label": [["a", "b"], [1, 1], [9, 9]]},
            (
                "val_label.pkl: expected [names, labels] with one whole number for "
                "each name (too many values to unpack (expected 2))"
            ),
        ),
    ],
)
def test_folder_content_that_cannot_be_used(tmp_path, changes, message):
    root = write_folder(tmp_path / "xsub", **changes)
    assert failure(root).replace(f"{root}/val", "ROOT/val") == f"{root}/{message}".replace(
        f"{root}/val", "ROOT/val"
    )


def test_a_label_pickle_that_would_run_code_is_refused(tmp_path):
    root = write_folder(tmp_path / "xsub")
    (root / "val_label.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert (
        failure(root)
        == f"{root}/val_label.pkl: refuses to load 'os.system': pickles may only hold numpy arrays "
        "and plain containers"
    )


def test_missing_and_truncated_files_of_a_folder(tmp_path):
    root = write_folder(tmp_path / "xsub")
    (root / "val_label.pkl").unlink()
    assert (
        failure(root)
        == f"{root}/val_label.pkl: cannot be read (No such file or directory); it belongs beside "
        "its data file"
    )
    (root / "val_data.npy").unlink()
    assert failure(root) == f"{root}/val_data.npy: no such file"
    data = (root / "train_data.npy").read_bytes()
    (root / "train_data.npy").write_bytes(data[:-1000])
    assert failure(root).startswith(
        f"{root}/train_data.npy: not a readable .npy file of numbers, or truncated "
        "(ValueError: mmap length"
    )


def test_what_to_read_must_be_clear(tmp_path):
    assert (
        failure(tmp_path / "nowhere")
        == f"{tmp_path}/nowhere: no such folder; give data.root the folder that "
        "holds NTU60_CS.npz or NTU120_CSub.npz, or xsub/train_data.npy and its "
        "neighbours"
    )
    assert (
        failure(tmp_path, benchmark="xview")
        == f"{tmp_path}: holds no xview preparation; expected NTU60_CV.npz (CTR-GCN), or"
        " xview/train_data.npy, train_label.pkl, val_data.npy and val_label.pkl (PaddleVideo)"
    )
    write_npz(tmp_path / "NTU60_CS.npz")
    write_folder(tmp_path / "xsub")
    assert (
        failure(tmp_path)
        == f"{tmp_path}: holds more than one xsub preparation (NTU60_CS.npz, xsub); give "
        "data.root the one to use"
    )
    assert (
        failure(tmp_path / "NTU60_CS.npz", benchmark="xview")
        == f"{tmp_path}/NTU60_CS.npz: is not the xview preparation; expected NTU60_CV.npz, or set"
        " data.benchmark to what the file is"
    )
    assert failure(tmp_path / "xsub", benchmark="xview").startswith(
        f"{tmp_path}/xsub: holds no xview preparation"
    )


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="benchmark: must be xsub, xview or xset"):
        ntu.Config("x", benchmark="xsubject")
