"""Every recipe for public data: what it says of itself, that it reads its data, that it trains."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import public_sets
import pytest

from compress import pipeline, recipe
from compress.recipe.listing import BUILT_IN, OWN
from compress.recipe.types import Recipe
from compress.run import main
from teachers.weights import checkpoints

ROOT = Path(__file__).resolve().parents[1]
GROUPS = recipe.by_data_set()
PUBLIC = [
    name for group, found in GROUPS.items() if group not in (BUILT_IN, OWN) for name, _ in found
]
WIDTHS = {"ctrgcn": 8, "stgcn": 8, "stgcnpp": 12}
# One for each network, layout and loss: exported as well
REPRESENTATIVE = {
    "ntu60_xsub_ctrgcn_lite_dml",
    "ntu60_xview_efficientgcn_b0",
    "ntu60_xsub_stgcnpp",
    "ntu60_xsub_stgcn_2d",
    "babel60_stgcn_focal",
    "kinetics_stgcn",
    "nw_ucla_ctrgcn_lite_dml",
}


def load(name: str, *overrides: str) -> Recipe:
    return recipe.load(name, ["data.root=there", *overrides])


def typed(name: str, folder: Path) -> list[str]:
    """The command line for a recipe on a generated set of its layout."""
    folder.mkdir()
    root = public_sets.write(load(name), folder)
    return ["--recipe", name, "-o", f"data.root={root}", "--device", "cpu"]


def small(name: str) -> list[str]:
    """Overrides for two epochs of a narrow network on short clips, exported once."""
    loaded = load(name)
    network = loaded.teacher.members[0].network.name
    settings = ["input.frames=16", "export.formats=[onnx]", "budget.max_top1_drop=100"]
    if network in WIDTHS:
        settings.append(f"teacher.width={WIDTHS[network]}")
    if loaded.input.name == "uniform":
        settings.append("input.clips=2")
    trainings = {"teacher.train": loaded.teacher.members[0].train}
    for number, step in enumerate(loaded.steps):
        if step.kind == "train":
            trainings[f"steps[{number}].train"] = step.config
    for place, training in trainings.items():
        settings += [f"{place}.epochs=2", f"{place}.batch_size=2"]
        settings += [f"{place}.warmup_epochs=1", f"{place}.repeat={min(training.repeat, 2)}"]
    return settings


@pytest.mark.parametrize("name", PUBLIC)
def test_it_says_what_people_must_know_first(name):
    lines = (recipe.CONFIGS / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    comments = [line.removeprefix("# ") for line in lines if line.startswith("# ")]
    assert len(comments[0]) <= 60 and comments[0].endswith(".")
    heads = [re.match(r"(Run|Data|Published|Not trained|Time)\b", line) for line in comments[1:]]
    assert [head and head[1] for head in heads] == [
        "Run", "Data", "Published", "Not trained", "Time",
    ]  # fmt: skip
    assert re.fullmatch(
        rf"Run: python compress/run\.py --recipe {name} -o data\.root=\S+", comments[1]
    )


@pytest.mark.parametrize("name", PUBLIC)
def test_it_reads_its_data(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FEATHERBONE_CACHE", str(tmp_path / "cache"))
    assert main([*typed(name, tmp_path / "set"), "--dry-run"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["train_clips"] >= 2 and last["val_clips"] >= 2
    # A fresh network of the published size, at most as large as its budget in float32
    budget = load(name).budget.max_size
    assert last["student_params"] * 4 * 2 < budget


def test_the_classes_are_those_of_the_edition(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FEATHERBONE_CACHE", str(tmp_path / "cache"))
    for name, classes in (
        ("ntu60_xview_efficientgcn_b0", 60),
        ("ntu120_xset_efficientgcn_b0", 120),
        ("ntu120_xset_ctrgcn_lite_dml", 120),
        ("babel120_stgcn", 120),
    ):
        main([*typed(name, tmp_path / name), "--dry-run"])
        assert f" {classes} classes" in capsys.readouterr().out


@pytest.mark.parametrize("name", PUBLIC)
def test_it_trains_two_epochs(name, tmp_path, monkeypatch):
    """Without the export, which takes most of the time and is the same for all data: `-m slow` has
    it."""
    monkeypatch.setenv("FEATHERBONE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pipeline, "deliver", lambda *arguments: None)
    monkeypatch.setattr(pipeline, "_write_report", lambda *arguments: None)
    root = public_sets.write(load(name), tmp_path)
    loaded = recipe.load(name, [f"data.root={root}", *small(name)])
    run = pipeline.Run(loaded, tmp_path / "run", tmp_path / "teachers", "typed")
    report = pipeline.execute(run)
    trainings = 1 + sum(step.kind == "train" for step in loaded.steps)
    assert [len(curve.epochs) for curve in report.curves] == [2] * trainings
    losses = [epoch.train["loss"] for curve in report.curves for epoch in curve.epochs]
    assert all(map(math.isfinite, losses))
    student = checkpoints.load(tmp_path / "run" / "weights" / "student.npz").spec
    assert student.network == loaded.teacher.members[0].network.name
    if loaded.skeleton is not None:
        assert student.skeleton == loaded.skeleton


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(REPRESENTATIVE))
def test_it_is_exported(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FEATHERBONE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    overrides = [part for setting in small(name) for part in ("-o", setting)]
    assert main([*typed(name, tmp_path / "set"), *overrides, "--output", "out"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["status"] == "ok"
    assert last["deployed"]["ONNX Runtime"]["agreement"] == 1.0
