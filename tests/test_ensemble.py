"""Streams fused inside one network: it makes them of joints, and answers as its members together."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import onnx
import paddle
import pytest

from compress import pipeline, plan, recipe, run
from compress.evaluation import fusion, scores
from compress.training import fine_tuning, stochastic_depth
from compress.training.model import Model
from export import api, deployed
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.formats import onnx_format
from export.preprocess import ops, streams as made
from export.quantize import bits, calibrate
from teachers import ensemble, networks
from teachers.ensemble.network import member_states
from teachers.ensemble.streams import STREAMS, parents, stream
from teachers.errors import RecipeError
from teachers.skeleton import Skeleton
from teachers.weights import checkpoints, transfer

# Joint 5 is a child twice, of which the last counts; joints 1 and 6 are nobody's.
SIX = Skeleton("six", 6, ((2, 1), (3, 1), (4, 1), (5, 4), (5, 3)), centre=1)
SHALLOW = ("l2", "l3", "l4", "l6", "l7", "l9", "l10")
SHARES = {"joint": 0.6, "bone": 0.6, "joint_motion": 0.4, "bone_motion": 0.4}


def clips_of(spec, count=4):
    shape = (count, *spec.input_shape)
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def logits_of(network, clips):
    with paddle.no_grad():
        return network(paddle.to_tensor(clips)).numpy()


@pytest.fixture(scope="module")
def members(randomised):
    """(stream, a network that was trained on it, its share) of four streams."""
    # `randomised` leaves some tensors as they were built: not as the tests before have left chance.
    paddle.seed(5)
    module = networks.module("ctrgcn")
    spec = module.default_spec(3, SIX, 8, 2, 3, module.Config(8))
    spec = module.drop_blocks(spec, SHALLOW)
    return [
        (name, randomised(networks.build(spec), seed), share)
        for seed, (name, share) in enumerate(SHARES.items())
    ]


@pytest.fixture(scope="module")
def whole(members):
    return ensemble.joined(members)


@pytest.mark.parametrize("kind", STREAMS)
def test_a_stream_is_the_one_of_the_preprocessing_bit_for_bit(kind):
    clips = np.random.default_rng(1).standard_normal((3, 3, 7, 6, 2)).astype("float32")
    expected = np.stack([made.stream(clip, kind, SIX.bone_pairs()) for clip in clips])
    pairs = paddle.to_tensor(parents(SIX))
    assert np.array_equal(stream(paddle.to_tensor(clips), kind, pairs, 3, 2).numpy(), expected)
    # Axes in the order of the flat network.
    turned = paddle.to_tensor(clips.transpose(0, 4, 1, 3, 2))
    found = stream(turned, kind, pairs, 3, 4).numpy()
    assert np.array_equal(found, expected.transpose(0, 4, 1, 3, 2))


def test_it_answers_as_the_fused_scores_of_its_members(members, whole):
    clips = clips_of(whole.spec)
    each = []
    for name, network, _ in members:
        step = made.steps(name, SIX)
        seen = np.stack([ops.apply(clip, step) for clip in clips])
        each.append(logits_of(network, seen))
    expected = fusion.fuse(each, tuple(SHARES.values()))
    np.testing.assert_allclose(
        logits_of(whole, clips), expected, rtol=0, atol=2e-6 * abs(expected).max()
    )
    # They disagree, or any of them would have passed for all.
    apart = [abs(one - expected).max() for one in each]
    assert min(apart) > 1e-3 * abs(expected).max()


def test_its_parts_make_it_again(whole):
    states = member_states(whole)
    parts = []
    for branch, state in zip(whole.spec.blocks, states, strict=True):
        network = networks.build(whole.spec.member(branch))
        networks.load_state(network, state, "a part")
        parts.append((branch.id, network, 1.0))
    again = networks.state_of(ensemble.joined(parts))
    for name, value in networks.state_of(whole).items():
        # Four equal shares are a quarter each.
        factor = 4 if name.startswith("fc.") else 1
        np.testing.assert_array_equal(again[name] * factor, value)


def test_every_layer_of_a_plan_says_whose_it_is(whole):
    flat = flatten(whole)
    names = [parameter.name for parameter in flat.parameters()]
    assert len(set(names)) == len(names)
    prefixes = {name.split(".")[0] for name in (*names, *bits.layers(flat))}
    assert prefixes == {*STREAMS, "fc"}
    # Points, too: under one name the members would share a range.
    points = calibrate.calibrate(prepared(flat, integers=True), clips_of(whole.spec), "min_max")
    assert {name.split(".")[0] for name in points} == set(STREAMS)


def test_one_int8_file_of_each_format(members, tmp_path):
    # Two streams, whose files are written in half the time.
    network = ensemble.joined(members[::2])
    clips = clips_of(network.spec)
    # Verified as every network: `export` raises where a file answers otherwise.
    api.export(network, tmp_path, clips, quantized=api.quantize(network, clips))
    files = deployed.read(tmp_path).files
    assert files["onnx"] == ("model.onnx",) and len(files["paddle"]) == 2
    stored = onnx.load(tmp_path / "model.onnx").graph.initializer
    small = [one.name for one in stored if one.data_type == onnx.TensorProto.INT8]
    assert {name.split(".")[0] for name in small} >= {"joint", "joint_motion", "fc"}


@pytest.fixture(scope="module")
def shared(randomised):
    """Of two members, the first sees two streams as channels."""
    config = ensemble.Config(("joint+bone", "joint_motion"), width=8, drop=SHALLOW)
    return randomised(networks.build(ensemble.default_spec(3, SIX, 8, 2, 3, config)), 7)


def test_a_member_sees_streams_side_by_side(shared):
    shared.eval()
    clips = clips_of(shared.spec)
    total = 0.0
    for branch, state in zip(shared.spec.blocks, member_states(shared), strict=True):
        member = networks.build(shared.spec.member(branch))
        networks.load_state(member, state, branch.id)
        member.eval()
        pairs = SIX.bone_pairs()
        seen = [
            np.stack([made.stream(clip, kind, pairs) for clip in clips]) for kind in branch.streams
        ]
        assert member.spec.input_shape[0] == 3 * len(seen)
        total = total + logits_of(member, np.concatenate(seen, axis=1))
    found = logits_of(shared, clips)
    np.testing.assert_allclose(found, total, rtol=0, atol=2e-6 * abs(total).max())
    # One person alone: whoever is not there is left out of every member.
    clips[..., 1] = 0
    np.testing.assert_allclose(
        logits_of(prepared(flatten(shared), integers=False), clips),
        logits_of(shared, clips),
        rtol=0,
        atol=1e-5 * abs(found).max(),
    )


def test_members_of_different_width_are_one_int8_file_of_each_format(shared, tmp_path):
    clips = clips_of(shared.spec, 6)
    clips[::2, ..., 1] = 0
    api.export(shared, tmp_path, clips, quantized=api.quantize(shared, clips))
    assert set(deployed.read(tmp_path).files) == {"onnx", "paddle"}
    read = networks.from_json(type(shared.spec), json.loads(json.dumps(asdict(shared.spec))))
    assert read == shared.spec


@pytest.fixture(scope="module", params=["stgcn", "stgcnpp"])
def staged(request, randomised):
    """(stream, network, share) of two streams, of networks with a stage plan whose persons share
    their statistics."""
    paddle.seed(6)
    config = ensemble.Config(member=request.param, width=12, stages=3, inflate=(3,), down=(2,))
    spec = ensemble.default_spec(3, SIX, 8, 2, 3, config)
    assert [block.out_channels for block in spec.blocks[0].blocks] == [12, 12, 24]
    return [
        (name, randomised(networks.build(spec.member(spec.blocks[0])), seed), share)
        for seed, (name, share) in enumerate((("bone", 0.6), ("joint_motion", 0.4)))
    ]


def test_networks_with_a_stage_plan_are_one_int8_file_of_each_format(staged, tmp_path):
    network = ensemble.joined(staged)
    clips = clips_of(network.spec, 6)
    # The second person is in every other clip.
    clips[::2, ..., 1] = 0
    each = [
        logits_of(member, np.stack([ops.apply(clip, made.steps(name, SIX)) for clip in clips]))
        for name, member, _ in staged
    ]
    expected = fusion.fuse(each, (0.6, 0.4))
    found = logits_of(network, clips)
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * abs(expected).max())
    np.testing.assert_allclose(
        logits_of(flatten(network), clips), found, rtol=0, atol=1e-5 * abs(found).max()
    )
    api.export(network, tmp_path, clips, quantized=api.quantize(network, clips))
    record = deployed.read(tmp_path)
    assert set(record.files) == {"onnx", "paddle"}
    # As each of them by itself, and without the persons who are not there.
    model = onnx.load(tmp_path / "model.onnx")
    assert onnx_format.form_of(model) == "qoperator"
    assert any(node.op_type == "ScatterND" for node in model.graph.node)


def test_networks_with_a_stage_plan_are_carried_over_to_other_data(staged):
    network = ensemble.joined(staged)
    source = transfer.Source("a file", network.spec, networks.state_of(network), ("a", "b", "c"))
    carried, _ = transfer.carry(source, transfer.Target(("b", "a"), 12, 1, SIX))
    assert carried.spec.input_shape == (3, 12, 6, 1) and carried.spec.classes == 2
    for name in ("bone", "joint_motion"):
        np.testing.assert_array_equal(
            getattr(carried, name).data_bn._mean, source.state[f"{name}.data_bn._mean"]
        )


def test_streams_and_blocks_of_members_can_be_dropped(whole):
    spec = whole.spec
    fewer = ensemble.drop_blocks(spec, ("bone", "bone_motion"))
    assert [branch.id for branch in fewer.blocks] == ["joint", "joint_motion"]
    shorter = ensemble.drop_blocks(spec, ("l8",))
    assert {block.id for branch in shorter.blocks for block in branch.blocks} == {"l1", "l5"}
    small = networks.build(shorter)
    fresh = networks.copy_by_name(networks.state_of(whole), small, ("l8",))
    # The features are narrower than those of l8 were.
    assert fresh == ["fc.weight"]
    with pytest.raises(RecipeError, match="at least one must stay"):
        ensemble.drop_blocks(spec, tuple(STREAMS))


def test_depth_is_counted_in_each_member(whole):
    def rates():
        return [getattr(whole, name).l8.drop_path for name in STREAMS]

    with stochastic_depth.applied(whole, 0.3):
        assert rates() == [0.3] * 4 and whole.bone.l1.drop_path == pytest.approx(0.1)
    assert rates() == [0.0] * 4
    assert fine_tuning.rates(whole, 0.5) == {**dict.fromkeys(STREAMS, 0.5), "fc": 1.0}


@pytest.mark.parametrize(
    "keys, problem",
    [
        ({"member": "efficientgcn"}, "member: must be one of ctrgcn"),
        ({"stages": 4}, "stages: ctrgcn has no such key"),
        ({"member": "stgcnpp", "stages": 0}, "stages: must be at least 1"),
        ({"streams": ("joint", "velocity")}, "streams: must be some of joint"),
        ({"streams": ("joint", "joint")}, "streams: must be some of"),
        ({"streams": ("joint", "bone+joint")}, "streams: must be some of"),
        ({"streams": ("joint+", "bone")}, "streams: must be some of"),
        ({"streams": ()}, "streams: must be some of"),
        ({"width": 7}, "width: CTR-GCN needs a multiple of 8"),
    ],
)
def test_keys_that_make_no_ensemble(keys, problem):
    with pytest.raises(ValueError, match=problem):
        ensemble.Config(**keys)


TINY = """
seed: 1
data: {{name: synthetic, train_clips: 24, val_clips: 12}}
teacher:
  name: {name}
  {width}
  train: {{epochs: 1, lr: 0.02, batch_size: 12, warmup_epochs: 0}}
  ensemble:
    - {{input: {{stream: bone, {more}}}, weight: 0.25}}
    - {{input: {{stream: {second}}}, weight: 0.75}}
