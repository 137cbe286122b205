"""`input.window`: training on stretches of clips, and one padding rule in training, evaluation and
serving."""

from __future__ import annotations

import importlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compress import predict, recipe as recipes
from compress.data.dataset import Dataset, Split
from compress.data.joint_maps import Bringing
from compress.inputs import view as views, windows
from compress.inputs.windows import Window
from export import deployed, serving
from export.preprocess import framewise, ops
from export.serve import Live, Recogniser
from tests import live_folder
from tests.live_folder import FIVE, T, pose

CENTRE = {"op": "centre", "joint": 0, "frame": 0}
# By input, what leaves nothing of training to chance but the stretch.
STILL = {
    "branches": ({}, "input"),
    "crop_resize": ({"rotation": 0.0, "crop": 1.0, "centre": False}, "input"),
    "loop": ({"normalise": "none"}, "hold"),
    # As many frames as segments: the random frame of each is that frame.
    "uniform": ({"normalise": "none"}, "loop"),
}


def clip(frames: int, seed: int = 0, empty: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).normal(2, 1, (3, frames, 5, 1)).astype(np.float32)
    return np.concatenate([values, np.zeros((3, empty, 5, 1), np.float32)], axis=1)


def dataset(**said) -> Dataset:
    split = Split(("a",), [ops.apply(clip(30), (CENTRE,))], np.zeros(1, np.int64))
    return Dataset("x", split, split, ("one",), FIVE, 1, 3, "", base_ops=(CENTRE,), **said)


def seen(name: str, window: Window | None, bringing=None, **keys) -> views.View:
    config = importlib.import_module(f"compress.inputs.{name}").Config
    return views.build(name, config(window=window, **keys), dataset(), FIVE, bringing)


def numbers(made: np.ndarray) -> list[int]:
    return made[0, :, 0, 0].astype(int).tolist()


def test_the_step_keeps_the_middle_and_fills_up_what_is_short():
    counted = np.arange(1, 11, dtype=np.float32).reshape(1, 10, 1, 1)
    behind = np.concatenate([counted, counted * 0], axis=1)
    assert numbers(ops.window(behind, 4)) == [4, 5, 6, 7]
    assert numbers(ops.window(counted, 5, least=2)) == [3, 4, 5, 6, 7]
    short = counted[:, :3]
    assert numbers(ops.window(short, 5)) == [1, 2, 3]
    assert numbers(ops.window(short, 5, pad="hold")) == [1, 2, 3, 3, 3]
    assert numbers(ops.window(behind[:, 8:], 5, pad="loop")) == [9, 10, 9, 10, 9]
    assert numbers(ops.window(counted * 0, 3)) == [0]
    with pytest.raises(ValueError, match="unknown pad 'zero'"):
        ops.window(short, 5, pad="zero")


def test_stretches_are_of_every_length_and_place_and_never_longer():
    rng = np.random.default_rng(1)
    counted = np.arange(1, 31, dtype=np.float32).reshape(1, 30, 1, 1)
    padded = np.concatenate([counted, counted * 0], axis=1)
    window = Window(5, 12)
    drawn = [numbers(windows.drawn(padded, rng, window)) for _ in range(400)]
    assert {len(each) for each in drawn} == set(range(5, 13))
    assert {each[0] for each in drawn} >= {1, 2, 25} and max(each[-1] for each in drawn) == 30
    assert all(each == list(range(each[0], each[-1] + 1)) for each in drawn)
    # A clip that is shorter than the shortest is taken whole.
    assert numbers(windows.drawn(padded[:, :3], rng, window)) == [1, 2, 3]


@pytest.mark.parametrize("name", STILL)
def test_training_sees_a_stretch_as_evaluation_and_serving_see_it(name):
    keys, pad = STILL[name]
    window = Window(4, 12, pad)
    frames = 9 if name == "crop_resize" else 12
    through = seen(name, window, frames=frames, **keys)
    whole = dataset().train.clips[0]
    for seed in range(8):
        alone = windows.drawn(whole, np.random.default_rng(seed), window)
        trained = through.augment(whole, np.random.default_rng(seed))
        np.testing.assert_array_equal(trained, through.prepare(alone))
    # Of a recording that is served, too: a window is centred by its own first frame.
    np.testing.assert_allclose(through.prepare(alone + 5), trained, atol=3e-6)
    assert through.prepare(whole).shape == through.shape
    together = through.augment_batch(
        [whole] * 2, lambda: [np.random.default_rng(s) for s in (7, 6)]
    )
    np.testing.assert_array_equal(together[0], trained)


