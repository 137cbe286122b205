"""Whether an `.onnx` file keeps to what ONNX Runtime computes by itself: looked at before it is
loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from export.runtimes.onnx_wire import Message
from teachers.errors import ExportMismatch
from teachers.storage.bounded import read_bytes

LARGEST_MODEL = 1_000_000_000
MOST_NODES = 100_000
# "" is ai.onnx, the standard operators; no file of this project has others.
DOMAINS = ("", "ai.onnx", "com.microsoft")
# ONNX Runtime's own, which its quantiser and optimiser write into other people's files. By name:
# among the rest is EPContext, which loads files.
MICROSOFT = frozenset(
    """
    BiasGelu DequantizeLinear DynamicQuantizeMatMul FastGelu FusedConv FusedGemm FusedMatMul Gelu
    MatMulInteger16 MatMulIntegerToFloat MatMulNBits NhwcMaxPool QAttention QGemm QLinearAdd
    QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu
    QLinearMul QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QuantizeLinear
    QuickGelu SkipLayerNormalization
    """.split()  # noqa: SIM905  (a literal would take a line for each word)
)
# They run a graph as often as a number in the file or the clip says.
LOOPS = ("Loop", "Scan", "SequenceMap")
# Numbers of fields, of onnx.proto: ModelProto, GraphProto, FunctionProto, NodeProto, AttributeProto,
# SparseTensorProto, TensorProto, StringStringEntryProto.
MODEL_GRAPH = 7
MODEL_FUNCTIONS = 25
GRAPH_NODE = 1
INITIALIZER = 5
SPARSE_INITIALIZER = 15
FUNCTION_NODE = 7
OP_TYPE = 4
ATTRIBUTE = 5
DOMAIN = 7
GRAPHS = (6, 11)
TENSORS = (5, 10)
SPARSE_TENSORS = (22, 23)
VALUES_AND_INDICES = (1, 2)
EXTERNAL_DATA = 13
DATA_LOCATION = 14
EXTERNAL = 1
ENTRY_KEY = 1
ENTRY_VALUE = 2


def check(path: Path) -> None:
    """Looks at a file without running it.

    Raises:
        ExportMismatch: a foreign operator, a loop, weights outside its folder, or a file that is
            damaged or too large; with file, place and fix.
    """
    data = read_bytes(path, LARGEST_MODEL, ExportMismatch)
    try:
        _check(Message(memoryview(data)), path)
    # RecursionError: operators within operators, deeper than any runtime reads.
    except (ValueError, RecursionError) as error:
        raise ExportMismatch(
            f"{path}: its runtime cannot load it (no ONNX model: {error}); export it again"
        ) from error


def _check(model: Message, path: Path) -> None:
    nodes = list(_nodes(model))
    if not 0 < len(nodes) <= MOST_NODES:
        raise ExportMismatch(
            f"{path}: its runtime cannot load it ({len(nodes)} operators, expected 1 to"
            f" {MOST_NODES}); export it again"
        )
    for node in nodes:
        _check_node(node, path)
    for tensor in _tensors(model, nodes):
        _check_tensor(tensor, path)


def _check_node(node: Message, path: Path) -> None:
    operators = node.texts(OP_TYPE) or [""]
    for domain in node.texts(DOMAIN) or [""]:
        for operator in operators:
            foreign = domain not in DOMAINS
            if foreign or (domain == "com.microsoft" and operator not in MICROSOFT):
                raise ExportMismatch(
                    f"{path}: has an operator {operator[:60]!r} of the domain {domain[:60]!r},"
                    " which is not known to do nothing but compute, and is not run; export the"
                    " network with standard operators"
                )
    for operator in operators:
        if operator in LOOPS:
            raise ExportMismatch(
                f"{path}: has a loop ({operator}), which is not run: nothing bounds its time;"
                " export the network without control flow"
            )


def _graphs(model: Message) -> Iterator[Message]:
    """The graphs, and those within their operators and within the functions'."""
    functions = model.messages(MODEL_FUNCTIONS)
    left = [inner for each in functions for node in each.messages(FUNCTION_NODE)
            for inner in _inner(node)]  # fmt: skip
    left += model.messages(MODEL_GRAPH)
    while left:
        graph = left.pop()
        yield graph
        for node in graph.messages(GRAPH_NODE):
            left += _inner(node)


def _inner(node: Message) -> list[Message]:
    """The graphs in the attributes of an operator."""
    attributes = node.messages(ATTRIBUTE)
    return [graph for each in attributes for key in GRAPHS for graph in each.messages(key)]


def _nodes(model: Message) -> Iterator[Message]:
    for function in model.messages(MODEL_FUNCTIONS):
        yield from function.messages(FUNCTION_NODE)
    for graph in _graphs(model):
        yield from graph.messages(GRAPH_NODE)


def _tensors(model: Message, nodes: list[Message]) -> Iterator[Message]:
    for graph in _graphs(model):
        yield from graph.messages(INITIALIZER)
        for sparse in graph.messages(SPARSE_INITIALIZER):
            yield from _of_sparse(sparse)
    for attribute in (each for node in nodes for each in node.messages(ATTRIBUTE)):
        for key in TENSORS:
            yield from attribute.messages(key)
        for key in SPARSE_TENSORS:
            for sparse in attribute.messages(key):
                yield from _of_sparse(sparse)


def _of_sparse(sparse: Message) -> Iterator[Message]:
    for key in VALUES_AND_INDICES:
        yield from sparse.messages(key)


def _check_tensor(tensor: Message, path: Path) -> None:
    """Weights in a file of their own lie in the folder: another one could be read out of the
    machine through the answers."""
    entries = list(tensor.messages(EXTERNAL_DATA))
    if EXTERNAL not in tensor.numbers(DATA_LOCATION) and not entries:
        return
    locations = [
        value
        for entry in entries
        if "location" in entry.texts(ENTRY_KEY)
        for value in entry.texts(ENTRY_VALUE)
    ]
    for location in locations or [""]:
        beside = path.parent / location
        plain = Path(location).name == location and "\\" not in location and location != ".."
        if not plain or beside.is_symlink() or not beside.is_file():
            raise ExportMismatch(
                f"{path}: keeps weights in {location[:60]!r}, which is no file in its folder; copy"
                " the file there, or save the model in one file"
            )
