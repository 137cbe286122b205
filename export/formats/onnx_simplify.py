"""The graph of any paddle2onnx as that of paddle2onnx 1.3.1: what 2.1 writes beyond it is taken
out, and nothing of that is in a graph of 1.3.1."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

# Operators with which 2.1 reshapes constants in front of who reads them.
RESHAPING = ("Reshape", "Squeeze", "Unsqueeze")


def simplify(graph: onnx.GraphProto) -> None:
    """Change a graph whose constants are Constant nodes so that it computes the same with fewer
    nodes.

    - Identity: hundreds, around constants and maps;
    - reshaped constants: a Clip whose ends are no constants would stay float in an int8 file;
    - `x * c` as a product and a sum with 0;
    - a Split into equal parts that says how large they are.
    """
    constants = {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in graph.node
        if node.op_type == "Constant" and node.attribute[0].HasField("t")
    }
    renamed: dict[str, str] = {}
    kept: list[onnx.NodeProto] = []
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        if node.op_type == "Identity" or _adds_nothing(node, constants):
            renamed[node.output[0]] = node.input[0]
            if node.op_type == "Add":
                _scale_by_number(kept, node.input[0], constants)
        else:
            _fold(node, constants)
            _shorten_split(node, constants)
            kept.append(node)
    # The graph's output keeps its name.
    for output in graph.output:
        if output.name in renamed:
            output.name = renamed[output.name]
    read = {name for node in kept for name in node.input} | {each.name for each in graph.output}
    del graph.node[:]
    graph.node.extend(node for node in kept if node.op_type != "Constant" or node.output[0] in read)


def _adds_nothing(node: onnx.NodeProto, constants: dict[str, np.ndarray]) -> bool:
    """Whether a sum has one zero without a shape of its own, which could make its result larger."""
    if node.op_type != "Add" or node.input[0] in constants:
        return False
    added = constants.get(node.input[1])
    return added is not None and added.size == 1 and added.ndim <= 1 and not added.any()


def _scale_by_number(
    nodes: list[onnx.NodeProto], product: str, constants: dict[str, np.ndarray]
) -> None:
    """The factor of `x * c` as a number, where it is a list of one."""
    place = next(
        (number for number, node in enumerate(nodes) if product in node.output), len(nodes)
    )
    if place == len(nodes) or nodes[place].op_type != "Mul":
        return
    factor = constants.get(nodes[place].input[1])
    if factor is not None and factor.shape == (1,):
        # A constant of its own: somebody else may read the list.
        name = f"{product}.factor"
        constants[name] = factor.reshape(())
        nodes[place].input[1] = name
        nodes.insert(place, _constant(name, constants[name]))


def _constant(name: str, value: np.ndarray) -> onnx.NodeProto:
    tensor = numpy_helper.from_array(value, name)
    return onnx.helper.make_node("Constant", [], [name], value=tensor)


def _fold(node: onnx.NodeProto, constants: dict[str, np.ndarray]) -> None:
    """A reshaped constant becomes a constant."""
    if node.op_type not in RESHAPING or any(name not in constants for name in node.input):
        return
    value, *sizes = (constants[name] for name in node.input)
    if node.op_type == "Reshape":
        # 0 stands for the size that is there.
        shape = [size or value.shape[place] for place, size in enumerate(sizes[0].tolist())]
        result = value.reshape(shape)
    elif node.op_type == "Squeeze":
        result = np.squeeze(value, tuple(sizes[0].tolist()) if sizes else None)
    else:
        result = np.expand_dims(value, tuple(sizes[0].tolist()))
    name = node.output[0]
    constants[name] = result
    node.CopyFrom(_constant(name, result))


def _shorten_split(node: onnx.NodeProto, constants: dict[str, np.ndarray]) -> None:
    if node.op_type != "Split" or len(node.input) != 2:
        return
    sizes = constants.get(node.input[1])
    if sizes is not None and len(set(sizes.tolist())) == 1:
        del node.input[1]
