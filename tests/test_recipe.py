"""Recipes: what loads, what is refused and in which words, overrides, every file in configs/."""

from __future__ import annotations

import dataclasses
import json
import random
import sys
import types
from dataclasses import dataclass, replace
from typing import Literal

import pytest
import yaml

from compress import recipe, registry
from compress.recipe import files, types as recipe_types
from compress.recipe.listing import BUILT_IN
from compress.steps import prune_layers
from compress.training import settings
from compress.training.settings import Dml, Mixup
from teachers import ctrgcn
from teachers.errors import RecipeError

TABLES = {name: getattr(registry, name) for name in ("DATA_SETS", "INPUTS", "STEPS", "NETWORKS")}
# Those for public data need a root; what they say is held by `test_public_recipes.py`.
CONFIGS = [name for name, _ in recipe.by_data_set()[BUILT_IN]]

GOOD = """\
# A test recipe.
# Run: nothing
seed: 7
data: {name: aaa, clips: 12, mode: slow}
teacher:
  train: {epochs: 2, lr: 1e-1}
student: {from: teacher}
steps:
  - prune_layers: {drop: [l10]}
  - train:
      epochs: 3
      lr: 1e-2
      mixup: {alpha: 0.5}
budget: {max_size: 10MB}
"""


@dataclass(frozen=True)
class AaaConfig:
    clips: int = 10
    mode: Literal["slow", "fast"] = "fast"
    window: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class BbbConfig:
    folder: str | None = None
    clips: int = 5


@dataclass(frozen=True)
class SeeConfig:
    frames: int = 64
    stream: str = "joint"


