"""Read a torch checkpoint in the format before torch 1.6 (a row of pickles, then raw storages),
without torch.

The file is: a magic number, the protocol, the writing machine, the saved object, the keys of its
storages; each of these one pickle; then for each key the number of elements (int64) and the
elements.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np

from teachers.errors import CheckpointError
from teachers.weights import torch_pickle

# As torch/serialization.py has them.
MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
# Without its first two bytes, the pickle protocol, which the writer may choose.
_MAGIC_PICKLE = pickle.dumps(MAGIC, 2)[2:]


def recognises(head: bytes) -> bool:
    """Whether a file that starts with these (at least 15) bytes is of this format."""
    return head[:1] == pickle.PROTO and head[2:].startswith(_MAGIC_PICKLE)


def read(path: Path, data: bytes | None = None) -> object:
    """The object that was saved, with numpy arrays for tensors.

    Args:
        data: the file's content, where it was read already.
    Raises:
        CheckpointError: damaged, truncated, or holding anything but tensors, arrays and plain
            containers.
    """
    return torch_pickle.guarded(
        path, lambda path: _read(path, path.read_bytes() if data is None else data)
    )


def _read(path: Path, data: bytes) -> object:
    file = io.BytesIO(data)
    where = str(path)
    magic = torch_pickle.Unpickler(file, where).load()
    protocol = torch_pickle.Unpickler(file, where).load()
    machine = torch_pickle.Unpickler(file, where).load()
    # Elements are in the order of bytes of the machine that wrote them.
    if (magic, protocol) != (MAGIC, PROTOCOL) or not machine["little_endian"]:
        raise CheckpointError(
            f"{path}: a torch checkpoint of an unknown kind (protocol {protocol}, {machine}); save"
            " it again with torch 1.6 or later"
        )
    storages = _Storages(file.getbuffer().nbytes)
    saved = torch_pickle.Unpickler(file, where, storages).load()
    keys = torch_pickle.Unpickler(file, where).load()
    # Contents follow in the order of `keys`: one too many would shift all behind it.
    if set(keys) != storages.arrays.keys():
        raise CheckpointError("the list of storages is not that of the tensors")
    for key in keys:
        _fill(storages.arrays[key], storages.types[key], file)
    return saved


class _Storages:
    """The arrays that the tensors of a file are views of. They are filled last, as the file has
    their content last."""

    def __init__(self, size: int):
        self.arrays: dict[str, np.ndarray] = {}
        self.types: dict[str, torch_pickle.StorageType] = {}
        # No more bytes can be claimed than the file has, by all storages together.
        self._left = size

    def __call__(self, reference: tuple) -> np.ndarray:
        """The storage of ('storage', type, key, location, elements, view), `view` being None or
        (key, start, elements)."""
        _, storage_type, key, _, elements, *view = reference
        if key not in self.arrays:
            size = int(elements) * storage_type.stored.itemsize
            if not 0 <= size <= self._left:
                raise CheckpointError(
                    f"storage {key!r} claims {size} bytes, more than the file has"
                )
            self._left -= size
            self.arrays[key] = np.zeros(int(elements), storage_type.dtype)
            self.types[key] = storage_type
        if not view or view[0] is None:
            return self.arrays[key]
        _, start, count = view[0]
        if not 0 <= start <= start + count <= self.arrays[key].size:
            raise CheckpointError("a tensor points outside its storage")
        return self.arrays[key][start : start + count]


def _fill(array: np.ndarray, kind: torch_pickle.StorageType, file: io.BytesIO) -> None:
    count = np.frombuffer(file.read(8), "<i8")
    size_bytes = array.size * kind.stored.itemsize
    content = file.read(size_bytes)
    if count.tolist() != [array.size] or len(content) != size_bytes:
        raise CheckpointError(
            f"truncated, or a storage is not of the {array.size} elements it should have"
        )
    # In place: the tensors that were read are views of this array.
    array[:] = kind.elements(content)
