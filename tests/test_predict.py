"""What `predict.py` makes of a raw clip: recordings differ from network inputs in channels, persons
and number of views."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest

from compress import cli
from compress.data.dataset import Dataset, Split
from compress.data.pyskl import recordings
from compress.inputs import branches, uniform, view
from compress.predict import main
from export import package, serving
from export.deployed.record import (
    FORMAT,
    VERSION,
    Description,
    Input,
    Output,
    Recorded,
)
from export.formats import table
from export.preprocess import ops
from teachers import networks
from teachers.errors import DataError
from teachers.skeleton import NTU_25
from teachers.weights import checkpoints

RAW = np.random.default_rng(0).normal(size=(3, 40, 25, 1)).astype(np.float32)


def description(through: view.View, **changes) -> Description:
    said = {
        "recorded": Recorded(channels=3, joints=25),
        "views": through.clips,
        "preprocessing": tuple(through.eval_ops),
    } | changes
    return Description(
        format=FORMAT,
        version=VERSION,
        counted_from=0,
        network="stgcn",
        classes=("a", "b"),
        input=Input("clip", (None, *through.shape)),
        output=Output("logits", (None, 2)),
        skeleton=NTU_25,
        files={"onnx": ("model.onnx",)},
        **said,
    )


def seen(name: str, config) -> view.View:
    empty = Split((), (), np.zeros(0, np.int64))
    return view.build(name, config, Dataset("ntu", empty, empty, ("one",), NTU_25, 2, 3, ""))


def test_a_recording_becomes_branches_of_as_many_persons_as_the_network_takes():
    through = seen("branches", branches.Config(frames=16))
    x = serving.prepare(RAW, description(through), "clip")
    both = np.concatenate([RAW, np.zeros_like(RAW)], axis=3)
    assert x.shape == (18, 16, 25, 2)
    np.testing.assert_array_equal(x, through.prepare(both))
    np.testing.assert_array_equal(
        serving.prepare(np.concatenate([both, both], axis=3), description(through), "clip"), x
    )


def test_every_view_is_the_one_that_was_tested_with():
    through = seen("uniform", uniform.Config(frames=8, clips=3))
    both = np.concatenate([RAW, np.zeros_like(RAW)], axis=3)
    for number in range(3):
        np.testing.assert_array_equal(
            serving.prepare(RAW, description(through), "clip", number),
            through.prepare(both, number),
        )


def test_scores_are_averaged_over_views_after_the_softmax():
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]], np.float32)) + np.array(
        [[5], [-5]], np.float32
    )
    scores = serving.scores_of(logits)
    np.testing.assert_allclose(scores, [0.4, 0.4, 0.2], rtol=1e-5)
    best = serving.top_classes(np.array([0.1, 0.6, 0.3]), ["a", "b", "c"], 2)
    assert best == [{"class": "b", "id": 1, "score": 0.6}, {"class": "c", "id": 2, "score": 0.3}]


@pytest.mark.parametrize("raw", [RAW[:2], RAW[:, :, :20]])
def test_another_recording_is_refused(raw):
    with pytest.raises(DataError) as caught:
        serving.prepare(raw, description(seen("branches", branches.Config(frames=16))), "clip")
    assert (
        str(caught.value)
        == f"clip: has {len(raw)} coordinates of {raw.shape[2]} joints; this network needs 3 of 25"
        " (ntu_25)"
    )


def test_a_folder_that_does_not_say_how_to_prepare_a_clip_is_told():
    with pytest.raises(
        DataError,
        match="clip: has 40 frames of 3 channels after preprocessing, the network needs 16 of 18",
    ):
        serving.prepare(
            RAW, description(seen("branches", branches.Config(frames=16)), preprocessing=()), "clip"
        )
    # As folders were written before they said so.
    old = description(
        seen("uniform", uniform.Config(frames=40, normalise="none")), recorded=None, views=1
    )
    assert serving.prepare(RAW, old, "clip").shape == (3, 40, 25, 2)
    np.testing.assert_array_equal(serving.prepare(RAW, old, "clip")[..., :1], ops.uniform(RAW, 40))


# The command, on a folder of both formats with a network of five joints.

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("wave", "clap", "sit")


@pytest.fixture(scope="module")
def network(tiny_spec, randomised):
    return randomised(networks.build(tiny_spec))


@pytest.fixture(scope="module")
def about():
    return {
        "classes": NAMES,
        "data": "tiny",
        "preprocessing": [{"op": "uniform", "frames": 8, "clip": 0, "clips": 2}],
        "views": 2,
        "recorded": {"channels": 3, "joints": 5, "persons": 2},
    }


@pytest.fixture(scope="module")
def folder(network, about, tmp_path_factory):
    path = tmp_path_factory.mktemp("predict") / "deploy"
    C, T, V, M = network.spec.input_shape
    clips = np.random.default_rng(1).standard_normal((4, C, T, V, M)).astype("float32")
    with paddle.no_grad():
        reference = network(paddle.to_tensor(clips)).numpy()
    package.build(network, path, ("paddle", "onnx"), about, clips, reference)
    return path


@pytest.fixture(scope="module")
def recorded():
    return np.random.default_rng(2).standard_normal((7, 3, 20, 5, 2)).astype("float32")


@pytest.fixture
def clips(recorded, tmp_path):
    """A folder of seven clips."""
    place = tmp_path / "clips"
    place.mkdir()
    for number, clip in enumerate(recorded):
        np.save(place / f"clip{number}.npy", clip)
    return place


def last_line(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_onnx_is_served_without_paddle_and_without_its_files(folder, clips, tmp_path):
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare)
    # Opened or hashed, they would be refused; and whoever deploys ONNX alone copies them in vain.
    (bare / table.files("paddle")[0]).write_bytes(b"nothing of Paddle")
    (bare / "model.pdiparams").unlink()
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('paddle', 'paddle2onnx', 'visualdl', 'matplotlib'):\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from compress import cli\n"
        "sys.exit(cli.main(['predict', *sys.argv[1:]]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bare), str(clips / "clip0.npy")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer = json.loads(done.stdout.splitlines()[-1])
    assert answer["runtime"] == "onnx" and answer["clips"][0]["class"] in NAMES


def test_one_clip_reads_like_paddlevideo(folder, clips, capsys):
    assert main([str(folder), str(clips / "clip0.npy")]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    (answer,) = json.loads(last)["clips"]
    assert lines[0].startswith(f"clip0: {answer['class']} (")
    assert [line.strip() for line in lines[1:]] == [
        f"top-1 class: {NAMES.index(answer['class'])}",
        f"top-1 score: {answer['score']}",
    ]
    assert answer["id"] == NAMES.index(answer["class"])


def test_bad_clips_among_many_are_named_and_the_rest_are_answered(folder, clips, capsys):
    np.save(clips / "clip2.npy", np.zeros((3, 20, 5, 2), "f4"))
    np.save(clips / "clip4.npy", np.ones((3, 20, 6, 2), "f4"))
    (clips / "clip6.npy").write_bytes(b"no array")
    assert main([str(folder), str(clips), str(clips / "absent.npy")]) == 1
    captured = capsys.readouterr()
    content = json.loads(captured.out.splitlines()[-1])
    assert [answer["clip"] for answer in content["clips"]] == ["clip0", "clip1", "clip3", "clip5"]
    assert [Path(each["file"]).name for each in content["failed"]] == [
        "clip2.npy",
        "clip4.npy",
        "clip6.npy",
        "absent.npy",
    ]
    assert content["status"] == "failed" and content["exit_code"] == 1
    for part in (
        "4 of 8 clips",
        "nobody is in it",
        "coordinates of 6 joints",
        "absent.npy: no such",
    ):
        assert part in captured.err


@pytest.mark.parametrize("size", ["1", "3"])
def test_clips_whose_numbers_overflow_are_named_and_the_rest_are_answered(
    folder, clips, recorded, tmp_path, size, capsys
):
    # Of clip 1 in the first of its two views alone, for the other begins with the next frame.
    large = recorded.copy()
    large[1][:, 0] = 3e38
    large[4][:] = 3e38
    for number in (1, 4):
        np.save(clips / f"clip{number}.npy", large[number])
    table = tmp_path / "scores.npz"
    command = [str(folder), str(clips), "--batch-size", size, "--scores", str(table)]
    assert main(command) == 1
    content = last_line(capsys)
    answered = ["clip0", "clip2", "clip3", "clip5", "clip6"]
    assert [each["clip"] for each in content["clips"]] == answered
    assert [each["error"] for each in content["failed"]] == [
        f"clip{number}: the model answers with numbers that are not finite; check the clip's"
        " coordinates"
        for number in (1, 4)
    ]
    written = _table(table)
    assert written["clips"] == answered and np.isfinite(written["scores"]).all()


def test_clips_come_as_folders_lists_and_pickles(folder, clips, recorded, tmp_path, capsys):
    assert main([str(folder), str(clips)]) == 0
    expected = last_line(capsys)["clips"]
    (clips / "all.txt").write_text("# mine\n\n" + "".join(f"clip{n}.npy\n" for n in range(7)))
    annotations = [
        {"frame_dir": f"clip{number}", "keypoint": clip.transpose(3, 1, 2, 0)}
        for number, clip in enumerate(recorded)
    ]
    with open(tmp_path / "all.pkl", "wb") as file:
        pickle.dump({"annotations": annotations, "split": {}}, file)
    for source in (clips / "all.txt", tmp_path / "all.pkl"):
        assert main([str(folder), str(source), "--batch-size", "3"]) == 0
        answers = last_line(capsys)["clips"]
        assert [each["clip"] for each in answers] == [each["clip"] for each in expected]
        assert [each["id"] for each in answers] == [each["id"] for each in expected]
        assert all(
            abs(here["score"] - there["score"]) < 2e-4
            for here, there in zip(answers, expected, strict=True)
        )


def test_every_clip_of_a_batch_has_its_own_answer(folder, clips, tmp_path, capsys):
    """By features, which are further apart between clips than a tiny network's scores."""
    tables = []
    for size in ("1", "3"):
        file = tmp_path / f"{size}.npz"
        command = [str(folder), str(clips), "--batch-size", size, "--embeddings", str(file)]
        assert main(command) == 0
        capsys.readouterr()
        tables.append(np.array(_table(file)["embeddings"]))
    alone, together = tables
    apart = [np.abs(alone[a] - alone[b]).max() for a in range(7) for b in range(a)]
    off = np.abs(alone - together).max()
    assert off < 1e-5 < min(apart) / 10


