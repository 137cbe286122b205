"""What torch's two file formats share: pickles that name tensors by reference to raw storages.

Only the globals that rebuild a tensor are understood, and those of
`teachers/weights/safe_pickle.py`, which optimiser state and scores need; everything else is refused
by name.
"""

from __future__ import annotations

import io
import math
from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from teachers.errors import CheckpointError
from teachers.weights import safe_pickle


class StorageType:
    """Stands for a class such as `torch.FloatStorage`."""

    def __init__(self, dtype: str):
        self.dtype = np.dtype(dtype)


class Storage:
    """The elements of a storage. Pickles cannot make one, so its array is contiguous and as long as
    it says."""

    def __init__(self, elements: np.ndarray):
        self.elements = elements


def tensor(storage: Storage, offset: int, shape: tuple, stride: tuple, *_unused) -> np.ndarray:
    """The strided view of a storage that `torch._utils._rebuild_tensor_v2` describes; no data is
    copied.

    Raises:
        CheckpointError: the view leaves its storage, or repeats its elements.
    """
    if not isinstance(storage, Storage):
        raise CheckpointError("a tensor has no storage")
    elements = storage.elements
    offset, shape, stride = int(offset), tuple(map(int, shape)), tuple(map(int, stride))
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride)) if all(shape) else 0
    if (
        len(shape) != len(stride)
        or offset < 0
        or min(shape + stride, default=0) < 0
        or last >= max(elements.size, 1)
    ):
        raise CheckpointError("a tensor points outside its storage")
    if math.prod(shape) > elements.size:
        raise CheckpointError(
            f"a tensor of shape {shape} is larger than its storage of {elements.size} elements"
        )
    return np.lib.stride_tricks.as_strided(
        elements[offset:], shape, [step * elements.itemsize for step in stride]
    )


_STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_TENSORS = {
    "_rebuild_tensor": tensor,
    "_rebuild_tensor_v2": tensor,
    "_rebuild_parameter": lambda data, *_unused: data,
}


class Unpickler(safe_pickle.Unpickler):
    """Tensors become arrays: `storage(reference)` returns the elements that a persistent id names."""

    allowed = safe_pickle.ALLOWED | {
        ("torch", "Size"): safe_pickle.ALLOWED["builtins", "tuple"],
        ("collections", "Counter"): safe_pickle.ALLOWED[
            "builtins", "dict"
        ],  # Counter: the milestones of a schedule
        **{("torch._utils", name): function for name, function in _TENSORS.items()},
        **{("torch", name): StorageType(dtype) for name, dtype in _STORAGES.items()},
    }
    holds = (
        "a torch checkpoint may only hold tensors, arrays and plain containers; save the state dict"
        " alone (torch.save(model.state_dict(), path))"
    )
    stateless = (OrderedDict,)  # a state dict's `_metadata`

    def __init__(
        self, file: io.BytesIO, where: str, storage: Callable[[tuple], np.ndarray] | None = None
    ):
        super().__init__(file, where)
        self._storage, self._references = storage, {}

    def persistent_load(self, reference: tuple) -> Storage:
        kind, storage_type, key = reference[:3]
        if kind != "storage" or not isinstance(storage_type, StorageType) or self._storage is None:
            raise CheckpointError(f"an unknown reference {kind!r} in the pickle")
        if self._references.setdefault(key, storage_type) is not storage_type:
            raise CheckpointError(f"storage {key!r} is of two kinds")
        return Storage(self._storage(reference))


def guarded(path, read: Callable) -> object:
    """`read(path)`, with every error as a CheckpointError that names the file."""
    try:
        return read(path)
    except CheckpointError as error:
        raise (
            error
            if str(path) in str(error)
            else CheckpointError(f"{path}: damaged: {error}; copy or download it again")
        ) from error
    except Exception as error:  # a damaged pickle or zip can raise nearly anything
        raise CheckpointError(
            f"{path}: the torch checkpoint is damaged or truncated ({type(error).__name__}:"
            f" {error}); copy or download it again"
        ) from error
