"""A model of anybody is rewritten to fewer bytes, computes the same in its own runtime, and nothing is
written that does not."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from old_program import INPUT, OUTPUT, age
from onnx import TensorProto, helper, numpy_helper

from compress import cli
from compress.budget.measure import measure
from export import runtimes, shrink
from export.formats import baseline, onnx_model, paddle_version
from export.formats.foreign import arithmetic, onnx_rewrite, paddle_constants, paddle_rewrite
from export.formats.foreign.program import Program, setting, slot
from export.runtimes import inference, ort, paddle_program
from teachers import networks
from teachers.errors import ExportMismatch, RecipeError
from teachers.weights import paddle_files

NEEDS_PADDLE_2 = pytest.mark.skipif(
    paddle_version.major() > 2, reason="needs Paddle 2, to write a .pdmodel"
)


@pytest.fixture(scope="module")
def exported(tiny_spec, randomised, tmp_path_factory):
    """The baseline export of a tiny CTR-GCN, and two clips."""
    folder = tmp_path_factory.mktemp("baseline")
    baseline.save_baseline(randomised(networks.build(tiny_spec)), folder)
    clips = np.random.default_rng(1).standard_normal((2, *tiny_spec.input_shape))
    return folder, clips.astype("float32")


@pytest.fixture(scope="module")
def old(exported, tmp_path_factory):
    """The same as Paddle 2.2 wrote it."""
    folder, _ = exported
    return age(folder / "model.pdmodel", folder / "model.pdiparams", tmp_path_factory.mktemp("old"))


@pytest.fixture(params=[pytest.param("model.pdmodel", marks=NEEDS_PADDLE_2), "model.onnx"])
def name(request) -> str:
    """A file of `exported`."""
    return request.param


def size(*paths) -> int:
    return sum(path.stat().st_size for path in paths)


@NEEDS_PADDLE_2
def test_a_program_of_2022_shrinks_and_runs(old, exported, tmp_path):
    folder, clips = exported
    stacks = measure(old[0].parent, 10**7)["files"]
    graph = next(file for file in stacks if file["file"] == "inference.pdmodel")
    assert graph["parts"][0]["part"] == "op call stacks" and (
        graph["parts"][0]["bytes"] > 0.6 * graph["bytes"]
    )
    done = shrink.shrink(old[0], tmp_path, given=clips)
    assert [path.name for path in done.after] == ["inference.pdmodel", "inference.pdiparams"]
    assert done.after[0].stat().st_size < 0.2 * old[0].stat().st_size
    assert done.changes["BatchNorms folded into convolutions"] > 5
    assert done.random["max_rel_diff"] < 1e-5 and done.given["max_rel_diff"] < 1e-5
    program = paddle_files.read_program(done.after[0])
    ops = program.blocks[0].ops
    assert not any(each.name == "op_callstack" for op in ops for each in op.attrs)
    # Programs feed and ask for values by name.
    assert slot(ops[0], "Out") == [INPUT]
    assert [slot(op, "X") for op in ops if op.type == "fetch"] == [[OUTPUT]]
    original = runtimes.paddle_inference(folder / "model.pdmodel", folder / "model.pdiparams")
    rewritten = runtimes.paddle_inference(*done.after)
    np.testing.assert_allclose(rewritten(clips), original(clips), rtol=1e-4, atol=1e-5)


def test_an_onnx_model_shrinks_and_keeps_its_names(exported, tmp_path):
    folder, clips = exported
    done = shrink.shrink(folder / "model.onnx", tmp_path, given=clips)
    before, after = onnx.load(folder / "model.onnx"), onnx.load(done.after[0])
    onnx.checker.check_model(after)
    assert size(*done.after) < 0.9 * size(*done.before)
    assert [each.name for each in after.graph.input] == [each.name for each in before.graph.input]
    assert [each.name for each in after.graph.output] == [each.name for each in before.graph.output]
    kinds = [Counter(node.op_type for node in model.graph.node) for model in (before, after)]
    folded = done.changes["BatchNorms folded into convolutions"]
    assert folded > 5
    assert kinds[1]["BatchNormalization"] == kinds[0]["BatchNormalization"] - folded
    assert kinds[1]["Constant"] == 0 and done.given["max_rel_diff"] < 1e-5


def test_weights_that_float16_does_not_hold_stay_as_they_are():
    large = np.full((8, 16, 1, 1), 7e4, "float32")
    small = np.full((8, 8, 1, 1), 0.3, "float32")
    nodes = [
        helper.make_node("Conv", ["x", "large"], ["y"]),
        helper.make_node("Conv", ["y", "small"], ["z"]),
    ]
    tensors = [numpy_helper.from_array(large, "large"), numpy_helper.from_array(small, "small")]
    model = helper.make_model(helper.make_graph(nodes, "g", [], [], tensors))
    assert onnx_rewrite.store(model, "float16") == 1
    stored = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    assert np.array_equal(stored["large"], large) and stored["smallh"].dtype == np.float16


def test_weights_in_fewer_bits(exported, tmp_path, name):
    model = exported[0] / name
    found = {
        precision: shrink.shrink(model, tmp_path / precision, precision=precision)
        for precision in ("float32", "float16", "int8")
    }
    sizes = {precision: size(done.after[-1]) for precision, done in found.items()}
    assert sizes["int8"] < sizes["float16"] < sizes["float32"]
    assert found["float16"].random["snr_db"] > 40
    assert found["int8"].random["snr_db"] > 20
    assert found["int8"].weights_changed == found["float16"].weights_changed > 20


def test_what_computes_something_else_is_not_written(exported, tmp_path, monkeypatch, name):
    right = arithmetic.absorbed

    def wrong(*arguments):
        weight, bias = right(*arguments)
        return weight, bias + np.float32(0.01)

    for module in ("paddle_constants", "onnx_constants"):
        monkeypatch.setattr(f"export.formats.foreign.{module}.absorbed", wrong)
    with pytest.raises(ExportMismatch, match="disagrees with it on 4 random inputs"):
        shrink.shrink(exported[0] / name, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_batch_norm_in_the_weights_computes_the_same():
    generator = np.random.default_rng(0)
    weight, x = generator.normal(size=(3, 2)), generator.normal(size=(2, 5))
    bias, scale, shift, mean = generator.normal(size=(4, 3)).astype("float32")
    variance = np.array([0.5, 1.0, 2.0], "float32")
    new, added = arithmetic.absorbed(
        weight.astype("float32"), bias, (scale, shift, mean, variance), 1e-3
    )
    wide = [each[:, None] for each in (bias, scale, shift, mean, variance)]
    before = (weight @ x + wide[0] - wide[3]) / np.sqrt(wide[4] + 1e-3) * wide[1] + wide[2]
    np.testing.assert_allclose(new @ x + added[:, None], before, rtol=1e-5)


def test_a_constant_that_would_take_more_room_is_not_computed():
    row, column = np.zeros((1, 10**6), "float32"), np.zeros((10**6, 1), "float32")
    # 4 TB: it must not even be tried.
    assert arithmetic.combine("add", row, column) is None
    assert arithmetic.combine("add", row, row).shape == row.shape
    assert arithmetic.combine("div", np.ones(2, "int64"), np.ones(2, "int64")) is None


@NEEDS_PADDLE_2
def test_every_value_gets_a_name_of_its_own(old):
    program = Program(*old)
    names = [
        name
        for op in program.ops
        for name in (slot(op, "Out") if op.type == "relu" else [])
        if slot(op, "X") == [name]
    ]
    assert names
    paddle_rewrite.single_assignment(program)
    made = [
        name
        for op in program.ops
        for each in op.outputs
        for name in each.arguments
        if not program.is_parameter(name)
    ]
    assert len(made) == len(set(made)) and made.count(OUTPUT) == 1


@NEEDS_PADDLE_2
def test_weights_that_are_stored_otherwise_than_declared_are_written_as_stored(old, tmp_path):
    """PaddleSlim's are in eight bits, and its programs declare float32."""
    model, parameters = old
    stored = [
        (tensor, bytes(data)) for tensor, data in paddle_files.contents(parameters.read_bytes())
    ]
    number = max(range(len(stored)), key=lambda index: len(stored[index][1]))
    tensor, data = stored[number]
    tensor.data_type = paddle_program.INT8
    stored[number] = tensor, data[: len(data) // 4]
    (tmp_path / "slim.pdiparams").write_bytes(paddle_files.combined(stored))
    program = Program(model, tmp_path / "slim.pdiparams")
    for path, content in zip(
        (tmp_path / "m.pdmodel", tmp_path / "m.pdiparams"), program.written(), strict=True
    ):
        path.write_bytes(content)
    paddle_program.check(tmp_path / "m.pdmodel", tmp_path / "m.pdiparams")
    kinds = [
        each.data_type for each, _ in paddle_files.contents((tmp_path / "m.pdiparams").read_bytes())
    ]
    assert kinds.count(paddle_program.INT8) == 1


@NEEDS_PADDLE_2
def test_a_batch_norm_that_still_learns_is_left_alone(old):
    program = Program(*old)
    for op in program.ops:
        for each in op.attrs:
            if each.name in ("is_test", "use_global_stats") and op.type == "batch_norm":
                each.b = False
    assert paddle_constants.fold_batch_norms(program) == 0


def small(*nodes, **weights) -> onnx.ModelProto:
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2, 4, 4]) for name in "xy"]
    graph = helper.make_graph(list(nodes), "g", ends[:1], ends[1:], tensors)
    # The newest that the pinned onnx writes is newer than ONNX Runtime reads.
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])