@pytest.mark.parametrize("content", ["", "# nothing\n", "other.txt\n"])
def test_a_list_without_clips_or_with_lists_is_refused(folder, tmp_path, content, capsys):
    (tmp_path / "all.txt").write_text(content)
    assert main([str(folder), str(tmp_path / "all.txt")]) == 1
    assert "all.txt: names " in capsys.readouterr().err


def test_key_points_of_other_images_are_scaled_and_have_their_scores(tmp_path):
    keypoint = np.random.default_rng(0).uniform(1, 200, (1, 4, 5, 2)).astype("float16")
    score = np.full((1, 4, 5), 0.5, "float16")
    with open(tmp_path / "a.pkl", "wb") as file:
        pickle.dump(
            [
                {
                    "frame_dir": "a",
                    "keypoint": keypoint,
                    "keypoint_score": score,
                    "img_shape": (100, 200),
                }
            ],
            file,
        )
    ((name, read),) = recordings.recordings(
        tmp_path / "a.pkl", {"channels": 3, "joints": 5, "persons": 1}, (400, 400)
    )
    clip = read()
    assert name == "a" and clip.shape == (3, 4, 5, 1)
    np.testing.assert_allclose(clip[0, :, :, 0], keypoint[0, :, :, 0] * 2.0)
    np.testing.assert_allclose(clip[1, :, :, 0], keypoint[0, :, :, 1] * 4.0)
    assert (clip[2] == 0.5).all()


