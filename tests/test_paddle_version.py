"""Programs of Paddle 3 are read, weighed and judged without Paddle 3; graphs of paddle2onnx 2.1 become
those of 1.3.1; nothing is installed in the middle of a conversion."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from compress.budget.measure import measure
from export.formats import onnx_simplify, paddle_strip, paddle_version, table
from export.runtimes import features, inference, paddle_program
from teachers.errors import ExportMismatch
from teachers.weights import paddle_files, pir_files

F32 = {"#": "0.t_f32"}


def value(number: int, dims: list[int]) -> dict:
    return {"%": number, "TT": {"#": "0.t_dtensor", "D": [F32, dims, "NCHW", [], 0]}}


def parameter(number: int, name: str, dims: list[int]) -> dict:
    return {"#": "p", "A": [0, 1, 1, name], "DA": [], "O": value(number, dims), "OA": [1], "QA": []}


def operator(kind: str, inputs: list[int], output: int, dims: list[int], /, **attributes) -> dict:
    named = [{"N": key, "AT": {"#": "0.a", "D": each}} for key, each in attributes.items()]
    place = {"N": "struct_name", "AT": {"#": "0.a_str", "D": "/Network/"}}
    stop = {"N": "stop_gradient", "AT": {"#": "0.a_array", "D": []}}
    return {
        "#": kind,
        "A": [*named, place],
        "I": [{"%": each} for each in inputs],
        "O": [value(output, dims)],
        "OA": [stop],
    }


def operators() -> list[dict]:
    """clip (N, 2) times fc.w (2, 3) plus fc.b (3)."""
    return [
        parameter(1, "fc.w", [2, 3]),
        parameter(2, "fc.b", [3]),
        operator("1.data", [], 3, [-1, 2], name="clip", shape=[-1, 2]),
        operator("1.relu", [3], 4, [-1, 2]),
        operator("1.matmul", [4, 1], 5, [-1, 3]),
        operator("1.add", [5, 2], 6, [-1, 3]),
        operator("1.fetch", [6], 7, [-1, 3], name="fetch_name_0", col=0),
    ]


def program(ops: list[dict]) -> bytes:
    tree = {
        "base_code": {"magic": "pir", "trainable": True, "version": 4},
        "program": {"regions": [{"#": "r", "blocks": [{"#": "b", "args": [], "ops": ops}]}]},
    }
    return json.dumps(tree).encode()


def tensor(*dims: int) -> bytes:
    """A float32 tensor of zeros as a .pdiparams has it."""
    header = b"\x08\x05" + b"".join(b"\x10" + bytes([dim]) for dim in dims)
    body = bytes(4 * int(np.prod(dims)))
    return struct.pack("<IQIi", 0, 0, 0, len(header)) + header + body


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "model.json").write_bytes(program(operators()))
    # In the order of their names.
    (tmp_path / "model.pdiparams").write_bytes(tensor(3) + tensor(2, 3))
    return tmp_path


def check(folder: Path) -> None:
    paddle_program.check(folder / "model.json", folder / "model.pdiparams")


def test_a_program_that_computes_is_taken(folder):
    check(folder)
    read = pir_files.program_of((folder / "model.json").read_bytes())
    assert [each.name for each in read.parameters] == ["fc.w", "fc.b"]
    assert read.operators[2].inputs == (4, 1) and read.operators[0].attributes["name"] == "clip"


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda ops: ops.insert(4, operator("1.print", [4], 9, [1])), "an operator '1.print'"),
        (lambda ops: ops.insert(4, operator("1.py_func", [4], 9, [1])), "an operator '1.py_func'"),
        (lambda ops: ops.insert(4, operator("2.yield", [4], 9, [1])), "an operator '2.yield'"),
        (lambda ops: ops[3].update(regions=[]), "runs a block of its own"),
        (lambda ops: ops.append(operator("1.data", [], 9, [1])), "has 2 inputs and 1 outputs"),
        (lambda ops: ops.pop(), "has 1 inputs and 0 outputs"),
        (lambda ops: ops.pop(3), "uses value 4, which is not there before it"),
        (lambda ops: ops[4]["O"][0].update({"%": 3}), "uses value 3, which"),
        (
            lambda ops: ops.insert(3, operator("1.full", [], 9, [1], shape=[2**20, 2**20])),
            "at most 100000000 numbers are made",
        ),
        (lambda ops: ops[0]["O"]["TT"]["D"].__setitem__(1, [10**9, 3]), "that are not the 2"),
        (
            lambda ops: ops[0]["O"]["TT"]["D"].__setitem__(0, {"#": "0.t_str"}),
            "no program of Paddle",
        ),
        (lambda ops: ops[3].pop("I"), "not laid out as a program"),
    ],
)
def test_a_program_that_does_more_or_is_damaged_is_refused(folder, change, said):
    ops = operators()
    change(ops)
    (folder / "model.json").write_bytes(program(ops))
    with pytest.raises(ExportMismatch, match=said):
        check(folder)


def test_sizes_that_come_as_a_tensor_are_bounded_too(folder):
    ops = operators()
    sizes = [{"#": "0.a_i64", "D": 2**20}] * 2
    ops.insert(4, operator("1.full_int_array", [], 8, [2], value=sizes))
    ops.insert(5, operator("1.expand", [4, 8], 9, [2**20, 2**20]))
    (folder / "model.json").write_bytes(program(ops))
    with pytest.raises(ExportMismatch, match="'1.expand' makes a tensor of"):
        check(folder)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"base_code": {"magic": "pir"}}', b"[" * 10**5]
)
def test_what_is_no_program_is_refused(folder, data):
    (folder / "model.json").write_bytes(data)
    with pytest.raises(ExportMismatch, match="no program of Paddle 3"):
        check(folder)


def test_the_budget_names_the_tensors_of_a_program_of_paddle_3(folder):
    files = {each["file"]: each for each in measure(folder, 10**6)["files"]}
    parts = {each["part"]: each["bytes"] for each in files["model.pdiparams"]["parts"]}
    assert parts["fc weights"] == 4 * 9 and set(parts) == {"fc weights", "tensor headers"}
    assert [each["kind"] for each in files["model.json"]["parts"]] == ["graph"]


def test_a_program_of_paddle_2_is_read_by_either_version(folder):
    """Made of protobuf alone, for Paddle 3 writes none."""
    from paddle.base.proto.framework_pb2 import ProgramDesc

    program = ProgramDesc()
    block = program.blocks.add(idx=0, parent_idx=-1)
    for name, dims in (("clip", [-1, 2]), ("fc.w", [2, 3]), ("fc.b", [3]), ("y", [-1, 3])):
        variable = block.vars.add(name=name, persistable=name.startswith("fc."))
        # 7 is a dense tensor, and 5 is float32.
        variable.type.type = 7
        tensor_desc = paddle_files.tensor_of(variable)
        tensor_desc.data_type = 5
        tensor_desc.dims.extend(dims)
    for name, kind in (("feed", 9), ("fetch", 10)):
        block.vars.add(name=name, persistable=True).type.type = kind
    for kind, read, made in (
        ("feed", ["feed"], "clip"),
        ("fc", ["clip", "fc.w", "fc.b"], "y"),
        ("fetch", ["y"], "fetch"),
    ):
        op = block.ops.add(type=kind)
        op.inputs.add(parameter="X", arguments=read)
        op.outputs.add(parameter="Out", arguments=[made])
    (folder / "model.json").unlink()
    model = folder / "model.pdmodel"
    model.write_bytes(program.SerializeToString())
    paddle_program.check(model, folder / "model.pdiparams")
    assert paddle_files.parameter_names(folder / "model.pdiparams") == ["fc.b", "fc.w"]


@pytest.mark.skipif(paddle_version.major() >= 3, reason="it reads the file")
def test_an_older_paddle_says_what_to_install(folder):
    with pytest.raises(
        ExportMismatch, match="install requirements-paddle3.txt, or serve model.onnx"
    ):
        inference.load([folder / "model.json", folder / "model.pdiparams"])


def test_stripping_leaves_what_computes():
    stripped = paddle_strip.strip(program(operators()))
    assert b"struct_name" not in stripped and b"stop_gradient" not in stripped
    before, after = (pir_files.program_of(each) for each in (program(operators()), stripped))
    assert before.parameters == after.parameters
    assert [each.inputs for each in before.operators] == [each.inputs for each in after.operators]


def test_features_are_the_input_of_the_classifier():
    read = pir_files.program_of(program(operators()))
    changed = pir_files.program_of(features.pir_with_features(read, Path("model.json")))
    first, second = changed.operators[-2:]
    assert first.inputs == (6,) and second.inputs == (4,) and second.outputs == (7 + 1,)
    assert second.attributes["col"] == 1 and second.attributes["name"] == "fetch_name_1"


def test_both_versions_are_read_and_one_is_written():
    written, other = table.readable("paddle")
    assert {written[0], other[0]} == {"model.pdmodel", "model.json"}
    assert written == table.files("paddle") == paddle_version.files()
    assert table.model_suffixes() == {".pdmodel", ".json", ".pdiparams", ".onnx"}


def constant(name: str, values) -> onnx.NodeProto:
    return helper.make_node(
        "Constant", [], [name], value=numpy_helper.from_array(np.array(values), name)
    )


def test_a_graph_of_paddle2onnx_2_becomes_that_of_1():
    f32 = np.float32
    nodes = [
        constant("c", np.array([-1.0], f32)),
        constant("zero", f32(0)),
        constant("low", np.array([[-2.0]], f32)),
        constant("high", f32(2)),
        constant("axes", np.array([0, 1])),
        constant("sizes", np.array([2, 2])),
        helper.make_node("Identity", ["x"], ["same"]),
        helper.make_node("Mul", ["same", "c"], ["product"]),
        helper.make_node("Add", ["product", "zero"], ["scaled"]),
        helper.make_node("Squeeze", ["low", "axes"], ["end"]),
        helper.make_node("Clip", ["scaled", "end", "high"], ["cut"]),
        helper.make_node("Split", ["cut", "sizes"], ["a", "b"], axis=1),
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Identity", ["sum"], ["y"]),
    ]
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
        for name, shape in (("x", [3, 4]), ("y", [3, 2]))
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "g", *ends), opset_imports=[helper.make_opsetid("", 15)]
    )
    x = np.arange(12, dtype=f32).reshape(3, 4)
    before = ReferenceEvaluator(model).run(None, {"x": x})[0]
    onnx_simplify.simplify(model.graph)
    onnx.checker.check_model(model)
    kinds = [node.op_type for node in model.graph.node if node.op_type != "Constant"]
    assert kinds == ["Mul", "Clip", "Split", "Add"]
    values = {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in model.graph.node
        if node.op_type == "Constant"
    }
    product, clip, split = (
        next(node for node in model.graph.node if node.op_type == kind)
        for kind in ("Mul", "Clip", "Split")
    )
    assert values[product.input[1]].shape == () and len(split.input) == 1
    # What makes a Clip a pair of integers in an int8 file.
    assert all(name in values for name in clip.input[1:])
    after = ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_array_equal(before, after)


def test_no_optimiser_is_installed_in_the_middle_of_a_conversion(tmp_path, monkeypatch):
    import paddle2onnx

    given = {}

    def export(model, weights, target, opset_version=7, optimize_tool="polygraphy"):
        given.update(model=model, optimize_tool=optimize_tool, opset_version=opset_version)

    monkeypatch.setattr(paddle2onnx, "export", export)
    with pytest.raises(ExportMismatch, match="has written nothing"):
        paddle_version.to_onnx(tmp_path / "model", 15)
    assert given["optimize_tool"] == "None" and given["opset_version"] == 15
    assert Path(given["model"]).name == table.files("paddle")[0]
