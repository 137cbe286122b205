"""Every recipe for public data: what it says of itself, that it reads its data, that it trains."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import public_sets
import pytest

from compress import pipeline, recipe
from compress.recipe import files
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


@pytest.mark.parametrize("name", [name for name in PUBLIC if name.startswith("ntu")])
def test_the_name_says_split_network_and_joints(name):
    _, split, network, *more = name.split("_")
    loaded = load(name)
    assert loaded.data.config.benchmark == split
    assert loaded.teacher.members[0].network.name == network
    expected = "coco_17" if "2d" in more else "ntu_25_pyskl"
    assert loaded.skeleton is None or loaded.skeleton.name == expected


def test_the_document_lists_them_with_what_is_published():
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \|$", text, re.MULTILINE)
    expected = []
    for name in PUBLIC:
        recipe_text = (recipe.CONFIGS / f"{name}.yaml").read_text(encoding="utf-8")
        published = re.search(r"^# Published: (.*)\.$", recipe_text, re.MULTILINE)[1]
        expected.append((name, recipe_text.splitlines()[0][2:].rstrip("."), published))
    # Tables of options in the same document have one word in code style, too
    assert [row for row in rows if row[0] in PUBLIC] == expected


def test_the_readme_lists_those_for_the_built_in_clips():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text[text.index("| `--recipe` |") :].split("\n\n")[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(named) == sorted(name for name, _ in GROUPS[BUILT_IN])


def test_the_list_is_divided_by_data_set_and_fits_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--list"]) == 0
    *printed, last = capsys.readouterr().out.splitlines()
    assert max(map(len, printed)) <= 80
    heads = [
        line.rstrip().removesuffix("what it does").strip() for line in printed if "what it" in line
    ]
    assert heads[0] == "built-in clips" and heads == list(GROUPS)
    assert json.loads(last)["recipes"] == sorted(json.loads(last)["recipes"])
    first = [line.split("  ")[0].strip() for line in printed]
    assert set(json.loads(last)["recipes"]) <= set(first)


def test_a_recipe_is_listed_where_its_data_are_said_and_though_it_does_not_load(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(files, "CONFIGS", tmp_path)
    for name, text in {
        "ntu60_mine": "# A.\nextends: nowhere\n",
        "below": "# B.\ndata: {name: synthetic}\n",
        "above": "# C.\nextends: below\n",
        "mine": "# D.\ndata: {name: own}\n",
        "broken": "# E.\ndata: [\n",
        "bare": "seed: 1\n",
    }.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    assert recipe.by_data_set() == {
        "built-in clips": [("above", "C."), ("below", "B.")],
        "your own clips": [("mine", "D.")],
        "NTU RGB+D 60": [("ntu60_mine", "A.")],
        "others": [("bare", ""), ("broken", "E.")],
    }


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
    monkeypatch.setattr(pipeline, "write_report", lambda *arguments: None)
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
