"""Whether a finished graph keeps to what a profile's place takes: read off the graph, without the
place. Each breach names the node, the rule and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from export.formats import onnx_graph_tools as tools, onnx_opset
from export.formats.profiles import PROFILES, Profile
from teachers.errors import RecipeError

# Breaches that a message lists.
LISTED = 4


@dataclass(frozen=True)
class Breach:
    """A place in a graph that breaks a rule.

    Attributes:
        node: by its operator and its first output, as nodes have no names in our files.
    """

    node: str
    rule: str
    fix: str

    def __str__(self) -> str:
        return f"{self.node}: {self.rule}; {self.fix}"


def require(model: onnx.ModelProto, profile: str) -> None:
    """
    Raises:
        RecipeError: the graph breaks rules of the profile; names them.
    """
    found = list(breaches(model, PROFILES[profile]))
    if found:
        listed = "\n  ".join(str(each) for each in found[:LISTED])
        more = f"\n  and {len(found) - LISTED} more" if len(found) > LISTED else ""
        raise RecipeError(
            f"export.profile: {profile}: model.onnx would break {len(found)} rules of"
            f" {PROFILES[profile].title}; follow them, or choose another profile\n  {listed}{more}"
        )


def breaches(model: onnx.ModelProto, place: Profile) -> Iterator[Breach]:
    """Every breach of a place's rules, node by node."""
    opset = onnx_opset.of(model)
    if place.version_for(opset) is None:
        newest = max(place.oldest)
        yield Breach(
            "the model",
            f"has opset {opset}, at most {newest} is read",
            f"set export.opset: {newest}",
        )
    known = tools.shapes(model)
    for node in model.graph.node:
        yield from _operator(node, place)
        yield from _shapes(node, place, known)
        if place.single:
            yield from _single(node, place, known)
        if place.symmetric:
            yield from _symmetric(model.graph, node)
    yield from _constants(model.graph, place)


def _named(node: onnx.NodeProto) -> str:
    return f"{node.op_type} -> {node.output[0]}"


def _operator(node: onnx.NodeProto, place: Profile) -> Iterator[Breach]:
    name = _named(node)
    if node.domain not in place.domains:
        yield Breach(
            name,
            f"is an operator of {node.domain}, {place.title} has those of ONNX alone",
            "write eight bits as QuantizeLinear and DequantizeLinear",
        )
    elif place.qdq and node.op_type.startswith(("QLinear", "QGemm")):
        yield Breach(
            name,
            f"computes on integers itself, which {place.title} does its own way",
            "write eight bits as QuantizeLinear and DequantizeLinear",
        )
    elif node.op_type in place.refused or (
        place.allowed is not None and node.op_type not in place.allowed
    ):
        yield Breach(
            name,
            f"{place.title} has no {node.op_type}",
            "write that part of the network with operators that it has",
        )


def _shapes(
    node: onnx.NodeProto, place: Profile, known: dict[str, list[int | None]]
) -> Iterator[Breach]:
    for output in [each for each in node.output if each]:
        sizes = known.get(output)
        if place.static and (sizes is None or None in sizes):
            yield Breach(
                _named(node),
                f"its shape {'' if sizes is None else f'{_text(sizes)} '}is not known before a clip"
                " comes",
                "fix export.batch, leave skip_absent out, and compute no shapes in the network",
            )
        if place.ranks is not None and sizes is not None and len(sizes) > place.ranks:
            yield Breach(
                _named(node),
                f"has {len(sizes)} axes, {_text(sizes)}, at most {place.ranks} are taken",
                "write that part of the network on fewer axes",
            )


def _single(
    node: onnx.NodeProto, place: Profile, known: dict[str, list[int | None]]
) -> Iterator[Breach]:
    sizes = known.get(node.input[0]) if node.input else None
    if node.op_type in place.single and sizes and sizes[0] != 1:
        yield Breach(
            _named(node),
            f"takes {_text(sizes)}, and its first axis must be 1",
            "use an operator without that limit, or a network of one person and a batch of 1",
        )


def _symmetric(graph: onnx.GraphProto, node: onnx.NodeProto) -> Iterator[Breach]:
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        zero = tools.constant(graph, node.input[2]) if len(node.input) > 2 else None
        # Without a zero point QuantizeLinear makes uint8.
        unsigned = zero is None and node.op_type == "QuantizeLinear"
        if unsigned or (zero is not None and (zero.dtype != np.int8 or zero.any())):
            yield Breach(
                _named(node),
                "its eight bits are not int8 around zero",
                "quantise with this profile set",
            )
    if node.op_type == "Cast":
        small = (TensorProto.INT8, TensorProto.INT4)
        kind = next((one.data_type for one in graph.initializer if one.name == node.input[0]), None)
        if kind in small or tools.attribute(node, "to") in small:
            yield Breach(
                _named(node),
                f"casts {TensorProto.DataType.Name(kind or 0)}, which only DequantizeLinear may",
                "store weights as int8 or float16",
            )


def _constants(graph: onnx.GraphProto, place: Profile) -> Iterator[Breach]:
    for tensor in graph.initializer:
        if place.ranks is not None and len(tensor.dims) > place.ranks:
            yield Breach(
                f"the constant {tensor.name}",
                f"has {len(tensor.dims)} axes, at most {place.ranks} are taken",
                "write that part of the network on fewer axes",
            )
    for value in graph.input:
        sizes = value.type.tensor_type.shape.dim
        if place.ranks is not None and len(sizes) > place.ranks:
            yield Breach(
                f"the input {value.name}",
                f"has {len(sizes)} axes, at most {place.ranks} are taken",
                "begin the network with a transpose to persons, as those here do",
            )


def _text(sizes: list[int | None]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in sizes)})"
