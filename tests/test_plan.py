"""Notes before a run: what its data and its recipe have to say, once each."""

from types import SimpleNamespace

from compress import plan, recipe


def test_notes_are_of_the_data_and_the_recipe_once_each():
    dataset = SimpleNamespace(train=range(8), notes=("2 clips repaired", "2 clips repaired"))
    assert plan.notes(recipe.load("ctrgcn_lite_dml"), dataset) == ("2 clips repaired",)
    changed = SimpleNamespace(notes=("data.noise was left out", "2 clips repaired"))
    assert plan.notes(changed, dataset) == ("2 clips repaired", "data.noise was left out")


def test_the_number_of_iterations_is_no_note():
    """Whether a training was long enough shows in its curve: `compress.training.convergence`."""
    short = recipe.load("ctrgcn_lite_dml", ["teacher.train.epochs=1"])
    assert plan.notes(short, SimpleNamespace(train=range(8), notes=())) == ()
