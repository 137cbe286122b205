"""Whether an `.onnx` file keeps to what ONNX Runtime computes by itself: looked at before it is
loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def check(path: Path) -> None:
    """Looks at a file without running it.

    Raises:
        ExportMismatch: a foreign operator, a loop, weights outside its folder, or a file that is
            damaged or too large; with file, place and fix.
    """
    import onnx

    data = read_bytes(path, LARGEST_MODEL, ExportMismatch)
    try:
        model = onnx.load_model_from_string(data)
    # protobuf's DecodeError and RuntimeError are of other families in other versions.
    except Exception as error:
        text = str(error).strip() or type(error).__name__
        raise ExportMismatch(
            f"{path}: its runtime cannot load it ({text.splitlines()[0]}); export it again"
        ) from error
    graphs = list(_graphs(model))
    count = sum(len(graph.node) for graph in graphs)
    if not 0 < count <= MOST_NODES:
        raise ExportMismatch(
            f"{path}: its runtime cannot load it ({count} operators, expected 1 to {MOST_NODES});"
            " export it again"
        )
    for graph in graphs:
        for node in graph.node:
            _check_node(node, path)
    for tensor in _tensors(graphs):
        _check_tensor(tensor, path)


def _check_node(node: Any, path: Path) -> None:
    foreign = node.domain not in DOMAINS
    if foreign or (node.domain == "com.microsoft" and node.op_type not in MICROSOFT):
        raise ExportMismatch(
            f"{path}: has an operator {node.op_type[:60]!r} of the domain {node.domain[:60]!r},"
            " which is not known to do nothing but compute, and is not run; export the network with"
            " standard operators"
        )
    if node.op_type in LOOPS:
        raise ExportMismatch(
            f"{path}: has a loop ({node.op_type}), which is not run: nothing bounds its time;"
            " export the network without control flow"
        )


def _graphs(model: Any) -> Iterator[Any]:
    """The graph, those within its operators, and the functions that they call."""
    left = [model.graph, *model.functions]
    while left:
        graph = left.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                left += [attribute.g] if attribute.HasField("g") else []
                left += attribute.graphs


def _tensors(graphs: list[Any]) -> Iterator[Any]:
    for graph in graphs:
        # Functions have no weights of their own.
        yield from getattr(graph, "initializer", ())
        for sparse in getattr(graph, "sparse_initializer", ()):
            yield from (sparse.values, sparse.indices)
        for attribute in (each for node in graph.node for each in node.attribute):
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _check_tensor(tensor: Any, path: Path) -> None:
    """Weights in a file of their own lie in the folder: another one could be read out of the
    machine through the answers."""
    if tensor.data_location != tensor.EXTERNAL and not tensor.external_data:
        return
    external = {entry.key: entry.value for entry in tensor.external_data}
    location = external.get("location", "")
    beside = path.parent / location
    plain = Path(location).name == location and "\\" not in location and location != ".."
    if not plain or beside.is_symlink() or not beside.is_file():
        raise ExportMismatch(
            f"{path}: keeps weights in {location[:60]!r}, which is no file in its folder; copy the"
            " file there, or save the model in one file"
        )
