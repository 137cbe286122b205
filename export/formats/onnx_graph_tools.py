"""What rewriting an ONNX graph takes: constants by name, readers, new nodes in their place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper


def constant(graph: onnx.GraphProto, name: str) -> np.ndarray | None:
    """The value of an initialiser; None: it is none."""
    for tensor in graph.initializer:
        if tensor.name == name:
            return np.asarray(numpy_helper.to_array(tensor))
    return None


def add_constant(graph: onnx.GraphProto, name: str, value: np.ndarray) -> str:
    """The name of an initialiser of this value; equal ones are stored once, under the first name."""
    tensor = numpy_helper.from_array(np.ascontiguousarray(value), name)
    for known in graph.initializer:
        alike = known.data_type == tensor.data_type and list(known.dims) == list(tensor.dims)
        # Only small ones are ever added twice, and only those are compared.
        if alike and value.size <= 16 and known.raw_data == tensor.raw_data:
            return str(known.name)
    taken = {known.name for known in graph.initializer}
    while tensor.name in taken:
        tensor.name += "_"
    graph.initializer.append(tensor)
    return str(tensor.name)


def change_constant(graph: onnx.GraphProto, name: str, value: np.ndarray) -> None:
    """Give an initialiser another value under its name, by which bytes are attributed."""
    for tensor in graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))


def maker(graph: onnx.GraphProto, name: str) -> onnx.NodeProto | None:
    """The node that makes a value; None: an input or an initialiser."""
    return next((node for node in graph.node if name in node.output), None)


def readers(graph: onnx.GraphProto, name: str) -> list[onnx.NodeProto]:
    """The nodes that read a value."""
    return [node for node in graph.node if name in node.input]


def attribute(node: onnx.NodeProto, name: str, default: object = None) -> object:
    """The value of an attribute."""
    for each in node.attribute:
        if each.name == name:
            return helper.get_attribute_value(each)
    return default


def replace(
    graph: onnx.GraphProto, old: Sequence[onnx.NodeProto], new: Sequence[onnx.NodeProto]
) -> None:
    """Put nodes in the place of the last of others, and drop what then makes values for nobody."""
    place = max(list(graph.node).index(node) for node in old) + 1
    for number, node in enumerate(new):
        graph.node.insert(place + number, node)
    for node in old:
        graph.node.remove(node)


def drop_unread(graph: onnx.GraphProto) -> None:
    """Remove nodes whose values nobody reads, and initialisers likewise."""
    ends = {output.name for output in graph.output}
    while True:
        read = {name for node in graph.node for name in node.input} | ends
        dead = [node for node in graph.node if not read & set(node.output)]
        if not dead:
            break
        for node in dead:
            graph.node.remove(node)
    for tensor in [each for each in graph.initializer if each.name not in read]:
        graph.initializer.remove(tensor)


def shapes(model: onnx.ModelProto) -> dict[str, list[int | None]]:
    """The sizes of every value of a graph that shape inference finds out, None where a size is not
    known; values of unknown rank are missing."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    known = {}
    for value in (*inferred.input, *inferred.output, *inferred.value_info):
        if value.type.tensor_type.HasField("shape"):
            dims = value.type.tensor_type.shape.dim
            known[value.name] = [
                dim.dim_value if dim.HasField("dim_value") else None for dim in dims
            ]
    return known
