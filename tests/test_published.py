"""What is guessed of checkpoints that come without their data: the steps are those that the inputs
make of the data set, the classes those of the benchmark, and every guess is said."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from compress.data.dataset import Dataset, Split
from compress.data.ntu import CENTRED
from compress.inputs import branches, crop_resize, min_max_sample, uniform, view
from compress.predict import main as predict
from export import scripts
from export.preprocess import published
from teachers import networks
from teachers.skeleton import COCO_17, NTU_25, NTU_25_PYSKL, OPENPOSE_18, UCLA_20
from teachers.weights.benchmarks import NTU_120, NW_UCLA

STREAMS = ("joint", "bone", "joint_motion", "bone_motion")
NOTHING = Split((), (), np.zeros(0, np.int64))


def dataset(skeleton, persons=2, channels=3, base=(), **more):
    return Dataset(
        "x", NOTHING, NOTHING, ("a",), skeleton, persons, channels, "", base_ops=base, **more
    )


def spec(network, skeleton, classes=60, frames=64, persons=2, channels=3):
    return networks.module(network).default_spec(classes, skeleton, frames, persons, channels)


# network, its skeleton, classes, the data set that its authors have, the input and its config
FAMILIES = [
    ("ctrgcn", NTU_25, 60, dataset(NTU_25, base=CENTRED), crop_resize.Config()),
    ("ctrgcn_light_v1", NTU_25, 120, dataset(NTU_25, base=CENTRED), crop_resize.Config()),
    ("ctrgcn_light_v2", NTU_25, 60, dataset(NTU_25, base=CENTRED), crop_resize.Config()),
    ("ctrgcn", UCLA_20, 10, dataset(UCLA_20, 1), min_max_sample.Config()),
    ("ctrgcn", NTU_25_PYSKL, 60, dataset(NTU_25_PYSKL), uniform.Config()),
    ("stgcn", NTU_25_PYSKL, 60, dataset(NTU_25_PYSKL), uniform.Config()),
    ("stgcnpp", NTU_25_PYSKL, 120, dataset(NTU_25_PYSKL), uniform.Config()),
    (
        "stgcnpp",
        COCO_17,
        60,
        dataset(COCO_17, coordinates=2, image=(1920, 1080)),
        uniform.Config(),
    ),
]


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("network, skeleton, classes, data, config", FAMILIES)
def test_steps_are_those_that_the_input_makes_of_the_data_set(
    network, skeleton, classes, data, config, stream, monkeypatch
):
    config = replace(config, stream=stream)
    name = type(config).__module__.rpartition(".")[2]
    expected = view.build(name, config, data, skeleton)
    described = spec(network, skeleton, classes, config.frames, data.persons)
    monkeypatch.setattr(published, "stream_of", lambda *_: stream)
    about, notes = published.complete(described, {}, {}, "x.pth")
    assert about["preprocessing"] == list(expected.eval_ops)
    assert expected.shape == described.input_shape
    assert about["recorded"]["joints"] == skeleton.joints
    assert about["recorded"].get("score", False) is data.scored
    assert tuple(about["classes"]) == (NW_UCLA if classes == 10 else NTU_120[:classes])
    assert "guessed" in about["data"] and about["data"] in notes[0]


@pytest.mark.parametrize("turned", [False, True])
def test_branches_of_efficientgcn_follow_from_where_people_stood(turned):
    expected = view.build(
        "branches", branches.Config(view_transform=turned), dataset(NTU_25), NTU_25
    )
    described = spec("efficientgcn", NTU_25, 60, 288, 2, 18)
    state = {
        "stem.0.bn._mean": np.array([0, -0.03, 0.02 if turned else 0.55, 0, -0.03, 0.01]),
        "stem.0.bn._variance": np.full(6, 0.1) if turned else np.full(6, 1.5),
    }
    about, notes = published.complete(described, state, {}, "x.pdparams")
    assert about["preprocessing"] == list(expected.eval_ops)
    assert ("X-View" if turned else "X-Sub") in about["data"] and len(notes) == 1
    # The file's name is a hint, and statistics outweigh it.
    other = "b0_x-sub.pdparams" if turned else "b0_xview.pdparams"
    about, notes = published.complete(described, state, {}, other)
    assert about["preprocessing"] == list(expected.eval_ops)
    assert "its statistics are those of" in notes[1]


def test_efficientgcn_that_saw_no_clips_is_fed_by_its_name_or_by_nobody():
    described = spec("efficientgcn", NTU_25, 60, 288, 2, 18)
    fresh = {"stem.0.bn._mean": np.zeros(6), "stem.0.bn._variance": np.ones(6)}
    about, notes = published.complete(described, fresh, {}, "b0_xview.pdparams")
    assert about["preprocessing"][1]["op"] == "view_transform"
    about, notes = published.complete(described, fresh, {}, "b0.pdparams")
    assert "preprocessing" not in about
    assert "-o input.view_transform=false, or true for X-View" in notes[0]


def test_what_a_file_says_itself_stays():
    described = spec("ctrgcn", NTU_25)
    said = {"classes": ["a"] * 60, "preprocessing": [{"op": "trim"}]}
    assert published.complete(described, {}, said, "x.npz") == (said, [])
    about, _ = published.complete(described, {}, {"classes": ["a"] * 60}, "x.npz")
    assert about["classes"] == ["a"] * 60 and about["preprocessing"][0] == CENTRED[0]


def test_one_person_or_other_classes_are_not_called_ntu():
    for described in (spec("ctrgcn", NTU_25, persons=1), spec("ctrgcn", NTU_25, classes=5)):
        about, notes = published.complete(described, {}, {}, "x.pth")
        assert about["classes"] == [] and about["preprocessing"][0] == CENTRED[0]
        assert "name them with --classes" in notes[1]


@pytest.mark.parametrize("network, skeleton", [("stgcnpp", OPENPOSE_18), ("stgcn", UCLA_20)])
def test_a_family_on_joints_that_nobody_published_it_for_is_not_guessed(network, skeleton):
    about, notes = published.complete(spec(network, skeleton), {}, {}, "x.pth")
    known = network == "stgcn" and skeleton is UCLA_20
    # NW-UCLA has one published way, whatever the network.
    assert ("preprocessing" in about) is known
    if not known:
        assert "nothing says how clips become its input (C=3, T=64, V=18, M=2)" in notes[0]


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("motion_of", ["crop_resize", "uniform"])
def test_the_stream_is_told_by_the_statistics_of_the_input(stream, motion_of):
    """A standing person who sways, and the mean and variance that a BatchNorm would keep."""
    rng = np.random.default_rng(0)
    body = rng.uniform(-0.5, 0.5, (3, 1, 25, 1)) + np.array([0, 0.2, 3]).reshape(3, 1, 1, 1)
    sway = 0.05 * np.sin(np.arange(90) / 9).reshape(1, 90, 1, 1) * rng.normal(size=(3, 1, 25, 1))
    clip = np.tile(body + sway, 2).astype("float32")
    config = {"crop_resize": crop_resize, "uniform": uniform}[motion_of].Config(stream=stream)
    through = view.build(motion_of, config, dataset(NTU_25, base=CENTRED), NTU_25)
    values = through.prepare(clip)[..., 0].transpose(2, 0, 1).reshape(75, -1)
    state = {"data_bn._mean": values.mean(axis=1), "data_bn._variance": values.var(axis=1)}
    seen = SimpleNamespace(skeleton=NTU_25, channels=3)
    assert published.stream_of(seen, state) == stream
    fresh = {"data_bn._mean": np.zeros(75), "data_bn._variance": np.ones(75)}
    assert published.stream_of(seen, fresh) == "joint"


@pytest.mark.parametrize("split", ["xsub", "xview"])
def test_published_weights_answer_real_clips_without_another_key(shared, tmp_path, split, capsys):
    weights = shared / "weights" / f"efficientgcn_b0_sg_ntu60_{split}.pdparams"
    assert (
        scripts.main(["--weights", str(weights), "--out", str(tmp_path / "d"), "--format", "onnx"])
        == 0
    )
    note = capsys.readouterr().err
    assert {"xsub": "X-Sub", "xview": "X-View"}[split] in note and "guessed" in note
    example = shared / "data" / "example_NTU-RGB-D_sketeton.npy"
    assert predict([str(tmp_path / "d"), str(shared / "data" / "ntu60_samples"), str(example)]) == 0
    answers = json.loads(capsys.readouterr().out.splitlines()[-1])["clips"]
    assert len(answers) == 7 and answers[-1]["class"] == "drop"
    for answer in answers[:-1]:
        assert (
            answer["id"] == int(answer["clip"][-3:]) - 1
            and answer["class"] == NTU_120[answer["id"]]
        )
    golden = np.load(shared / "golden" / "efficientgcn_b0_ntu60.npz")
    np.save(tmp_path / "golden.npy", golden["raw"])
    wanted = ["--scores", str(tmp_path / "s.npz"), "--batch-size", "8"]
    assert predict([str(tmp_path / "d"), str(tmp_path / "golden.npy"), *wanted]) == 0
    logits = golden[f"logits_{split}"]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    with np.load(tmp_path / "s.npz") as table:
        np.testing.assert_allclose(
            table["scores"], powers / powers.sum(axis=1, keepdims=True), atol=1e-4
        )
        assert table["scores"].argmax(axis=1).tolist() == golden["label"].tolist()
