"""What the bytes of one deployed file are: weights block by block, graph, metadata, or something
else.

Every reader returns `Parts`, bytes by (part, kind); what a reader cannot name goes to its `rest`,
so that the parts of a file always add up to its size. A file that does not parse is 'other', with
the reason in the part's name.
"""

from __future__ import annotations

import re
import struct
import zipfile
from collections import Counter
from pathlib import Path

from compress.budget.paddle_files import (
    parameter_names,
    read_program,
    structured_names,
    tensor_sizes,
)

KINDS = ("weights", "graph", "metadata", "other")
METADATA_SUFFIXES = {".json", ".yaml", ".yml", ".txt", ".md", ".toml", ".info"}
WRAPPERS = {
    "model",
    "module",
    "network",
    "net",
    "_layers",
}  # attribute names that hold a whole network

Parts = Counter  # Counter[tuple[part, kind]] -> bytes


def block_of(name: str) -> str:
    """The block a tensor belongs to: the first dotted component of its name (`l1.gcn.weight` ->
    `l1`).

    Names that a framework made up go by layer type: `conv2d_12.w_0` -> `conv2d`, `onnx::Conv_7` ->
    `onnx::Conv`.
    """
    if match := re.match(r"(.+?)_\d+\.(?:[wb]_\d+|tmp_\d+|quantized)", name):
        return match[1]
    components = [part for part in re.split(r"[./]", name) if part]
    while len(components) > 1 and components[0] in WRAPPERS:
        components.pop(0)
    if not components:
        return "unnamed"
    if (
        len(components) == 1
    ):  # a bare name is one tensor's, so its number is not a block's: `v173` tells nothing
        stem = re.sub(r"[_:]*\d+$", "", components[0])
        return stem if len(stem) > 1 else "unnamed"
    return components[0]


def parts_of(path: Path, size_bytes: int) -> list[dict]:
    """Parts `{"part", "kind", "bytes"}` of a regular file, largest first; their bytes sum to
    `size_bytes` exactly."""
    suffix = path.suffix.lower()
    if size_bytes == 0:
        return []
    reader = {".pdmodel": _pdmodel, ".pdiparams": _pdiparams, ".onnx": _onnx, ".npz": _npz}.get(
        suffix
    )
    if reader:
        try:
            parts, rest = reader(path)
        except _unreadable() as error:
            parts, rest = Parts(), (f"unreadable {suffix} ({_first_line(error)})", "other")
    elif external := _external_weights(path):
        parts, rest = external, ("padding", "other")
    elif suffix in METADATA_SUFFIXES:
        parts, rest = (
            Parts(),
            ("graph", "graph") if _is_pir_program(path) else ("metadata", "metadata"),
        )
    else:
        parts, rest = Parts(), (f"{suffix} file" if suffix else "file without a suffix", "other")
    remainder = size_bytes - sum(parts.values())
    if remainder < 0:  # the file changed while it was read, or lies about its tensors
        parts, rest, remainder = Parts(), (f"inconsistent {suffix}", "other"), size_bytes
    parts[rest] += remainder
    ordered = sorted(parts.items(), key=lambda item: (-item[1], item[0]))
    return [
        {"part": part, "kind": kind, "bytes": count} for (part, kind), count in ordered if count
    ]


def _unreadable() -> tuple[type[Exception], ...]:
    from google.protobuf.message import DecodeError

    return DecodeError, OSError, RuntimeError, ValueError, struct.error, zipfile.BadZipFile


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:90] if lines else type(error).__name__


def _is_pir_program(path: Path) -> bool:
    """Whether a .json is a program of Paddle 3 and not metadata."""
    try:
        with open(path, "rb") as file:
            return path.suffix.lower() == ".json" and b'"magic":"pir"' in file.read(200).replace(
                b" ", b""
            )
    except OSError:
        return False


def _pdmodel(path: Path) -> tuple[Parts, tuple[str, str]]:
    attributes = (a for block in read_program(path).blocks for op in block.ops for a in op.attrs)
    stack_bytes = sum(a.ByteSize() for a in attributes if a.name == "op_callstack")
    return Parts({("op call stacks", "graph"): stack_bytes}), ("graph", "graph")


def _pdiparams(path: Path) -> tuple[Parts, tuple[str, str]]:
    """Tensors lie in sorted name order; the names are in the .pdmodel beside the file."""
    sizes, names, parts = list(tensor_sizes(path.read_bytes())), parameter_names(path), Parts()
    blocks = map(block_of, names) if len(names) == len(sizes) else [""] * len(sizes)
    for block, size in zip(blocks, sizes, strict=True):
        parts[f"{block} weights".strip(), "weights"] += size
    return parts, ("tensor headers", "metadata")


def _onnx_tensors(path: Path) -> tuple[list, int]:
    """(name, TensorProto) of every weight, subgraphs included, and the bytes of documentation text.

    Weights are initializers or, as paddle2onnx 1.3.1 writes them, Constant nodes; those of type
    int64 or bool are shapes and indices, which belong to the graph.
    """
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    if not model.graph.node:
        raise ValueError("no graph in it")
    tensors, text_bytes, graphs = [], 0, [model.graph]
    while graphs:
        graph = graphs.pop()
        tensors += [(tensor.name, tensor) for tensor in graph.initializer]
        for node in graph.node:
            text_bytes += len(node.doc_string.encode())
            for attribute in node.attribute:
                graphs += [attribute.g] if attribute.HasField("g") else list(attribute.graphs)
                if node.op_type == "Constant" and attribute.HasField("t"):
                    tensors.append((node.output[0], attribute.t))
    return [(name, t) for name, t in tensors if t.data_type not in (t.INT64, t.BOOL)], text_bytes


def _onnx(path: Path) -> tuple[Parts, tuple[str, str]]:
    tensors, text_bytes = _onnx_tensors(path)
    structured = next(
        (structured_names(file) for file in sorted(path.parent.glob("*.pdiparams"))), {}
    )
    parts = Parts({("documentation text", "graph"): text_bytes})
    for name, tensor in tensors:
        if tensor.data_location != tensor.EXTERNAL:
            size = len(tensor.raw_data) if tensor.HasField("raw_data") else tensor.ByteSize()
            parts[f"{block_of(structured.get(name, name))} weights", "weights"] += size
    return parts, ("graph", "graph")


def _external_weights(path: Path) -> Parts:
    """Parts of a file in which an .onnx beside it keeps its weights ("external data"); empty for
    any other file."""
    parts = Parts()
    for model in sorted(path.parent.glob("*.onnx")) if path.suffix not in METADATA_SUFFIXES else ():
        try:
            tensors = _onnx_tensors(model)[0] if not model.is_symlink() else []
        except _unreadable():
            continue
        for name, tensor in tensors:
            external = {entry.key: entry.value for entry in tensor.external_data}
            if tensor.data_location == tensor.EXTERNAL and external.get("location") == path.name:
                parts[f"{block_of(name)} weights", "weights"] += max(
                    0, int(external.get("length", 0))
                )
    return parts


def _npz(path: Path) -> tuple[Parts, tuple[str, str]]:
    parts = Parts()
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            parts[f"{block_of(name) if '.' in name else name} weights", "weights"] += (
                member.compress_size
            )
    return parts, ("zip headers", "metadata")
