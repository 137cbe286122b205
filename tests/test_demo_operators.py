"""The page's interpreter, operator by operator, against ONNX Runtime: levels exactly equal."""

from __future__ import annotations

import demo_node
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.demo import graph
from teachers.errors import DataError

MICROSOFT = "com.microsoft"


def model_of(nodes, shape, constants, opset=15):
    """A model of these operators, from `clip` (float32) to `logits`; both ends are float32 as in
    every deployed file."""
    return helper.make_model(
        helper.make_graph(
            nodes,
            "one",
            [helper.make_tensor_value_info("clip", TensorProto.FLOAT, ["N", *shape])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(MICROSOFT, 1)],
        ir_version=8,
    )


def node(kind, inputs, outputs, **attributes):
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def compared(tmp_path, *cases):
    """(ours, ONNX Runtime's) results of every case (model, clips)."""
    jobs = []
    expected = []
    for number, (model, clips) in enumerate(cases):
        path = tmp_path / f"{number}.onnx"
        onnx.save(model, str(path))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # As written: another form of the operator would be another arithmetic.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(str(path), options)
        expected.append(session.run(None, {"clip": clips})[0])
        read = graph.read(path)
        jobs.append(
            demo_node.network_job(read, job="run", data=demo_node.packed(clips), count=len(clips))
        )
    told = demo_node.run(tmp_path, *jobs)
    return [
        (demo_node.unpacked(text).reshape(each.shape), each)
        for text, each in zip(told, expected, strict=True)
    ]


def levels(zero=128, scale=0.05):
    """The constants of a point, by which a clip becomes levels and levels logits."""
    return {"s": np.float32(scale), "z": np.uint8(zero)}


def exactly(pairs):
    for ours, theirs in pairs:
        assert np.array_equal(ours, theirs), np.abs(ours - theirs).max()
        assert len(np.unique(theirs)) > 5, "a constant would show nothing"


# All 256 levels; a clip of such numbers is quantised to each of them once.
EVERY = ((np.arange(256) - 128) * np.float32(0.05)).astype("float32")
ENDS = (node("QuantizeLinear", "clip s z", "q"), node("DequantizeLinear", "r t y", "logits"))


@pytest.mark.parametrize("kind", ["QLinearAdd", "QLinearMul"])
def test_every_pair_of_levels(kind, tmp_path):
    generator = np.random.default_rng(0)
    cases = []
    for _ in range(4):
        a, b = generator.uniform(0.01, 0.1, 2).astype("float32")
        constants = {
            **levels(),
            "u": np.arange(256, dtype="uint8").reshape(1, 256, 1),
            "a": a,
            "b": b,
            "y": np.uint8(generator.integers(0, 256)),
            "x": np.uint8(generator.integers(0, 256)),
            "t": np.float32(generator.uniform(0.05, 0.3)),
        }
        middle = node(kind, "q a z u b x t y", "r", domain=MICROSOFT)
        model = model_of([ENDS[0], middle, ENDS[1]], [1, 256], constants)
        cases.append((model, EVERY.reshape(1, 1, 256)))
    exactly(compared(tmp_path, *cases))


def test_functions_of_one_level(tmp_path):
    cases = []
    for zero, scale in ((0, 0.0039), (100, 0.02), (128, 0.05)):
        ends = {"t": np.float32(scale), "y": np.uint8(zero)}
        sigmoid = node("QLinearSigmoid", "q s z t y", "r", domain=MICROSOFT)
        concat = node("QLinearConcat", "t y q s z q s z", "r", domain=MICROSOFT, axis=1)
        for middle in (sigmoid, concat):
            model = model_of([ENDS[0], middle, ENDS[1]], [256], {**levels(), **ends})
            cases.append((model, EVERY.reshape(1, 256)))
    exactly(compared(tmp_path, *cases))


def test_functions_of_floats_bit_by_bit(tmp_path):
    """Behind them values are rounded to levels, and the last bit decides ties."""
    generator = np.random.default_rng(3)
    values = [generator.normal(0, size, 500) for size in (0.01, 0.3, 1, 3, 12)]
    clips = np.concatenate(values).astype("float32").reshape(1, -1)
    cases = [
        (model_of([node(kind, "clip", "logits")], clips.shape[1:], {}), clips)
        for kind in ("Tanh", "Sigmoid")
    ]
    exactly(compared(tmp_path, *cases))


@pytest.mark.parametrize("last", [True, False])
def test_convolutions_of_levels(last, tmp_path):
    generator = np.random.default_rng(1)
    cases = []
    for kernel, group, strides, dilations in (
        ((1, 1), 1, [1, 1], [1, 1]),
        ((1, 5), 1, [1, 2], [1, 2]),
        ((1, 9), 8, [1, 1], [1, 1]),
        ((3, 3), 2, [2, 1], [1, 1]),
    ):
        weight = generator.integers(-60, 60, (16 if group < 8 else 8, 8 // group, *kernel))
        constants = {
            **levels(zero=117),
            "w": weight.astype("int8"),
            "ws": generator.uniform(0.001, 0.01, len(weight)).astype("float32"),
            "wz": np.int8(0) if last else np.zeros(len(weight), "int8"),
            "bias": generator.integers(-3000, 3000, len(weight)).astype("int32"),
            "t": np.float32(0.1),
            "y": np.uint8(90),
        }
        pads = [dilations[0] * (kernel[0] // 2), dilations[1] * (kernel[1] // 2)] * 2
        middle = node(
            "QLinearConv",
            "q s z w ws wz t y bias",
            "r",
            kernel_shape=kernel,
            pads=pads,
            strides=strides,
            dilations=dilations,
            group=group,
            **({"channels_last": 1, "domain": MICROSOFT} if last else {}),
        )
        shape = [6, 11, 8] if last else [8, 6, 11]
        model = model_of([ENDS[0], middle, ENDS[1]], shape, constants)
        cases.append((model, generator.uniform(-6, 6, (3, *shape)).astype("float32")))
    exactly(compared(tmp_path, *cases))


def test_products_and_pools_of_levels(tmp_path):
    generator = np.random.default_rng(2)
    constants = {**levels(zero=117), "t": np.float32(0.3), "y": np.uint8(90)}
    matrix = {
        "w": generator.integers(0, 256, (7, 9)).astype("uint8"),
        "ws": np.float32(0.01),
        "wz": np.uint8(140),
    }
    product = node("QLinearMatMul", "w ws wz q s z t y", "r")
    pool = node("QLinearGlobalAveragePool", "q s z t y", "r", domain=MICROSOFT, channels_last=1)
    largest = node(
        "NhwcMaxPool", "q", "r", domain=MICROSOFT, kernel_shape=[1, 3], pads=[0, 1, 0, 1],
        strides=[1, 2],
    )  # fmt: skip
    shape = [3, 9, 5]
    cases = [
        (model_of([ENDS[0], product, ENDS[1]], shape, constants | matrix), (2, *shape)),
        (
            model_of([ENDS[0], pool, ENDS[1]], shape, constants | {"t": np.float32(0.01)}),
            (2, *shape),
        ),
        (model_of([ENDS[0], largest, ENDS[1]], shape, constants), (2, *shape)),
    ]
    exactly(
        compared(
            tmp_path,
            *((model, generator.uniform(-6, 6, size).astype("float32")) for model, size in cases),
        )
    )


def test_what_rewriting_for_other_places_brings(tmp_path):
    """Pad, HardSigmoid and a fixed batch are of the profiles' forms alone."""
    nodes = [
        node("Pad", "clip pads one", "p"),
        node("HardSigmoid", "p", "h", alpha=0.3, beta=0.4),
        node("Slice", "h starts ends axes steps", "logits"),
    ]
    constants = {
        "pads": np.array([0, 1, 0, 0, 0, 2]),
        "one": np.float32(1),
        "starts": np.array([-4]),
        "ends": np.array([99]),
        "axes": np.array([2]),
        "steps": np.array([2]),
    }
    model = model_of(nodes, [3, 5], constants)
    clips = np.random.default_rng(3).normal(size=(4, 3, 5)).astype("float32")
    ((ours, theirs),) = compared(tmp_path, (model, clips))
    assert np.allclose(ours, theirs, atol=1e-6)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 3
    onnx.save(model, str(tmp_path / "fixed.onnx"))
    job = demo_node.network_job(
        graph.read(tmp_path / "fixed.onnx"), job="run", data=demo_node.packed(clips), count=4
    )
    (again,) = demo_node.run(tmp_path, job)
    assert np.array_equal(demo_node.unpacked(again), ours.reshape(-1))


def test_both_sides_name_the_same_operators(tmp_path):
    (names,) = demo_node.run(tmp_path, {"job": "operators"})
    assert set(names) == graph.OPERATORS


def test_an_operator_that_is_not_computed_is_named(tmp_path):
    model = model_of([node("Erf", "clip", "logits")], [3], {})
    onnx.save(model, str(tmp_path / "model.onnx"))
    with pytest.raises(DataError, match=r"model\.onnx: the page does not compute Erf; export"):
        graph.read(tmp_path / "model.onnx")
