"""Notes before a run: what its data and its recipe have to say, once each."""

from types import SimpleNamespace

import pytest

from compress import plan, recipe
from teachers.errors import RecipeError


def test_notes_are_of_the_data_and_the_recipe_once_each():
    dataset = SimpleNamespace(train=range(8), notes=("2 clips repaired", "2 clips repaired"))
    assert plan.notes(recipe.load("ctrgcn_lite_dml"), dataset) == ("2 clips repaired",)
    changed = SimpleNamespace(notes=("data.noise was left out", "2 clips repaired"))
    assert plan.notes(changed, dataset) == ("2 clips repaired", "data.noise was left out")


def test_the_number_of_iterations_is_no_note():
    """Whether a training was long enough shows in its curve: `compress.training.convergence`."""
    short = recipe.load("ctrgcn_lite_dml", ["teacher.train.epochs=1"])
    assert plan.notes(short, SimpleNamespace(train=range(8), notes=())) == ()


@pytest.mark.parametrize(
    "place, override",
    [
        ("teacher.train", "teacher.train.class_weights=[1, 2, 3]"),
        ("steps[1].train", "steps.train.class_weights=[1, 2, 3]"),
    ],
)
def test_class_weights_that_do_not_fit_the_classes_are_refused_before_training(place, override):
    loaded = recipe.load("ctrgcn_lite_dml", ["data.train_clips=12", "data.val_clips=12", override])
    with pytest.raises(RecipeError) as refused:
        plan.make(loaded, plan.load_data(loaded))
    assert str(refused.value).startswith(f"{place}.class_weights: has 3 weights, data set")
    assert "12 classes; give one weight each, in this order: " in str(refused.value)


def test_a_rate_that_nobody_wrote_is_a_note():
    scaled = "auto_scale_lr={base_batch: 64}"
    changes = ["data.train_clips=12", "data.val_clips=12", f"steps.train.{scaled}"]
    loaded = recipe.load("ctrgcn_lite_dml", changes)
    note = (
        "steps[1].train: lr 0.02 is for batches of 64; batches of 16 are trained with 0.005"
        " (auto_scale_lr)"
    )
    assert note in plan.make(loaded, plan.load_data(loaded)).notes
    off = recipe.load("ctrgcn_lite_dml", [*changes, "steps.train.enabled=false"])
    assert note not in plan.make(off, plan.load_data(off)).notes
    first = recipe.load("ctrgcn_lite_dml", [*changes[:2], f"teacher.train.{scaled}"])
    notes = plan.make(first, plan.load_data(first)).notes
    assert [text for text in notes if text.startswith("teacher.train: lr")]


def test_a_format_continual_is_planned_for_networks_inputs_and_files_that_have_one():
    changes = ["data.train_clips=12", "data.val_clips=12", "export.formats=[onnx, continual]"]
    loaded = recipe.load("stgcnpp", changes)
    notes = plan.make(loaded, plan.load_data(loaded)).notes
    assert any("are 76 and more back" in text and "clips have 16" in text for text in notes)
    for name, change, said in (
        ("ctrgcn_lite_dml", "budget.max_size=10MB", "ctrgcn has no continual form"),
        ("stgcnpp", "input={name: min_max_sample}", "needs a whole clip"),
        ("stgcnpp", "steps=[{ptq: {}}]", "float32 alone; leave continual out"),
    ):
        loaded = recipe.load(name, [*changes, change])
        with pytest.raises(RecipeError) as refused:
            plan.make(loaded, plan.load_data(loaded))
        assert str(refused.value).startswith("export.formats: continual: ")
        assert said in str(refused.value)
    assert "continual" not in recipe.load("stgcnpp", []).export.formats


def _planned(name, *changes):
    loaded = recipe.load(name, ["data.train_clips=12", "data.val_clips=12", *changes])
    return plan.make(loaded, plan.load_data(loaded))


@pytest.mark.parametrize("key, value", [("freeze", "[l1]"), ("frozen_norm", "true")])
def test_weights_that_nobody_trained_are_not_frozen(key, value):
    student = ("student={name: ctrgcn, width: 8}", "steps=[{train: {epochs: 1, lr: 0.1}}]")
    refused = rf"\.{key}: these weights are fresh"
    with pytest.raises(RecipeError, match="teacher.train" + refused):
        _planned("ctrgcn_lite_dml", f"teacher.train.{key}={value}")
    with pytest.raises(RecipeError, match=r"steps\[0\].train" + refused):
        _planned("ctrgcn_lite_dml", *student, f"steps.train.{key}={value}")
    # A copy of the teacher was trained, and so is a network that a step has trained.
    _planned("ctrgcn_lite_dml", f"steps.train.{key}={value}")
    twice = f"steps=[{{train: {{epochs: 1, lr: 0.1}}}}, {{train: {{epochs: 1, lr: 0.1, {key}: {value}}}}}]"
    _planned("ctrgcn_lite_dml", student[0], twice)


def test_a_rate_that_never_falls_is_a_note():
    steps = "teacher.train={epochs: 20, lr: 0.1, schedule: step, milestones: [35, 55]}"
    notes = _planned("ctrgcn_lite_dml", steps).notes
    assert any(
        note.startswith(
            "teacher.train: ends after 20 epochs, before the rate falls (milestones 35, 55)"
        )
        for note in notes
    )
    reached = _planned("ctrgcn_lite_dml", steps.replace("epochs: 20", "epochs: 36")).notes
    assert not any("before the rate falls" in note for note in reached)
