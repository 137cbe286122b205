"""Single files for a program that classifies: every format, and what it says about files that are
none."""

from __future__ import annotations

import json

import numpy as np
import pytest
from skeleton_sample import write

from compress.data import clips
from teachers.errors import DataError

CLIP = np.random.default_rng(0).normal(size=(3, 6, 25, 2)).astype(np.float32)


def failure(path) -> str:
    with pytest.raises(DataError) as caught:
        clips.read_clip(path)
    return str(caught.value)


def test_nw_ucla_json(tmp_path):
    content = np.random.default_rng(0).normal(size=(5, 20, 3)).round(3)
    (tmp_path / "wave.json").write_text(
        json.dumps({"file_name": "other", "skeletons": content.tolist(), "label": 99})
    )
    ((name, raw),) = clips.read_clip(tmp_path / "wave.json")
    assert name == "wave" and raw.dtype == np.float32
    np.testing.assert_array_equal(raw[..., 0], content.astype(np.float32).transpose(2, 0, 1))


def test_npy_of_one_clip_and_of_several(tmp_path):
    np.save(tmp_path / "one.npy", CLIP.astype(np.float64))
    ((name, raw),) = clips.read_clip(str(tmp_path / "one.npy"))
    assert name == "one" and raw.dtype == np.float32
    np.testing.assert_array_equal(raw, CLIP)
    np.save(tmp_path / "two.npy", np.stack([CLIP, 2 * CLIP]))
    assert [name for name, _ in clips.read_clip(tmp_path / "two.npy")] == ["two[0]", "two[1]"]
    np.testing.assert_array_equal(clips.read_clip(tmp_path / "two.npy")[1][1], 2 * CLIP)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_of_ctrgcn(tmp_path, save):
    flat = CLIP.transpose(1, 3, 2, 0).reshape(1, 6, 150)
    save(tmp_path / "few.npz", x_test=flat, y_test=np.eye(60)[:1])
    ((name, raw),) = clips.read_clip(tmp_path / "few.npz")
    assert name == "few x_test[0]"
    np.testing.assert_array_equal(raw, CLIP)


def test_clips_of_two_coordinates(tmp_path):
    np.save(tmp_path / "flat.npy", CLIP[:2])
    ((_, raw),) = clips.read_clip(tmp_path / "flat.npy")
    np.testing.assert_array_equal(raw, CLIP[:2])
    np.save(tmp_path / "flats.npy", np.stack([CLIP[:2], 2 * CLIP[:2]]))
    assert [raw.shape for _, raw in clips.read_clip(tmp_path / "flats.npy")] == [(2, 6, 25, 2)] * 2


def test_recorded_skeletons(tmp_path):
    joints = CLIP[..., 0].transpose(1, 2, 0).copy()
    joints[2, 3, 1] = np.nan
    (tmp_path / "S001.skeleton").write_bytes(
        write([[(7, frame), (5, 2 * frame)] for frame in joints])
    )
    ((name, raw),) = clips.read_clip(tmp_path / "S001.skeleton")
    mended = CLIP[..., 0][:, [0, 1, 1, 3, 4, 5]]
    assert name == "S001" and raw.dtype == np.float32
    np.testing.assert_array_equal(
        raw, np.stack([2 * mended, mended], axis=3)
    )  # who moves most comes first


@pytest.mark.parametrize(
    "text, message",
    [
        (
            "2\n0\n0\n",
            "nobody is in it, every coordinate is zero; give a clip with at least one person",
        ),
        (
            "2\n0\n",
            (
                "line 1: 2 frames (lines left: 1), expected 1 to 20000 with a line or more each;"
                " copy the file again, or remove it"
            ),
        ),
        (
            "",
            (
                "line 1: the end of the file, expected the number of frames; copy the file again,"
                " or remove it"
            ),
        ),
    ],
)
def test_a_recording_that_is_no_clip(tmp_path, text, message):
    (tmp_path / "x.skeleton").write_text(text)
    assert failure(tmp_path / "x.skeleton") == f"{tmp_path}/x.skeleton: {message}"


def test_the_real_clip(shared):
    ((name, raw),) = clips.read_clip(shared / "data" / "example_NTU-RGB-D_sketeton.npy")
    assert name == "example_NTU-RGB-D_sketeton" and raw.shape == (3, 300, 25, 2)


def test_frames_with_nan_take_the_nearest_good_one(tmp_path):
    broken = CLIP.copy()
    broken[1, 2, 3, 0] = np.nan
    np.save(tmp_path / "nan.npy", broken)
    ((_, raw),) = clips.read_clip(tmp_path / "nan.npy")
    np.testing.assert_array_equal(raw[:, 2], CLIP[:, 1])
    np.testing.assert_array_equal(np.delete(raw, 2, axis=1), np.delete(CLIP, 2, axis=1))


