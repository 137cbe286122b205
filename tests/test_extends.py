"""`extends`: a recipe on top of another one is the recipe that both together would be."""

from __future__ import annotations

import json

import pytest

from compress import recipe
from compress.recipe import extends, files
from compress.run import main
from compress.steps import train
from compress.training.settings import Kd
from teachers import stgcn
from teachers.errors import RecipeError

BASE = """\
# A base.
seed: 3
data: {name: synthetic, train_clips: 24}
input: {frames: 16, augment: {mirror: 0.5, drop_axis: 0.5}}
teacher:
  name: ctrgcn
  width: 8
  train: {epochs: 5, lr: 0.05, schedule: step, milestones: [2, 4], mixup: {alpha: 0.2}}
steps:
  - prune_layers: {drop: [l9, l10]}
  - train:
      epochs: 3
      lr: 0.02
      dml: {weight: 0.5}
budget: {max_size: 10MB, max_top1_drop: 2.0}
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes files of recipes into the working folder."""
    monkeypatch.chdir(tmp_path)

    def write(**texts: str) -> None:
        for name, text in texts.items():
            (tmp_path / f"{name}.yaml").write_text(text)

    write(base=BASE)
    return write


@pytest.fixture
def on_base(write):
    """What a text gives on top of the base."""

    def load(text: str, *overrides: str) -> recipe.Recipe:
        write(top=f"extends: base.yaml\n{text}")
        return recipe.load("top.yaml", overrides)

    return load


def settings(loaded) -> dict:
    """Everything effective but the name."""
    plain = recipe.to_dict(loaded)
    del plain["name"]
    return plain


@pytest.mark.parametrize(
    "text, old, new",
    [
        ("", "", ""),
        ("seed: 4", "seed: 3", "seed: 4"),
        # A mapping key by key, also below a key; lists whole
        ("data: {val_clips: 12}", "train_clips: 24", "train_clips: 24, val_clips: 12"),
        ("teacher: {train: {lr: 0.1, milestones: [3]}}", "0.05, schedule: step, milestones: [2, 4]",
         "0.1, schedule: step, milestones: [3]"),
        ("input: {augment: {mirror: 0}}", "mirror: 0.5", "mirror: 0"),
        # What is not there yet, and what is taken away
        ("export: {formats: [onnx]}", "seed: 3", "seed: 3\nexport: {formats: [onnx]}"),
        ("teacher: {train: {mixup: null}}", ", mixup: {alpha: 0.2}", ""),
        # Steps as a list are all steps, as a mapping changes of those that are there
        ("steps: []", BASE[BASE.index("steps:") : BASE.index("budget:")], ""),
        ("steps: {prune_layers: {drop: [l10]}}", "[l9, l10]", "[l10]"),
        ("steps: {train: {dml: {freeze_teacher: false}}}", "{weight: 0.5}",
         "{weight: 0.5, freeze_teacher: false}"),
        ("steps: {1: {train: {epochs: 9}}, 0: {prune_layers: {enabled: false}}}",
         "{drop: [l9, l10]}\n  - train:\n      epochs: 3",
         "{drop: [l9, l10], enabled: false}\n  - train:\n      epochs: 9"),
        ("steps: {train:}", "", ""),
        # Another name: what belongs to the old one falls away
        ("data: {name: own, root: here}", "name: synthetic, train_clips: 24",
         "name: own, root: here"),
        ("data: {name: synthetic, val_clips: 12}", "train_clips: 24",
         "train_clips: 24, val_clips: 12"),
        ("input: {name: loop}", "{frames: 16, augment: {mirror: 0.5, drop_axis: 0.5}}",
         "{name: loop}"),
        ("teacher: {name: stgcn}", "name: ctrgcn\n  width: 8", "name: stgcn"),
        ("teacher: {name: ctrgcn}", "", ""),
        ("student: {name: stgcnpp, width: 12}", "steps:",
         "student: {name: stgcnpp, width: 12}\nsteps:"),
    ],
)  # fmt: skip
def test_it_is_the_recipe_that_both_would_be(on_base, write, text, old, new):
    assert BASE.count(old) == 1 or old == new == ""
    write(whole=BASE.replace(old, new))
    assert settings(on_base(text)) == settings(recipe.load("whole.yaml"))