@dataclass(frozen=True)
class LookConfig:
    branches: int = 3


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch, request):
    """Two data sets of this file and the names that recipes here may use, except for the test of
    the real recipes."""
    if request.function is test_every_recipe_loads:
        return
    for name, config, usual in (("aaa", AaaConfig, "see"), ("bbb", BbbConfig, "look")):
        monkeypatch.setitem(
            sys.modules,
            f"stand_in.data.{name}",
            types.SimpleNamespace(
                Config=config, INPUT=usual, INPUT_DEFAULTS={"frames": 16} if usual == "see" else {}
            ),
        )
    for name, config in (("see", SeeConfig), ("look", LookConfig)):
        monkeypatch.setitem(
            sys.modules, f"stand_in.inputs.{name}", types.SimpleNamespace(Config=config)
        )
    for table, modules in (
        ("DATA_SETS", {"aaa": "stand_in.data.aaa", "bbb": "stand_in.data.bbb"}),
        ("INPUTS", {"look": "stand_in.inputs.look", "see": "stand_in.inputs.see"}),
        ("STEPS", {name: f"compress.steps.{name}" for name in ("prune_layers", "train")}),
        ("NETWORKS", {"ctrgcn": "teachers.ctrgcn"}),
    ):
        monkeypatch.setattr(registry, table, replace(getattr(registry, table), modules=modules))


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Writes a text as r.yaml in the working folder and loads it."""
    monkeypatch.chdir(tmp_path)

    def write_and_load(text: str | bytes, *overrides: str) -> recipe.Recipe:
        (tmp_path / "r.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
        return recipe.load("r.yaml", overrides)

    return write_and_load


def message(load, text: str | bytes, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        load(text, *overrides)
    return str(caught.value)


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


# What loads


def test_a_recipe_becomes_typed_values(load):
    loaded = load(GOOD)
    assert (loaded.name, loaded.seed, loaded.path.name, loaded.text) == ("r", 7, "r.yaml", GOOD)
    assert loaded.data == recipe_types.Choice("aaa", AaaConfig(12, "slow"))
    seen = recipe_types.Choice("see", SeeConfig(16))
    network = recipe_types.Choice("ctrgcn", ctrgcn.Config(64))
    assert loaded.input == seen and loaded.skeleton is None
    assert loaded.teacher == recipe_types.Teacher(
        (recipe_types.Member(network, seen, train=settings.Config(epochs=2, lr=0.1)),)
    )
    assert loaded.student == recipe_types.Student(None)
    assert loaded.steps == (
        recipe_types.Step("prune_layers", prune_layers.Config(("l10",))),
        recipe_types.Step("train", settings.Config(epochs=3, lr=0.01, mixup=Mixup(0.5))),
    )
    assert loaded.export.formats == ("paddle", "onnx")
    assert loaded.budget == recipe_types.Budget(10_000_000, 0.5)


def test_a_recipe_is_frozen(load):
    with pytest.raises(dataclasses.FrozenInstanceError):
        load(GOOD).seed = 2


def test_steps_are_optional_and_may_be_disabled_but_are_still_checked(load):
    head, tail = GOOD.split("steps:")[0], "budget: {max_size: 10MB}\n"
    assert load(head + tail).steps == ()
    assert load(head + "steps: []\n" + tail).steps == ()
    disabled = load(head + "steps: [{prune_layers: {drop: [l10], enabled: false}}]\n" + tail).steps
    assert disabled == (
        recipe_types.Step("prune_layers", prune_layers.Config(("l10",)), enabled=False),
    )
    assert (
        message(load, head + "steps: [{prune_layers: {enabled: false}}]\n" + tail)
        == "r.yaml:8: steps[0].prune_layers: missing key 'drop'"
    )


@pytest.mark.parametrize("entry", ["noop", "noop:", "noop: {}", "noop: {enabled: true}"])
def test_a_step_without_settings(load, monkeypatch, entry):
    @dataclass(frozen=True)
    class Config:
        ratio: float = 0.5

    monkeypatch.setitem(sys.modules, "compress.steps.noop", types.SimpleNamespace(Config=Config))
    monkeypatch.setitem(registry.STEPS.modules, "noop", "compress.steps.noop")
    text = changed("prune_layers: {drop: [l10]}", entry)
    assert load(text).steps[0] == recipe_types.Step("noop", Config())
    assert load(text, "steps.noop.ratio=1").steps[0].config.ratio == 1.0


@pytest.mark.parametrize(
    "written, number",
    [
        ("1e-4", 1e-4),
        ("1E3", 1e3),
        ("2", 2.0),
        ("0.5", 0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("+1.5e+2", 150.0),
        ("010", 10.0),
    ],
)
def test_numbers_as_people_write_them(load, written, number):
    lr = load(changed("lr: 1e-2", f"lr: {written}")).steps[1].config.lr
    assert lr == number and isinstance(lr, float)


def test_integers_are_decimal(load):
    assert load(changed("clips: 12", "clips: 010")).data.config.clips == 10
    assert load(changed("clips: 12", "clips: 1_000")).data.config.clips == 1000


def test_fixed_length_lists(load):
    assert load(changed("clips: 12", "window: [0, 2.5]")).data.config.window == (0.0, 2.5)


@pytest.mark.parametrize(
    "written, expected",
    [("balanced", "balanced"), ("[1, 0.5, 2]", (1.0, 0.5, 2.0)), ("null", None)],
)
def test_a_word_or_a_list(load, written, expected):
    text = GOOD.replace("lr: 1e-2", f"lr: 1e-2\n      class_weights: {written}")
    recipe = load(text)
    assert recipe.steps[1].config.class_weights == expected


def test_words_that_older_yaml_takes_for_truth_values_stay_text(load):
    assert load(GOOD, "data.name=bbb", "data.folder=no").data.config.folder == "no"


def test_anchors_aliases_and_merges(load):
    text = GOOD.replace("train: {epochs: 2, lr: 1e-1}", "train: &base {epochs: 2, lr: 1e-1}")
    loaded = load(text.replace("      epochs: 3\n", "      <<: *base\n"))
    assert loaded.steps[1].config == settings.Config(epochs=2, lr=0.01, mixup=Mixup(0.5))
    loaded = load(text.replace("steps:\n", "steps:\n  - train: *base\n"))
    assert loaded.steps[0].config == loaded.teacher.members[0].train


def test_a_byte_order_mark_and_windows_line_ends(load):
    assert load(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()).seed == 7


# What is refused


@pytest.mark.parametrize(
    "old, new, expected",
    [
        # keys
        (
            "      epochs: 3",
            "      epoch: 3",
            "r.yaml:11: steps[1].train: unknown key 'epoch' (did you mean 'epochs'?)",
        ),
        (
            "alpha: 0.5",
            "beta: 0.5",
            "r.yaml:13: steps[1].train.mixup: unknown key 'beta' (known: alpha)",
        ),
        ("seed: 7", "sede: 7", "r.yaml:3: unknown key 'sede' (did you mean 'seed'?)"),
        (
            "seed: 7",
            "name: x",
            (
                "r.yaml:3: unknown key 'name' (known: extends, data, teacher, budget, seed, input, skeleton,"
                " student, steps, export, search, compare, data_seed, seeds, select_on, holdout, leave_out, robustness, streams)"
            ),
        ),
        (
            "seed: 7",
            "1: x",
            (
                "r.yaml:3: unknown key '1' (known: extends, data, teacher, budget, seed, input, skeleton,"
                " student, steps, export, search, compare, data_seed, seeds, select_on, holdout, leave_out, robustness, streams)"
            ),
        ),
        (
            "from: teacher",
            "from_: teacher",
            "r.yaml:7: student: unknown key 'from_' (did you mean 'from'?)",
        ),
        ("      lr: 1e-2\n", "", "r.yaml:10: steps[1].train: missing key 'lr'"),
        ("{epochs: 2, lr: 1e-1}", "{}", "r.yaml:6: teacher.train: missing key 'lr'"),
        ("budget: {max_size: 10MB}\n", "", "r.yaml:3: missing key 'budget'"),
        ("max_size: 10MB", "", "r.yaml:14: budget: missing key 'max_size'"),
        (
            "      lr: 1e-2",
            "      epochs: 4",
            "r.yaml:12: steps[1].train: duplicate key 'epochs' (first in line 11)",
        ),
        ("seed: 7", "[a]: 7", "r.yaml:3: a key must be a word, not a list or a mapping"),
        # types
        ("seed: 7", "seed: true", "r.yaml:3: seed: expected a whole number, got true"),
        ("seed: 7", "seed: 7.0", "r.yaml:3: seed: expected a whole number, got 7.0 (write 7)"),
        ("seed: 7", "seed: 7.5", "r.yaml:3: seed: expected a whole number, got 7.5"),
        (
            "seed: 7",
            "seed: '7'",
            "r.yaml:3: seed: expected a whole number, got '7' (write it without quotes)",
        ),
        ("seed: 7", "seed:", "r.yaml:3: seed: expected a whole number, got null"),
        ("seed: 7", "seed: [7]", "r.yaml:3: seed: expected a whole number, got a list"),
        (
            "seed: 7",
            "seed: {a: 7, b: 1}",
            "r.yaml:3: seed: expected a whole number, got a mapping (a, b)",
        ),
        (
            "seed: 7",
            "seed: 99999999999999999999",
            "r.yaml:3: seed: '99999999999999999999' is no int",
        ),
        ("lr: 1e-2", "lr: fast", "r.yaml:12: steps[1].train.lr: expected a number, got 'fast'"),
        ("lr: 1e-2", "lr: true", "r.yaml:12: steps[1].train.lr: expected a number, got true"),
        (
            "lr: 1e-2",
            "lr: .nan",
            "r.yaml:12: steps[1].train.lr: expected a finite number, got .nan",
        ),
        (
            "lr: 1e-2",
            "lr: -.inf",
            "r.yaml:12: steps[1].train.lr: expected a finite number, got -.inf",
        ),
        (
            "lr: 1e-2",
            "lr: 1e999",
            "r.yaml:12: steps[1].train.lr: expected a finite number, got 1e999",
        ),
        (
            "lr: 1e-2",
            "lr: 1e-2\n      amp: Fasle",
            (
                "r.yaml:13: steps[1].train.amp: expected true or false, got 'Fasle' (did you mean"
                " false?)"
            ),
        ),
        (
            "lr: 1e-2",
            "lr: 1e-2\n      amp: yes",
            "r.yaml:13: steps[1].train.amp: expected true or false, got 'yes' (did you mean true?)",
        ),
        (
            "lr: 1e-2",
            "lr: 1e-2\n      amp: 1",
            "r.yaml:13: steps[1].train.amp: expected true or false, got 1",
        ),
        (
            "lr: 1e-2",
            "lr: 1e-2\n      class_weights: balance",
            (
                "r.yaml:13: steps[1].train.class_weights: expected balanced, got 'balance' (did you"
                " mean 'balanced'?)"
            ),
        ),
        (
            "lr: 1e-2",
            "lr: 1e-2\n      class_weights: [1, x]",
            "r.yaml:13: steps[1].train.class_weights[1]: expected a number, got 'x'",
        ),
        (
            "lr: 1e-2",
            "lr: 1e-2\n      class_weights: [1, -2]",
            "r.yaml:13: steps[1].train.class_weights: must not be negative",
        ),
        (
            "lr: 1e-2",
            "lr: 1e-2\n      schedule: cosin",
            (
                "r.yaml:13: steps[1].train.schedule: expected one of cosine, step,"
                " cosine_after_warmup, got 'cosin' (did you mean 'cosine'?)"
            ),
        ),
        (
            "lr: 1e-2",
            "lr: 1e-2\n      clip_norm: none",
            "r.yaml:13: steps[1].train.clip_norm: expected a number, got 'none'",
        ),
        (
            "[l10]",
            "l10",
            "r.yaml:9: steps[0].prune_layers.drop: expected a list, got 'l10' (write [l10])",
        ),
        (
            "[l10]",
            "[l9, 10]",
            'r.yaml:9: steps[0].prune_layers.drop[1]: expected text, got 10 (quote it: "10")',
        ),
        (
            "[l10]",
            "[\n    l9,\n    null]",
            "r.yaml:11: steps[0].prune_layers.drop[1]: expected text, got null",
        ),
        (
            "[l10]",
            '["l\\0"]',
            (
                "r.yaml:9: steps[0].prune_layers.drop[0]: text with a character that cannot be"
                " printed: 'l\\x00'"
            ),
        ),
        (
            "{alpha: 0.5}",
            "0.5",
            "r.yaml:13: steps[1].train.mixup: expected a mapping of keys, got 0.5",
        ),
        ("clips: 12", "window: [1]", "r.yaml:4: data.window: expected a list of 2, got 1"),
        ("{from: teacher}", "null", "r.yaml:7: student: expected a mapping of keys, got null"),
        (
            "{from: teacher}",
            "{from: ctrgcn}",
            "r.yaml:7: student.from: expected one of teacher, ensemble, got 'ctrgcn'",
        ),
        # names
        (
            "name: aaa",
            "name: aab",
            "r.yaml:4: data.name: unknown data set 'aab' (did you mean 'aaa'? known: aaa, bbb)",
        ),
        ("name: aaa, ", "", "r.yaml:4: data: missing key 'name' (known: aaa, bbb)"),
        (
            "name: aaa",
            "name: ../x",
            "r.yaml:4: data.name: unknown data set '../x' (known: aaa, bbb)",
        ),
        (
            "teacher:\n",
            "teacher:\n  name: ctrgnc\n",
            (
                "r.yaml:6: teacher.name: unknown network 'ctrgnc' (did you mean 'ctrgcn'? known:"
                " ctrgcn)"
            ),
        ),
        (
            "  - prune_layers:",
            "  - prune_layer:",
            (
                "r.yaml:9: steps[0]: unknown step 'prune_layer' (did you mean 'prune_layers'?"
                " known: prune_layers, train)"
            ),
        ),
        (
            "prune_layers: {drop: [l10]}",
            "quantise",
            "r.yaml:9: steps[0]: unknown step 'quantise' (known: prune_layers, train)",
        ),
        (
            "clips: 12",
            "folder: x",
            "r.yaml:4: data: unknown key 'folder' (known: name, clips, mode, window)",
        ),
        # the shape of steps
        (
            "  - train:\n      epochs: 3",
            "  - train:\n    epochs: 3\n    x:",
            (
                "r.yaml:10: steps[1]: expected one key, the step's name, got train, epochs, x"
                " (indent its settings below it)"
            ),
        ),
        (
            "  - prune_layers: {drop: [l10]}",
            "  - {}",
            (
                "r.yaml:9: steps[0]: expected one key, the step's name, got none (indent its"
                " settings below it)"
            ),
        ),
        (
            "  - prune_layers: {drop: [l10]}",
            "  - 3",
            "r.yaml:9: steps[0]: expected a mapping of keys, got 3",
        ),
        (
            "prune_layers: {drop: [l10]}",
            "prune_layers: 3",
            "r.yaml:9: steps[0].prune_layers: expected a mapping of keys, got 3",
        ),
        (
            "drop: [l10]",
            "drop: [l10], enabled: maybe",
            "r.yaml:9: steps[0].prune_layers.enabled: expected true or false, got 'maybe'",
        ),
        # impossible values and combinations
        ("seed: 7", "seed: -1", "r.yaml:3: seed: must be from 0 to 4294967295"),
        ("lr: 1e-2", "lr: 0", "r.yaml:12: steps[1].train.lr: must be above 0"),
        (
            "alpha: 0.5",
            "alpha: 0",
            (
                "r.yaml:13: steps[1].train.mixup.alpha: must be above 0 (leave `mixup` out to train"
                " without it)"
            ),
        ),
        (
            "lr: 1e-2",
            "lr: 1e-2\n      schedule: step",
            (
                "r.yaml:10: steps[1].train.milestones: a step schedule needs the epochs at which"
                " the rate falls, for example [35, 55]"
            ),
        ),
        ("max_size: 10MB", "max_size: 0MB", "r.yaml:14: budget.max_size: must be above 0"),
        (
            "max_size: 10MB",
            "max_size: -5",
            (
                "r.yaml:14: budget.max_size: cannot read the size '-5': write a number with KB, MB,"
                " GB, KiB, MiB or GiB, for example 10MB (10^6 bytes each), or a plain number of"
                " bytes"
            ),
        ),
        (
            "max_size: 10MB",
            "max_size: true",
            "r.yaml:14: budget.max_size: expected a size such as 10MB, got true",
        ),
        (
            "max_size: 10MB",
            "max_size: [10MB]",
            "r.yaml:14: budget.max_size: expected a size such as 10MB, got a list",
        ),
        (
            "max_size: 10MB",
            "max_size: 10MB, max_top1_drop: -1",
            "r.yaml:14: budget.max_top1_drop: must be from 0 to 100 percentage points",
        ),
        (
            "budget:",
            "export: {formats: []}\nbudget:",
            "r.yaml:14: export.formats: name at least one of paddle, onnx, continual",
        ),
        (
            "budget:",
            "export: {formats: [onxx]}\nbudget:",
            (
                "r.yaml:14: export.formats[0]: expected one of paddle, onnx, continual, got 'onxx' (did you"
                " mean 'onnx'?)"
            ),
        ),
        (
            "budget:",
            "compare: [openvino]\nbudget:",
            (
                "r.yaml:14: compare[0]: expected one of paddleslim_ptq, onnxruntime_static,"
                " onnxruntime_dynamic, got 'openvino'"
            ),
        ),
        (
            "budget:",
            "compare: [onnxruntime_static, onnxruntime_static]\nbudget:",
            "r.yaml:14: compare: names a tool twice",
        ),
        (
            "budget:",
            "export: {formats: [onnx, onnx]}\nbudget:",
            "r.yaml:14: export.formats: names a format twice",
        ),
        (
            "  train: {epochs: 2, lr: 1e-1}",
            "  weights: null",
            (
                "r.yaml:5: teacher: give `weights` (a trained network's file) or `train` (how to"
                " train one)"
            ),
        ),
        (
            "  train: {epochs: 2, lr: 1e-1}",
            "  weights: ''",
            "r.yaml:6: teacher.weights: expected a file's path or null, got ''",
        ),
        (
            "teacher:\n",
            "teacher:\n  finetune: true\n",
            "r.yaml:6: teacher.finetune: needs `teacher.weights` to start from",
        ),
        (
            "  train: {epochs: 2, lr: 1e-1}",
            "  weights: w.pdparams\n  finetune: true",
            "r.yaml:7: teacher.finetune: needs `teacher.train` to say how",
        ),
        (
            "{epochs: 2, lr: 1e-1}",
            "{epochs: 2, lr: 1e-1, dml: {}}",
            (
                "r.yaml:6: teacher.train.dml: the teacher has no teacher of its own (move it to a"
                " train step)"
            ),
        ),
        (
            "{epochs: 2, lr: 1e-1}",
            "{epochs: 2, lr: 1e-1, kd: {}}",
            (
                "r.yaml:6: teacher.train.kd: the teacher has no teacher of its own (move it to a"
                " train step)"
            ),
        ),
        (
            "teacher:\n",
            "teacher:\n  width: 0\n",
            "r.yaml:6: teacher.width: CTR-GCN needs a multiple of 8 channels, got 0",
        ),
        # YAML
        (
            "seed: 7",
            "seed: !!python/object/apply:os.system ['true']",
            "r.yaml:3: seed: tag '!!python/object/apply:os.system' is not allowed (remove it)",
        ),
        ("seed: 7", "seed: !!int seven", "r.yaml:3: seed: 'seven' is no int"),
        ("seed: 7", "seed: !!bool 7", "r.yaml:3: seed: '7' is no bool"),
        ("seed: 7", "seed: !size 7", "r.yaml:3: seed: tag '!size' is not allowed (remove it)"),
        (
            "seed: 7",
            "seed: &a [*a]",
            "r.yaml:3: seed[0]: an alias refers to the value it stands in",
        ),
        ("seed: 7", "seed: *a", "r.yaml:3: not YAML: found undefined alias 'a'"),
        ("seed: 7", "seed: 7\n<<: 3", "r.yaml:4: `<<` merges mappings only"),
        (
            "seed: 7",
            "\tseed: 7",
            (
                "r.yaml:3: not YAML: found character '\\t' that cannot start any token (indent with"
                " spaces)"
            ),
        ),
        ("[l10]", "[l10", "r.yaml:9: not YAML: expected ',' or ']', but got '}'"),
        ("seed: 7", "seed: \x07", "r.yaml:3: not YAML: character U+0007 is not allowed"),
    ],
)
def test_bad_recipes_say_where_what_and_how_to_mend(load, old, new, expected):
    assert message(load, changed(old, new)) == expected


@pytest.mark.parametrize(
    "content, expected",
    [
        ("", "r.yaml: is empty (start from a recipe in configs/)"),
        ("# only a comment\n", "r.yaml: is empty (start from a recipe in configs/)"),
        ("# x\n\n---\nseed: 7\n", "r.yaml:4: missing keys 'data', 'teacher', 'budget'"),
        ("- a\n", "r.yaml:1: expected a mapping of keys, got a list"),
        ("hello\n", "r.yaml:1: expected a mapping of keys, got 'hello'"),
        ("a: 1\n---\nb: 2\n", "r.yaml:2: not YAML: but found another document"),
        (
            "seed: 7\nname: caf\xe9".encode("latin-1"),
            "r.yaml:2: is not UTF-8 text (save the file as UTF-8)",
        ),
        ("#" * 70_000, "r.yaml: is 70000 bytes, a recipe has at most 65536"),
        ("a: " + "[" * 20_000, "r.yaml:1: nested too deeply"),
    ],
)
def test_files_that_are_no_recipe(load, content, expected):
    assert message(load, content) == expected


def test_names_and_paths_that_do_not_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("alpha", "beta"):
        (tmp_path / f"{name}.yaml").write_text(f"# The {name} one.\n# Run: x\nseed: 1\n")
    monkeypatch.setattr(files, "CONFIGS", tmp_path)
    assert recipe.list_recipes() == [("alpha", "The alpha one."), ("beta", "The beta one.")]
    for name, expected in (
        ("alpa", "unknown recipe 'alpa' (did you mean 'alpha'? known: alpha, beta)"),
        ("zzz", "unknown recipe 'zzz' (known: alpha, beta)"),
        ("", "unknown recipe '' (known: alpha, beta)"),
        (
            "x/alpha.yaml",
            (
                "x/alpha.yaml: no such file; the recipe 'alpha' is chosen by its name, "
                "without folder and ending"
            ),
        ),
        ("gamma.yml", "gamma.yml: no such file"),
        ("alpha", "alpha.yaml:3: missing keys 'data', 'teacher', 'budget'"),
    ):
        with pytest.raises(RecipeError) as caught:
            recipe.load(name)
        assert str(caught.value) == expected


# Overrides


@pytest.mark.parametrize(
    "override",
    ["steps[1].train.lr=0.5", "steps.1.train.lr=0.5", "steps.train.lr=5e-1", "steps.train.lr= 0.5"],
)
def test_every_way_to_name_a_step(load, override):
    loaded = load(GOOD, override)
    assert loaded.steps[1].config.lr == 0.5 and loaded.overrides == (override,)


@pytest.mark.parametrize(
    "override, get, value",
    [
        ("seed=0", lambda r: r.seed, 0),
        ("budget.max_size=2MB", lambda r: r.budget.max_size, 2_000_000),
        ("budget.max_size=99", lambda r: r.budget.max_size, 99),
        (
            "teacher.train={epochs: 9, lr: 1}",
            lambda r: r.teacher.members[0].train,
            settings.Config(epochs=9, lr=1.0),
        ),
        ("teacher.weights=a=b.pdparams", lambda r: r.teacher.members[0].weights, "a=b.pdparams"),
        ("teacher.weights=", lambda r: r.teacher.members[0].weights, None),
        ("steps.train.mixup=null", lambda r: r.steps[1].config.mixup, None),
        ("steps.train.dml={}", lambda r: r.steps[1].config.dml, Dml()),
        ("steps.train.dml.weight=2", lambda r: r.steps[1].config.dml, Dml(2.0)),
        ("steps.train.enabled=false", lambda r: r.steps[1].enabled, False),
        ("steps.prune_layers.drop[0]=l9", lambda r: r.steps[0].config.drop, ("l9",)),
        ("steps[0].prune_layers.drop=[l9, l10]", lambda r: r.steps[0].config.drop, ("l9", "l10")),
        ("steps=[]", lambda r: r.steps, ()),
        (
            "steps[0]={train: {epochs: 1, lr: 1}}",
            lambda r: [step.kind for step in r.steps],
            ["train", "train"],
        ),
        ("export.formats=[onnx]", lambda r: r.export.formats, ("onnx",)),
    ],
)
def test_overrides(load, override, get, value):
    assert get(load(GOOD, override)) == value


def test_overrides_apply_in_order(load):
    loaded = load(
        GOOD,
        "teacher.train=null",
        "teacher.train.epochs=4",
        "teacher.train.lr=1",
        "seed=1",
        "seed=2",
    )
    assert loaded.teacher.members[0].train == settings.Config(epochs=4, lr=1.0) and loaded.seed == 2


def test_an_override_mends_a_wrong_value_of_the_file(load):
    assert load(changed("seed: 7", "seed: many"), "seed=3").seed == 3


def test_one_override_of_an_alias_leaves_its_twin(load):
    text = GOOD.replace("train: {epochs: 2, lr: 1e-1}", "train: &base {epochs: 2, lr: 1e-1}")
    loaded = load(
        text.replace("  - prune_layers: {drop: [l10]}", "  - train: *base"), "teacher.train.lr=3"
    )
    assert (loaded.teacher.members[0].train.lr, loaded.steps[0].config.lr) == (3.0, 0.1)


@pytest.mark.parametrize(
    "override, expected",
    [
        ("data.naem=x", "-o data.naem=x: data: unknown key 'naem' (did you mean 'name'?)"),
        (
            "data.name=bb",
            (
                "-o data.name=bb: data.name: unknown data set 'bb' (did you mean 'bbb'? known: aaa,"
                " bbb)"
            ),
        ),
        (
            "seed",
            "-o seed: expected key.path=value, for example -o seed=2 or -o steps[0].train.lr=0.01",
        ),
        (
            "=3",
            "-o =3: expected key.path=value, for example -o seed=2 or -o steps[0].train.lr=0.01",
        ),
        (
            "data..name=x",
            (
                "-o data..name=x: expected key.path=value, for example -o seed=2 or -o"
                " steps[0].train.lr=0.01"
            ),
        ),
        (
            "a" + ".a" * 21 + "=1",
            "-o a"
            + ".a" * 21
            + "=1: expected key.path=value, for example -o seed=2 or -o steps[0].train.lr=0.01",
        ),
        (
            "steps[1=x",
            (
                "-o steps[1=x: expected key.path=value, for example -o seed=2 or -o"
                " steps[0].train.lr=0.01"
            ),
        ),
        ("seed=yes", "-o seed=yes: seed: expected a whole number, got 'yes'"),
        ("seed=[1", "-o seed=[1: seed: not YAML: expected ',' or ']', but got '<stream end>'"),
        ("seed.x=1", "-o seed.x=1: seed: is 7, it has no key 'x'"),
        ("data[0]=1", "-o data[0]=1: data: is a mapping (name, clips, mode), it has no entry 0"),
        ("steps.train.lr=0", "-o steps.train.lr=0: steps[1].train.lr: must be above 0"),
        (
            "steps.train.epoch=3",
            "-o steps.train.epoch=3: steps[1].train: unknown key 'epoch' (did you mean 'epochs'?)",
        ),
        (
            "steps.prune.drop=[l9]",
            "-o steps.prune.drop=[l9]: steps: no step 'prune' (known: prune_layers, train)",
        ),
        ("steps.ptq.x=1", "-o steps.ptq.x=1: steps: no step 'ptq' (known: prune_layers, train)"),
        (
            "steps[4].train.lr=1",
            "-o steps[4].train.lr=1: steps: no step [4] (known: [0] prune_layers, [1] train)",
        ),
        ("steps[1].lr=1", "-o steps[1].lr=1: steps[1]: is a train step (write steps[1].train.lr)"),
        (
            "steps[0].train.lr=1",
            (
                "-o steps[0].train.lr=1: steps[0]: is a prune_layers step (write"
                " steps[0].prune_layers.train.lr)"
            ),
        ),
        (
            "steps[0].prune_layers.drop[3]=l9",
            (
                "-o steps[0].prune_layers.drop[3]=l9: steps[0].prune_layers.drop: no entry [3] (it"
                " has 1)"
            ),
        ),
        (
            "teacher.train.dml={}",
            (
                "-o teacher.train.dml={}: teacher.train.dml: the teacher has no teacher of its own"
                " (move it to a train step)"
            ),
        ),
        ("budget={}", "-o budget={}: budget: missing key 'max_size'"),
    ],
)
def test_bad_overrides(load, override, expected):
    assert message(load, GOOD, override) == expected


def test_a_kind_that_stands_twice_needs_its_number(load):
    text = changed("prune_layers: {drop: [l10]}", "train: {epochs: 1, lr: 1}")
    assert (
        message(load, text, "steps.train.lr=2")
        == "-o steps.train.lr=2: steps: 2 steps are 'train' (write steps[0].train.lr or"
        " steps[1].train.lr)"
    )
    assert [step.config.lr for step in load(text, "steps.0.train.lr=2").steps] == [2.0, 0.01]


def test_another_data_set_keeps_only_the_keys_it_knows(load):
    loaded = load(GOOD, "data.name=bbb")
    assert loaded.data.config == BbbConfig(clips=12)
    assert loaded.notes == ("data.mode of the recipe does not apply to bbb and was left out",)
    assert load(GOOD, "data.folder=x", "data.name=bbb").data.config == BbbConfig("x", 12)


def test_another_data_set_keeps_no_wrong_key_of_an_override(load):
    assert (
        message(load, GOOD, "data.name=bbb", "data.mode=fast")
        == "-o data.mode=fast: data: unknown key 'mode' (known: name, folder, clips)"
    )
    assert (
        message(load, GOOD, "data={name: bbb, mode: fast}")
        == "-o data={name: bbb, mode: fast}: data: unknown key 'mode' (known: name, folder, clips)"
    )


def test_the_same_data_set_keeps_every_key(load):
    wrong = changed("mode: slow", "mood: slow")
    assert (
        message(load, wrong, "data.name=aaa")
        == "r.yaml:4: data: unknown key 'mood' (did you mean 'mode'?)"
    )


# Back to plain data


def test_to_dict_is_plain_complete_and_loads_again(load):
    loaded = load(GOOD, "steps.prune_layers.enabled=false")
    plain = recipe.to_dict(loaded)
    assert json.loads(json.dumps(plain)) == plain
    assert plain["data"] == {"name": "aaa", "clips": 12, "mode": "slow", "window": [0.0, 1.0]}
    assert plain["student"] == {"from": "teacher", "input": None, "weights": None}
    assert plain["steps"][0] == {"prune_layers": {"drop": ["l10"], "enabled": False}}
    assert plain["budget"] == {
        "max_size": 10_000_000,
        "max_top1_drop": 0.5,
        "min_top1": None,
        "max_drop_at_20pct_joints": None,
    }
    assert plain.pop("name") == "r"
    again = recipe.to_dict(load(yaml.safe_dump(plain)))
    assert again == {"name": "r", **plain}


def test_flatten_uses_the_paths_of_overrides(load):
    flat = recipe.flatten(recipe.to_dict(load(GOOD)))
    assert flat["steps[1].train.lr"] == 0.01
    assert flat["steps[0].prune_layers.drop"] == ["l10"]
    assert flat["teacher.train.mixup"] is None
    assert flat["steps[1].train.mixup.alpha"] == 0.5
    overrides = [f"{key}={json.dumps(value)}" for key, value in flat.items() if key != "name"]
    assert recipe.to_dict(load(GOOD, *overrides)) == recipe.to_dict(load(GOOD))
    assert recipe.flatten({"a": [], "b": {}, "c": [{"d": 1}]}) == {"a": [], "b": {}, "c[0].d": 1}


# Everything at once


def test_damaged_recipes_load_or_are_refused_in_words(load):
    """Random damage to a good recipe never ends in another exception."""
    rng = random.Random(1)
    pieces = [
        "",
        " ",
        "\n",
        ":",
        "-",
        "{",
        "}",
        "[",
        "]",
        "&a",
        "*a",
        "<<: *a",
        "!!int",
        "'",
        '"',
        "|",
        "1e999",
        "~",
        "true",
        "? ",
        "\\",
        "\u2028",
        "#",
        "%",
        "@",
        "steps",
        "train",
        "-1",
        "0x1",
        "é",
    ]
    keys = ["seed", "steps", ".", "[1]", "train", "=", "data", "x", "{", "0"]
    for _ in range(300):
        text, start = GOOD, 0
        for _ in range(rng.randint(1, 3)):
            start = rng.randrange(len(text))
            text = text[:start] + rng.choice(pieces) + text[start + rng.choice([0, 0, 1, 3, 9]) :]
        override = "".join(rng.choice(keys) for _ in range(5))
        for overrides in ((), (override,)):
            try:
                load(text, *overrides)
            except RecipeError as problem:
                assert str(problem).startswith(("r.yaml:", "-o ")) and "\n" not in str(problem)


def test_network_names_agree_with_the_networks():
    from teachers import networks

    assert TABLES["NETWORKS"].names() == networks.names()


def test_names_are_the_files_that_can_be_used():
    assert {"prune_layers", "train"} <= set(TABLES["STEPS"].names())
    assert (
        "synthetic" in TABLES["DATA_SETS"].names() and "dataset" not in TABLES["DATA_SETS"].names()
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_every_recipe_loads(name):
    loaded = recipe.load(name)
    assert loaded.name == name
    assert recipe.to_dict(recipe.load(name, [f"seed={loaded.seed}"])) == recipe.to_dict(loaded)
    lines = loaded.text.splitlines()
    assert lines[0].startswith("# ") and dict(recipe.list_recipes())[name] == lines[0][2:]
    command = f"# Run: python compress/run.py --recipe {name}"
    # Of data that do not come along, the command names where they are.
    assert lines[1] == command or lines[1].startswith(f"{command} -o data.root=")
    assert lines[2].startswith("# Expect:")
