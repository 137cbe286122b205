"""Notes before a run: a training that starts from nothing and is over before it begins is pointed
out, with what would do."""

from types import SimpleNamespace

import pytest

from compress import plan, recipe
from teachers.errors import RecipeError


def notes(clips: int, *overrides: str) -> tuple[str, ...]:
    return plan.notes(
        recipe.load("ctrgcn_lite_dml", list(overrides)),
        SimpleNamespace(train=range(clips), notes=("2 clips repaired",)),
    )


def test_a_short_training_from_nothing_is_pointed_out():
    assert notes(480) == ("2 clips repaired",)  # the built-in data: 150 iterations
    assert notes(128) == (
        "2 clips repaired",
        (
            "teacher.train: 5 epochs of 128 clips are 40 iterations, few for a network that learns"
            " from nothing; raise teacher.train.epochs, to 38 for example, and those of the steps"
        ),
    )
    assert notes(128, "teacher.train.epochs=38") == ("2 clips repaired",)


@pytest.mark.parametrize(
    "change", ["teacher.weights=net.npz", "teacher.train.epochs=13", "teacher.train.repeat=3"]
)
def test_what_is_trained_already_or_long_enough_is_not(change):
    assert notes(128, change) == ("2 clips repaired",)


def test_members_of_an_ensemble_that_train_alike_are_named_once():
    found = notes(100, "teacher.ensemble=[{input: {stream: joint}}, {input: {stream: bone}}]")
    assert [one.split(":")[0] for one in found[1:]] == ["teacher.train"]


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