def test_a_chain_of_paths_and_names(write, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "top.yaml").write_text("extends: ../middle.yaml\nseed: 9\n")
    write(middle="extends: ctrgcn_lite_dml\nteacher: {train: {lr: 0.1}}\nseed: 8\n")
    loaded = recipe.load("sub/top.yaml", ["steps.train.epochs=7", "teacher.train.lr=0.2"])
    assert (loaded.name, loaded.seed) == ("top", 9)
    assert loaded.extends == ("middle.yaml", "ctrgcn_lite_dml.yaml")
    # Typed on top of all
    assert loaded.teacher.members[0].train.lr == 0.2 and loaded.steps[1].config.epochs == 7
    assert loaded.steps[1].config.mixup.alpha == 0.2


def test_the_network_of_another_name_keeps_its_training_only(on_base):
    loaded = on_base("teacher: {name: stgcn, width: 16}")
    (member,) = loaded.teacher.members
    assert member.network.config == stgcn.Config(16) and member.train.epochs == 5


def test_weights_and_input_of_the_old_network_go_with_it(write):
    write(
        base=BASE.replace("width: 8", "weights: old.npz\n  input: {frames: 32}"),
        top="extends: base.yaml\nteacher: {name: stgcn}\n",
        same="extends: base.yaml\nteacher: {name: ctrgcn, width: 16}\n",
    )
    (other,) = recipe.load("top.yaml").teacher.members
    (same,) = recipe.load("same.yaml").teacher.members
    assert (other.weights, other.input.config.frames) == (None, 16)
    assert (same.weights, same.input.config.frames) == ("old.npz", 32)


def test_a_student_with_a_name_is_no_longer_all_of_the_teachers(write):
    members = "train: {epochs: 1, lr: 0.1}, ensemble: [{input: {stream: joint}}, {}]"
    write(
        whole=f"data: {{name: synthetic}}\nteacher: {{{members}}}\nstudent: {{from: ensemble}}\n"
        "budget: {max_size: 10MB}\n",
        top="extends: whole.yaml\nstudent: {name: stgcn, width: 16}\n",
    )
    student = recipe.load("top.yaml").student
    assert (student.from_, student.network.config) == ("teacher", stgcn.Config(16))


def test_steps_of_which_there_are_two_are_named_by_number(write):
    write(two=BASE.replace("budget:", "  - train: {epochs: 1, lr: 0.1}\nbudget:"))
    write(top="extends: two.yaml\nsteps: {2: {train: {kd: {temperature: 2}}}}\n")
    steps = recipe.load("top.yaml").steps
    assert [getattr(step.config, "kd", None) for step in steps] == [None, None, Kd(temperature=2.0)]
    assert isinstance(steps[2].config, train.Config)


