"""An ONNX model, rewritten: nothing that no output depends on, constants computed, BatchNorm and
biases in the convolutions. Every function changes the graph and returns how much it found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from export.formats import onnx_model, onnx_weights
from export.formats.foreign import onnx_constants
from export.formats.foreign.arithmetic import KIND, Precision
from export.quantize import bits
from export.runtimes import onnx_graph
from teachers.errors import ExportMismatch

# What computes something new each time it is run.
RANDOM = ("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial")
# The first IR in which an initialiser need not be an input as well.
INITIALISERS_ALONE = 4


def read(path: Path) -> onnx.ModelProto:
    """A model, with its weights.

    Raises:
        ExportMismatch: what `onnx_graph.check` refuses, and graphs within graphs.
    """
    onnx_graph.check(path)
    model = onnx.load(str(path))
    nested = [
        node.op_type
        for node in model.graph.node
        if any(each.HasField("g") or each.graphs for each in node.attribute)
    ]
    if nested or model.functions:
        kind = nested[0] if nested else "functions of its own"
        raise ExportMismatch(
            f"{path}: has {kind[:60]}, a graph within the graph, which is not rewritten; export the"
            " network without control flow and with its functions inlined"
        )
    return model


def rewrite(model: onnx.ModelProto) -> dict[str, int]:
    """All of it, in place; names of inputs and outputs stay.

    Returns:
        what was done, in words -> how often; only what was found.
    """
    graph = model.graph
    text = _documentation(graph)
    _initialisers_alone(model)
    # Before constants become initialisers: a name is then told by being made, and copies merged
    # last, since a weight that two convolutions share takes in nobody's BatchNorm.
    passes: dict[str, Callable[[onnx.GraphProto], int]] = {
        "operators that change nothing": drop_identities,
        "copies of constants": onnx_model.merge_constants,
        "constants computed": onnx_constants.compute,
        "BatchNorms folded into convolutions": onnx_constants.fold_batch_norms,
        "biases moved into convolutions": onnx_model.biases_into_convs,
        "operators that are there twice": merge_nodes,
        "operators that no output needs": drop_dead,
    }
    counts = {"documentation texts": text}
    counts |= {title: change(graph) for title, change in passes.items()}
    # Folding makes equal constants, too.
    onnx_model.merge_constants(graph)
    onnx_model.drop_unread(graph)
    kept = _needed_shapes(graph)
    onnx_model.shorten(graph, {each.name: each.name for each in graph.output})
    _declare(graph, kept)
    graph.doc_string = model.doc_string = ""
    return {title: count for title, count in counts.items() if count}


def _documentation(graph: onnx.GraphProto) -> int:
    parts = [*graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info]
    count = sum(bool(each.doc_string) for each in parts)
    for each in parts:
        each.ClearField("doc_string")
    return count


def _initialisers_alone(model: onnx.ModelProto) -> None:
    stored = {each.name for each in model.graph.initializer}
    for each in [each for each in model.graph.input if each.name in stored]:
        model.graph.input.remove(each)
        model.ir_version = max(model.ir_version, INITIALISERS_ALONE)


def drop_identities(graph: onnx.GraphProto) -> int:
    """Identity, and Dropout as it is at inference, but for one that makes an output of the model."""
    kept = {each.name for each in graph.output}
    gone: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        # The third input of Dropout says that it is training; its second output is the mask.
        dropout = node.op_type == "Dropout" and len(node.input) < 3 and len(node.output) == 1
        same = node.op_type == "Identity" or dropout
        if not same or node.domain not in ("", "ai.onnx") or node.output[0] in kept:
            nodes.append(node)
            continue
        source = node.input[0]
        gone[node.output[0]] = gone.get(source, source)
    del graph.node[:]
    graph.node.extend(nodes)
    onnx_model.read_instead(graph, gone)
    return len(gone)


def merge_nodes(graph: onnx.GraphProto) -> int:
    """Nodes that compute the same of the same are computed once."""
    kept = {each.name for each in graph.output}
    first: dict[tuple[Any, ...], onnx.NodeProto] = {}
    gone: dict[str, str] = {}
    nodes = []
    for node in graph.node:
        node.input[:] = [gone.get(name, name) for name in node.input]
        attributes = sorted(each.SerializeToString() for each in node.attribute)
        key = (node.op_type, node.domain, tuple(node.input), tuple(attributes), len(node.output))
        random = node.op_type in RANDOM
        if random or kept & set(node.output) or first.setdefault(key, node) is node:
            nodes.append(node)
            continue
        gone |= dict(zip(node.output, first[key].output, strict=True))
    count = len(graph.node) - len(nodes)
    del graph.node[:]
    graph.node.extend(nodes)
    return count


def drop_dead(graph: onnx.GraphProto) -> int:
    """Nodes that no output of the model depends on."""
    needed = {each.name for each in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    count = len(graph.node) - len(kept)
    del graph.node[:]
    graph.node.extend(kept[::-1])
    return count


def _needed_shapes(graph: onnx.GraphProto) -> list[tuple[onnx.NodeProto, onnx.ValueInfoProto]]:
    """The declared shapes of what Reshape makes, which a runtime cannot always infer by itself; with
    them ONNX Runtime fuses sums into convolutions (`onnx_model.name_batches`)."""
    declared = {each.name: each for each in graph.value_info}
    made = [node for node in graph.node if node.op_type == "Reshape" and node.output[0] in declared]
    shapes = [(node, declared[node.output[0]]) for node in made]
    # One that names every size, or has one letter for a size that is free; no more is known of
    # others than the runtime finds out.
    return [(node, each) for node, each in shapes if _says_all(each)]


def _says_all(value: onnx.ValueInfoProto) -> bool:
    dims = value.type.tensor_type.shape.dim
    return bool(dims) and all(each.dim_param or each.dim_value > 0 for each in dims)


def _declare(
    graph: onnx.GraphProto, kept: list[tuple[onnx.NodeProto, onnx.ValueInfoProto]]
) -> None:
    entries = []
    for node, value in kept:
        new = onnx.ValueInfoProto()
        new.CopyFrom(value)
        new.name = node.output[0]
        entries.append(new)
    del graph.value_info[:]
    graph.value_info.extend(entries)


def store(model: onnx.ModelProto, precision: Precision) -> int:
    """Keep weights of convolutions and products as float16 or int8, made float32 again in front of
    them; returns how many."""
    if precision == "float32":
        return 0
    graph = model.graph
    axes: dict[str, set[int | None]] = {}
    for node in graph.node:
        for place, name in enumerate(node.input):
            axes.setdefault(name, set()).add(_axis(node, place))
    kind = KIND[precision]
    wanted = {}
    for tensor in graph.initializer:
        found = axes.get(tensor.name, {None})
        axis = next(iter(found))
        # Not of a weight that two nodes read in two ways.
        if len(found) > 1 or axis is None or tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        weight = numpy_helper.to_array(tensor)
        if axis >= weight.ndim or weight.ndim < 2:
            continue
        wanted[tensor.name] = (kind, axis)
        rounded = bits.rounded(weight, axis, kind)
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(rounded), tensor.name))
    return onnx_weights.store_as(graph, wanted)


def _axis(node: onnx.NodeProto, place: int) -> int | None:
    """The axis of the output channels of a weight in this place."""
    if place != 1 or node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "Conv":
        return 0
    if node.op_type == "Gemm":
        return 0 if any(each.name == "transB" and each.i for each in node.attribute) else 1
    return 1 if node.op_type == "MatMul" else None
