"""Persons who are not there cost nothing in `model.onnx`, and change nothing.

A person who is not there, whose channels are those of `teachers.networks.absent` in every frame, leaves
the blocks with features that do not depend on the clip. Only the rows of those who are there go through the blocks; the features of the others are
constants, computed once, by the very model. In NTU RGB+D 49 of 60 classes have one person, and the
networks have two.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from teachers import networks
from teachers.errors import ExportMismatch
from teachers.networks import Spec

# What they are called in the file, and so in the byte budget.
PREFIX = "absent"
# Largest difference of a logit, relative to the largest: none was ever seen on the same machine.
TOLERANCE = 1e-5


def skip(model: onnx.ModelProto, spec: Spec) -> bool:
    """Change a model so that it computes only the persons who are in a clip; bit-equal logits.

    Args:
        model: input `clip` (N, C, T, V, M), logits (N, K); changed in place.
    Returns:
        whether it was changed: a network of one person has nobody to leave out, and a graph without
        a row for each person no rows.
    Raises:
        ExportMismatch: the changed model does not compute the same.
    """
    M = spec.input_shape[3]
    entry = _entry(model.graph, spec)
    pooled = _pooled(model.graph, M)
    if M < 2 or entry is None or pooled is None:
        return False
    nobody = networks.absent(spec)
    clips = of_some_persons(spec)
    logits = model.graph.output[0].name
    features = pooled.input[0]
    constant = _run(model, features, clips[-1:])
    before = _run(model, logits, clips)
    _choose(model.graph, entry, M, nobody)
    _put_back(model.graph, pooled, constant)
    apart = np.abs(_run(model, logits, clips) - before).max() / max(np.abs(before).max(), 1e-12)
    if not apart <= TOLERANCE:
        raise ExportMismatch(
            f"without the persons who are not in a clip the ONNX model answers otherwise: logits"
            f" differ by {apart:.1e} of the largest (allowed {TOLERANCE:.0e}); set"
            " `export.skip_absent: false`"
        )
    return True


def of_some_persons(spec: Spec) -> np.ndarray:
    """Random clips (M + 2, C, T, V, M): everybody, one person alone in each place, and nobody."""
    M = spec.input_shape[3]
    shape = (M + 2, *spec.input_shape)
    clips = np.random.default_rng(0).standard_normal(shape).astype("float32")
    there = np.concatenate([np.ones((1, M)), np.eye(M), np.zeros((1, M))])
    nobody = networks.absent(spec).reshape(1, -1, 1, 1, 1)
    return np.where(there.reshape(M + 2, 1, 1, 1, M) > 0, clips, nobody)


def _entry(graph: onnx.GraphProto, spec: Spec) -> onnx.NodeProto | None:
    """The Reshape that makes a row of every person: (N, M, C, V, T) -> (N * M, C, V, T)."""
    C, T, V, _ = spec.input_shape
    for node in graph.node:
        sizes = _sizes(graph, node) if node.op_type == "Reshape" else []
        # An ensemble has its streams side by side in a row.
        if len(sizes) == 4 and sizes[0] == -1 and sizes[2:] == [V, T] and sizes[1] % C == 0:
            return node
    return None


def _pooled(graph: onnx.GraphProto, persons: int) -> onnx.NodeProto | None:
    """The Reshape that brings a clip's persons together again: (N * M, F) -> (N, M, F)."""
    means = {name for node in graph.node if node.op_type == "ReduceMean" for name in node.output}
    means |= {
        node.output[0]
        for node in graph.node
        if node.op_type == "Concat" and set(node.input) <= means
    }
    for node in reversed(graph.node):
        if node.op_type != "Reshape" or node.input[0] not in means:
            continue
        sizes = _sizes(graph, node)
        if len(sizes) == 3 and sizes[:2] == [-1, persons]:
            return node
    return None


def _sizes(graph: onnx.GraphProto, node: onnx.NodeProto) -> list[int]:
    """What a Reshape says, where it is a constant."""
    for tensor in graph.initializer:
        if tensor.name == node.input[1]:
            return [int(size) for size in numpy_helper.to_array(tensor)]
    return []


