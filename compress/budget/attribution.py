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

from teachers.errors import first_line
from teachers.weights import pir_files
from teachers.weights.paddle_files import parameter_names, read_program, structured_names, tensors

KINDS = ("weights", "graph", "metadata", "other")
METADATA_SUFFIXES = {".json", ".yaml", ".yml", ".txt", ".md", ".toml", ".info"}
# Attribute names that hold a whole network: they come before the block in a tensor's name.
WRAPPERS = {"model", "module", "network", "net", "_layers"}

# Bytes of a file that is attributed part by part; a larger one is counted as a whole. A protobuf of
# empty messages takes 75 times its bytes when it is parsed, so these decide the memory of the command.
LARGEST_READ = {
    ".pdmodel": 20_000_000,
    ".pdiparams": 2_000_000_000,
    ".onnx": 30_000_000,
    ".npz": 16_000_000_000,
}
# Bytes by (part, kind).
Parts = Counter[tuple[str, str]]


def block_of(name: str) -> str:
    """The block a tensor belongs to: the first dotted component of its name (`l1.gcn.weight` ->
    `l1`).

    Names that a framework made up go by layer type: `conv2d_12.w_0` -> `conv2d`, `onnx::Conv_7` ->
    `onnx::Conv`.
    """
    # First, since the names that a framework makes up hold dots too: `conv2d_12.w_0` is no tensor
    # of a block `conv2d_12`.
    if match := re.match(r"(.+?)_\d+\.(?:[wb]_\d+|tmp_\d+|quantized)", name):
        return match[1]
    components = [part for part in re.split(r"[./]", name) if part]
    while len(components) > 1 and components[0] in WRAPPERS:
        components.pop(0)
    if not components:
        return "unnamed"
    # A bare name is one tensor's, so its number is not a block's: `v173` tells nothing.
    if len(components) == 1:
        stem = re.sub(r"[_:]*\d+$", "", components[0])
        return stem if len(stem) > 1 else "unnamed"
    return components[0]


def parts_of(path: Path, size_bytes: int) -> list[dict]:
    """Parts `{"part", "kind", "bytes"}` of a regular file, largest first; their bytes sum to
    `size_bytes` exactly."""
    suffix = path.suffix.lower()
    if size_bytes == 0:
        return []
    parts, rest = _read_parts(path, suffix)
    remainder = size_bytes - sum(parts.values())
    # The file changed while it was read, or lies about its tensors: the sum has to hold all the
    # same, as the budget is decided by it.
    if remainder < 0:
        parts = Parts()
        rest = (f"inconsistent {suffix}", "other")
        remainder = size_bytes
    parts[rest] += remainder
    ordered = sorted(parts.items(), key=lambda item: (-item[1], item[0]))
    return [
        {"part": part, "kind": kind, "bytes": count} for (part, kind), count in ordered if count
    ]


def _read_parts(path: Path, suffix: str) -> tuple[Parts, tuple[str, str]]:
    """What a reader names, and the (part, kind) of all that it does not."""
    readers = {".pdmodel": _pdmodel, ".pdiparams": _pdiparams, ".onnx": _onnx, ".npz": _npz}
    if suffix in readers:
        # Parsed, a file can take a hundred times its bytes.
        if path.stat().st_size > LARGEST_READ[suffix]:
            return Parts(), (f"{suffix} too large to be read", "other")
        try:
            return readers[suffix](path)
        except _unreadable() as error:
            # Never an error of the command: a broken file takes its bytes on the device as well.
            return Parts(), (f"unreadable {suffix} ({first_line(error)})", "other")
    # Before the suffix is judged: a file of any name may be the data of an .onnx beside it.
    external = _external_weights(path)
    if external:
        return external, ("padding", "other")
    if suffix in METADATA_SUFFIXES:
        is_graph = pir_files.is_program(path)
        return Parts(), ("graph", "graph") if is_graph else ("metadata", "metadata")
    return Parts(), (f"{suffix} file" if suffix else "file without a suffix", "other")


def _unreadable() -> tuple[type[Exception], ...]:
    # Late: a folder without .pdmodel or .onnx needs no protobuf.
    from google.protobuf.message import DecodeError

    return DecodeError, OSError, RuntimeError, ValueError, struct.error, zipfile.BadZipFile


def _pdmodel(path: Path) -> tuple[Parts, tuple[str, str]]:
    # The Python stacks of whoever traced the network: no output depends on them, so they are
    # named apart from the graph, with advice to strip them.
    stack_bytes = 0
    for block in read_program(path).blocks:
        for op in block.ops:
            stack_bytes += sum(a.ByteSize() for a in op.attrs if a.name == "op_callstack")
    return Parts({("op call stacks", "graph"): stack_bytes}), ("graph", "graph")


def _pdiparams(path: Path) -> tuple[Parts, tuple[str, str]]:
    """Tensors lie in sorted name order; the names are in the .pdmodel or .json beside the file."""
    sizes = [size for _, size in tensors(path.read_bytes())]
    names = parameter_names(path)
    parts = Parts()
    # Names of another program would put bytes on the wrong block, which is worse than no names.
    known = len(names) == len(sizes)
    blocks = [block_of(name) for name in names] if known else [""] * len(sizes)
    for block, size in zip(blocks, sizes, strict=True):
        parts[f"{block} weights".strip(), "weights"] += size
    return parts, ("tensor headers", "metadata")


def _onnx_tensors(path: Path) -> tuple[list, int]:
    """(name, TensorProto) of every weight, subgraphs included, and the bytes of documentation text.

    Weights are initializers or, as paddle2onnx 1.3.1 writes them, Constant nodes; those of type
    int64 or bool are shapes and indices, which belong to the graph.
    """
    import onnx

    # External data are files of their own in the folder, and counted there.
    model = onnx.load(str(path), load_external_data=False)
    # Protobuf reads some files that are no model as an empty one.
    if not model.graph.node:
        raise ValueError("no graph in it")
    tensors = []
    text_bytes = 0
    graphs = [model.graph]
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
    # paddle2onnx keeps Paddle's made-up names; the Paddle export beside it knows the blocks.
    structured: dict[str, str] = {}
    for parameters in sorted(path.parent.glob("*.pdiparams"))[:1]:
        structured = structured_names(parameters)
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
    if path.suffix in METADATA_SUFFIXES:
        return parts
    for model in sorted(path.parent.glob("*.onnx")):
        # A link may lead out of the folder, to something of any size.
        if model.is_symlink() or model.stat().st_size > LARGEST_READ[".onnx"]:
            continue
        try:
            tensors, _ = _onnx_tensors(model)
        except _unreadable():
            continue
        for name, tensor in tensors:
            external = {entry.key: entry.value for entry in tensor.external_data}
            if tensor.data_location == tensor.EXTERNAL and external.get("location") == path.name:
                # A negative length would let a file lie about the others.
                length = max(0, int(external.get("length", 0)))
                parts[f"{block_of(name)} weights", "weights"] += length
    return parts


def _npz(path: Path) -> tuple[Parts, tuple[str, str]]:
    parts = Parts()
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            # Without a dot it is an array of its own, a label list for example, and no block's.
            block = block_of(name) if "." in name else name
            parts[f"{block} weights", "weights"] += member.compress_size
    return parts, ("zip headers", "metadata")
