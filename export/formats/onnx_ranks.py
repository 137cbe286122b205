"""`model.onnx` of values with at most four axes, for NPUs that have no fifth; exactly the same logits.

Three places have one: the input (N, C, T, V, M), which becomes (N, C, T, V * M), the same numbers in
the same order; CTR-GCN's scale and shift of each person; its topologies on their way to a product.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from export.formats import onnx_graph_tools as tools
from teachers.networks import Spec

PREFIX = "rank4"
# (N, C, T, V, M) -> (N, M, C, V, T), with which every network of this project begins.
PERSONS_FIRST = [0, 4, 1, 3, 2]
# (B, subset, C, V, W) -> (B, C, V, subset, W)
SUBSETS_SIDE_BY_SIDE = [0, 2, 3, 1, 4]


def lower(model: onnx.ModelProto, spec: Spec) -> None:
    """Change a model in place; what is not recognised stays, and `onnx_rules` names it."""
    _lower_input(model.graph, spec)
    for node in [each for each in model.graph.node if each.op_type == "Transpose"]:
        if tools.attribute(node, "perm") == SUBSETS_SIDE_BY_SIDE:
            _lower_subsets(model.graph, node)
    del model.graph.value_info[:]
    tools.drop_unread(model.graph)


def split_slices(model: onnx.ModelProto) -> None:
    """Slice along one axis -> Split, of which one part is read: RKNN-Toolkit2 slices a first axis of
    1 only, and a clip of two persons has 2. For a model of fixed batch."""
    graph = model.graph
    known = tools.shapes(model)
    for node in [each for each in graph.node if each.op_type == "Slice"]:
        found = [tools.constant(graph, name) for name in node.input[1:]]
        ends = [int(end.item()) for end in found if end is not None and end.size == 1]
        sizes = known.get(node.input[0])
        # Starts, ends, axes and perhaps steps, each of one number.
        if sizes is None or len(ends) != len(found) or len(ends) < 3:
            continue
        start, end, axis, step = (*ends, 1)[:4]
        axis %= len(sizes)
        size = sizes[axis]
        if step != 1 or size is None:
            continue
        start, end, _ = slice(start, end).indices(size)
        parts = [start, end - start, size - end]
        names = [f"{node.output[0]}.before", node.output[0], f"{node.output[0]}.behind"]
        kept = [(name, part) for name, part in zip(names, parts, strict=True) if part]
        counts = np.array([part for _, part in kept], "int64")
        lengths = tools.add_constant(graph, f"{PREFIX}.split", counts)
        split = helper.make_node(
            "Split", [node.input[0], lengths], [name for name, _ in kept], axis=axis
        )
        tools.replace(graph, [node], [split])
    tools.drop_unread(graph)


def _lower_input(graph: onnx.GraphProto, spec: Spec) -> None:
    C, T, V, M = spec.input_shape
    clip = graph.input[0]
    found = tools.readers(graph, clip.name)
    if len(found) != 1 or tools.attribute(found[0], "perm") != PERSONS_FIRST:
        return
    turned = found[0].output[0]
    sizes = {
        name: tools.add_constant(graph, f"{PREFIX}.{name}", np.array(value, "int64"))
        for name, value in (("rows", [-1, C * T * V, M]), ("persons", [-1, M * C, T, V]))
    }
    nodes = [
        helper.make_node("Reshape", [clip.name, sizes["rows"]], [f"{PREFIX}.a"]),
        # One axis at a time: ten times faster in ONNX Runtime than the transpose of all five.
        helper.make_node("Transpose", [f"{PREFIX}.a"], [f"{PREFIX}.b"], perm=[0, 2, 1]),
        helper.make_node("Reshape", [f"{PREFIX}.b", sizes["persons"]], [f"{PREFIX}.c"]),
        helper.make_node("Transpose", [f"{PREFIX}.c"], [turned], perm=[0, 1, 3, 2]),
    ]
    tools.replace(graph, found, nodes)
    dims = clip.type.tensor_type.shape.dim
    for dim, size in zip(list(dims)[1:4], (C, T, V * M), strict=True):
        dim.Clear()
        dim.dim_value = size
    del dims[4]
    _lower_constants(graph, turned, (M, C, V))


def _lower_constants(graph: onnx.GraphProto, value: str, sizes: tuple[int, int, int]) -> None:
    """Sums and products behind the transpose, up to the Reshape that makes rows of persons."""
    M, C, V = sizes
    while True:
        found = tools.readers(graph, value)
        if len(found) != 1 or found[0].op_type not in ("Mul", "Add"):
            return
        node = found[0]
        for place, name in enumerate(node.input):
            # Stored in float16, it is made float32 by a Cast.
            cast = tools.maker(graph, name) if name != value else None
            owner = node if cast is None else cast
            slot = place if cast is None else 0
            found_constant = tools.constant(graph, owner.input[slot])
            if found_constant is not None and found_constant.shape == (1, M, C, V, 1):
                tools.change_constant(
                    graph, owner.input[slot], found_constant.reshape(1, M * C, V, 1)
                )
        value = node.output[0]


def _lower_subsets(graph: onnx.GraphProto, turn: onnx.NodeProto) -> None:
    """(B, S * C, V, W) through rank 5 to (B, C, V, S * W) -> S parts side by side."""
    before = tools.maker(graph, turn.input[0])
    behind = tools.readers(graph, turn.output[0])
    if (
        before is None
        or before.op_type != "Reshape"
        or len(tools.readers(graph, before.output[0])) > 1
    ):
        return
    if len(behind) != 1 or behind[0].op_type != "Reshape":
        return
    split, merged = (
        tools.constant(graph, before.input[1]),
        tools.constant(graph, behind[0].input[1]),
    )
    if split is None or merged is None or split.size != 5 or merged.size != 4:
        return
    S, C, V, W = (int(size) for size in split[1:])
    if [int(size) for size in merged[1:]] != [C, V, S * W]:
        return
    parts = [f"{turn.output[0]}.{number}" for number in range(S)]
    lengths = tools.add_constant(graph, f"{PREFIX}.subsets", np.array([C] * S, "int64"))
    nodes = [
        helper.make_node("Split", [before.input[0], lengths], parts, axis=1),
        helper.make_node("Concat", parts, [behind[0].output[0]], axis=3),
    ]
    tools.replace(graph, [before, turn, behind[0]], nodes)