def test_a_value_that_two_read_is_folded_for_neither(tmp_path):
    one = np.ones((2, 2, 1, 1), "float32")
    vectors = {name: np.full(2, 0.5, "float32") for name in ("s", "b", "m", "v")}
    model = small(
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n"]),
        helper.make_node("Add", ["n", "c"], ["y"]),
        w=one,
        **vectors,
    )
    changes = onnx_rewrite.rewrite(model)
    assert "BatchNorms folded into convolutions" not in changes
    # The four vectors are equal: one is stored.
    assert changes["copies of constants"] == 3 and len(model.graph.initializer) == 2


def test_short_names_pass_over_a_strangers(tmp_path):
    model = small(
        helper.make_node("Mul", ["x", "v1"], ["first"]),
        helper.make_node("Add", ["first", "x"], ["y"]),
        v1=np.full((2, 1, 1), 3, "float32"),
    )
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    clips = np.random.default_rng(0).standard_normal((2, 2, 4, 4)).astype("float32")
    done = shrink.shrink(path, tmp_path / "out", given=clips)
    np.testing.assert_array_equal(ort.load(done.after)(clips), ort.load([path])(clips))


def test_a_bias_has_one_number_for_each_channel():
    assert onnx_model.is_bias((8, 1, 1), (8, 3, 1, 1))
    assert onnx_model.is_bias((1, 8, 1, 1), (8, 3, 1, 1))
    # A constant for each joint, one for all, and of another rank.
    assert not onnx_model.is_bias((8, 1, 25), (8, 3, 1, 1))
    assert not onnx_model.is_bias((1, 1, 1), (8, 3, 1, 1))
    assert not onnx_model.is_bias((8,), (8, 3, 1, 1))


