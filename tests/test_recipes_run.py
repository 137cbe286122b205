"""Every recipe for the built-in clips runs end to end on a few of them: two batches an epoch, through
export and report. Those for public data are in `test_public_recipes.py`."""

import json

import numpy as np
import pytest

from compress import recipe, run
from compress.plan import load_data
from compress.predict import main
from compress.recipe.listing import BUILT_IN
from compress.recipe.types import QUANTISING
from export import deployed, serving
from export.deployed.record import Recorded

SMALL = ["data.train_clips=24", "data.val_clips=12", "budget.max_top1_drop=100"]
WIDTH = {"ctrgcn": 8, "ctrgcn_light_v1": 16, "ctrgcn_light_v2": 16, "stgcn": 8, "stgcnpp": 12}


def shortened(name: str) -> list[str]:
    """Overrides that make a recipe short: narrow networks, one epoch of two batches."""
    loaded = recipe.load(name)
    network = loaded.teacher.members[0].network.name
    found = [
        *SMALL,
        "teacher.train.epochs=1",
        "teacher.train.batch_size=12",
        "teacher.train.warmup_epochs=0",
    ]
    found += [f"teacher.width={WIDTH[network]}"] if network in WIDTH else []
    if loaded.student.network is not None and loaded.student.network.name in WIDTH:
        found.append(f"student.width={WIDTH[loaded.student.network.name]}")
    for index, step in enumerate(loaded.steps):
        if step.kind in ("train", "qat"):
            place = f"steps[{index}].train" if step.kind == "train" else f"steps[{index}].qat.train"
            found += [f"{place}.epochs=1", f"{place}.batch_size=12", f"{place}.warmup_epochs=0"]
        if step.kind in QUANTISING and step.kind != "weight_only":
            found.append(f"steps[{index}].{step.kind}.clips=6")
    if (
        loaded.input.name == "branches"
        or loaded.student.input
        and loaded.student.input.name == "branches"
    ):
        found.append(
            "input.frames=16" if loaded.input.name == "branches" else "student.input.frames=16"
        )
    return found


# Tracing a network for Paddle takes as long as the rest of a short run. That every network's Paddle
# files are right is shown in `test_networks.py`; here one recipe of each kind writes them.
BOTH_FORMATS = ("ctrgcn_lite_dml", "ctrgcn_lite_4stream_kd", "efficientgcn_b0_int8", "stgcnpp_dml")


# Twins of recipes that run in every suite: the same steps around another network.
SLOW = (
    "ctrgcn_light_v1",
    "ctrgcn_light_v2",
    "ctrgcn_lite_two_stage",
    "efficientgcn_b0",
    "efficientgcn_b0_dml",
    "stgcnpp",
)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
        for name, _ in recipe.by_data_set()[BUILT_IN]
    ],
)
def test_recipe_runs_through_export(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    wanted = shortened(name)
    runtimes = {"Paddle Inference", "ONNX Runtime"}
    if name not in BOTH_FORMATS:
        wanted.append("export.formats=[onnx]")
        runtimes = {"ONNX Runtime"}
    overrides = [part for one in wanted for part in ("-o", one)]
    assert run.main(["--recipe", name, *overrides, "--device", "cpu"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["status"] == "ok" and runtimes == set(said["deployed"])
    if any(step.kind in QUANTISING for step in recipe.load(name).steps):
        assert (
            "int8"
            in json.loads((tmp_path / said["output"] / "deploy" / "deployed.json").read_text())[
                "precision"
            ]
        )
    else:
        assert all(
            row["agreement"] == 1.0 and row["max_rel_diff"] <= 1e-5
            for row in said["deployed"].values()
        )
    assert (tmp_path / said["report"]).is_file()


def test_ten_views_a_clip_are_averaged_also_in_the_deployed_folder(tmp_path, monkeypatch, capsys):
    """N-clip testing: the report's accuracy and `predict` both average the softmax of all views."""
    monkeypatch.chdir(tmp_path)
    overrides = [
        *shortened("stgcnpp"),
        "input={name: uniform, frames: 16, clips: 10, stream: bone}",
    ]
    assert (
        run.main(
            [
                "--recipe",
                "stgcnpp",
                *(part for one in overrides for part in ("-o", one)),
                "--output",
                "out",
            ]
        )
        == 0
    )
    capsys.readouterr()
    loaded = recipe.load("stgcnpp", overrides)
    dataset = load_data(loaded)
    description = deployed.read(tmp_path / "out" / "deploy")
    assert description.views == 10 and description.recording == Recorded(
        channels=3, joints=25, persons=1
    )
    runtime = deployed.predictors(tmp_path / "out" / "deploy", description)["onnx"]
    answers = []
    for index, clip in enumerate(dataset.val.clips):
        np.save(tmp_path / f"{index}.npy", clip)
        logits = np.concatenate(
            [
                runtime(serving.prepare(clip, description, "clip", number)[None])
                for number in range(10)
            ]
        )
        assert len(np.unique(logits[:, 0])) > 1  # the views differ
        answers.append(serving.scores_of(logits))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    top1 = 100 * np.mean(np.argmax(answers, axis=1) == dataset.val.labels)
    assert abs(report["networks"][-1]["top1"] - top1) < 1e-9
    assert main([str(tmp_path / "out" / "deploy"), str(tmp_path / "0.npy")]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])["clips"][0]
    assert (
        said["class"] == description.classes[int(np.argmax(answers[0]))]
        and abs(said["score"] - max(answers[0])) < 1e-3
    )