@pytest.mark.parametrize(
    "text, message",
    [
        # A value's place is that of the file and the line it came from
        ("teacher: {train: {epoch: 6}}",
         "top.yaml:2: teacher.train: unknown key 'epoch' (did you mean 'epochs'?)"),
        ("seed: 5\nteacher: {train: {schedule: cosine}}",
         "base.yaml:8: teacher.train.milestones: only for `schedule: step`"),
        ("teacher: {train: {lr: fast}}",
         "top.yaml:2: teacher.train.lr: expected a number, got 'fast'"),
        ("extend: x", "top.yaml:2: unknown key 'extend' (did you mean 'extends'?)"),
        ("budget: null", "top.yaml:2: budget: expected a mapping of keys, got null"),
        # Steps that are not there
        ("steps: {qat: {}}", "top.yaml:2: steps: no step 'qat' (known: prune_layers, train)"),
        ("steps:\n  7: {train: {}}",
         "top.yaml:3: steps: no step [7] (known: [0] prune_layers, [1] train)"),
        ("steps: {0: {train: {lr: 1}}}",
         "top.yaml:2: steps[0]: is a prune_layers step (write 0: {prune_layers: ...})"),
        ("steps: {1: null}",
         ("top.yaml:2: steps[1]: expected the step's name and its settings below it, for example"
          " {train: {lr: 0.1}}")),
        ("steps: {train: 3}", "top.yaml:2: steps[1].train: expected a mapping of keys, got 3"),
    ],
)  # fmt: skip
def test_errors_name_the_file_and_the_line_of_the_value(on_base, text, message):
    with pytest.raises(RecipeError) as caught:
        on_base(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "texts, message",
    [
        ({"top": "extends: nobody\n"}, "top.yaml:1: extends: unknown recipe 'nobody' (known: "),
        ({"top": "seed: 1\nextends: no/where.yaml\n"},
         "top.yaml:2: extends: no/where.yaml: no such file"),
        ({"top": "extends: [base.yaml]\n"}, "top.yaml:1: extends: expected text, got a list"),
        ({"top": "extends:\n"}, "top.yaml:1: extends: expected text, got null"),
        ({"top": "extends: top.yaml\n"},
         "top.yaml:1: extends: goes round in a circle: top.yaml -> top.yaml"),
        ({"top": "extends: a.yaml\n", "a": "extends: b.yaml\n", "b": "seed: 1\nextends: a.yaml\n"},
         "b.yaml:2: extends: goes round in a circle: top.yaml -> a.yaml -> b.yaml -> a.yaml"),
        # Two steps of one kind
        ({"two": BASE.replace("budget:", "  - train: {epochs: 1, lr: 0.1}\nbudget:"),
          "top": "extends: two.yaml\nsteps: {train: {lr: 1}}\n"},
         "top.yaml:2: steps: 2 steps are 'train' (write 1: {train: ...} or 2: {train: ...})"),
        # No steps at all to change
        ({"bare": BASE[: BASE.index("steps:")] + BASE[BASE.index("budget:") :],
          "top": "extends: bare.yaml\nsteps: {train: {lr: 1}}\n"},
         "top.yaml:2: steps: no step 'train' (there are none)"),
        # What is wrong below is not covered by what lies on top of it
        ({"bad": BASE.replace("train_clips", "clips"),
          "top": "extends: bad.yaml\ndata: {name: own, root: x}\n"},
         "bad.yaml:3: data: unknown key 'clips' (did you mean 'val_clips'?"),
        ({"part": "seed: 1\n", "top": f"extends: part.yaml\n{BASE}"},
         "part.yaml:1: missing keys 'data', 'teacher', 'budget'"),
        ({"bad": BASE.replace("prune_layers: {drop: [l9, l10]}", "3"),
          "top": "extends: bad.yaml\nsteps: {0: {prune_layers: {drop: [l10]}}}\n"},
         "bad.yaml:10: steps[0]: expected a mapping of keys, got 3"),
        ({"empty": "", "top": "extends: empty.yaml\n"}, "top.yaml:1: extends: empty.yaml: is empty"),
    ],
)  # fmt: skip
def test_what_cannot_be_extended(write, texts, message):
    write(**texts)
    with pytest.raises(RecipeError) as caught:
        recipe.load("top.yaml")
    assert str(caught.value).startswith(message)


def test_more_recipes_on_top_of_each_other_than_anybody_reads(write):
    write(**{f"r{level}": f"extends: r{level - 1}.yaml\n" for level in range(1, 6)}, r0=BASE)
    assert recipe.load("r4.yaml").seed == 3
    with pytest.raises(RecipeError) as caught:
        recipe.load("r5.yaml")
    assert str(caught.value).startswith(
        "r1.yaml:1: extends: more than 5 recipes on top of each other: r5.yaml -> r4.yaml ->"
    )


def test_it_cannot_be_typed(on_base):
    with pytest.raises(RecipeError) as caught:
        on_base("", "extends=ctrgcn_lite_dml")
    assert str(caught.value) == (
        "-o extends=ctrgcn_lite_dml: extends: stands in a file; name the recipe itself with"
        " --recipe"
    )


def test_a_base_needs_no_root_but_the_recipe_does(write):
    write(
        base=BASE.replace("synthetic, train_clips: 24", "nw_ucla"),
        top="extends: base.yaml\nseed: 4\n",
    )
    assert recipe.load("top.yaml", ["data.root=there"]).data.config.root == "there"
    with pytest.raises(RecipeError) as caught:
        recipe.load("top.yaml")
    assert str(caught.value) == (
        "base.yaml:3: data: missing key 'root': where the files of nw_ucla are (add -o"
        " data.root=FOLDER)"
    )


def test_the_tree_keeps_no_trace_of_the_key(on_base):
    loaded = on_base("seed: 4")
    assert extends.KEY not in recipe.to_dict(loaded)
    (_, lowest), (_, whole) = extends.layers(extends.chain(files.read("top.yaml")))
    assert extends.KEY not in whole.mapping and lowest.mapping["seed"].data == 3


def test_a_dry_run_shows_both_as_one(write, capsys):
    write(top="extends: base.yaml\nteacher: {train: {lr: 0.125}}\ndata: {val_clips: 12}\n")
    assert main(["--recipe", "top.yaml", "--dry-run", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "recipe: top.yaml on top of base.yaml\nseed: 3\n" in printed
    assert "data: {name: synthetic, train_clips: 24, val_clips: 12}" in printed
    assert "lr: 0.125" in printed and "milestones: [2, 4]" in printed
    assert json.loads(printed.splitlines()[-1])["extends"] == ["base.yaml"]