@pytest.mark.parametrize(
    "array, message",
    [
        (CLIP[0], "has shape (6, 25, 2), expected (C, T, V, M) or (N, C, T, V, M)"),
        (CLIP[None][:0], "has shape (0, 3, 6, 25, 2), expected (C, T, V, M) or (N, C, T, V, M)"),
        (
            CLIP[:1],
            (
                "has shape (1, 6, 25, 2), expected (3, T, V, M) or (2, T, V, M): coordinates,"
                " frames, joints, persons"
            ),
        ),
        (
            CLIP[:, :0],
            (
                "has shape (3, 0, 25, 2), expected (3, T, V, M) or (2, T, V, M): coordinates,"
                " frames, joints, persons"
            ),
        ),
        (CLIP.astype(str), "holds <U32, expected numbers (float32)"),
        (CLIP * np.nan, "every frame holds NaN or infinity; record or export the clip again"),
        (
            CLIP * 0,
            "nobody is in it, every coordinate is zero; give a clip with at least one person",
        ),
    ],
)
def test_an_array_that_is_no_clip(tmp_path, array, message):
    np.save(tmp_path / "x.npy", array)
    assert failure(tmp_path / "x.npy") == f"{tmp_path}/x.npy: {message}"


def test_the_place_of_a_bad_clip_among_several_is_named(tmp_path):
    np.save(tmp_path / "x.npy", np.stack([CLIP, 0 * CLIP]))
    assert failure(tmp_path / "x.npy").startswith(f"{tmp_path}/x.npy: clip 1: nobody is in it")
    np.savez(tmp_path / "x.npz", x_test=np.zeros((1, 6, 75)))
    assert (
        failure(tmp_path / "x.npz")
        == f"{tmp_path}/x.npz: x_test[0]: a clip has shape (6, 75), expected (frames, "
        "150) or (3, frames, 25, 2)"
    )


def test_files_that_are_no_clips(tmp_path):
    known = (
        ".skeleton (NTU RGB+D as recorded), .json (NW-UCLA, pose estimators or own), a folder with a"
        " .json a frame, .csv (own), .npy ((C, T, V, M), (N, C, T, V, M) or own) or .npz (CTR-GCN's"
        " x_train, x_test, or own)"
    )
    assert failure(tmp_path / "x.npy") == f"{tmp_path}/x.npy: no such file; give a clip: {known}"
    for name in ("x.mp4", "x"):
        (tmp_path / name).write_bytes(b"x")
    assert (
        failure(tmp_path / "x.mp4")
        == f"{tmp_path}/x.mp4: unknown kind of clip '.mp4'; known: {known}"
    )
    assert failure(tmp_path / "x") == f"{tmp_path}/x: unknown kind of clip 'x'; known: {known}"
    (tmp_path / "x.npy").write_bytes(b"x")
    assert failure(tmp_path / "x.npy").startswith(
        f"{tmp_path}/x.npy: not a readable .npy file of numbers, or truncated ("
    )
    np.save(tmp_path / "o.npy", np.array([None]), allow_pickle=True)
    assert failure(tmp_path / "o.npy").startswith(
        f"{tmp_path}/o.npy: not a readable .npy file of numbers, or truncated (ValueError: "
    )
    np.savez(tmp_path / "y.npz", other=np.zeros(3))
    assert (
        failure(tmp_path / "y.npz")
        == f"{tmp_path}/y.npz: holds no clip in x_train or x_test; give a file as "
        "CTR-GCN prepares them"
    )
    (tmp_path / "x.json").write_text("{}")
    assert (
        failure(tmp_path / "x.json")
        == f"{tmp_path}/x.json: not an NW-UCLA clip, or truncated (KeyError: "
        "'skeletons'); copy it again or remove it"
    )


RECORDED = {"channels": 2, "joints": 3, "persons": 1, "names": ["hip", "knee", "foot"]}
OWN = np.random.default_rng(1).normal(size=(2, 5, 3, 1)).round(3).astype(np.float32)


@pytest.mark.parametrize("name", ["a.csv", "a.json", "a.npy", "b.npy", "c.npy"])
def test_own_recordings_are_read_as_a_deployed_folder_describes_them(tmp_path, name):
    rows = OWN[..., 0].transpose(1, 2, 0)
    (tmp_path / "a.csv").write_text(
        "\n".join(
            [
                "hip_x,hip_y,knee_x,knee_y,foot_x,foot_y",
                *[",".join(map(str, row.ravel())) for row in rows],
            ]
        )
    )
    (tmp_path / "a.json").write_text(json.dumps({"frames": rows.astype(float).tolist()}))
    np.save(tmp_path / "a.npy", rows)
    np.save(tmp_path / "b.npy", OWN)
    np.save(
        tmp_path / "c.npy", np.stack([0.01 * rows, rows], axis=1)
    )  # of two persons the one of more energy stays
    ((stem, raw),) = clips.read_clip(tmp_path / name, RECORDED)
    assert stem == name[0]
    np.testing.assert_array_equal(raw, OWN)


def test_own_recordings_that_do_not_fit_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("x0,y0\n1,2\n")
    with pytest.raises(DataError, match=r"a.csv: line 1: the columns are 'x0,y0'"):
        clips.read_clip(tmp_path / "a.csv", RECORDED)
    with pytest.raises(DataError, match="unknown kind of clip '.csv'; known: "):
        clips.read_clip(tmp_path / "a.csv")
    np.save(tmp_path / "a.npy", np.zeros((4, 7, 2), np.float32))
    with pytest.raises(DataError, match=r"a.npy: has shape \(4, 7, 2\).*V = 3 joints and C = 2"):
        clips.read_clip(tmp_path / "a.npy", RECORDED)
    with pytest.raises(DataError, match="deployed.json: recorded: .*export the network again"):
        clips.read_clip(tmp_path / "a.npy", RECORDED | {"joints": "many"})
