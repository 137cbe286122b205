"""The space of a search, the recipes of its points, what chooses among them, and what they cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from compress import recipe as recipes, rehearsal
from compress.plan import Plan, PlannedStudent
from compress.recipe.search import Search
from compress.search import bench, costs, mixed, sampler, space as spaces
from compress.search.costs import Timed
from compress.search.space import Shape
from compress.steps import weight_only
from export import package
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.quantize.bits import make_plan
from export.quantize.quantized import Quantized, corrected
from export.runtimes import in_process
from teachers import networks
from teachers.errors import RecipeError
from teachers.skeleton import NTU_25

TEACHERS = [Path("/runs/found/weights/teacher.npz")]


def _space(*overrides: str) -> spaces.Space:
    recipe = recipes.load("ctrgcn_lite_dml", overrides)
    choice = recipe.student.network or recipe.teacher.members[0].network
    spec = networks.module(choice.name).default_spec(12, NTU_25, 16, 1, 3, choice.config)
    # Of a plan, a space reads recipe and student alone.
    return spaces.of(Plan(recipe, None, (), PlannedStudent(None, spec, None), (), ()))


def test_what_a_recipe_does_not_say_is_chosen_by_its_network():
    space = _space()
    assert {shape.layers for shape in space.shapes} == {
        (),
        ("l10",),
        ("l9", "l10"),
        ("l8", "l9", "l10"),
    }
    assert {shape.channels for shape in space.shapes} == {0.0, 0.25, 0.5, 0.75}
    assert {shape.frames for shape in space.shapes} == {16, 8}
    assert len(space.shapes) == 32 and space.bits == ("float32", "int8", "mixed", "int4")


def test_a_recipe_narrows_it():
    space = _space(
        "search={layers: [[l10]], channels: [0.5], frames: [12], streams: [joint, bone]}"
    )
    names = [shape.name for shape in space.shapes]
    assert names == ["no-l10-c50-t12-joint", "no-l10-c50-t12-bone"]


@pytest.mark.parametrize(
    "override, message",
    [
        ("search.layers=[[l11]]", "l11"),
        ("search.channels=[1]", "shares must be at least 0 and below 1"),
        ("search.bits=[int8, int8]", "names one of them twice"),
        ("search.halving=1", "must be at least 2"),
        ("steps.train.enabled=false", "has 0; switch off the others"),
        ("steps.train.dml.freeze_teacher=false", "leave it true"),
    ],
)
def test_what_cannot_be_searched_is_refused(override, message):
    with pytest.raises(RecipeError, match=message):
        _space(override)


def test_an_ensemble_is_not_searched():
    with pytest.raises(RecipeError, match="an ensemble has several"):
        _space("student={name: ensemble}")


def test_channels_of_a_network_that_keeps_them_are_not_searched():
    assert {shape.channels for shape in _space("teacher.name=stgcn").shapes} == {0.0}
    with pytest.raises(RecipeError, match="the channels of stgcn cannot be removed"):
        _space("teacher.name=stgcn", "search.channels=[0.5]")


@pytest.mark.parametrize("bits", ["float32", "int8", "mixed", "int4"])
def test_the_recipe_of_a_point_is_read_back(bits, tmp_path):
    space = _space()
    in_int8 = ("l1.values", "l2.values") if bits == "mixed" else ()
    recipe = spaces.recipe_of(space, Shape(("l10",), 0.25, 8, "bone"), bits, TEACHERS, 2, in_int8)
    file = tmp_path / f"{recipe.name}.yaml"
    file.write_text(recipes.to_yaml(recipe, defaults=False))
    again = recipes.load(str(file))
    assert recipes.to_dict(again) == recipes.to_dict(recipe)
    kinds = [step.kind for step in again.steps]
    last = {"float32": [], "int8": ["ptq"]}.get(bits, ["weight_only"])
    assert kinds == ["prune_layers", "prune_channels", "train", *last]
    assert again.steps[2].config.stop_after == 2
    assert again.student.weights == again.teacher.members[0].weights == str(TEACHERS[0])
    assert again.student.input.config.frames == 8 and again.student.input.config.stream == "bone"
    assert "search" not in yaml.safe_load(file.read_text())


def test_mixed_files_name_their_layers_in_eight_bits():
    space = _space(
        "steps=[{train: {epochs: 2, lr: 0.1}}, {weight_only: {kind: int4, precision: [[l1, float16]]}}]"
    )
    recipe = spaces.recipe_of(
        space, Shape((), 0.0, 16, "joint"), "mixed", TEACHERS, in_int8=["l2.values"]
    )
    config = recipe.steps[-1].config
    assert config.kind == "int4"
    assert config.precision == (("l1", "float16"), ("l2.values", "int8_weights"))


def test_a_limit_of_bytes_is_filled_with_the_smallest_layers(tiny_spec):
    more = mixed.more_bytes(tiny_spec, weight_only.Config("int4"), 1)
    sizes = [size_bytes for _, size_bytes in more]
    assert len(more) > 2 and sizes == sorted(sizes) and sizes[0] > 0
    names = [layer for layer, _ in more]
    assert mixed.fitting(more, sum(sizes[:2])) == tuple(names[:2])
    assert mixed.fitting(more, sum(sizes[:2]) - 1) == tuple(names[:1])
    # All in one kind: nothing is mixed.
    assert mixed.fitting(more, sum(sizes)) == () == mixed.fitting(more, 0)
    # Twice the weights, twice the room.
    twice = mixed.more_bytes(tiny_spec, weight_only.Config("int4"), 2)
    assert [size_bytes for _, size_bytes in twice] == [2 * one for one in sizes]
    kept = weight_only.Config("int4", precision=((names[0], "float16"),))
    assert names[0] not in dict(mixed.more_bytes(tiny_spec, kept, 1))


def test_what_eight_bits_add_to_a_file_is_known_at_most(tiny_spec, tmp_path):
    space = _space("export.formats=[onnx]")
    more = mixed.more_bytes(tiny_spec, weight_only.Config("int4"), 1)
    task = SimpleNamespace(about=lambda: {"classes": ["one", "two", "three"]})
    sizes = []
    for count in (0, len(more) - 1):
        folder = tmp_path / str(count)
        folder.mkdir()
        in_int8 = [layer for layer, _ in more[:count]]
        recipe = spaces.recipe_of(
            space, Shape((), 0.0, 16, "joint"), "mixed", TEACHERS, in_int8=in_int8
        )
        sizes.append(rehearsal.write(recipe, tiny_spec, task, folder))
    known = sum(size_bytes for _, size_bytes in more[:-1])
    # Never less: four bits take more nodes, of some hundred bytes a layer.
    assert 0 <= known - (sizes[1] - sizes[0]) <= 256 * len(more)


def test_a_network_that_sees_what_the_teacher_sees_is_its_copy():
    space = _space()
    recipe = spaces.recipe_of(space, Shape((), 0.0, 16, "joint"), "float32", TEACHERS)
    assert recipe.student == space.base.student
    assert [step.kind for step in recipe.steps] == ["train"]
    assert recipe.steps[0].config.stop_after is None


def test_each_shape_is_proposed_once_and_the_same_again():
    space = _space("search.sampler=random")
    seen: list[str] = []
    while (shape := sampler.propose(space, seen, [])) is not None:
        assert sampler.propose(space, seen, []) == shape
        seen.append(shape.name)
    assert sorted(seen) == sorted(shape.name for shape in space.shapes)


def test_optuna_learns_what_is_accurate():
    pytest.importorskip("optuna", reason="the extra `search`")
    space = _space()
    # Half of the channels are far better than all others, whatever the rest.
    tried = [
        sampler.Tried(shape, 1000, 90.0 if shape.channels == 0.5 else 10.0)
        for shape in space.shapes[::2]
    ]
    seen = [each.shape.name for each in tried]
    first = sampler.propose(space, seen, tried)
    assert first == sampler.propose(space, seen, tried)
    proposed = []
    while len(proposed) < 4:
        shape = sampler.propose(space, seen, tried)
        proposed.append(shape.channels)
        seen.append(shape.name)
    assert proposed.count(0.5) >= 2


def test_without_optuna_the_way_out_is_said(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    with pytest.raises(RecipeError, match=r"pip install 'featherbone\[search\]'"):
        sampler.check(_space())
    sampler.check(_space("search.sampler=random"))


@pytest.mark.parametrize("bits, apart", [("float32", 8), ("int8", 100), ("int4", 8)])
def test_files_weigh_what_they_weigh_before_training(bits, apart, tiny_spec, randomised, tmp_path):
    space = _space("export.formats=[onnx]")
    recipe = spaces.recipe_of(space, Shape((), 0.0, 16, "joint"), bits, TEACHERS)
    about = {"classes": ["one", "two", "three"]}
    before = tmp_path / "before"
    before.mkdir()
    known = rehearsal.write(recipe, tiny_spec, SimpleNamespace(about=lambda: about), before)
    network = randomised(networks.build(tiny_spec), seed=3)
    generator = np.random.default_rng(4)
    # As training does: blocks begin with one topology, and equal constants are stored once.
    moved = {
        name: (value * generator.uniform(0.9, 1.1, value.shape)).astype("float32")
        for name, value in networks.state_of(network).items()
    }
    networks.load_state(network, moved, "test")
    clips = generator.normal(size=(8, *tiny_spec.input_shape)).astype("float32")
    quantized = {
        "float32": lambda: None,
        "int8": lambda: corrected(network, clips, "percentile", {}),
        "int4": lambda: Quantized(make_plan(prepared(flatten(network)), "int4_weights")),
    }[bits]()
    after = tmp_path / "after"
    reference = in_process(network)(clips)
    package.build(network, after, ("onnx",), about, clips, reference, quantized)
    assert abs(sum(file.stat().st_size for file in after.iterdir()) - known) <= apart


def test_no_weight_that_a_network_is_weighed_with_is_near_nothing(tiny_spec):
    # A small factor before others let them all round to the same, and those are stored once.
    state = networks.state_of(rehearsal.stand_in(tiny_spec))
    assert min(np.abs(value).min() for value in state.values()) >= 0.1


@pytest.mark.parametrize(
    "steps, own",
    [
        ("[train: {}]", "all-c100-t16-joint"),
        ("[prune_layers: {drop: [l10]}, train: {}, ptq: {}]", "no-l10-c100-t16-joint"),
        (
            "[prune_layers: {drop: [l10, l9]}, prune_channels: {ratio: 0.5}, train: {}]",
            "no-l9-l10-c50-t16-joint",
        ),
        ("[prune_channels: {ratio: 0.5, blocks: [[l9, 0.25]]}, train: {}]", None),
        ("[prune_channels: {ratio: 0.4}, train: {}]", None),
        ("[prune_layers: {drop: [l9]}, train: {}]", None),
    ],
)
def test_the_recipes_own_network_is_tried_first(steps, own):
    # Text as in a recipe; how the training goes does not matter here.
    space = _space(
        "steps=" + steps.replace("train: {}", "train: {epochs: 3, lr: 0.1, batch_size: 8}")
    )
    assert (space.own.name if space.own else None) == own
    first = sampler.propose(space, set(), [])
    assert own is None or first == space.own
    assert sampler.propose(space, {first.name}, []) != first


@pytest.mark.parametrize("axis, values", [("streams", "[joint, bone]"), ("frames", "[16, 8]")])
def test_what_an_input_has_not_cannot_be_varied(axis, values, monkeypatch):
    recipe = recipes.load("efficientgcn_b0_dml", [f"search.{axis}={values}"])
    chosen = recipe.student.input or recipe.teacher.members[0].input
    if axis == "frames":
        # An input of its own that knows nothing of frames
        monkeypatch.setattr(spaces, "_input", lambda _: replace(chosen, config=SimpleNamespace()))
    spec = networks.module("efficientgcn").default_spec(12, NTU_25, 16, 1, 18)
    with pytest.raises(RecipeError, match=f"search.{axis}: the input .* has no key"):
        spaces.of(Plan(recipe, None, (), PlannedStudent(None, spec, None), (), ()))


def test_shares_that_names_cannot_tell_apart_are_refused():
    with pytest.raises(RecipeError, match="same in whole percent"):
        recipes.load("ctrgcn_lite_dml", ["search.channels=[0.62, 0.625]"])


def test_what_a_search_does_not_do_is_named():
    changes = ["seeds=3", "robustness={}", "compare=[onnxruntime_static]"]
    seeds, sections = spaces.notes(recipes.load("ctrgcn_lite_dml", changes))
    assert seeds.startswith("seeds: a search trains every network once, with the seed 1;")
    assert sections == "compare, robustness: no part of a search; run a recipe of its front"


def test_gates_that_a_search_does_not_judge_are_named():
    recipe = recipes.load("ctrgcn_lite_dml", ["budget.max_drop_at_20pct_joints=3"])
    assert any("max_drop_at_20pct_joints is not judged" in note for note in spaces.notes(recipe))
    assert spaces.notes(recipes.load("ctrgcn_lite_dml")) == []


def _rows(kind: str, count: int) -> list[Timed]:
    shape = Shape((), 0.0, 16, "joint")
    return [
        Timed(
            replace(shape, frames=8 * number),
            kind,
            0,
            10**7 * number * number,
            5,
            1.0 + 0.2 * number * number + 0.04 * number,
        )
        for number in range(1, count + 1)
    ]


def test_the_latency_model_finds_the_line_it_was_given():
    model = costs.fit(_rows("float32", 6))
    # 1 ms a call, 20 ms for 10^9 MACs, 1 ms for 1000 frames of a block.
    assert np.allclose(model.weights["floats"], (1.0, 20.0, 1.0), atol=1e-6)
    assert model.error < 1e-6
    assert model.predict("float32", 5 * 10**7, 5, 16) == pytest.approx(1.0 + 1.0 + 0.08)


def test_latency_never_falls_with_arithmetic():
    rows = [replace(row, ms=5.0 - number) for number, row in enumerate(_rows("int8", 4))]
    assert min(costs.fit(rows).weights["integers"]) >= 0


def test_a_dozen_files_are_spread_over_space_and_kinds():
    space = _space()
    chosen = bench.spread(space.shapes, space.bits)
    assert len(chosen) == bench.TIMED
    assert [bits for _, bits in chosen].count("float32") == 6
    shapes = {shape.name for shape, _ in chosen}
    assert {"no-l8-l9-l10-c25-t8-joint", "all-c100-t16-joint"} <= shapes


def test_search_of_a_recipe_says_nothing_by_default():
    assert recipes.load("ctrgcn_lite_dml").search == Search()


def test_networks_that_the_steps_do_not_fit_are_not_timed():
    space = _space("search.bits=[int8, int4]")

    def planned(recipe):
        # As of `ptq: {skip: [l10]}` where l10 is removed.
        if any(step.kind == "prune_layers" for step in recipe.steps):
            raise RecipeError("the network has no layer 'l10'")
        return recipe

    timed = bench.Bench.__new__(bench.Bench)
    timed._context = SimpleNamespace(
        space=space,
        planned=planned,
        recipe=lambda shape, bits: spaces.recipe_of(space, shape, bits, TEACHERS),
    )
    found = timed._possible(space.shapes)
    assert {shape.layers for shape, _, _ in found} == {()}
    assert {bits for _, bits, _ in found} == {"int8", "int4"}
    with pytest.raises(RecipeError, match="no layer 'l10'"):
        timed._possible([shape for shape in space.shapes if shape.layers])