def test_joints_of_another_skeleton_are_brought_behind_the_cut():
    joints = [[[1.0, [number]]] for number in (4, 3, 2, 1, 0)]
    bringing = Bringing(FIVE, ({"op": "map_joints", "joints": joints},))
    through = seen("branches", Window(4, 12), bringing, frames=12)
    assert [step["op"] for step in through.eval_ops[:3]] == ["window", "centre", "map_joints"]
    whole = dataset().train.clips[0]
    alone = windows.drawn(whole, np.random.default_rng(3), Window(4, 12))
    np.testing.assert_array_equal(
        through.augment(whole, np.random.default_rng(3)), through.prepare(alone)
    )


def test_without_a_window_a_view_is_what_it_was():
    plain = seen("uniform", None, frames=12, normalise="none")
    windowed = seen("uniform", Window(4, 12), frames=12, normalise="none")
    assert windowed.eval_ops[1:] == plain.eval_ops
    assert plain.legacy_fingerprint and windowed.legacy_fingerprint is None
    assert plain.fingerprint != windowed.fingerprint
    # A stream is paced, and has no window to cut.
    assert framewise.of_stream([{"op": "window", "frames": 3}, {"op": "trim"}]) == ()


def test_a_recipe_says_it_and_impossible_windows_are_refused():
    said = ["input={name: uniform, frames: 64, window: {min: 16, max: 64, pad: hold}}"]
    member = recipes.load("stgcnpp", said).teacher.members[0]
    assert member.input.config.window == Window(16, 64, "hold")
    with pytest.raises(ValueError, match="min, max: must be frames"):
        Window(9, 8)


def test_notes_say_what_is_cut_and_what_is_too_short():
    lengths = replace(dataset(), lengths=(3, 9, 20, 40))
    long, short = windows.notes(Window(4, 16), lengths)
    assert long.startswith("input.window.max: 2 of 4 clips have more than 16 frames")
    assert short.startswith("input.window.min: 1 of 4 clips have fewer than 4 frames")
    config = importlib.import_module("compress.inputs.loop").Config
    # Windows of what the input takes: nothing behind them is lost by it.
    notes = views.build("loop", config(frames=8, window=Window(4, 8)), lengths, FIVE).notes
    assert not any(note.startswith("input.frames") for note in notes)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of a network that was trained on windows of 4 to 6 frames of its 8, held."""
    made = live_folder.make(tmp_path / "deploy")
    steps = (
        {"op": "window", "frames": 6, "least": 4, "pad": "hold"},
        {"op": "sample", "frames": T},
    )
    deployed.write(made, replace(deployed.read(made), preprocessing=steps))
    return made


def test_live_windows_are_those_of_the_training_and_answered_as_their_clips(folder):
    recogniser = Recogniser(folder, Live(stride=1))
    assert (recogniser.live.window, recogniser.live.min_frames) == (6, 4)
    description = deployed.read(folder)
    assert "hold" in description.steps["window"]
    network = deployed.predictors(folder, description)["onnx"]
    through = views.from_ops(description.preprocessing, description.input.clip)
    poses = np.stack([pose(number % 3) + 0.01 * number for number in range(10)])
    answered = []
    for number, joints in enumerate(poses):
        recogniser.push(1, joints, number / 30)
        for answer in recogniser.answers:
            clip = poses[max(0, number - 5) : number + 1].transpose(2, 0, 1)[..., None]
            x = serving.prepare(clip, description, "clip")
            np.testing.assert_array_equal(x, through.prepare(clip))
            np.testing.assert_array_equal(
                answer.scores, serving.answer(network, x[None], description, "clip")
            )
            answered.append(answer.frames)
    assert answered == [4, 5, 6, 6, 6, 6, 6]


def test_longer_live_windows_are_cut_and_said(folder):
    notes: list[str] = []
    recogniser = Recogniser(folder, Live(window=50, min_frames=2), on_note=notes.append)
    assert (recogniser.live.window, recogniser.live.min_frames) == (6, 2)
    (note,) = notes
    assert note == (
        "live: window: is 50, and the network was trained on windows of up to 6 frames"
        " (input.window), so it gets as many"
    )


def test_predict_says_which_clips_are_shorter_than_trained(folder, tmp_path, capsys):
    for frames in (3, 4):
        poses = np.stack([pose(1)] * frames).transpose(2, 0, 1)[..., None]
        np.save(tmp_path / f"{frames}.npy", poses)
    said = "note: a clip of 3 frames, fewer than the 4 that the network was trained on"
    files = [str(tmp_path / f"{frames}.npy") for frames in (3, 4)]
    assert predict.main([str(folder), *files, "--json"]) == 0
    out, err = capsys.readouterr()
    assert (out + err).count("fewer than the") == 1 and said in out + err
    results = json.loads(out.splitlines()[-1])["clips"]
    assert [each["class"] for each in results] == ["wave", "wave"]
