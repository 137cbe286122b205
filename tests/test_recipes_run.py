"""Every recipe of configs/ runs end to end on a few synthetic clips: two batches an epoch, through export and report."""
import json

import pytest

from compress import recipe, run

SMALL = ["data.train_clips=24", "data.val_clips=12", "budget.max_top1_drop=100"]
WIDTH = {"ctrgcn": 8, "ctrgcn_light_v1": 16, "ctrgcn_light_v2": 16, "stgcn": 8, "stgcnpp": 12}


def shortened(name: str) -> list[str]:
    """Overrides that make a recipe short: narrow networks, one epoch of two batches."""
    loaded = recipe.load(name)
    network = loaded.teacher.members[0].network.name
    found = [*SMALL, "teacher.train.epochs=1", "teacher.train.batch_size=12", "teacher.train.warmup_epochs=0"]
    found += [f"teacher.width={WIDTH[network]}"] if network in WIDTH else []
    if loaded.student.network is not None and loaded.student.network.name in WIDTH:
        found.append(f"student.width={WIDTH[loaded.student.network.name]}")
    for index, step in enumerate(loaded.steps):
        if step.kind == "train":
            found += [f"steps[{index}].train.epochs=1", f"steps[{index}].train.batch_size=12", f"steps[{index}].train.warmup_epochs=0"]
    if loaded.input.name == "branches" or loaded.student.input and loaded.student.input.name == "branches":
        found.append("input.frames=16" if loaded.input.name == "branches" else "student.input.frames=16")
    return found


@pytest.mark.parametrize("name", [name for name, _ in recipe.list_recipes()])
def test_recipe_runs_through_export(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    overrides = [part for one in shortened(name) for part in ("-o", one)]
    assert run.main(["--recipe", name, *overrides, "--device", "cpu"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["status"] == "ok" and {"Paddle Inference", "ONNX Runtime"} == set(said["deployed"])
    assert all(row["agreement"] == 1.0 and row["max_rel_diff"] <= 1e-5 for row in said["deployed"].values())
    assert (tmp_path / said["report"]).is_file()
