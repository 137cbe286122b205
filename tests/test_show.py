"""Pictures of clips: people where they are, as many frames as asked for, names that say what is
seen."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image, ImageColor

from compress import show
from compress.reporting import drawing
from teachers.skeleton import COCO_17, NTU_25, Skeleton

LINE = Skeleton("line", 2, ((2, 1),), centre=1)


def run(capsys, *arguments) -> tuple[int, dict]:
    code = show.main([str(argument) for argument in arguments])
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def coloured(picture: Image.Image, colour: str) -> np.ndarray:
    """(H, W) where a picture has nearly this colour."""
    return np.abs(np.asarray(picture, np.int64) - ImageColor.getrgb(colour)).sum(axis=2) < 60


def test_a_figure_stands_where_its_joints_are():
    clip = np.zeros((3, 2, 2, 2), np.float32)
    clip[:2, 0, :, 0] = [[0, 0], [0, 2]]  # upright, from the ground to y = 2
    clip[:2, 1, :, 0] = [[0, 2], [0, 0]]  # lying, to the right
    assert [[person for person, _ in drawing.Row("", clip).points(frame)] for frame in (0, 1)] == [
        [0],
        [0],
    ]  # the second is absent
    middle, half = drawing.Row("", clip).limits()
    assert middle.tolist() == [1, -1] and half == pytest.approx(1.08)
    picture = drawing.strip([drawing.Row("", clip)], LINE, "title", frames=2)
    assert picture.size == (
        2 * drawing.PANEL + 2 * drawing.MARGIN,
        drawing.PANEL + 2 * drawing.LINE + 2 * drawing.MARGIN,
    )
    blue = coloured(picture, drawing.PERSONS[0])
    boxes = [
        np.argwhere(blue[:, start : start + drawing.PANEL])
        for start in (drawing.MARGIN, drawing.MARGIN + drawing.PANEL)
    ]
    (tall, thin), (flat, wide) = (np.ptp(box, axis=0) for box in boxes)
    assert tall > 150 and thin < 5 and flat < 5 and wide > 150
    assert not coloured(picture, drawing.PERSONS[1]).any()
    lower = (
        np.argwhere(blue[:, drawing.MARGIN + drawing.PANEL :])[:, 0].min()
        - drawing.MARGIN
        - 2 * drawing.LINE
    )
    assert lower > drawing.PANEL * 0.8  # he lies at the bottom: y grows upwards
    image = drawing.strip([drawing.Row("", clip, down=True)], LINE, "title", frames=2)
    assert (
        np.argwhere(coloured(image, drawing.PERSONS[0])[:, drawing.MARGIN + drawing.PANEL :])[
            :, 0
        ].max()
        < drawing.PANEL * 0.5
    )


def test_an_empty_clip_is_drawn_without_anybody():
    row = drawing.Row("nobody", np.zeros((3, 4, 25, 2), np.float32))
    pictures = drawing.animation(
        [row, row], NTU_25, "a title that is far too long for its picture, so it ends in dots " * 2
    )
    assert len(pictures) == 4 and not coloured(pictures[0], drawing.PERSONS[0]).any()


def test_a_real_recording_as_animation_and_as_strip(shared, tmp_path, capsys):
    path = shared / "data" / "ntu60_samples" / "S001C003P008R002A058.skeleton"
    code, told = run(capsys, path, "--output", tmp_path / "clip.gif")
    assert code == 0 and told == {
        "status": "drawn",
        "output": str(tmp_path / "clip.gif"),
        "clip": path.stem,
        "class": "shaking hands",
        "frames": 70,
        "skeleton": "ntu_25",
        "input": "crop_resize",
    }
    with Image.open(tmp_path / "clip.gif") as moving:
        assert moving.format == "GIF" and moving.n_frames == 70 and moving.info["loop"] == 0
        moving.seek(35)
        frame = moving.convert("RGB")
    half = frame.height // 2
    for top in (0, half):  # two people as recorded, and as trained on
        part = frame.crop((0, top, frame.width, top + half))
        assert (
            coloured(part, drawing.PERSONS[0]).sum() > 300
            and coloured(part, drawing.PERSONS[1]).sum() > 300
        )
    code, told = run(
        capsys, path, "--output", tmp_path / "clip.png", "--frames", "4", "--draws", "2"
    )
    with Image.open(tmp_path / "clip.png") as strip:
        assert code == 0 and strip.size == (4 * 200 + 16, 3 * 220 + 36)


def test_a_clip_of_a_recipe_in_its_own_words(tmp_path, capsys):
    tiny = ["-o", "data.train_clips=12", "-o", "data.val_clips=12"]
    code, told = run(
        capsys,
        "--recipe",
        "efficientgcn_b0",
        *tiny,
        "--split",
        "val",
        "--index",
        "3",
        "--output",
        tmp_path / "a.png",
    )
    assert (code, told["class"], told["input"]) == (0, "box", "branches")
    code, told = run(
        capsys,
        "--recipe",
        "ctrgcn_lite_dml",
        *tiny,
        "-o",
        "input.stream=bone",
        "--output",
        tmp_path / "b.png",
    )
    assert code == 0 and told["clip"].startswith("train_00000")
    code, told = run(
        capsys,
        "--recipe",
        "ctrgcn_lite_dml",
        *tiny,
        "--index",
        "12",
        "--output",
        tmp_path / "c.png",
    )
    assert (code, told["error"]) == (
        1,
        "--index 12: the train split of synthetic has 12 clips, numbered 0 to 11",
    )


def test_augmented_rows_differ_and_the_seed_decides(shared):
    options = show.parser().parse_args(
        [str(shared / "data" / "ntu60_samples" / "S001C001P001R001A001.skeleton")]
    )
    subject = show.from_file(options)
    first, again, other = (
        show.rows(subject, 2, 1),
        show.rows(subject, 2, 1),
        show.rows(subject, 2, 2),
    )
    assert [row.clip.shape[1] for row in first] == [103, 64, 64]
    np.testing.assert_array_equal(first[1].clip, again[1].clip)
    assert (first[1].clip != first[2].clip).any() and (first[1].clip != other[1].clip).any()


def test_files_of_other_kinds_and_what_cannot_be_drawn(tmp_path, capsys):
    clip = np.random.default_rng(0).uniform(0, 1, (2, 20, 17, 1)).astype(np.float32)
    np.save(tmp_path / "a.npy", clip)
    code, told = run(capsys, tmp_path / "a.npy", "--output", tmp_path / "a.png")
    assert (code, told["skeleton"], told["input"], told["class"]) == (
        0,
        COCO_17.name,
        "uniform",
        "",
    )
    np.save(tmp_path / "b.npy", clip[:, :, :7])
    _, told = run(capsys, tmp_path / "b.npy", "--output", tmp_path / "b.png")
    assert told["error"].startswith(
        f"{tmp_path / 'b.npy'}: has 7 joints of 2 coordinates, no known skeleton has as many; give"
        " --skeleton one of coco_17"
    )
    for arguments, message in (
        (["a.npy", "--output", "a.jpg"], "--output a.jpg: must end in .gif or .png"),
        ([], "give either a clip file, or --recipe with --index"),
        (["a.npy", "--frames", "1"], "--draws: must be at least 1, --frames at least 2"),
        (
            ["a.npy", "--frames", "4"],
            (
                "--frames: counts those of a strip, and clip.gif shows the whole clip; leave it out,"
                " or give a .png as --output"
            ),
        ),
        (
            ["a.npy", "--split", "train", "-o", "input.frames=4"],
            "--split, -o: has no effect with a clip file, which is in no data set; leave it out",
        ),
        (
            ["--recipe", "stgcn", "--input", "loop", "--skeleton", "coco_17"],
            "--input, --skeleton: has no effect with --recipe, which says both; leave it out",
        ),
    ):
        code, told = run(capsys, *arguments)
        assert (code, told["error"]) == (1, message)


def test_names_of_public_sets_say_the_class():
    assert (
        show.label_of("S001C001P001R001A120") == "rock-paper-scissors"
        and show.label_of("S001C001P001R001A121") == ""
    )
    assert (
        show.label_of("a12_s01_e00_v03") == "carry"
        and show.label_of("a07_s01_e00_v03") == ""
        and show.label_of("walk") == ""
    )
