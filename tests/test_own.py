"""Own clips: every format is the same data, what is messy is mended and counted, what is unclear is
refused with its place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from compress.data import clips, copies, own, survey
from compress.data.bad_clips import BadClips
from compress.data.own import dataset_yaml, labels, labels_csv, splits
from compress.data.own.paths import Folder
from compress.data.poses import array_files, csv_files, table
from compress.data.poses.contract import Poses, Wanted
from teachers.errors import DataError, RecipeError

YAML = "joints: 3\nedges: [[2, 1], [3, 2]]\ncoordinates: 2\npersons: 2\n"
WANTED = Wanted(3, 2, persons=2)
CLIPS = (
    np.random.default_rng(0).normal(size=(4, 2, 5, 3, 2)).round(3).astype(np.float32)
)  # (N, C, T, V, M)
HEADER = "frame,person,x0,y0,x1,y1,x2,y2"
quick = settings(deadline=None, database=None, derandomize=True, max_examples=60)


def as_csv(clip: np.ndarray, order=slice(None)) -> str:
    rows = [
        ",".join(map(str, [7 + frame, person, *map(float, clip[:, frame, :, person].T.ravel())]))
        for frame in range(clip.shape[1])
        for person in range(clip.shape[3])
    ]
    return "\n".join([HEADER, *rows[order]]) + "\n"


def write(root, yaml: str = YAML, labels: str | None = None, **files):
    """A folder of four clips; `files` are others by their stems, text or arrays."""
    root.mkdir(exist_ok=True)
    (root / "dataset.yaml").write_text(yaml)
    (root / "labels.csv").write_text(
        labels
        or "file,label,split\nd.json,walk,val\na.npy,walk,train\nb.npy,sit,train\nc.csv,sit,val\n"
    )
    np.save(root / "a.npy", CLIPS[0])
    np.save(root / "b.npy", CLIPS[1].transpose(1, 3, 2, 0))
    (root / "c.csv").write_text(as_csv(CLIPS[2], slice(None, None, -1)))
    (root / "d.json").write_text(
        json.dumps({"frames": CLIPS[3].transpose(1, 3, 2, 0).astype(float).tolist()})
    )
    for name, content in files.items():
        if isinstance(content, str):
            (root / name.replace("__", ".")).write_text(content)
        else:
            np.save(root / name.replace("__", "."), content)
    return root


def load(root):
    return own.load(own.Config(str(root)), seed=1)


def failure(root, error=DataError) -> str:
    with pytest.raises(error) as caught:
        load(root)
    return str(caught.value).replace(str(root), "ROOT")


def test_every_format_gives_the_clips_that_were_written(tmp_path):
    dataset = load(write(tmp_path))
    assert (dataset.train.names, dataset.val.names) == (("a.npy", "b.npy"), ("c.csv", "d.json"))
    assert (
        dataset.classes == ("sit", "walk")
        and dataset.train.labels.tolist() == [1, 0]
        and dataset.val.labels.tolist() == [0, 1]
    )
    for clip, expected in zip([*dataset.train.clips, *dataset.val.clips], CLIPS, strict=True):
        np.testing.assert_array_equal(clip, expected)
        assert clip.dtype == np.float32 and clip.flags["C_CONTIGUOUS"]
    assert (
        dataset.persons,
        dataset.channels,
        dataset.coordinates,
        dataset.notes,
        dataset.input,
    ) == (2, 2, 2, (), "crop_resize")
    assert (dataset.skeleton.joints, dataset.skeleton.bones, dataset.skeleton.centre) == (
        3,
        ((2, 1), (3, 2)),
        1,
    )


def test_the_order_of_lines_does_not_matter_but_the_content_does(tmp_path):
    first = load(write(tmp_path))
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join(["\ufeff" + lines[0], "", *lines[:0:-1]]))
    second = load(tmp_path)
    assert second.train.names == first.train.names and second.fingerprint == first.fingerprint
    np.save(tmp_path / "a.npy", CLIPS[0] + 1)
    assert load(tmp_path).fingerprint != first.fingerprint


@pytest.mark.parametrize(
    "header",
    [
        "x0,y0,x1,y1,x2,y2",
        "x1,y1,x2,y2,x3,y3",
        "hip_x,hip_y,knee_x,knee_y,foot_x,foot_y",
        '"x0", y0,x1,y1,x2,y2',
    ],
)
def test_csv_columns_have_numbers_from_0_or_1_or_names(header):
    wanted = Wanted(3, 2, names=("hip", "knee", "foot"))
    poses = csv_files.parse(f"{header}\r\n1,2,3,4,5,6\r\n,2,3,4,5,1e999\r\n".encode(), "x", wanted)
    assert poses.left_out == 0
    np.testing.assert_array_equal(
        poses.values,
        np.array([[[[1, 2], [3, 4], [5, 6]], [[np.nan, 2], [3, 4], [5, np.inf]]]], np.float32),
    )


def test_csv_columns_in_any_order_and_frames_with_gaps():
    poses = csv_files.parse(
        b"y2,x2,y1,x1,y0,x0,frame\n6,5,4,3,2,1,12\n0,0,0,0,0,9,10\n", "x", WANTED
    )
    np.testing.assert_array_equal(
        poses.values[0], [[[9, 0], [0, 0], [0, 0]], [[1, 2], [3, 4], [5, 6]]]
    )
    assert poses.left_out == 1


def test_json_frames_hold_joints_or_persons_or_nobody():
    one, two = [[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 10], [11, None]]
    raw = table.parse_json(
        json.dumps({"fps": 30, "frames": [[one, two], [], None, [two], one]}).encode(), "x", WANTED
    ).values
    assert raw.shape == (2, 5, 3, 2) and not raw[:, 1:3].any()
    np.testing.assert_array_equal(raw[0, [0, 4]], [one, one])
    np.testing.assert_array_equal(raw[0, 3], np.array(two, np.float32))


SCORED_YAML = "joints: 3\nedges: [[2, 1], [3, 2]]\ncoordinates: {}\nscore: true\n"


@pytest.mark.parametrize("coordinates, channels", [(2, 3), (3, 3)])
def test_a_score_behind_the_coordinates_is_one_in_every_format(tmp_path, coordinates, channels):
    """A channel of x y, as PYSKL trains it; left out of x y z, which no input has a place for."""
    rng = np.random.default_rng(3)
    clip = rng.uniform(0.1, 1, (5, 3, coordinates + 1)).astype(np.float32).round(3)
    axes = [*"xyz"[:coordinates], "visibility"]
    header = ",".join(f"{axis}{joint}" for joint in range(3) for axis in axes)
    rows = "\n".join(",".join(map(str, frame.ravel().tolist())) for frame in clip)
    root = write(
        tmp_path,
        SCORED_YAML.format(coordinates),
        "file,label,split\na.npy,x,train\nb.npy,y,val\nc.csv,x,train\nd.json,y,train\n",
        a__npy=clip,
        b__npy=clip[:, None],
        c__csv=f"{header}\n{rows}\n",
        d__json=json.dumps({"frames": clip.astype(float).tolist()}),
    )
    dataset = load(root)
    assert (dataset.channels, dataset.coordinates, dataset.score_columns) == (
        channels,
        coordinates,
        True,
    )
    assert dataset.scored is (coordinates == 2)
    expected = clip[..., :channels].transpose(2, 0, 1)[..., None]
    for read in (*dataset.train.clips, *dataset.val.clips):
        np.testing.assert_allclose(read, expected, atol=1e-6)
    # A deployed network is fed the same files.
    recorded = {
        "channels": channels,
        "joints": 3,
        "persons": 1,
        "score": True,
        "coordinates": coordinates,
    }
    for name in ("a.npy", "b.npy", "c.csv", "d.json"):
        ((_, fed),) = clips.read_clip(root / name, recorded)
        np.testing.assert_allclose(fed, expected, atol=1e-6)


def test_a_number_too_many_is_said_to_be_a_score(tmp_path):
    root = write(tmp_path, a__npy=np.ones((5, 3, 3)))
    assert (
        failure(root)
        .splitlines()[0]
        .endswith(
            "if the last of 3 is a score or visibility, write `score: keep`, `drop` or `repair`"
            " into dataset.yaml"
        )
    )


def test_who_moves_most_is_not_decided_by_scores():
    raw = np.zeros((2, 4, 3, 3), np.float32)
    raw[0, :, :, :2] = np.arange(4).reshape(4, 1, 1)
    raw[1, :, :, :2] = 1
    raw[1, :, :, 2] = 10 * np.arange(12).reshape(4, 3)
    np.testing.assert_array_equal(own.of_persons(raw, 1, 2)[..., 0].transpose(1, 2, 0), raw[0])


@pytest.mark.parametrize(
    "header, named",
    [
        (
            "x0,y0,x1,y1,x2,y2,weather,speed0",
            "; not one of them: speed0, weather (take them out)",
        ),
        ("x0,y0,x1,y1,x2,z2", "; not one of them: z2 (take them out); missing: y2"),
    ],
)
def test_the_column_that_does_not_fit_is_named(header, named):
    with pytest.raises(DataError) as caught:
        csv_files.parse(f"{header}\n".encode(), "c.csv", WANTED)
    assert str(caught.value).endswith(named)


def test_semicolons_and_decimal_commas_are_numbers():
    text = as_csv(CLIPS[0])
    european = text.replace(",", ";").replace(".", ",")
    clip = csv_files.parse(european.encode(), "c.csv", WANTED).values
    np.testing.assert_array_equal(clip.transpose(3, 1, 2, 0), CLIPS[0])


def of_labels(*labels_written):
    return [
        labels_csv.Entry(line, f"{line}.npy", Path(f"{line}.npy"), label, None)
        for line, label in enumerate(labels_written, start=2)
    ]


def numbered(written, classes, root):
    """The labels, of which every one must be a class."""
    bad = BadClips(root, skip=False)
    kept, found = labels.numbered(written, classes, root, bad)
    bad.check(len(written))
    assert kept == written
    return found


def test_one_word_in_several_spellings_is_one_class(tmp_path):
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    written = of_labels("Walk", "walk", "walk", decomposed, composed, composed, "sit")
    found = numbered(written, None, tmp_path)
    assert found.classes == (composed, "sit", "walk")
    names = [found.classes[number] for number in found.numbers]
    assert names == ["walk"] * 3 + [composed] * 3 + ["sit"]
    assert set(found.spellings) == {("Walk", "walk"), (decomposed, composed)}
    # What the description tells apart stays apart.
    told = numbered(of_labels("Walk", "walk", "Walk"), ("walk", "Walk"), tmp_path)
    assert told.numbers.tolist() == [1, 0, 1] and not told.spellings
    with pytest.raises(DataError, match="label 'WALK' of '2.npy' is none of the 2 classes"):
        numbered(of_labels("WALK"), ("walk", "Walk"), tmp_path)
    assert numbered(of_labels("WALK"), ("run", "Walk"), tmp_path).numbers.tolist() == [1]


def test_numbers_from_one_make_no_class_that_no_clip_is_of(tmp_path):
    found = numbered(of_labels("1", "3", "2"), None, tmp_path)
    assert (found.numbers.tolist(), found.classes) == ([0, 2, 1], ("class 1", "class 2", "class 3"))
    assert found.notes[0].startswith("labels count from 1 (to 3), none is 0")
    from_zero = numbered(of_labels("0", "2"), None, tmp_path)
    assert (from_zero.numbers.tolist(), len(from_zero.classes), from_zero.notes) == ([0, 2], 3, ())


def test_numbers_from_one_are_places_of_named_classes(tmp_path):
    classes = ("wave", "lift", "push")
    found = numbered(of_labels("1", "3", "2"), classes, tmp_path)
    assert (found.numbers.tolist(), found.classes) == ([0, 2, 1], classes)
    assert found.notes == (
        "labels count from 1 (to 3), none is 0: read so, without a class 0; 1 is 'wave'",
    )
    bad = BadClips(tmp_path, skip=True)
    stray = of_labels("1", "3", "2", "9")
    assert labels.numbered(stray, classes, tmp_path, bad)[0] == stray[:3]
    # Without the last number they count from 0, and nobody is of the first class.
    from_zero = numbered(of_labels("1", "2"), classes, tmp_path)
    assert (from_zero.numbers.tolist(), from_zero.notes) == ([1, 2], ())


def test_classes_that_are_numbers_are_names_beside_a_stray_label(tmp_path):
    bad = BadClips(tmp_path, skip=True)
    written = of_labels("1", "7", "3", "2")
    kept, found = labels.numbered(written, ("1", "2", "3"), tmp_path, bad)
    assert found.numbers.tolist() == [0, 2, 1] and kept == [written[0], *written[2:]]
    ((name, problem),) = bad.skipped
    assert name == "3.npy" and "label '7' of '3.npy' is none of the 3 classes (1, 2, 3)" in problem


def test_arrays_that_fit_twice_are_decided_by_the_number_of_persons_or_refused():
    wanted = Wanted(3, 3, persons=2)
    assert array_files.from_array(np.zeros((3, 9, 3, 2)), "x", wanted).values.shape == (2, 9, 3, 3)
    square = np.arange(3 * 2 * 3 * 3).reshape(3, 2, 3, 3)
    np.testing.assert_array_equal(
        array_files.from_array(square, "x", wanted).values, square.transpose(1, 0, 2, 3)
    )
    with pytest.raises(
        DataError,
        match=(
            r"^x: has shape \(3, 5, 3, 3\) of int64, which could be \(C, T, V, M\) or \(T, M, V,"
            r" C\); save it"
        ),
    ):
        array_files.from_array(np.zeros((3, 5, 3, 3), int), "x", wanted)


def test_what_is_messy_is_mended_and_counted(tmp_path):
    broken, lost, crowd = CLIPS[0].copy(), CLIPS[1].copy(), np.zeros((2, 5, 3, 3), np.float32)
    broken[0, 1, 2, 0], broken[1, 2, 0, 1] = np.nan, np.inf
    lost[:, 2] = 0
    crowd[..., 0], crowd[..., 1], crowd[..., 2] = (
        CLIPS[2, ..., 0],
        1e-3 * CLIPS[2, ..., 1],
        CLIPS[3, ..., 1],
    )
    write(
        tmp_path,
        labels="file,label,split,who\n"
        + "".join(
            f"{name},{label},{split},x\n"
            for name, label, split in (
                ("a.npy", 0, "train"),
                ("b.npy", 0, "train"),
                ("e.npy", 0, "train"),
                ("f.npy", 0, "train"),
                ("g.csv", 3, "val"),
                ("c.csv", 0, "val"),
                ("d.json", 1, "train"),
            )
        ),
        a__npy=broken,
        b__npy=lost,
        e__npy=crowd,
        f__npy=CLIPS[2],
        spare__json="",
        g__csv=HEADER + "\n5,1,1,2,3,4,5,6\n",
    )
    dataset = load(tmp_path)
    clips = dict(
        zip(
            dataset.train.names + dataset.val.names,
            [*dataset.train.clips, *dataset.val.clips],
            strict=True,
        )
    )
    # One joint of one person each, halfway between the frames before and after.
    mended = CLIPS[0].copy()
    mended[:, 1, 2, 0] = mended[:, [0, 2], 2, 0].mean(axis=1)
    mended[:, 2, 0, 1] = mended[:, [1, 3], 0, 1].mean(axis=1)
    np.testing.assert_allclose(clips["a.npy"], mended, rtol=1e-6)
    np.testing.assert_array_equal(clips["b.npy"], lost)
    np.testing.assert_array_equal(clips["e.npy"], crowd[..., [0, 2]])
    np.testing.assert_array_equal(clips["g.csv"][:, 0, :, 0], [[1, 3, 5], [2, 4, 6]])
    assert clips["g.csv"].shape == (2, 1, 3, 2) and not clips["g.csv"][..., 1].any()
    assert dataset.classes == ("class 0", "class 1", "class 2", "class 3")
    assert dataset.notes == (
        (
            "1 clip repaired (joints that are missing are interpolated in time): a.npy: 2 joints in"
            " 2 of 5 frames"
        ),
        "1 clip with frames that nobody is in (kept): b.npy: 1 of 5 frames",
        "1 clip of more than 2 persons (those of most energy stay): e.npy: 3",
        "1 clip of one frame (kept): g.csv",
        "1 file without a line in labels.csv (not used): spare.json",
        "1 column of labels.csv not used: who",
    )
    assert copies.find(dataset.train, dataset.val).exact.sum() == 1
    # Of labels, every data set is asked the same.
    assert "2 classes without a clip to train on: class 2; class 3" in survey.examine(dataset).notes


@pytest.mark.parametrize(
    "line, message",
    [
        ("a.npy,walk,val", "lines 3 and 4 both name 'a.npy'; remove one of them"),
        ("./a.npy,walk,val", "lines 3 and 4 both name 'a.npy'; remove one of them"),
        (
            "../out.npy,walk,val",
            (
                "line 4: file '../out.npy' is no path inside the folder; write it as seen from"
                " ROOT, without .."
            ),
        ),
        (
            "..\\out.npy,walk,val",
            (
                r"line 4: file '..\\out.npy' is no path inside the folder; write it as seen from"
                r" ROOT, without .."
            ),
        ),
        (
            "/etc/x.npy,walk,val",
            (
                "line 4: file '/etc/x.npy' is no path inside the folder; write it as seen from"
                " ROOT, without .."
            ),
        ),
        (
            "link.npy,walk,val",
            (
                "line 4: file 'link.npy' leads out of the folder; copy the file into it, or name"
                " the folder that links may lead into: -o data.link_root=PARENT"
            ),
        ),
        (
            "folder/x.npy,walk,val",
            (
                "line 4: file 'folder/x.npy' leads out of the folder; copy the file into it, or"
                " name the folder that links may lead into: -o data.link_root=PARENT"
            ),
        ),
        (
            "gone.npy,walk,val",
            "line 4: file 'gone.npy' is not in ROOT; copy it there, or remove the line",
        ),
        (
            "\0.npy,walk,val",
            (
                "line 4: holds NUL, as UTF-16 without its mark does; save it as UTF-8, or name its"
                " encoding in dataset.yaml: `encoding: gbk` (big5, shift_jis, cp1252, latin-1, ...)"
            ),
        ),
        (
            "x" * 300 + ".npy,walk,val",
            f"line 4: file {'x' * 200!r} is not in ROOT; copy it there, or remove the line",
        ),
        (
            "a.txt,walk,val",
            "line 4: file 'a.txt' is no kind of clip; known: .npy, .npz, .csv, .json, and folders with a .json a frame",
        ),
        (
            "c.csv,,val",
            "line 4: the label is '', expected a word or a number; give the clip its class",
        ),
        ("c.csv,walk,tset", "line 4: the split is 'tset', expected train or val"),
        ("c.csv,walk", "line 4: has 2 columns, the first line 3; quote text with a comma"),
        (
            '"c.csv,walk,val',
            (
                "line 4: not CSV (unexpected end of data); write it as file,label with a line for"
                " each clip"
            ),
        ),
        (
            "c.csv,run,val",
            (
                "line 4: label 'run' of 'c.csv' is none of the 2 classes (walk, sit); correct it,"
                " or the classes in dataset.yaml (at most 10000)"
            ),
        ),
        (
            "c.csv,sit,train",
            "all 3 clips train, so nothing is left to validate with; change the split",
        ),
    ],
)
def test_a_line_of_labels_that_cannot_be_is_named(tmp_path, line, message):
    root = tmp_path / "set"
    write(
        root,
        YAML + "classes: [walk, sit]\n",
        f"file,label,split\nb.npy,sit,train\na.npy,walk,train\n{line}\n",
    )
    np.save(tmp_path / "out.npy", CLIPS[0])
    (root / "link.npy").symlink_to(tmp_path / "out.npy")
    (root / "folder").symlink_to(tmp_path)
    np.save(tmp_path / "x.npy", CLIPS[0])
    # The second line, where there is one, says how to leave the clip out.
    told = failure(root).replace(str(tmp_path), "PARENT")
    assert told.splitlines()[0] == f"ROOT/labels.csv: {message}"


@pytest.mark.parametrize(
    "key, message",
    [
        ("split: {fraction: 0.5, seed: 3}", ["a.npy", "c.csv"]),
        ("split: {val: [c]}", ["c.csv"]),
        ("split: {val: ['?.n', d]}", ["a.npy", "b.npy", "d.json"]),
        (
            "split: {val: [P07]}",
            (
                "ROOT/labels.csv: no file name begins with 'P07' (split.val in dataset.yaml); the"
                " first is 'a.npy'"
            ),
        ),
        (
            "",
            (
                "ROOT/labels.csv: nothing says which clips validate; add a column split (train or"
                " val), or to dataset.yaml `split: {fraction: 0.2, seed: 1}` or `split: {val: [P03,"
                " P07]}` (how file names begin)"
            ),
        ),
    ],
)
def test_the_description_can_say_which_clips_validate(tmp_path, key, message):
    write(tmp_path, YAML + key, "file,label\na.npy,walk\nb.npy,sit\nc.csv,sit\nd.json,walk\n")
    if isinstance(message, str):
        assert failure(tmp_path) == message
    elif "fraction" in key:
        val = load(tmp_path).val
        assert sorted(val.labels.tolist()) == [0, 1] and val.names == load(tmp_path).val.names
    else:
        assert list(load(tmp_path).val.names) == message


@pytest.mark.parametrize(
    "yaml, message",
    [
        ("", "ROOT/dataset.yaml: is empty; it needs joints, edges, centre, persons and split"),
        (YAML + "edge: 1", "ROOT/dataset.yaml:5: unknown key 'edge' (did you mean 'edges'?)"),
        (
            YAML.replace("2, 1", "9, 1"),
            "skeleton 'own_3': bone [9, 1] does not join two of its 3 joints (counted from 1)",
        ),
        (YAML + "centre: 0", "skeleton 'own_3': centre 0 is none of its 3 joints (counted from 1)"),
        (
            YAML.replace("joints: 3", "joints: 1000000000"),
            "ROOT/dataset.yaml:1: joints: must be 1 to 1000",
        ),
        (
            YAML.replace("persons: 2", "persons: 17"),
            "ROOT/dataset.yaml:4: persons: must be 1 to 16",
        ),
        (
            YAML + "names: [a, b, b]",
            "ROOT/dataset.yaml:5: names: must be 3 different ones, one for each joint",
        ),
        (
            YAML + "classes: [a, a]",
            "ROOT/dataset.yaml:5: classes: must be 1 to 10000 different names",
        ),
        (
            YAML + "split: {fraction: 2}",
            "ROOT/dataset.yaml:5: split.fraction: must be above 0 and below 1",
        ),
        (
            YAML + "split: {seed: 2}",
            (
                "ROOT/dataset.yaml:5: split: give either fraction (and seed) or val, a list of how"
                " file names begin"
            ),
        ),
        (
            '"\\Uffffffff": 1',
            (
                "ROOT/dataset.yaml:1: not YAML: a number or an escaped character that cannot be"
                " (Python int too large to convert to C int)"
            ),
        ),
        (
            YAML + "frame_rate: 0",
            "ROOT/dataset.yaml:5: frame_rate: must be above 0 (frames a second)",
        ),
    ],
)
def test_a_description_that_cannot_be_is_refused_with_its_line(tmp_path, yaml, message):
    assert failure(write(tmp_path, yaml), (DataError, RecipeError)) == message


@pytest.mark.parametrize(
    "name, content, message",
    [
        (
            "a.npy",
            CLIPS[0][:, :, :2],
            (
                "has shape (2, 5, 2, 2) of float32, expected numbers as (T, V, C), (C, T, V, M) or"
                " (T, M, V, C) with V = 3"
            ),
        ),
        (
            "a.npy",
            CLIPS[0].astype(complex),
            "has shape (2, 5, 3, 2) of complex128, expected numbers as (T, V, C), (C, T, V, M) or",
        ),
        (
            "a.npy",
            np.zeros((2, 100_001, 3, 1), np.int8),
            "1 persons in 100001 frames, at most 100000 frames and 50000000 numbers are a clip",
        ),
        (
            "a.npy",
            "PK\x03\x04----",
            (
                "not a readable .npy file of numbers, or truncated (ValueError: the magic string is"
                " not correct;"
            ),
        ),
        (
            "a.npy",
            np.full((5, 3, 2), np.nan),
            (
                "has no frame with somebody in it and without NaN or infinity; record it again, or"
                " remove line 3 of"
            ),
        ),
        (
            "a.npy",
            np.zeros((5, 3, 2)),
            (
                "has no frame with somebody in it and without NaN or infinity; record it again, or"
                " remove line 3 of"
            ),
        ),
        (
            "c.csv",
            "",
            (
                "line 1: the columns are ''..., expected x1, y1, x2, y2, ... to y3 (6 for 3 joints"
                " of 2 coordinates), each once, and if"
            ),
        ),
        (
            "c.csv",
            "person,x0,y0,x1,y1,x2,y2\n",
            (
                "line 1: the columns are 'person,x0,y0,x1,y1,x2,y2'..., expected x1, y1, x2, y2,"
                " ... to y3 (6"
            ),
        ),
        ("c.csv", HEADER, "has no row of numbers below its header"),
        (
            "c.csv",
            HEADER + "\n1,1,1\n",
            "line 2: '1,1,1', expected 8 numbers with commas between them",
        ),
        (
            "c.csv",
            HEADER + "\n1,1,1,1,1,1,1,1_0\n",
            "line 2: '1,1,1,1,1,1,1,1_0', expected 8 numbers with commas between them",
        ),
        (
            "c.csv",
            HEADER + "\n1,1,1,1,1,1,1,1\n\n1.5,1,1,1,1,1,1,1\n",
            "line 4: frame is 1.5, expected a whole number",
        ),
        (
            "c.csv",
            HEADER + "\n1,1,1,1,1,1,1,1\n1,,1,1,1,1,1,1\n",
            "line 3: person is nan, expected a whole number",
        ),
        (
            "c.csv",
            HEADER + "\n1,1,1,1,1,1,1,1\n2,1,1,1,1,1,1,1\n1,1,1,1,1,1,1,1\n",
            "lines 2 and 4 are both frame 1 of the same person",
        ),
        (
            "d.json",
            "{}",
            'is of no known format of poses with one frame or more; known: {"frames": [[[x, y, z], ...], ...]}; MediaPipe (',
        ),
        (
            "d.json",
            '{"frames": [[',
            "not JSON, or truncated (Expecting value: line 1 column 14 (char 13)); copy it again",
        ),
        ("d.json", "[" * 100_000, "not JSON, or truncated ("),
        (
            "d.json",
            '{"frames": [[], [[1, 2], [3, 4]]]}',
            "frames[1]: expected 3 joints of 2 numbers, or a list of persons with as many",
        ),
        (
            "d.json",
            '{"frames": [[[1, 2], [3, 4], [5, true]]]}',
            "frames[0]: expected 3 joints of 2 numbers, or a list of persons with as many",
        ),
        (
            "d.json",
            f'{{"frames": [[[1, 2], [3, 4], [5, {"9" * 400}]]]}}',
            "frames[0]: expected 3 joints of 2 numbers, or a list of persons",
        ),
        (
            "d.json",
            '{"frames": [[], null]}',
            (
                "has no frame with somebody in it and without NaN or infinity; record it again, or"
                " remove line 2 of"
            ),
        ),
    ],
)
def test_a_clip_that_cannot_be_is_named_with_the_place(tmp_path, name, content, message):
    told = failure(write(tmp_path, **{name.replace(".", "__"): content}))
    assert told.startswith(f"ROOT/{name}: {message}"), told


def test_claims_of_files_cost_no_memory(tmp_path, monkeypatch):
    import tracemalloc

    np.save(tmp_path / "a.npy", CLIPS[0])
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data.replace(b"(2, 5, 3, 2), }    ", b"(2, 99999, 3, 2), }"))
    huge = b"\n".join([HEADER.encode(), b"0,0,1,1,1,1,1,1", b"9007199254740991,0,1,1,1,1,1,1"])
    tracemalloc.start()
    with pytest.raises(DataError):
        table.read(tmp_path / "a.npy", WANTED)
    assert csv_files.parse(huge, "x", WANTED).values.shape == (1, 2, 3, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 300_000
    monkeypatch.setattr(table, "LARGEST_FILE", 10)
    assert "is larger than 10 bytes" in failure(write(tmp_path / "set"))


def survives(read, *arguments) -> None:
    """An error with its place, or finite or mendable float32."""
    try:
        found = read(*arguments)
    except (DataError, RecipeError) as error:
        assert str(error)
        return
    if isinstance(found, Poses):
        raw = found.values
        assert raw.dtype == np.float32 and raw.shape[2:] == (3, 2) and min(raw.shape[1:]) > 0


CELL = st.sampled_from(
    [
        "0",
        "1",
        "-1",
        "1e999",
        "nan",
        "inf",
        "1_0",
        "",
        " ",
        '"',
        "x0",
        "frame",
        "9" * 30,
        "\x00",
        "\ud7ff",
        ",",
        "\n",
        "1.5",
    ]
)
JSON = st.recursive(
    st.sampled_from(
        [
            None,
            True,
            0,
            1.5,
            10**400,
            float("nan"),
            "1",
            [],
            {},
            [1, 2],
            [[1, 2]] * 3,
            [[[1, 2]] * 3] * 2,
        ]
    ),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=12,
)


@quick
@given(
    st.one_of(
        st.binary(max_size=300),
        st.lists(st.lists(CELL, min_size=6, max_size=9).map(",".join), max_size=6).map(
            lambda lines: "\n".join([HEADER, *lines]).encode()
        ),
    )
)
def test_any_csv_is_read_or_refused(data):
    survives(csv_files.parse, data, "x", WANTED)


@quick
@given(
    st.one_of(
        st.binary(max_size=300),
        JSON.map(lambda value: json.dumps({"frames": value}).encode()),
        JSON.map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_json_is_read_or_refused(data):
    survives(table.parse_json, data, "x", WANTED)


@quick
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(0, 500),
)
def test_any_npy_is_read_or_refused(tmp_path_factory, changes, length):
    path = tmp_path_factory.getbasetemp() / "any.npy"
    np.save(path, CLIPS[0])
    data = bytearray(path.read_bytes())
    for place, byte in changes:
        data[place % min(len(data), 130)] = byte
    path.write_bytes(data[: len(data) - length if length < 100 else len(data)])
    survives(table.read, path, WANTED)


@quick
@given(
    st.one_of(
        st.text(max_size=200),
        st.lists(
            st.one_of(
                st.sampled_from(YAML.splitlines()),
                st.sampled_from(
                    [
                        "split: {val: [a]}",
                        "joints: &a [*a]",
                        "? [",
                        "classes: [0]",
                        '"\\Uffffffff": 1',
                        "%YAML 9",
                        "--- 1",
                        "<<: {joints: 1}",
                        "names: {}",
                        "edges: 3",
                        "split: [",
                        "centre: .nan",
                        "frame_rate: -1",
                    ]
                ),
            ),
            max_size=8,
        ).map("\n".join),
    )
)
def test_any_description_is_read_or_refused(tmp_path_factory, text):
    root = tmp_path_factory.getbasetemp()
    (root / "dataset.yaml").write_text(text)
    survives(dataset_yaml.read, root)


@quick
@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.lists(
                st.one_of(CELL, st.sampled_from(["a.npy", "labels.csv", "..", "/", "val"])),
                min_size=2,
                max_size=4,
            ).map(",".join),
            max_size=5,
        ).map(lambda lines: "\n".join(["file,label,split", *lines]).encode("utf-8", "replace")),
    )
)
def test_any_labels_are_read_or_refused(tmp_path_factory, data):
    root = tmp_path_factory.getbasetemp()
    (root / "labels.csv").write_bytes(data)

    def read():
        bad = BadClips(root, skip=True)
        listing = labels_csv.read(Folder(root), bad)
        entries, labelled = labels.numbered(listing.entries, None, root, bad)
        bad.check(listing.lines)
        return splits.validating(entries, labelled.numbers, None, root).any() and ()

    survives(read)
