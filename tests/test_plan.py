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
