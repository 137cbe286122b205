"""NW-UCLA: the real folder where it is at hand, and small folders with everything that can be
wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest

from compress.data import copies, nw_ucla
from compress.inputs import min_max_sample, view
from teachers.errors import DataError

HINT = "or leave it out, counted: -o data.skip_bad=true"


def skeletons(frames: int, seed: int = 0) -> list:
    return np.random.default_rng(seed).normal(size=(frames, 20, 3)).round(4).tolist()


def write(folder, name: str, content=None, **changes) -> None:
    """A clip file as the public set has it; `changes` replace its fields, None removes one."""
    label = nw_ucla.CLASS_OF.get(int(name[1:3]), 0) + 1
    clip = {
        "file_name": name,
        "skeletons": skeletons(7, seed=sum(map(ord, name))),
        "label": label,
    } | changes
    clip = {key: value for key, value in clip.items() if value is not None}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(clip) if content is None else content)


@pytest.fixture
def folder(tmp_path):
    for name in ("a01_s01_e00_v01", "a08_s01_e00_v02", "a12_s01_e00_v03"):
        write(tmp_path / "all_sqe", name)
    return tmp_path / "all_sqe"


def load(folder):
    return nw_ucla.load(nw_ucla.Config(str(folder)), seed=1)


def seen(dataset, **keys):
    return view.build(dataset.input, min_max_sample.Config(**keys), dataset)


def test_real_set(shared):
    told = []
    config = nw_ucla.Config(str(shared / "data" / "NW-UCLA"))
    dataset = nw_ucla.load(config, seed=1, callback=lambda *progress: told.append(progress))
    assert (len(dataset.train), len(dataset.val)) == (1020, 464)
    assert np.bincount(dataset.train.labels).tolist() == [
        102,
        102,
        96,
        124,
        101,
        102,
        99,
        99,
        98,
        97,
    ]
    assert np.bincount(dataset.val.labels).tolist() == [48, 50, 45, 49, 47, 47, 43, 43, 47, 45]
    lengths = sorted(
        clip.shape[1] for split in (dataset.train, dataset.val) for clip in split.clips
    )
    assert (lengths[0], lengths[-1], np.median(lengths)) == (1, 201, 31)
    assert dataset.notes == ()
    found = copies.find(dataset.train, dataset.val)
    assert (found.exact.sum(), found.moved.sum()) == (95, 0)
    names = {name[:3] for name, copy in zip(dataset.val.names, found.any, strict=True) if copy}
    assert names == {"a02", "a03"}
    assert told[-1] == (1484, 1484, "reading NW-UCLA")
    through = seen(dataset)
    for clip in dataset.val.clips:
        x = through.prepare(clip)
        assert x.shape == through.shape == (3, 52, 20, 1)
        assert x.min() >= -1.00001 and x.max() <= 1.00001


def test_split_classes_and_shapes(folder):
    dataset = load(folder)
    assert dataset.train.names == ("a01_s01_e00_v01", "a08_s01_e00_v02") and dataset.val.names == (
        "a12_s01_e00_v03",
    )
    assert dataset.train.labels.tolist() == [0, 6] and dataset.val.labels.tolist() == [9]
    assert dataset.classes[6] == "donning" and len(dataset.classes) == 10
    assert (
        dataset.train.clips[0].shape == (3, 7, 20, 1) and dataset.train.clips[0].dtype == np.float32
    )
    assert dataset.notes == ("2 training and 1 test clips, where the public set has 1020 and 464",)


def test_folder_and_its_parent_are_the_same_data(folder):
    assert load(folder).fingerprint == load(folder.parent).fingerprint


def test_fingerprint_follows_content(folder):
    before = load(folder).fingerprint
    write(folder, "a01_s01_e00_v01", skeletons=skeletons(7, seed=99))
    assert load(folder).fingerprint != before


def test_evaluation_view_is_the_public_one(folder):
    raw = np.array(json.loads((folder / "a12_s01_e00_v03.json").read_text())["skeletons"])
    moved = (raw - raw[0, 1]).reshape(-1, 3)
    scaled = ((moved - moved.min(0)) / (moved.max(0) - moved.min(0)) * 2 - 1).reshape(-1, 20, 3)
    expected = scaled[np.linspace(0, len(raw) - 1, 52).astype(int)].transpose(2, 0, 1)[..., None]
    dataset = load(folder)
    np.testing.assert_allclose(seen(dataset).prepare(dataset.val.clips[0]), expected, atol=1e-6)


@pytest.mark.parametrize("frames", [1, 7, 80])
def test_training_view_fills_the_cube_and_repeats_with_its_generator(folder, frames):
    write(folder, "a01_s01_e00_v01", skeletons=skeletons(frames))
    dataset = load(folder)
    through = seen(dataset)
    first, again, other = (
        through.augment(dataset.train.clips[0], np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == (3, 52, 20, 1)
    assert first.min() >= -1.00001 and first.max() <= 1.00001
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_broken_frames_take_the_nearest_good_one_and_are_counted(folder):
    clip = skeletons(4)
    clip[0][3][1], clip[3][0] = float("nan"), [None, float("inf"), 0]
    write(folder, "a01_s01_e00_v01", skeletons=clip)
    dataset = load(folder)
    read = dataset.train.clips[0]
    np.testing.assert_array_equal(read[:, 0], read[:, 1])
    np.testing.assert_array_equal(read[:, 3], read[:, 2])
    assert (read[:, 1] != read[:, 2]).any()
    assert (
        dataset.notes[0]
        == "1 clip repaired (frames with NaN or infinity take the nearest good frame): "
        "a01_s01_e00_v01.json: 2 of 4 frames"
    )


def test_a_clip_without_label_and_name_inside_is_known_by_its_file(folder):
    write(folder, "a09_s01_e00_v03", label=None, file_name=None)
    assert load(folder).val.labels.tolist() == [7, 9]


def test_other_files_in_the_folder_are_no_clips(folder):
    for name in ("._a01_s01_e00_v01.json", "labels.json", "a01_s01_e00_v01 (1).json", "notes.txt"):
        (folder / name).write_text("{")
    assert len(load(folder).train) == 2


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"content": '{"file_name": "a01_s01_e00_v01", "skeletons": [[[1.0, 2'},
            (
                "not an NW-UCLA clip, or truncated (JSONDecodeError: Expecting ',' delimiter: line"
                " 1 column 56 (char 55)); copy it again or remove it"
            ),
        ),
        (
            {"content": ""},
            (
                "not an NW-UCLA clip, or truncated (JSONDecodeError: Expecting value: line 1 column"
                " 1 (char 0)); copy it again or remove it"
            ),
        ),
        (
            {"skeletons": None},
            "not an NW-UCLA clip, or truncated (KeyError: 'skeletons'); copy it again or remove it",
        ),
        (
            {"content": "[1]"},
            (
                "not an NW-UCLA clip, or truncated (TypeError: list indices must be integers or"
                " slices, not str); copy it again or remove it"
            ),
        ),
        (
            {"skeletons": []},
            "'skeletons' has shape (0,), expected (frames, 20, 3); copy it again or remove it",
        ),
        (
            {"skeletons": np.zeros((4, 25, 3)).tolist()},
            (
                "'skeletons' has shape (4, 25, 3), expected (frames, 20, 3); copy it again or"
                " remove it"
            ),
        ),
        (
            {"skeletons": np.full((2, 20, 3), np.nan).tolist()},
            "every frame holds NaN or infinity; remove the clip",
        ),
        ({"label": 4}, "its label 4 is not that of its name (1); correct one of them"),
        (
            {"file_name": "a01_s01_e00_v03"},
            (
                "says inside that it is 'a01_s01_e00_v03'; the name decides class and split, "
                "so rename the file or copy it again"
            ),
        ),
        (
            {"file_name": "a" * 3000},
            (
                f"says inside that it is '{'a' * 59}...; the name decides class and split, "
                "so rename the file or copy it again"
            ),
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_fix(folder, change, message):
    write(folder, "a01_s01_e00_v01", **change)
    with pytest.raises(DataError) as caught:
        load(folder)
    assert str(caught.value) == f"{folder / 'a01_s01_e00_v01.json'}: {message}\n{HINT}"


def test_a_frame_with_a_missing_joint_is_refused(folder):
    clip = skeletons(3)
    clip[1].pop()
    write(folder, "a01_s01_e00_v01", skeletons=clip)
    with pytest.raises(
        DataError,
        match="a01_s01_e00_v01.json: not an NW-UCLA clip, or truncated .*inhomogeneous shape",
    ):
        load(folder)


@pytest.mark.parametrize(
    "name, what", [("a07_s01_e00_v01", "action 7, view 1"), ("a01_s01_e00_v04", "action 1, view 4")]
)
def test_an_action_or_view_outside_the_set_is_refused(folder, name, what):
    write(folder, name)
    with pytest.raises(DataError) as caught:
        load(folder)
    assert (
        str(caught.value)
        == f"{folder / name}.json: {what} is not of NW-UCLA (actions 1, 2, 3, 4, 5, 6, 8, 9, "
        f"11, 12; views 1-3); remove the file\n{HINT}"
    )


def test_a_folder_that_is_missing_or_empty_is_an_error_with_the_fix(tmp_path):
    with pytest.raises(DataError) as caught:
        load(tmp_path / "nowhere")
    assert (
        str(caught.value)
        == f"{tmp_path / 'nowhere'}: no such folder; give data.root the NW-UCLA folder that "
        "holds a01_s01_e00_v01.json and the others"
    )
    with pytest.raises(
        DataError,
        match="holds no file named like a01_s01_e00_v01.json; give data.root the NW-UCLA folder",
    ):
        load(tmp_path)


def test_a_split_without_clips_is_an_error(folder):
    (folder / "a12_s01_e00_v03.json").unlink()
    with pytest.raises(
        DataError,
        match="has no clip of view 3, so nothing to test with; copy the whole public folder",
    ):
        load(folder)