@pytest.mark.parametrize("suffix", [".npz", ".json"])
@pytest.mark.parametrize("kind", ["onnx", "paddle", "weights"])
def test_scores_and_embeddings_are_written(
    network, folder, about, clips, tmp_path, kind, suffix, capsys
):
    target = [str(folder), "--runtime", kind]
    if kind == "weights":
        checkpoints.save(tmp_path / "net.npz", network, about)
        target = [str(tmp_path / "net.npz")]
    wanted = [
        "--scores",
        str(tmp_path / f"s{suffix}"),
        "--embeddings",
        str(tmp_path / f"e{suffix}"),
    ]
    assert main([*target, str(clips), "--top", "1", *wanted]) == 0
    answers = last_line(capsys)["clips"]
    scores, embeddings = (_table(tmp_path / f"{name}{suffix}") for name in "se")
    assert scores["clips"] == embeddings["clips"] == [f"clip{number}" for number in range(7)]
    assert scores["classes"] == list(NAMES)
    assert np.argmax(scores["scores"], axis=1).tolist() == [each["id"] for each in answers]
    np.testing.assert_allclose(np.sum(scores["scores"], axis=1), 1, rtol=1e-5)
    assert np.shape(embeddings["embeddings"]) == (7, network.fc.weight.shape[0])
    assert all(len(each["top"]) == 1 and len(each["top5"]) == 3 for each in answers)