def test_a_graph_within_the_graph_is_refused(tmp_path):
    then = helper.make_graph([helper.make_node("Identity", ["x"], ["t"])], "t", [], [])
    then.output.append(helper.make_tensor_value_info("t", TensorProto.FLOAT, None))
    model = small(
        helper.make_node("If", ["flag"], ["y"], then_branch=then, else_branch=then),
        flag=np.array(True),
    )
    path = tmp_path / "m.onnx"
    onnx.save(model, path)
    with pytest.raises(ExportMismatch, match="has If, a graph within the graph"):
        shrink.shrink(path, tmp_path / "out")


def written(folder, *nodes, ends):
    """A model x (N, 3) -> y with a product of 3 x 3."""
    weight = np.arange(1, 10, dtype="float32").reshape(3, 3) / 9
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip("xy", (["N", 3], ends), strict=True)
    ]
    tensors = [numpy_helper.from_array(weight, "w")]
    graph = helper.make_graph(list(nodes), "g", values[:1], values[1:], tensors)
    path = folder / "m.onnx"
    onnx.save(
        helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)]), path
    )
    return path


def test_given_clips_decide_where_random_ones_have_no_finite_answer(tmp_path, capsys):
    root = helper.make_node("Sqrt", ["x"], ["r"])
    product = helper.make_node("MatMul", ["r", "w"], ["y"])
    model = written(tmp_path, root, product, ends=["N", 3])
    with pytest.raises(
        ExportMismatch, match="random inputs with numbers .* give clips with --input"
    ):
        shrink.shrink(model, tmp_path / "none")
    positive = np.random.default_rng(0).uniform(0, 1, (20, 3)).astype("float32")
    np.save(tmp_path / "clips.npy", positive)
    arguments = ["shrink", str(model), "--input", str(tmp_path / "clips.npy")]
    assert cli.main([*arguments, "--to", str(tmp_path / "out"), "--json"]) == 0
    said = capsys.readouterr()
    last = json.loads(said.out.splitlines()[-1])
    assert last["random"] is None and last["input"]["max_rel_diff"] <= 1e-5
    assert "random inputs with numbers that are not finite; compared on" in said.out + said.err
    positive[17, 1] = -1
    with pytest.raises(ExportMismatch, match="answers clips of --input with numbers"):
        shrink.shrink(model, tmp_path / "fault", given=positive)
    assert list((tmp_path / "fault").iterdir()) == []


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_the_batch_need_not_come_first_in_an_output(tmp_path, precision):
    product = helper.make_node("MatMul", ["x", "w"], ["p"])
    turned = helper.make_node("Transpose", ["p"], ["y"], perm=[1, 0])
    model = written(tmp_path, product, turned, ends=[3, "N"])
    clips = np.random.default_rng(0).standard_normal((21, 3)).astype("float32")
    done = shrink.shrink(model, tmp_path / "out", given=clips, precision=precision)
    # Batches of 16, 5 and 1.
    assert done.clips == 21 and done.given["snr_db"] > 20
    first = [np.zeros((3, 2)), np.zeros((3, 1))]
    assert len(shrink._rows(first, [clips[:2], clips[:1]])) == 2
    # An answer of every clip: a share of all clips is what is allowed to differ.
    assert [
        each.shape
        for each in shrink._rows([np.zeros((2, 4)), np.zeros((1, 4))], [clips[:2], clips[:1]])
    ] == [(3, 4)]


