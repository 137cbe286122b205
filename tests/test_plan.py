"""Notes before a run: a training that starts from nothing and is over before it begins is pointed
out, with what would do."""

from types import SimpleNamespace

import pytest

from compress import plan, recipe


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


@pytest.mark.parametrize("change", ["teacher.weights=net.npz", "teacher.train.epochs=13"])
def test_what_is_trained_already_or_long_enough_is_not(change):
    assert notes(128, change) == ("2 clips repaired",)


def test_members_of_an_ensemble_that_train_alike_are_named_once():
    found = notes(100, "teacher.ensemble=[{input: {stream: joint}}, {input: {stream: bone}}]")
    assert [one.split(":")[0] for one in found[1:]] == ["teacher.train"]
