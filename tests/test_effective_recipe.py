"""The effective recipe, file and overrides and defaults, is a recipe: it loads to the same settings."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
import yaml

from compress import recipe, run
from compress.cli import search
from compress.recipe import effective as effective_recipe, to_dict, to_yaml
from compress.recipe.listing import BUILT_IN
from teachers.errors import RecipeError

GROUPS = recipe.by_data_set()
FIVE = "{name: 'five: a', joints: 5, bones: [[2, 1], [3, 1], [4, 1], [5, 4]], centre: 1}"
OWN = ["data.name=own", "data.root='C:\\a: \"b\" #1 ü'", f"skeleton={FIVE}"]


@pytest.mark.parametrize(
    "name, overrides",
    [(name, []) for name, _ in GROUPS.pop(BUILT_IN)]
    + [(name, ["data.root=there"]) for group in GROUPS.values() for name, _ in group]
    + [
        ("ctrgcn_lite_dml", ["seed=7", "steps.train.lr=1e-9", "budget.min_top1=80"]),
        ("ctrgcn_lite_dml_int8", OWN),
    ],
)
def test_the_effective_recipe_loads_to_the_same_settings(name, overrides, tmp_path):
    original = recipe.load(name, overrides)
    file = tmp_path / f"{name}.yaml"
    file.write_text(to_yaml(original), encoding="utf-8")
    assert to_dict(recipe.load(file)) == to_dict(original)


def test_overrides_and_defaults_are_in_it():
    settings = yaml.safe_load(to_yaml(recipe.load("ctrgcn_lite_dml", ["steps.train.lr=0.5"])))
    assert settings["steps"][1]["train"]["lr"] == 0.5
    assert settings["teacher"]["train"]["momentum"] == 0.9
    assert "name" not in settings


def test_a_run_begins_with_it_in_its_folder(tmp_path):
    effective = recipe.load("ctrgcn_lite_dml", ["seed=7"])
    run._begin(effective, tmp_path)
    assert (tmp_path / "recipe.yaml").read_text(encoding="utf-8") == to_yaml(effective)
    assert json.loads((tmp_path / "recipe.json").read_text(encoding="utf-8"))["seed"] == 7


def test_a_run_and_a_search_do_not_write_over_each_other(tmp_path, capsys, monkeypatch):
    own = recipe.load("ctrgcn_lite_dml")
    monkeypatch.setattr("compress.search.engine.execute", lambda request: pytest.fail("begun"))
    run._begin(own, tmp_path)
    line = ["--recipe", "ctrgcn_lite_dml", "--device", "cpu", "--output", str(tmp_path)]
    assert search.main(line) == 1
    assert f"--output {tmp_path}: holds a run; choose another folder" in capsys.readouterr().err
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "search.jsonl").touch()
    with pytest.raises(RecipeError, match="holds a search; choose another folder"):
        run._begin(own, tmp_path / "found")
    assert not (tmp_path / "found" / "recipe.json").exists()


@pytest.mark.parametrize("name", ["ctrgcn_lite_dml", "mine[1]"])
def test_resume_takes_the_newest_run_of_the_recipe_and_no_newer_one_of_a_like_name(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    own = replace(recipe.load("ctrgcn_lite_dml"), name=name)
    other = replace(recipe.load("ctrgcn_lite_dml_int8"), name=f"{name}_int8")
    options = run.parser().parse_args(["--recipe", name, "--resume"])
    for age, (folder, content) in enumerate(
        ((name, own), (f"{name}-2", own), (f"{name}_int8", other))
    ):
        place = tmp_path / "runs" / folder
        place.mkdir(parents=True)
        effective_recipe.write(content, place)
        os.utime(place, (age, age))
    (tmp_path / "runs" / f"{name}_notes").mkdir()
    (tmp_path / "runs" / f"{name}_notes" / "recipe.json").write_text("no run", encoding="utf-8")
    assert run._resumed(own, options).name == f"{name}-2"
    with pytest.raises(RecipeError, match="holds no run to continue"):
        run._resumed(replace(own, name=f"{name}_"), options)
