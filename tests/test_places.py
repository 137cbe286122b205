"""Files for the place they go to: profiles, opsets, a fixed batch, ranks, and what a file needs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import paddle
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress import run
from export import api, deployed, runtimes, scripts
from export.flat.flatten import flatten
from export.formats import (
    onnx_format,
    onnx_model,
    onnx_needs,
    onnx_opset,
    onnx_place,
    onnx_rules,
    onnx_symmetric,
)
from export.formats.options import Options
from export.formats.profiles import PROFILES, needed
from export.quantize.quantized import Quantized, corrected
from export.runtimes.shapes import fitted
from teachers import networks
from teachers.errors import RecipeError
from teachers.skeleton import Skeleton
from teachers.weights import checkpoints

FIVE = Skeleton("five", 5, ((2, 1), (3, 1), (4, 1), (5, 4)), centre=1)
DROPPED = ("l3", "l4", "l5", "l6", "l7", "l8", "l9")
SMALL = {
    "ctrgcn": {"width": 8},
    "ctrgcn_light_v1": {"width": 8},
    "ctrgcn_light_v2": {"width": 8},
    "efficientgcn": {},
    "ensemble": {"width": 8, "streams": ("bone", "joint_motion"), "drop": DROPPED},
    "stgcn": {"width": 8},
    "stgcnpp": {"width": 12},
}
BUILT: dict[str, tuple] = {}


def traced(name, randomised):
    """(a network of two persons, its clips, its model with everybody computed); made once."""
    if name not in BUILT:
        module = networks.module(name)
        channels = 6 * 3 if name == "efficientgcn" else 3
        spec = module.default_spec(4, FIVE, 8, 2, channels, module.Config(**SMALL[name]))
        # The second widens no channels, and so keeps what the first does not have.
        whole = name in ("efficientgcn", "ensemble")
        inner = () if whole else tuple(block.id for block in spec.blocks[2:-1])
        paddle.seed(3)
        network = randomised(networks.build(module.drop_blocks(spec, inner) if inner else spec))
        shape = (3, *spec.input_shape)
        clips = np.random.default_rng(1).standard_normal(shape).astype("float32")
        clips[1, ..., 1] = 0
        BUILT[name] = network, clips, onnx_model.convert(flatten(network), network.spec)
    network, clips, model = BUILT[name]
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return network, clips, copy


def predictor(model, folder):
    folder.mkdir()
    (file,) = onnx_model.write(model, folder)
    return runtimes.onnx_runtime(file)


def operators(model):
    return {node.op_type for node in model.graph.node}


@pytest.mark.parametrize("name", networks.names())
def test_every_network_follows_the_strictest_rules_and_answers_the_same(name, randomised, tmp_path):
    network, clips, model = traced(name, randomised)
    expected = predictor(model, tmp_path / "usual")(clips)
    broken = list(onnx_rules.breaches(model, PROFILES["rknn"]))
    # As it is written for ONNX Runtime it would not go: the rewrite is what makes it go.
    assert {breach.node.split(" ")[0] for breach in broken} >= {"Transpose", "the"}
    onnx_place.fit(model, network.spec, Options(profile="rknn"))
    assert list(onnx_rules.breaches(model, PROFILES["rknn"])) == []
    assert operators(model) <= PROFILES["rknn"].allowed
    C, T, V, M = network.spec.input_shape
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_value for dim in dims] == [1, C, T, V * M]
    found = predictor(model, tmp_path / "rknn")(clips)
    # The same arithmetic in the same order, but for sums that a runtime fuses in another shape.
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("name", ["ctrgcn", "efficientgcn"])
def test_a_fixed_batch_knows_every_shape_and_takes_any_number_of_clips(name, randomised, tmp_path):
    network, clips, model = traced(name, randomised)
    expected = predictor(model, tmp_path / "free")(clips)
    onnx_place.fit(model, network.spec, Options(batch=2))
    assert not {"Shape", "Expand", "NonZero"} & operators(model)
    found = predictor(model, tmp_path / "fixed")(clips)
    assert found.shape == (3, 4)
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()
    # The file itself takes two clips, no more and no fewer.
    session = onnx.load(tmp_path / "fixed" / "model.onnx").graph
    assert session.input[0].type.tensor_type.shape.dim[0].dim_value == 2
    assert session.output[0].type.tensor_type.shape.dim[0].dim_value == 2


def test_clips_are_filled_up_and_cut_for_a_fixed_batch():
    seen = []

    def run(x):
        seen.append(x.copy())
        return [x.sum((1, 2, 3), keepdims=False)[:, None]]

    clips = np.arange(3 * 24, dtype="float32").reshape(3, 2, 3, 2, 2)
    (sums,) = fitted(run, [2, 2, 3, 4])(clips)
    assert [part.shape for part in seen] == [(2, 2, 3, 4), (2, 2, 3, 4)]
    assert np.array_equal(seen[0], clips[:2].reshape(2, 2, 3, 4)) and not seen[1][1].any()
    assert np.array_equal(sums[:, 0], clips.sum((1, 2, 3, 4)))
    # Another shape goes through as it is, for the runtime to say what it expected.
    fitted(run, [2, 9, 9, 9])(clips[:2, :, :, :, 0])
    assert seen[-1].shape == (2, 2, 3, 2)


@pytest.mark.parametrize("opset", [13, 14, 17, 18, 20, 21])
def test_every_opset_loads_and_answers_the_same(opset, randomised, tmp_path):
    # EfficientGCN has HardSwish, which came with opset 14, and every reduction and Split.
    network, clips, model = traced("efficientgcn", randomised)
    expected = predictor(model, tmp_path / "15")(clips)
    onnx_place.fit(model, network.spec, Options(opset=opset))
    assert onnx_opset.of(model) == opset
    assert ("HardSwish" in operators(model)) == (opset >= 14)
    found = predictor(model, tmp_path / "moved")(clips)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_weights_in_int4_refuse_an_older_opset(randomised):
    network, _, _ = traced("stgcn", randomised)
    quantized = api.quantize(network, kind="int4_weights")
    model = onnx_format.convert(quantized.flat(network), network.spec, quantized.plan)
    with pytest.raises(RecipeError, match="export.opset: 17 has no int4"):
        onnx_place.fit(model, network.spec, Options(opset=17))


def test_tensorrt_has_int8_around_zero_and_the_same_numbers(randomised, tmp_path):
    network, clips, _ = traced("stgcn", randomised)
    usual = corrected(network, clips, "min_max", {})
    quantized = usual.symmetric()
    for name, (low, high) in quantized.plan.ranges.items():
        # The largest magnitude is 127 steps on either side, whatever is 128.
        assert high == pytest.approx(max(map(abs, usual.plan.ranges[name])))
        assert low == pytest.approx(-high * 128 / 127)
    model = onnx_format.convert(
        quantized.flat(network), network.spec, quantized.plan, Options(profile="tensorrt")
    )
    before = predictor(model, tmp_path / "unsigned")(clips)
    assert list(onnx_rules.breaches(model, PROFILES["tensorrt"]))
    onnx_symmetric.centre(model)
    zeros = [tensor for tensor in model.graph.initializer if tensor.data_type == TensorProto.UINT8]
    assert zeros == []
    after = runtimes.onnx_runtime(onnx_model.write(model, tmp_path)[0], optimised=False)(clips)
    exact = runtimes.onnx_runtime(tmp_path / "unsigned" / "model.onnx", optimised=False)(clips)
    assert np.array_equal(after, exact)
    assert np.abs(before - exact).max() < 0.1 * np.abs(exact).max()
    # A folder of that profile is verified against the symmetric rounding, now and later.
    api.export(network, tmp_path / "deploy", clips, ["onnx"], quantized=usual, profile="tensorrt")
    api.verify(tmp_path / "deploy", network, clips, quantized=usual)
    written = onnx.load(tmp_path / "deploy" / "model.onnx")
    assert list(onnx_rules.breaches(written, PROFILES["tensorrt"])) == []


def test_weights_alone_in_int8_pass_a_dequantiser_for_tensorrt(randomised, tmp_path):
    network, clips, _ = traced("ctrgcn", randomised)
    quantized: Quantized = api.quantize(network, kind="int8_weights")
    found = api.export(network, tmp_path, clips, ["onnx"], quantized=quantized, profile="tensorrt")
    assert found["onnx"]["max_rel_diff"] < 1e-5
    model = onnx.load(tmp_path / "model.onnx")
    assert "DequantizeLinear" in operators(model) and "Cast" not in operators(model)


def node_model(nodes, constants=(), shape=(1, 3, 4, 5), opset=15, domains=()):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("clip", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants],
    )
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(each, 1) for each in domains)]
    return helper.make_model(graph, opset_imports=imports)


node = helper.make_node
BREACHES = {
    "five axes": (
        "rknn",
        node_model([node("Relu", ["clip"], ["logits"])], shape=(1, 2, 3, 4, 5)),
        r"Relu -> logits: has 5 axes, \(1, 2, 3, 4, 5\), at most 4 are taken; write that part",
    ),
    "an operator that the place lacks": (
        "rknn",
        node_model([node("Einsum", ["clip", "clip"], ["logits"], equation="abcd,abcd->abcd")]),
        "Einsum -> logits: RKNN-Toolkit2 has no Einsum; write that part of the network with",
    ),
    "a shape that depends on the clip": (
        "openvino",
        node_model([node("Relu", ["clip"], ["logits"])], shape=(None, 3, 4, 5)),
        r"Relu -> logits: its shape \(\?, 3, 4, 5\) is not known before a clip comes; fix export.ba",
    ),
    "a first axis above 1": (
        "rknn",
        node_model([node("Softmax", ["clip"], ["logits"])], shape=(2, 3, 4, 5)),
        r"Softmax -> logits: takes \(2, 3, 4, 5\), and its first axis must be 1; use an operator",
    ),
    "levels without a sign": (
        "tensorrt",
        node_model(
            [
                node("QuantizeLinear", ["clip", "s", "z"], ["q"]),
                node("DequantizeLinear", ["q", "s", "z"], ["logits"]),
            ],
            [("s", np.float32(0.1)), ("z", np.uint8(3))],
        ),
        "QuantizeLinear -> q: its eight bits are not int8 around zero; quantise with this profile",
    ),
    "a cast of int8": (
        "tensorrt",
        node_model(
            [
                node("Cast", ["w"], ["f"], to=TensorProto.FLOAT),
                node("Mul", ["clip", "f"], ["logits"]),
            ],
            [("w", np.ones((1, 3, 4, 5), "int8"))],
        ),
        "Cast -> f: casts INT8, which only DequantizeLinear may; store weights as int8 or float16",
    ),
    "integers in operators of Microsoft": (
        "openvino",
        node_model(
            [node("QLinearSigmoid", ["clip"], ["logits"], domain="com.microsoft")],
            domains=["com.microsoft"],
        ),
        "QLinearSigmoid -> logits: is an operator of com.microsoft, OpenVINO has those of ONNX alone",
    ),
    "integers in operators of the standard": (
        "rknn",
        node_model([node("QLinearMatMul", ["clip"] * 8, ["logits"])]),
        "QLinearMatMul -> logits: computes on integers itself, which RKNN-Toolkit2 does its own way",
    ),
    "an opset that is too new": (
        "rknn",
        node_model([node("Relu", ["clip"], ["logits"])], opset=21),
        "the model: has opset 21, at most 19 is read; set export.opset: 19",
    ),
    "a constant of five axes": (
        "rknn",
        node_model(
            [node("Add", ["clip", "c"], ["logits"])], [("c", np.ones((1, 1, 1, 1, 1), "float32"))]
        ),
        "the constant c: has 5 axes, at most 4 are taken",
    ),
}


@pytest.mark.parametrize("kind", BREACHES)
def test_a_breach_names_node_rule_and_fix(kind):
    profile, model, says = BREACHES[kind]
    with pytest.raises(RecipeError, match=says):
        onnx_rules.require(model, profile)
    # It is this place's rule: ONNX Runtime takes whatever is valid ONNX.
    assert list(onnx_rules.breaches(model, PROFILES["ort"])) == []


@pytest.mark.parametrize(
    "keys, says",
    [
        ({"profile": "rkn"}, "profile: unknown 'rkn' .did you mean 'rknn'"),
        ({"opset": 12}, "opset: must be from 13 to 21, is 12"),
        ({"opset": 21, "profile": "rknn"}, "RKNN-Toolkit2 reads opsets up to 19, not 21"),
        ({"batch": 0}, "batch: must be fixed, free or a number from 1 to 1024, is 0"),
        ({"batch": True}, "batch: must be fixed, free or a number"),
        ({"batch": "all"}, "batch: must be fixed, free or a number from 1 to 1024, is 'all'"),
        ({"batch": "free", "profile": "tensorrt"}, "TensorRT needs static shapes; leave batch out"),
        (
            {"skip_absent": True, "profile": "rknn"},
            "RKNN-Toolkit2 needs static ones; leave skip_ab",
        ),
        ({"skip_absent": True, "batch": 4}, "batch: 4 needs static ones; leave skip_absent out"),
    ],
)
def test_options_that_do_not_go_together(keys, says):
    with pytest.raises(ValueError, match=says):
        Options(**keys)


def test_a_profile_sets_what_is_left_out():
    usual, strict = Options(), Options(profile="tensorrt")
    assert (usual.skips_absent, usual.fixed_batch) == (True, None)
    assert (strict.skips_absent, strict.fixed_batch) == (False, 1)
    assert Options(profile="tensorrt", batch=8).fixed_batch == 8
    assert (Options(batch="fixed").fixed_batch, Options(batch="fixed").skips_absent) == (1, False)
    assert Options(profile="rknn").input_shape("onnx", (3, 64, 25, 2)) == (1, 3, 64, 50)
    assert Options(batch=4).input_shape("onnx", (3, 64, 25, 2)) == (4, 3, 64, 25, 2)
    assert Options(batch=4).input_shape("paddle", (3, 64, 25, 2)) is None
    assert Options(profile="web").input_shape("onnx", (3, 64, 25, 2)) is None


MICROSOFT = [node("QLinearAdd", ["clip"], ["logits"], domain="com.microsoft")]
NEW = [node("QLinearSoftmax", ["clip"], ["logits"], domain="com.microsoft")]
RELU = [node("Relu", ["clip"], ["logits"])]


@pytest.mark.parametrize(
    "nodes, opset, ir_version, profile, expected",
    [
        (RELU, 13, 7, "ort", {"onnxruntime": "1.7"}),
        (RELU, 15, 8, "ort", {"onnxruntime": "1.10"}),
        # The container counts, too: an old opset in a new one is read by new runtimes alone.
        (RELU, 15, 10, "ort", {"onnxruntime": "1.19"}),
        (RELU, 19, 9, "web", {"onnxruntime": "1.15", "onnxruntime-web": "1.15"}),
        (MICROSOFT, 13, 7, "ort", {"onnxruntime": "1.10"}),
        (RELU, 15, 8, "tensorrt", {"onnxruntime": "1.10", "tensorrt": "8.5"}),
        (RELU, 13, 7, "tensorrt", {"onnxruntime": "1.7", "tensorrt": "8.0"}),
        (RELU, 15, 8, "rknn", {"onnxruntime": "1.10", "rknn-toolkit2": "1.6.0"}),
        (RELU, 15, 8, "openvino", {"onnxruntime": "1.10", "openvino": "2023.3"}),
    ],
)
def test_what_a_file_needs_follows_from_opset_container_and_operators(
    nodes, opset, ir_version, profile, expected
):
    model = node_model(nodes, opset=opset, domains=["com.microsoft"])
    model.ir_version = ir_version
    found = onnx_needs.needs(model, profile)
    checked = found.pop("checked_with")
    assert found == {"opset": str(opset), "ir_version": str(ir_version), **expected}
    assert needed(found).endswith(f", opset {opset}")
    # An operator that no table knows is only known to be in the version that checked it.
    model = node_model(NEW, domains=["com.microsoft"])
    assert f"onnxruntime {onnx_needs.onnx_runtime_for(model)}" == checked


def test_a_folder_says_what_its_files_take_and_is_served(randomised, tmp_path, capsys):
    network, clips, _ = traced("stgcn", randomised)
    api.export(network, tmp_path / "usual", clips)
    api.export(network, tmp_path / "deploy", clips, profile="rknn", batch=2)
    content = json.loads((tmp_path / "deploy" / "deployed.json").read_text())
    assert content["profile"] == "rknn" and content["input_shapes"] == {"onnx": [2, 3, 8, 10]}
    assert content["input"]["shape"] == [None, 3, 8, 5, 2]
    assert content["requires"]["onnx"]["rknn-toolkit2"] == "1.6.0"
    expected = api.predictors(tmp_path / "usual")["onnx"](clips)
    found = api.predictors(tmp_path / "deploy")["onnx"](clips)
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()
    # The client of docs/targets.md, word for word.
    page = (Path(__file__).parents[1] / "docs" / "targets.md").read_text(encoding="utf-8")
    client: dict = {}
    source = re.search(r"```python\n(.*?)```", page, re.DOTALL).group(1)
    exec(source, client)  # noqa: S102  (it is what the page is for)
    assert np.array_equal(client["logits"](tmp_path / "deploy", clips), found)
    assert client["logits"](tmp_path / "usual", clips).shape == found.shape
    served = deployed.open_deployed(tmp_path / "deploy", "onnx", features=True)
    logits, features = served.run(clips)
    assert np.array_equal(logits, found) and len(features) == 3
    for changed in ({"profile": "npu"}, {"input_shapes": {"onnx": [2, 3, 5, 8, 2]}}):
        text = json.dumps({key: content[key] for key in content if key != "sha256"} | changed)
        (tmp_path / "deploy" / "deployed.json").write_text(text)
        with pytest.raises(Exception, match=next(iter(changed))):
            deployed.read(tmp_path / "deploy")


def test_the_command_takes_the_same_options(randomised, tmp_path, capsys):
    network, _, _ = traced("stgcn", randomised)
    weights = tmp_path / "stgcn.npz"
    checkpoints.save(weights, network)
    arguments = ["--weights", str(weights), "--out", str(tmp_path / "deploy"), "--format", "onnx"]
    assert scripts.main([*arguments[:-1], "paddle", "--opset", "17"]) == 1
    assert scripts.main([*arguments, "--onnx", "qdq"]) == 1
    said = capsys.readouterr().err
    assert "--opset: say how model.onnx is written, and there is none of the format paddle" in said
    assert "--onnx qdq: says how eight bits are written" in said
    assert scripts.main([*arguments, "--profile", "rknn", "--batch", "free"]) == 1
    assert "--batch: RKNN-Toolkit2 needs static shapes" in capsys.readouterr().err
    assert scripts.main([*arguments, "--profile", "rknn", "--opset", "17", "--batch", "3"]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["requires"]["onnx"]["opset"] == "17"
    assert deployed.read(tmp_path / "deploy").input_shapes == {"onnx": (3, 3, 8, 10)}


@pytest.mark.parametrize("name", networks.names())
def test_openvino_runs_every_network(name, randomised, tmp_path):
    openvino = pytest.importorskip("openvino", reason="needs the extra `openvino`")
    network, clips, model = traced(name, randomised)
    expected = predictor(model, tmp_path / "usual")(clips)
    onnx_place.fit(model, network.spec, Options(profile="openvino"))
    (file,) = onnx_model.write(model, tmp_path)
    # Float32: by default it computes in bfloat16 where the processor has it.
    compiled = openvino.Core().compile_model(
        str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    )
    found = fitted(lambda x: [np.array(compiled(x)[0])], [1, *network.spec.input_shape])(clips)[0]
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("dry", [True, False])
def test_a_place_that_takes_no_student_says_so_before_it_is_trained(
    dry, tmp_path, monkeypatch, capsys
):
    without = replace(PROFILES["rknn"], allowed=None, refused=frozenset({"Conv"}))
    monkeypatch.setitem(PROFILES, "rknn", without)
    overrides = [
        "export.profile=rknn",
        "teacher.width=8",
        "data.train_clips=24",
        "data.val_clips=12",
    ]
    folder = tmp_path / "run"
    arguments = ["--recipe", "ctrgcn_lite_dml_int8", "--output", str(folder)]
    arguments += [word for each in overrides for word in ("-o", each)]
    assert run.main([*arguments, *(["--dry-run"] if dry else [])]) == 1
    told = capsys.readouterr()
    assert "export.profile: rknn: model.onnx would break" in told.err and "Conv" in told.err
    assert json.loads(told.out.splitlines()[-1])["status"] == "failed"
    assert not list(tmp_path.rglob("*.npz"))