student: {{from: ensemble}}
steps:
  - weight_only: {{kind: int8}}
export: {{formats: [paddle, onnx]}}
budget: {{max_size: 2.5MB, max_top1_drop: 100}}
"""


def tiny(folder, name="ctrgcn", second="joint_motion", more="frames: 16", width="width: 8"):
    path = folder / "tiny.yaml"
    path.write_text(TINY.format(name=name, second=second, more=more, width=width))
    return path


def test_the_student_is_all_teachers_as_one(tmp_path, randomised):
    loaded = recipe.load(tiny(tmp_path))
    planned = plan.make(loaded, plan.load_data(loaded))
    models = tuple(
        Model(randomised(networks.build(each.spec), seed), each.task.view, each.member.weight)
        for seed, each in enumerate(planned.teachers)
    )
    student = pipeline.student_of(planned, models)
    # Fed joints, though none of the members was.
    assert not [step for step in student.view.eval_ops if step["op"] == "stream"]
    assert student.network.spec == planned.student.spec
    clip = planned.dataset.val.clips[0]
    each = [logits_of(model.network, model.view.prepare(clip)[None]) for model in models]
    found = logits_of(student.network, student.view.prepare(clip)[None])
    np.testing.assert_allclose(found, fusion.fuse(each, (0.25, 0.75)), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_recipe_trains_the_members_and_delivers_one_network(tmp_path):
    folder = tmp_path / "run"
    assert run.main(["--recipe", str(tiny(tmp_path)), "--output", str(folder)]) == 0
    report = json.loads((folder / "report.json").read_text())
    assert len(report["members"]) == 2 and report["networks"][1]["name"] == "ensemble"
    steps = deployed.read(folder / "deploy").preprocessing
    results = scores.load_all(folder / "scores.npz").logits
    assert set(results) >= {"teacher", "Paddle Inference", "ONNX Runtime"}
    assert not [step for step in steps if step["op"] == "stream"]
    network = checkpoints.load(folder / "weights" / "student.npz")
    assert [branch.id for branch in network.spec.blocks] == ["bone", "joint_motion"]


@pytest.mark.parametrize(
    "keys, problem",
    [
        ({"second": "bone"}, "see the same stream"),
        ({"more": "frames: 20"}, "differ in more than `stream`"),
        ({"name": "efficientgcn", "width": "branches: 1"}, "efficientgcn cannot be a part of one"),
    ],
)
def test_what_cannot_be_one_network_is_said_before_any_training(keys, problem, tmp_path, capsys):
    arguments = ["--recipe", str(tiny(tmp_path, **keys)), "--dry-run"]
    assert run.main(arguments) == 1
    assert problem in json.loads(capsys.readouterr().out.splitlines()[-1])["error"]


@pytest.mark.parametrize(
    "student, problem",
    [
        ("{from: ensemble, name: ctrgcn}", "leave `name` and `weights` out"),
        ("{from: ensemble}", "list several under teacher.ensemble"),
    ],
)
def test_a_recipe_that_says_two_things(student, problem, tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(
        "data: {name: synthetic}\n"
        "teacher: {name: ctrgcn, train: {epochs: 1, lr: 0.1, batch_size: 8}}\n"
        f"student: {student}\nbudget: {{max_size: 1MB}}\n"
    )
    with pytest.raises(RecipeError, match=problem):
        recipe.load(path)
