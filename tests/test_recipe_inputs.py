"""Who sees clips how: the input of every network, ensembles, students of their own, skeletons."""

import dataclasses
import re
from pathlib import Path

import pytest

from compress import recipe
from compress.inputs.augmentation import Augmentation, DropJoint
from compress.inputs.crop_resize import Config as CropResize
from teachers import ctrgcn
from teachers.errors import RecipeError
from teachers.skeleton import NTU_25_PYSKL

HEAD = "data: {name: synthetic, train_clips: 24, val_clips: 12}\nbudget: {max_size: 10MB}\n"
TRAIN = "train: {epochs: 1, lr: 0.1}"


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write_and_load(text: str, *overrides: str):
        (tmp_path / "r.yaml").write_text(HEAD + text)
        return recipe.load("r.yaml", overrides)

    return write_and_load


def inputs(loaded):
    return [one.input for one in loaded.teacher.members]


def test_the_data_set_says_how_it_is_usually_seen(load):
    loaded = load(f"teacher: {{{TRAIN}}}\n")
    assert (
        loaded.input.name == "crop_resize"
        and loaded.input.config.frames == 16
        and loaded.input.config.stream == "joint"
    )
    assert inputs(loaded) == [loaded.input] and loaded.student.input is None


def test_a_network_changes_single_keys_of_the_recipes_input(load):
    loaded = load(f"input: {{frames: 20}}\nteacher: {{{TRAIN}, input: {{stream: bone}}}}\n")
    assert loaded.input.config.frames == 20
    assert (inputs(loaded)[0].config.frames, inputs(loaded)[0].config.stream) == (20, "bone")


def test_keys_of_another_pipeline_do_not_carry_over(load):
    loaded = load(f"input: {{frames: 20}}\nteacher: {{{TRAIN}, input: {{name: uniform}}}}\n")
    assert inputs(loaded)[0].name == "uniform" and inputs(loaded)[0].config.frames == 100
    back = load(
        f"input: {{name: uniform, frames: 20}}\nteacher: {{{TRAIN}, input: {{name:"
        " crop_resize}}\n"
    )
    assert inputs(back)[0].config.frames == 16  # what the data set usually has


def test_members_of_an_ensemble_share_what_stands_beside_it(load):
    loaded = load(
        f"""teacher:
  {TRAIN}
  width: 16
  ensemble:
    - {{input: {{stream: joint}}, weight: 0.6}}
    - {{input: {{stream: bone}}, weight: 0.4, width: 8}}
""",
        "teacher.train.epochs=3",
    )
    first, second = loaded.teacher.members
    assert [one.network.config for one in (first, second)] == [ctrgcn.Config(16), ctrgcn.Config(8)]
    assert (first.weight, second.weight, second.train.epochs) == (0.6, 0.4, 3)
    assert [one.config.stream for one in inputs(loaded)] == ["joint", "bone"]
    assert recipe.to_dict(loaded)["teacher"]["ensemble"][1]["width"] == 8


def test_seeds_stand_for_an_ensemble_of_one_network(load):
    loaded = load(f"teacher: {{{TRAIN}, width: 16, seeds: 3, input: {{stream: bone}}}}")
    assert [member.seed for member in loaded.teacher.members] == [0, 1, 2]
    first, *others = loaded.teacher.members
    assert all(dataclasses.replace(member, seed=0) == first for member in others)
    assert (first.network.config, first.input.config.stream) == (ctrgcn.Config(16), "bone")
    # Written out in the run's recipe, which is the same recipe.
    written = recipe.to_dict(loaded, defaults=False)["teacher"]["ensemble"]
    assert [member.get("seed", 0) for member in written] == [0, 1, 2]


@pytest.mark.parametrize(
    "teacher, expected",
    [
        (f"{TRAIN}, seeds: 1", "teacher.seeds: expected two or more networks"),
        (f"{TRAIN}, seeds: three", "teacher.seeds: expected a whole number"),
        (f"{TRAIN}, seeds: 2, ensemble: [{{}}, {{}}]", "teacher.seeds: an `ensemble` is written"),
        ("weights: teacher.npz, seeds: 2", "seed: only for a teacher that is trained"),
    ],
)
def test_seeds_that_train_nothing_are_refused(load, teacher, expected):
    with pytest.raises(RecipeError, match=re.escape(expected)):
        load(f"teacher: {{{teacher}}}")


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            f"teacher: {{{TRAIN}, ensemble: [{{weight: 1}}]}}",
            "teacher.ensemble: expected a list of two or more networks",
        ),
        (
            f"teacher: {{{TRAIN}, ensemble: [{{weight: 1}}, {{weight: 0}}]}}",
            r"teacher.ensemble\[1\].weight: must be above 0",
        ),
        (
            (
                f"teacher: {{{TRAIN}, ensemble: [{{weight: 1}}, {{weight: 2}}]}}\nsteps: [{{train:"
                " {epochs: 1, lr: 0.1, dml: {freeze_teacher: false}}}]"
            ),
            (
                r"r.yaml:4: steps: \[0\].train.dml.freeze_teacher: an ensemble of 2 networks stays"
                r" frozen"
            ),
        ),
        (
            f"teacher: {{{TRAIN}, wdith: 8}}",
            r"teacher: unknown key 'wdith' \(did you mean 'width'\?\)",
        ),
        (
            f"teacher: {{{TRAIN}, input: {{stream: bones}}}}",
            r"teacher.input.stream: expected one of .*\(did you mean 'bone'\?\)",
        ),
        (
            f"teacher: {{{TRAIN}, input: {{name: crop}}}}",
            "teacher.input.name: unknown input 'crop'",
        ),
        (
            f"teacher: {{{TRAIN}}}\nstudent: {{input: {{stream: bone}}}}",
            "student.input: a copy of the teacher has the teacher's input",
        ),
        (
            f"teacher: {{{TRAIN}}}\nskeleton: ntu25",
            r"skeleton: unknown skeleton 'ntu25' \(did you mean 'ntu_25'\?",
        ),
        (
            (
                f"teacher: {{{TRAIN}}}\nskeleton: {{name: hand, joints: 3, bones: [[2, 1], [4, 1]],"
                " centre: 1}"
            ),
            r"r.yaml:4: skeleton: skeleton 'hand': bone \[4, 1\] does not join two of its 3 joints",
        ),
    ],
)
def test_mistakes_are_named(load, text, expected):
    with pytest.raises(RecipeError, match=expected):
        load(text + "\n")