def _table(path):
    if path.suffix == ".json":
        return json.loads(path.read_text())
    with np.load(path) as arrays:
        return {key: arrays[key].tolist() for key in arrays.files}


def test_a_model_file_of_a_folder_is_the_folder_in_its_runtime(folder, clips, tmp_path, capsys):
    for file, runtime in (("model.onnx", "onnx"), (table.files("paddle")[0], "paddle")):
        assert main([str(folder / file), str(clips / "clip0.npy")]) == 0
        assert last_line(capsys)["runtime"] == runtime
    assert main([str(folder / "model.onnx"), str(clips), "--runtime", "paddle"]) == 1
    assert "is served by onnx; leave --runtime paddle out" in capsys.readouterr().err
    shutil.copy(folder / "model.onnx", tmp_path / "alone.onnx")
    assert main([str(tmp_path / "alone.onnx"), str(clips)]) == 1
    assert "no deployed.json beside it" in capsys.readouterr().err


def test_a_file_for_scores_is_refused_before_any_work(folder, clips, capsys):
    with pytest.raises(SystemExit):
        main([str(folder), str(clips), "--scores", "scores.csv"])
    assert "ends neither in .npz nor in .json" in capsys.readouterr().err


def test_a_weights_file_takes_its_classes_from_options_and_a_folder_takes_none(
    network, folder, about, clips, tmp_path, capsys
):
    unnamed = {key: value for key, value in about.items() if key != "classes"}
    checkpoints.save(tmp_path / "net.npz", network, unnamed)
    one = str(clips / "clip0.npy")
    assert main([str(tmp_path / "net.npz"), one, "--classes", "x,y,z"]) == 0
    (answer,) = last_line(capsys)["clips"]
    assert answer["class"] == "xyz"[answer["id"]] and len(answer["top5"]) == 3
    assert main([str(folder), one, "--classes", "x,y,z"]) == 1
    assert "says all of itself; leave --classes out" in capsys.readouterr().err
    # A recipe is the business of `featherbone predict`.
    assert cli.main(["predict", str(folder), one, "--recipe", "stgcn"]) == 1
    assert "leave --recipe out" in capsys.readouterr().err
    assert main([str(tmp_path / "net.npz"), one, "--runtime", "onnx"]) == 1
    assert "a weights file is answered by Paddle" in capsys.readouterr().err