def test_an_output_without_numbers_is_nothing_to_compare(tmp_path):
    bounds = [
        helper.make_node("Constant", [], [name], value_ints=[value])
        for name, value in (("start", 0), ("end", 0), ("axis", 1))
    ]
    cut = helper.make_node("Slice", ["x", "start", "end", "axis"], ["y"])
    model = written(tmp_path, *bounds, cut, ends=["N", 0])
    with pytest.raises(ExportMismatch, match="answers 4 random inputs with no number at all"):
        shrink.shrink(model, tmp_path / "out")


@NEEDS_PADDLE_2
def test_every_output_is_compared(exported):
    folder, clips = exported
    found = ort.load_outputs([folder / "model.onnx"])(clips)
    files = [folder / "model.pdmodel", folder / "model.pdiparams"]
    other = inference.load_outputs(files)(clips)
    assert len(found) == len(other) == 1
    np.testing.assert_allclose(found[0], other[0], rtol=1e-3, atol=1e-4)


@NEEDS_PADDLE_2
def test_the_command_says_what_is_left(old, exported, tmp_path, capsys):
    clips = tmp_path / "clips.npy"
    np.save(clips, exported[1])
    arguments = ["shrink", str(old[0]), "--input", str(clips), "--to", str(tmp_path / "out")]
    assert cli.main([*arguments, "--weights", "int8", "--max-size", "1MB"]) == 0
    said = capsys.readouterr().out
    last = json.loads(said.splitlines()[-1])
    assert last["after_bytes"] == size(*(tmp_path / "out").iterdir()) < last["before_bytes"]
    assert last["before_bytes"] == size(*old)
    assert sum(part["after_bytes"] for part in last["parts"]) == last["after_bytes"]
    assert last["input_clips"] == 2 and last["input"]["snr_db"] > 20
    assert "op call stacks" in said and "relative difference" in said
    assert cli.main([*arguments, "--max-size", "1KB"]) == 2


@NEEDS_PADDLE_2
def test_what_cannot_be_compared_is_bad_input(old, exported, tmp_path):
    with pytest.raises(RecipeError, match="the model lies there itself"):
        shrink.shrink(old[0], old[0].parent)
    with pytest.raises(RecipeError, match=r"--input: has the shape \(2, 3\)"):
        shrink.shrink(old[0], tmp_path, given=np.zeros((2, 3), "float32"))
    with pytest.raises(RecipeError, match="expected a .pdmodel or an .onnx"):
        shrink.shrink(tmp_path / "net.pt", tmp_path)
    with pytest.raises(RecipeError, match="--params net.pdiparams: an .onnx holds its own"):
        shrink.shrink(tmp_path / "net.onnx", tmp_path, Path("net.pdiparams"))


@NEEDS_PADDLE_2
def test_settings_of_an_operator(old):
    program = Program(*old)
    norm = next(op for op in program.ops if op.type == "batch_norm")
    assert setting(norm, "data_layout", "") == "NCHW"
    assert setting(norm, "epsilon", 0.0) == pytest.approx(1e-5)
    assert setting(norm, "nosuch", 7) == 7
