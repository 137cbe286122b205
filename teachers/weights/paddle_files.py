"""What a .pdmodel, .pdiparams and .pdiparams.info of Paddle hold, read without running anything in
them. Paddle 3 writes a .json in place of the .pdmodel (`teachers.weights.pir_files`), and no
.info."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from teachers.errors import FeatherboneError
from teachers.weights import pir_files, safe_pickle

# Bytes of one element by the data type's number in Paddle's framework.proto.
ITEM_BYTES = {0: 1, 1: 2, 2: 4, 3: 8, 4: 2, 5: 4, 6: 8, 20: 1, 21: 1, 22: 2, 23: 8, 24: 16}


# Dimensions of a tensor; Paddle itself goes up to 9.
MOST_DIMENSIONS = 16
# A list of names has kilobytes; a file far beyond that is something else.
LARGEST_NAMES = 10**7


def read_program(path: Path) -> Any:
    """The ProgramDesc of a .pdmodel; see `program_of`."""
    return program_of(path.read_bytes())


def program_of(data: bytes) -> Any:
    """The ProgramDesc in the content of a .pdmodel, read as plain protobuf: Paddle's own class
    frees what its views still point to.

    Raises:
        ValueError, DecodeError: it is none, or an empty one.
    """
    from paddle.base.proto.framework_pb2 import ProgramDesc

    program = ProgramDesc.FromString(data)
    if not program.blocks or not program.blocks[0].ops:
        raise ValueError("no program in it")
    return program


def parameter_names(path: Path) -> list[str]:
    """Names of the tensors of a .pdiparams in the order they lie in it, structured where known; []
    if unknown."""
    model = path.with_suffix(".pdmodel")
    from google.protobuf.message import DecodeError

    # Names only make the table nicer: without them the bytes are still counted.
    try:
        if model.is_symlink() or not model.is_file():
            return pir_files.parameter_names(path.with_suffix(".json"))
        variables = read_program(model).blocks[0].vars
    except (DecodeError, OSError, ValueError):
        return []
    structured = structured_names(path)
    # Sorted, for that is the order in which Paddle lays the tensors down.
    names = sorted(v.name for v in variables if v.persistable and v.type.HasField(_dense(v)))
    return [structured.get(name, name) for name in names]


def tensor_of(variable: Any) -> Any:
    """The TensorDesc of a variable: its type and dimensions."""
    return getattr(variable.type, _dense(variable)).tensor


def _dense(variable: Any) -> str:
    # Paddle 3 calls field 3 of VarType `dense_tensor`; in the file it is the same.
    return variable.type.DESCRIPTOR.fields_by_number[3].name


def parameters_of(block: Any) -> list[Any]:
    """The variables of a block whose content is in the .pdiparams."""
    # Numbers of VarType in framework.proto that Paddle leaves out: the lists of inputs and outputs,
    # and RAW.
    return [v for v in block.vars if v.persistable and v.type.type not in (9, 10, 17)]


def structured_names(path: Path) -> dict[str, str]:
    """{`conv2d_0.w_0`: `l1.conv.weight`} from the .pdiparams.info that `paddle.jit.save` writes; {}
    without one."""
    info = path.with_suffix(".pdiparams.info")
    if info.is_symlink() or not info.is_file() or info.stat().st_size > LARGEST_NAMES:
        return {}
    # The names are only nicer with it, so whatever is wrong with the file costs nothing but them.
    try:
        entries: Any = safe_pickle.load(info.read_bytes(), str(info))
        names = {name: entry["structured_name"] for name, entry in entries.items()}
    except (FeatherboneError, OSError, AttributeError, KeyError, TypeError, IndexError):
        return {}
    return {
        name: structured
        for name, structured in names.items()
        if isinstance(name, str) and isinstance(structured, str)
    }


def tensors(data: bytes) -> Iterator[tuple[Any, int]]:
    """(TensorDesc, bytes of data) of each tensor of a combined parameter file; see `contents`."""
    for tensor, content in contents(data):
        yield tensor, len(content)


def contents(data: bytes) -> Iterator[tuple[Any, memoryview]]:
    """(TensorDesc, data) of each tensor of a combined parameter file (SerializeToStream in Paddle's
    lod_tensor.cc).

    Raises:
        ValueError, struct.error, DecodeError: it is none, or cut short.
    """
    view = memoryview(data)
    position = 0
    # Every claim of the file is checked against what is there before it is believed: the folder
    # that is measured may come from anywhere.
    while position < len(data):
        version, lod_levels = struct.unpack_from("<IQ", data, position)
        position += 12
        if version != 0 or lod_levels > 8:
            raise ValueError("not a file of Paddle parameters")
        # Levels of detail (lengths of sequences) are none in a parameter, but allowed by the
        # format.
        for _ in range(lod_levels):
            position += 8 + struct.unpack_from("<Q", data, position)[0]
        _, header_bytes = struct.unpack_from("<Ii", data, position)
        position += 8
        if not 0 <= header_bytes <= len(data) - position:
            raise ValueError("cut short in a tensor's header")
        tensor, size = _tensor(data[position : position + header_bytes])
        position += header_bytes + size
        if position > len(data):
            raise ValueError("cut short in a tensor's data")
        yield tensor, view[position - size : position]


def combined(parts: Iterable[tuple[Any, bytes | memoryview]]) -> bytes:
    """The file that `contents` reads, of (TensorDesc, data)."""
    written = []
    for tensor, content in parts:
        header = tensor.SerializeToString()
        # Version 0, no levels of detail, version 0 of the tensor.
        written += [struct.pack("<IQIi", 0, 0, 0, len(header)), header, bytes(content)]
    return b"".join(written)


def _tensor(header: bytes) -> tuple[Any, int]:
    """A protobuf TensorDesc (field 1 the data type, field 2 the dimensions), and the bytes of data
    behind it."""
    from paddle.base.proto import framework_pb2

    tensor = framework_pb2.VarType.TensorDesc()
    tensor.ParseFromString(header)
    # Few dimensions: the product of a million of them takes minutes.
    known = tensor.data_type in ITEM_BYTES and len(tensor.dims) <= MOST_DIMENSIONS
    if not known or any(dim < 0 for dim in tensor.dims):
        raise ValueError("a tensor of unknown type or size")
    return tensor, math.prod(tensor.dims) * ITEM_BYTES[tensor.data_type]
