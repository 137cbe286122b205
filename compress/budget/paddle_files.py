"""What a .pdmodel, .pdiparams and .pdiparams.info of Paddle 2 hold, read without running anything
in them."""

from __future__ import annotations

import io
import math
import pickle
import struct
from collections.abc import Iterator
from pathlib import Path

# Bytes of one element by the data type's number in Paddle's framework.proto.
ITEM_BYTES = {0: 1, 1: 2, 2: 4, 3: 8, 4: 2, 5: 4, 6: 8, 20: 1, 21: 1, 22: 2, 23: 8, 24: 16}


def read_program(path: Path):
    """The ProgramDesc of a .pdmodel, read as plain protobuf: Paddle's own class frees what its
    views still point to."""
    from paddle.base.proto.framework_pb2 import ProgramDesc

    program = ProgramDesc.FromString(path.read_bytes())
    if not program.blocks or not program.blocks[0].ops:
        raise ValueError("no program in it")
    return program


def parameter_names(path: Path) -> list[str]:
    """Names of the tensors of a .pdiparams in the order they lie in it, structured where known; []
    if unknown."""
    model = path.with_suffix(".pdmodel")
    if model.is_symlink() or not model.is_file():
        return []
    from google.protobuf.message import DecodeError

    # Names only make the table nicer: without them the bytes are still counted.
    try:
        variables = read_program(model).blocks[0].vars
    except (DecodeError, OSError, ValueError):
        return []
    structured = structured_names(path)
    # Sorted, for that is the order in which Paddle lays the tensors down.
    names = sorted(v.name for v in variables if v.persistable and v.type.HasField("lod_tensor"))
    return [structured.get(name, name) for name in names]


class _PlainUnpickler(pickle.Unpickler):
    """Reads dicts, strings and numbers; anything that would run code is refused."""

    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"{module}.{name} is not plain data")


def structured_names(path: Path) -> dict[str, str]:
    """{`conv2d_0.w_0`: `l1.conv.weight`} from the .pdiparams.info that `paddle.jit.save` writes; {}
    without one."""
    info = path.with_suffix(".pdiparams.info")
    # A list of names has kilobytes; a file far beyond that is something else.
    if info.is_symlink() or not info.is_file() or info.stat().st_size > 10**7:
        return {}
    try:
        entries = _PlainUnpickler(io.BytesIO(info.read_bytes())).load()
        return {name: entry["structured_name"] for name, entry in entries.items()}
    # A damaged pickle raises almost anything, and the names are only nicer with it.
    except Exception:  # noqa: BLE001
        return {}


def tensor_sizes(data: bytes) -> Iterator[int]:
    """Bytes of data of each tensor of a combined parameter file (SerializeToStream in Paddle's
    lod_tensor.cc)."""
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
        size = _tensor_bytes(data[position : position + header_bytes])
        position += header_bytes + size
        if position > len(data):
            raise ValueError("cut short in a tensor's data")
        yield size


def _tensor_bytes(header: bytes) -> int:
    """Bytes of data behind a protobuf TensorDesc: field 1 the data type, field 2 the dimensions."""
    from paddle.base.proto import framework_pb2

    tensor = framework_pb2.VarType.TensorDesc()
    tensor.ParseFromString(header)
    if tensor.data_type not in ITEM_BYTES or any(dim < 0 for dim in tensor.dims):
        raise ValueError("a tensor of unknown type or size")
    return math.prod(tensor.dims) * ITEM_BYTES[tensor.data_type]
