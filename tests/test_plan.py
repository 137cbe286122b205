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
