"""A model in another opset of the ONNX standard, from 13 to 21: what our operators are written
otherwise in there."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from export.formats import onnx_graph_tools as tools
from teachers.errors import RecipeError

# The first with int4.
INT4 = 21
# From here on the axes of reductions are an input, no longer an attribute, and Split says how many
# parts it makes.
AXES_AS_INPUT = 18
REDUCTIONS = frozenset(
    f"Reduce{name}"
    for name in ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "SumSquare")
)


def of(model: onnx.ModelProto) -> int:
    """The opset of the standard operators; "" and ai.onnx are both names of them."""
    return next(int(one.version) for one in model.opset_import if one.domain in ("", "ai.onnx"))


def move(model: onnx.ModelProto, opset: int) -> None:
    """Write a model in an opset, in place.

    Raises:
        RecipeError: it has weights of a type that came later.
    """
    now = of(model)
    if opset < INT4 and any(each.data_type == TensorProto.INT4 for each in model.graph.initializer):
        raise RecipeError(
            f"export.opset: {opset} has no int4, in which weights are stored; use {INT4}, or leave"
            " it out"
        )
    if now < AXES_AS_INPUT <= opset:
        _axes_as_inputs(model.graph)
    if opset < 14:
        _without_hard_swish(model.graph)
        _without_allowzero(model.graph)
    for one in model.opset_import:
        if one.domain in ("", "ai.onnx"):
            one.version = opset
    # The oldest container that this opset may come in: a newer one shuts older runtimes out.
    model.ir_version = helper.find_min_ir_version_for(list(model.opset_import), True)


def _axes_as_inputs(graph: onnx.GraphProto) -> None:
    for node in graph.node:
        if node.op_type in REDUCTIONS and len(node.input) == 1:
            for axes in [one for one in node.attribute if one.name == "axes"]:
                name = "axes" + "_".join(str(number) for number in axes.ints)
                node.input.append(tools.add_constant(graph, name, np.array(axes.ints, "int64")))
                node.attribute.remove(axes)
        elif node.op_type == "Split" and len(node.input) == 1:
            # Required where no sizes are given.
            node.attribute.append(helper.make_attribute("num_outputs", len(node.output)))


def _without_hard_swish(graph: onnx.GraphProto) -> None:
    """As the standard itself defines it: x * max(0, min(1, x / 6 + 0.5))."""
    for node in [each for each in graph.node if each.op_type == "HardSwish"]:
        value, result = node.input[0], node.output[0]
        gate = f"{result}.gate"
        nodes = [
            helper.make_node("HardSigmoid", [value], [gate], alpha=1 / 6, beta=0.5),
            helper.make_node("Mul", [value, gate], [result]),
        ]
        tools.replace(graph, [node], nodes)


def _without_allowzero(graph: onnx.GraphProto) -> None:
    """Of Reshape; 0, its default, is what there was before it."""
    for node in [each for each in graph.node if each.op_type == "Reshape"]:
        for one in [each for each in node.attribute if each.name == "allowzero" and not each.i]:
            node.attribute.remove(one)