def test_a_student_of_its_own_has_an_input_of_its_own(load):
    loaded = load(
        f"teacher: {{{TRAIN}}}\nstudent: {{name: ctrgcn, width: 8, input: {{frames: 12}}}}\n"
    )
    assert loaded.student.network.config == ctrgcn.Config(8)
    assert (
        isinstance(loaded.student.input.config, CropResize)
        and loaded.student.input.config.frames == 12
    )


def test_skeletons_by_name_and_by_description(load):
    assert load(f"teacher: {{{TRAIN}}}\nskeleton: ntu_25_pyskl\n").skeleton == NTU_25_PYSKL
    own = load(
        f"teacher: {{{TRAIN}}}\nskeleton: {{name: hand, joints: 3, bones: [[2, 1], [3, 1]], centre:"
        " 1}\n"
    ).skeleton
    assert own.bones == ((2, 1), (3, 1)) and own.bone_pairs() == own.bones


def test_augmentation_is_written_below_the_input(load):
    loaded = load(
        f"input: {{augment: {{mirror: 0.5, drop_joint: {{}}}}}}\nteacher: {{{TRAIN}}}\n",
        "teacher.input.augment={drop_joint: {joints: [0.1, 0.2]}}",
    )
    assert loaded.input.config.augment == Augmentation(mirror=0.5, drop_joint=DropJoint())
    lost = DropJoint(joints=(0.1, 0.2))
    assert inputs(loaded)[0].config.augment == Augmentation(drop_joint=lost)
    with pytest.raises(RecipeError, match=r"input.augment: unknown key 'mirrors' \(did you mean"):
        load(f"input: {{augment: {{mirrors: 1}}}}\nteacher: {{{TRAIN}}}\n")
    with pytest.raises(RecipeError, match=r"input.augment.drop_axis: is a probability"):
        load(f"input: {{augment: {{drop_axis: 2}}}}\nteacher: {{{TRAIN}}}\n")


def test_the_recipe_of_nw_ucla_compares_with_and_without_drops():
    file = Path(__file__).parent.parent / "benchmarks/recipes/nw_ucla_joint.yaml"
    drops = recipe.load(str(file))
    assert inputs(drops)[0].config.augment == Augmentation(drop_axis=0.5, drop_joint=DropJoint())
    without = recipe.load(str(file), ["input.augment={}"])
    assert inputs(without)[0].config.augment == Augmentation()
    # Nothing else differs, and both pass over the training clips as often as is claimed
    changed = [key for key, _, _ in recipe.changed_since(without, recipe.to_dict(drops))]
    assert changed
    assert all(key.removeprefix("teacher.").startswith("input.augment.") for key in changed)
    train = drops.teacher.members[0].train
    assert train.epochs * train.repeat == 65


def test_efficientgcn_is_fed_as_published_on_every_data_set_but_the_built_in_one():
    """Its published weights saw 288 frames of clips as recorded; the recipe's 64 are what the
    built-in clips need."""
    built_in = recipe.load("efficientgcn_b0")
    assert (built_in.input.name, built_in.input.config.frames) == ("branches", 64)
    ntu = recipe.load("efficientgcn_b0", ["data.name=ntu", "data.root=x"])
    assert inputs(ntu) == [ntu.input]
    assert (ntu.input.name, ntu.input.config.frames) == ("branches", 288)
    assert not ntu.input.config.view_transform
    assert ntu.data.config.preparation == "efficientgcn"
    xview = recipe.load("efficientgcn_b0", ["data.name=ntu", "data.root=x", "data.benchmark=xview"])
    assert xview.input.config.view_transform


def test_what_is_written_goes_before_what_is_published():
    written = ["input.frames=64", "input.view_transform=false", "data.preparation=ctrgcn"]
    loaded = recipe.load(
        "efficientgcn_b0", ["data.name=ntu", "data.root=x", "data.benchmark=xview", *written]
    )
    assert (loaded.input.config.frames, loaded.input.config.view_transform) == (64, False)
    assert loaded.data.config.preparation == "ctrgcn"


def test_a_network_of_another_recipe_brings_its_input_along():
    loaded = recipe.load("ctrgcn_lite_dml", ["teacher.name=efficientgcn"])
    assert [one.name for one in inputs(loaded)] == ["branches"]
    single = recipe.load("ctrgcn_lite_dml", ["teacher.name=efficientgcn", "teacher.branches=1"])
    assert [one.name for one in inputs(single)] == ["crop_resize"]


def test_the_network_with_weights_decides_how_recordings_are_prepared():
    ntu = ["data.name=ntu", "data.root=x"]
    mixed = recipe.load("efficientgcn_b0_dml", ntu)
    assert mixed.data.config.preparation == "ctrgcn"  # the teacher's
    started = recipe.load("efficientgcn_b0_dml", [*ntu, "student.weights=published.pdparams"])
    assert started.data.config.preparation == "efficientgcn"
