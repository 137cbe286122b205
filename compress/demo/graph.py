"""`model.onnx` as what the page's interpreter reads: a graph in JSON, and its constants in one block
of bytes, so that a page needs no reader of ONNX files.

{"input": {"name", "dims"}, "output": name, "nodes": [{"op", "in", "out", "with"}],
 "constants": [{"name", "type", "dims", "at" (place in the block) or "values"}]}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper, numpy_helper

from export.formats import onnx_format, onnx_qoperator
from teachers.errors import DataError

# What `engine/*.js` computes: every operator of every network and form that is exported here, and
# those that the profiles' rewriting brings in. A test holds the two lists together.
OPERATORS = frozenset(
    """
    Abs Add Cast Concat Conv DequantizeLinear Equal Expand Gather HardSigmoid HardSwish MatMul
    MaxPool Mul NhwcMaxPool NonZero Not Or Pad QLinearAdd QLinearConcat QLinearConv
    QLinearGlobalAveragePool QLinearMatMul QLinearMul QLinearSigmoid QuantizeLinear ReduceMean
    ReduceSum Relu Reshape ScatterND Shape Sigmoid Slice Split Squeeze Sub Tanh Tile Transpose
    Unsqueeze
    """.split()  # noqa: SIM905  (a literal would take a line for each word)
)
TYPES = {
    TensorProto.FLOAT: "float32",
    TensorProto.FLOAT16: "float16",
    TensorProto.UINT8: "uint8",
    TensorProto.INT8: "int8",
    TensorProto.INT4: "int4",
    TensorProto.INT32: "int32",
    TensorProto.INT64: "int64",
    TensorProto.BOOL: "bool",
}
# Sizes and indices: a few numbers each, which JavaScript's typed arrays have no equal of.
IN_WORDS = ("int64", "bool")
# Every array in the block begins at a multiple of the widest number's bytes, as typed arrays must.
ALIGNMENT = 4


@dataclass(frozen=True)
class Graph:
    """A network for the page.

    Attributes:
        graph: what the module's text says.
        constants: the block of bytes.
        precision: "int8" where it computes in integers, else "float32".
    """

    graph: dict[str, Any]
    constants: bytes
    precision: str


def read(path: Path) -> Graph:
    """The graph of an ONNX file.

    Raises:
        DataError: it has operators or types that the page does not compute; they are named.
    """
    model = onnx.load(path)
    form = onnx_format.form_of(model)
    if form == "qdq":
        # Pairs are computed in float32; as operators on integers they are exact, as in ONNX Runtime.
        onnx_qoperator.convert(model)
    unknown = sorted({node.op_type for node in model.graph.node} - OPERATORS)
    if unknown:
        raise DataError(
            f"{path}: the page does not compute {', '.join(unknown)}; export the network again, for"
            " the profile ort or web"
        )
    constants, block = _constants(model.graph, path)
    shape = [one.dim_value for one in model.graph.input[0].type.tensor_type.shape.dim]
    graph = {
        # 0 is a batch of any size.
        "input": {"name": model.graph.input[0].name, "dims": shape},
        "output": model.graph.output[0].name,
        "nodes": [_node(node) for node in model.graph.node],
        "constants": constants,
    }
    return Graph(graph, block, "float32" if form is None else "int8")


def _node(node: onnx.NodeProto) -> dict[str, Any]:
    found: dict[str, Any] = {"op": node.op_type, "in": list(node.input), "out": list(node.output)}
    attributes = {one.name: helper.get_attribute_value(one) for one in node.attribute}
    if attributes:
        found["with"] = attributes
    return found


def _constants(graph: onnx.GraphProto, path: Path) -> tuple[list[dict[str, Any]], bytes]:
    described = []
    block = bytearray()
    for one in graph.initializer:
        if one.data_type not in TYPES:
            name = TensorProto.DataType.Name(one.data_type)
            raise DataError(f"{path}: {one.name}: the page reads no {name}; export it again")
        kind = TYPES[one.data_type]
        entry: dict[str, Any] = {"name": one.name, "type": kind, "dims": list(one.dims)}
        if kind in IN_WORDS:
            entry["values"] = numpy_helper.to_array(one).astype(int).reshape(-1).tolist()
        else:
            block += bytes(-len(block) % ALIGNMENT)
            entry["at"] = len(block)
            block += _bytes(one, kind)
        described.append(entry)
    return described, bytes(block)


def _bytes(one: onnx.TensorProto, kind: str) -> bytes:
    # Two of four bits lie in a byte, which numpy has no type for.
    if kind == "int4":
        return one.raw_data
    array = numpy_helper.to_array(one)
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
