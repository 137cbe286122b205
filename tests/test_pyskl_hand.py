"""A network for somebody's own skeleton: its checkpoint, its data and a recipe are all that is
needed, no new code."""

from __future__ import annotations

import json
import pickle

import numpy as np
import paddle
import pyskl_reference as literal
import pytest

from compress import run
from compress.data import clips as clip_files
from export import deployed, serving
from teachers import stages, stgcnpp

CLASSES, FRAMES, WIDTH, HEIGHT = 5, 16, 640, 480
PLAN = stgcnpp.Config(width=12, stages=6, inflate=(3, 5), down=(3, 6))
BLOCKS = [(block.in_channels, block.out_channels, block.stride) for block in stages.plan(2, PLAN)]
RECIPE = """
data: {{name: pyskl, root: hands.pkl, scores: false, persons: 1}}
skeleton: {{name: hand, joints: 21, bones: {bones}, centre: 1}}
input: {{frames: 16}}
teacher: {{name: stgcnpp, width: 12, stages: 6, inflate: [3, 5], down: [3, 6],
          weights: hand.pdparams}}
budget: {{max_size: 10MB, max_top1_drop: 0}}
"""


def hands(count: int) -> list[np.ndarray]:
    """Pixels (1, T, 21, 2) float16 of `count` clips, shorter and longer than the network's input:
    poses that tremble."""
    rng = np.random.default_rng(11)
    poses = rng.uniform(0, 1, (count, 1, 1, 21, 2)) * (WIDTH, HEIGHT)
    return [
        (pose + rng.normal(0, 20, (1, int(rng.integers(7, 60)), 21, 2))).astype(np.float16)
        for pose in poses
    ]


def by_hand(points: np.ndarray, weights: dict) -> np.ndarray:
    """(K,) logits of the published forward: PreNormalize2D, the middle frame of each of 16
    segments, short clips going round."""
    x = (points.astype(np.float32) - (WIDTH / 2, HEIGHT / 2)) / (WIDTH / 2, HEIGHT / 2)
    T = x.shape[1]
    chosen = (
        np.arange(FRAMES) % T
        if T < FRAMES
        else np.floor((np.arange(FRAMES) + 0.5) * T / FRAMES).astype(int)
    )
    return literal.logits(
        weights, BLOCKS, x[:, chosen].transpose(3, 1, 2, 0)[None].astype(np.float32)
    )[0]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A folder with checkpoint, data and recipe; (pixels of the validation clips, the published
    form's answers to them)."""
    monkeypatch.chdir(tmp_path)
    weights, points = literal.arrays(BLOCKS, 21, CLASSES, plus=True), hands(CLASSES + 12)
    # Without its mean every class is the answer to some clip. All of them get one constant back:
    # it decides nothing, and keeps the logits as large as the sums they are made of (8, not 0.9),
    # whose rounding differs between CPUs. Without it an AVX2 machine is 1.04e-5 off, where 1e-5
    # is allowed.
    means = np.mean([by_hand(one, weights) for one in points], axis=0)
    weights["fc_cls.bias"] -= means - np.abs(means).max()
    named = {
        f"{'cls_head' if name.startswith('fc') else 'backbone'}.{name}": paddle.to_tensor(value)
        for name, value in weights.items()
    }
    paddle.save(named, str(tmp_path / "hand.pdparams"))
    answers = np.array([int(by_hand(one, weights).argmax()) for one in points[CLASSES:]])
    wrong = np.arange(12) % 3 == 0  # so that the teacher is right in eight of twelve
    labels = [*range(CLASSES), *np.where(wrong, (answers + 1) % CLASSES, answers).tolist()]
    names = [f"clip{index}" for index in range(len(points))]
    annotations = [
        {
            "frame_dir": name,
            "label": label,
            "total_frames": one.shape[1],
            "keypoint": one,
            "img_shape": (HEIGHT, WIDTH),
        }
        for name, one, label in zip(names, points, labels, strict=True)
    ]
    content = {
        "split": {"train": names[:CLASSES], "val": names[CLASSES:]},
        "annotations": annotations,
    }
    (tmp_path / "hands.pkl").write_bytes(pickle.dumps(content))
    (tmp_path / "hand.yaml").write_text(
        RECIPE.format(bones=[list(pair) for pair in literal.HAND.bones])
    )
    return points[CLASSES:], answers


def test_six_stages_for_a_hand_of_21_joints_by_a_recipe_alone(workplace, tmp_path, capsys):
    points, answers = workplace
    assert len(set(answers)) > 2  # the network tells the clips apart
    assert run.main(["--recipe", "hand.yaml", "--output", "out"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["status"] == "ok" and said["teacher_top1"] == said["student_top1"] == pytest.approx(
        100 * 8 / 12
    )
    assert set(said["deployed"]) == {"Paddle Inference", "ONNX Runtime"}
    assert all(
        row["agreement"] == 1.0 and row["max_rel_diff"] <= 1e-5 for row in said["deployed"].values()
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (
        report["data"]["input"] == {"title": "uniform", "shape": [2, 16, 21, 1]}
        and report["data"]["skeleton"] == "hand"
    )
    np.save(
        tmp_path / "recorded.npy", points[0].transpose(3, 1, 2, 0)
    )  # and the deployed network answers to pixels
    ((_, raw),) = clip_files.read_clip(tmp_path / "recorded.npy")
    description = deployed.read(tmp_path / "out" / "deploy")
    logits = deployed.predictors(tmp_path / "out" / "deploy", description)["onnx"](
        serving.prepare(raw, description, "recorded")[None]
    )
    assert int(logits.argmax()) == answers[0]


def test_without_its_skeleton_the_recipe_is_refused_before_any_work(workplace, tmp_path, capsys):
    lines = (tmp_path / "hand.yaml").read_text().splitlines()
    (tmp_path / "hand.yaml").write_text(
        "\n".join(line for line in lines if not line.startswith("skeleton"))
    )
    assert run.main(["--recipe", "hand.yaml", "--output", "out"]) == 1
    message = json.loads(capsys.readouterr().out.splitlines()[-1])["error"]
    assert message.startswith(
        "skeleton: 'joints_21' has no bones, so nothing says which joints of 'pyskl' are connected;"
        " describe it"
    )