def _run(model: onnx.ModelProto, output: str, clips: np.ndarray) -> np.ndarray:
    """A value of the graph, as ONNX Runtime computes it."""
    import onnxruntime

    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # Errors alone, as in `export.runtimes.ort`.
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        probe.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run([output], {model.graph.input[0].name: clips})[0])


def _choose(
    graph: onnx.GraphProto, entry: onnx.NodeProto, persons: int, nobody: np.ndarray
) -> None:
    """Behind the Reshape: only the rows of persons who are there, and the first of every clip."""
    clip = graph.input[0].name
    nodes = []
    if nobody.any():
        pattern = _constant(graph, "person", nobody.reshape(1, -1, 1, 1, 1))
        nodes.append(helper.make_node("Sub", [clip, pattern], [_name("apart")]))
        clip = _name("apart")
    chosen = entry.output[0]
    axes = _constant(graph, "axes", np.array([1, 2, 3], "int64"))
    zero = _constant(graph, "zero", np.array(0, "float32"))
    # No runtime is made for a batch without rows, and in most clips the first person is there.
    first = _constant(graph, "first", np.arange(persons) == 0)
    flat = _constant(graph, "flat", np.array([-1], "int64"))
    entry.output[0] = _name("all")
    nodes += [
        helper.make_node("Abs", [clip], [_name("size")]),
        # A sum, for NaN must not be taken for nobody, and the larger of NaN and 0 may be either.
        helper.make_node("ReduceSum", [_name("size"), axes], [_name("sum")], keepdims=0),
        helper.make_node("Equal", [_name("sum"), zero], [_name("nobody")]),
        helper.make_node("Not", [_name("nobody")], [_name("somebody")]),
        helper.make_node("Or", [_name("somebody"), first], [_name("computed")]),
        helper.make_node("Reshape", [_name("computed"), flat], [_name("each")]),
        helper.make_node("NonZero", [_name("each")], [_name("places")]),
        helper.make_node("Reshape", [_name("places"), flat], [_name("rows")]),
        # Under the name that all rows had: what the model says of its shape is what fusions need.
        helper.make_node("Gather", [_name("all"), _name("rows")], [chosen], axis=0),
    ]
    _insert(graph, list(graph.node).index(entry) + 1, nodes)


def _put_back(graph: onnx.GraphProto, pooled: onnx.NodeProto, constant: np.ndarray) -> None:
    """In front of the Reshape: everybody's features in their places."""
    clip = graph.input[0].name
    features = _constant(graph, "features", constant[None])
    batch = _constant(graph, "batch", np.array([0], "int64"))
    once = _constant(graph, "once", np.array([1, 1], "int64"))
    row = _constant(graph, "row", np.array([-1, constant.shape[1]], "int64"))
    last = _constant(graph, "last", np.array([1], "int64"))
    nodes = [
        helper.make_node("Shape", [clip], [_name("shape")]),
        helper.make_node("Gather", [_name("shape"), batch], [_name("clips")], axis=0),
        helper.make_node("Concat", [_name("clips"), once], [_name("times")], axis=0),
        helper.make_node("Tile", [features, _name("times")], [_name("tiled")]),
        helper.make_node("Reshape", [_name("tiled"), row], [_name("base")]),
        helper.make_node("Unsqueeze", [_name("rows"), last], [_name("index")]),
        helper.make_node(
            "ScatterND", [_name("base"), _name("index"), pooled.input[0]], [_name("everybody")]
        ),
    ]
    pooled.input[0] = _name("everybody")
    _insert(graph, list(graph.node).index(pooled), nodes)


def _name(value: str) -> str:
    return f"{PREFIX}.{value}"


def _constant(graph: onnx.GraphProto, name: str, value: np.ndarray) -> str:
    """The name of a new initialiser."""
    graph.initializer.append(numpy_helper.from_array(value, _name(name)))
    return _name(name)


def _insert(graph: onnx.GraphProto, place: int, nodes: list[onnx.NodeProto]) -> None:
    # Nodes stand in the order of computation.
    for number, node in enumerate(nodes):
        graph.node.insert(place + number, node)
