"""The recipe `finetune_own`: from a checkpoint of other classes to a deployed network of one's own."""

import numpy as np
import paddle
import pytest

from compress import pipeline, plan, recipe, run, teacher
from compress.reporting.record import to_json
from teachers import ctrgcn, networks
from teachers.skeleton import NTU_25
from teachers.weights import checkpoints


@pytest.fixture
def folder(tmp_path):
    """Eight clips of two classes, one person of Kinect's 25 joints, as own recordings; and weights
    of three other classes and two persons."""
    rng = np.random.default_rng(0)
    (tmp_path / "clips").mkdir()
    lines = ["file,label,split"]
    for number in range(8):
        label = ("clap", "jump")[number % 2]
        clip = rng.normal(size=(12, 25, 3)) + number % 2
        np.save(tmp_path / "clips" / f"{number}.npy", clip.astype("float32"))
        lines.append(f"{number}.npy,{label},{'train' if number < 6 else 'val'}")
    (tmp_path / "clips" / "labels.csv").write_text("\n".join(lines))
    edges = [list(bone) for bone in NTU_25.bones]
    (tmp_path / "clips" / "dataset.yaml").write_text(f"joints: 25\nedges: {edges}\ncentre: 21\n")
    paddle.seed(0)
    spec = ctrgcn.default_spec(3, NTU_25, 64, 2, config=ctrgcn.Config(8))
    about = {"classes": ["a", "b", "c"]}
    checkpoints.save(tmp_path / "trained.npz", networks.build(spec), about)
    return tmp_path


def finetuned(folder, output, monkeypatch) -> dict:
    """The report of a run, without its export."""
    # Which takes longest, and is the business of others' tests
    monkeypatch.setattr(pipeline, "deliver", lambda *arguments: None)
    loaded = recipe.load(
        "finetune_own",
        [
            f"data.root={folder / 'clips'}",
            f"teacher.weights={folder / 'trained.npz'}",
            "teacher.width=8",
            "input.frames=16",
            "teacher.train.batch_size=3",
            "teacher.train.iterations=4",
        ],
    )
    cache = folder / "cache"
    return to_json(pipeline.execute(pipeline.Run(loaded, folder / output, cache, "test")))


def test_one_command_from_other_classes_to_a_comparison(folder, monkeypatch):
    report = finetuned(folder, "out", monkeypatch)
    notes = " ".join(report["data"]["notes"])
    assert "has 3 classes, the data 2: a fresh classifier takes the place of its own" in notes
    assert "is for 2 persons, the data for 1: the others are cut" in notes
    assert "is for 64 frames, the input gives 16" in notes
    (row,) = report["from_nothing"]
    tuned_row = next(row for row in report["networks"] if row["role"] == "teacher")
    assert row["fine_tuned_top1"] == tuned_row["top1"] and row["epochs"] == 2
    assert "from nothing with the same schedule" in notes
    assert [curve["title"] for curve in report["curves"]] == ["teacher", "teacher from nothing"]
    # The network that goes on is the fine-tuned one.
    network, about = checkpoints.load_with_about(folder / "out" / "weights" / "student.npz")
    assert network.spec.classes == 2 and about["classes"] == ["clap", "jump"]
    tuned = checkpoints.load(folder / "out" / "weights" / "teacher.npz")
    np.testing.assert_array_equal(network.fc.weight, tuned.fc.weight)
    # Both are kept, and told apart.
    kept = sorted((folder / "cache").glob("*.npz"))
    assert len(kept) == 2
    again = finetuned(folder, "again", monkeypatch)
    assert sorted((folder / "cache").glob("*.npz")) == kept
    assert again["from_nothing"] == report["from_nothing"]


def test_the_plan_says_what_will_be_fresh_and_what_the_comparison_costs(
    folder, monkeypatch, capsys
):
    monkeypatch.chdir(folder)
    dry = ["--dry-run", "--recipe", "finetune_own"]
    for override in (f"data.root={folder / 'clips'}", f"teacher.weights={folder / 'trained.npz'}"):
        dry += ["-o", override]
    assert run.main(dry) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "a fresh classifier takes the place of its own" in printed
    assert "trained once more from nothing" in printed
    # 600 iterations of 6 clips in batches of 16.
    assert "trained 600 epochs more" in printed


def test_a_recipe_without_its_two_files_says_what_to_give(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    assert run.main(["--recipe", "finetune_own", "--dry-run"]) == 1
    assert "OWN_CLIPS/dataset.yaml: no such file; give data.root" in capsys.readouterr().out
    assert recipe.load("finetune_own").teacher.members[0].finetune


@pytest.mark.parametrize("key, value", [("head", "fresh"), ("compare_scratch", "true")])
def test_keys_of_a_fine_tuning_are_refused_elsewhere(key, value):
    from teachers.errors import RecipeError

    with pytest.raises(RecipeError, match=f"{key}: only with `finetune: true`"):
        recipe.load("ctrgcn_lite_dml", [f"teacher.{key}={value}"])


def test_what_becomes_of_the_classifier_is_part_of_what_a_teacher_is(folder):
    keys = []
    for head in ("auto", "auto", "fresh"):
        overrides = [
            f"data.root={folder / 'clips'}",
            f"teacher.weights={folder / 'trained.npz'}",
            f"teacher.head={head}",
        ]
        loaded = recipe.load("finetune_own", overrides)
        planned = plan.make(loaded, plan.load_data(loaded))
        keys.append(teacher.identity(planned.teachers[0], 1).key)
    assert keys[0] == keys[1] != keys[2]
