"""What torch's two file formats share: pickles that name tensors by reference to raw storages.

Only the globals that rebuild a tensor are understood, and those of
`teachers/weights/safe_pickle.py`, which optimiser state and scores need; everything else becomes a
placeholder.
"""

from __future__ import annotations

import io
import math
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from teachers.errors import CheckpointError
from teachers.weights import bfloat16, safe_pickle
from teachers.weights.placeholder import Placeholder


class StorageType:
    """Stands for a class such as `torch.FloatStorage`.

    Attributes:
        stored: the type of its elements in the file.
        dtype: the type that they are read as.
    """

    def __init__(self, stored: str, dtype: str | None = None):
        self.stored = np.dtype(stored)
        self.dtype = np.dtype(dtype or stored)

    def elements(self, content: bytes | bytearray) -> np.ndarray:
        """The elements in the content of a storage."""
        elements = np.frombuffer(content, self.stored)
        # One type is not read as it is stored: NumPy has no bfloat16.
        return elements if self.stored == self.dtype else bfloat16.to_float32(elements)


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
    offset = int(offset)
    shape = tuple(int(size) for size in shape)
    stride = tuple(int(step) for step in stride)
    if len(shape) != len(stride):
        raise CheckpointError("a tensor points outside its storage")
    # The last element the view reaches; an empty tensor reaches none.
    last = 0
    if all(shape):
        steps = zip(shape, stride, strict=True)
        last = offset + sum((size - 1) * step for size, step in steps)
    if offset < 0 or min(shape + stride, default=0) < 0 or last >= max(elements.size, 1):
        raise CheckpointError("a tensor points outside its storage")
    # A stride of 0 stays inside the storage and still claims any amount of memory when copied.
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
    "ComplexFloatStorage": "<c8",
    "ComplexDoubleStorage": "<c16",
}
_STORAGE_TYPES = {name: StorageType(dtype) for name, dtype in _STORAGES.items()}
_STORAGE_TYPES["BFloat16Storage"] = StorageType("<u2", "<f4")


def _from_type(function: object, _kind: object, arguments: tuple, *_state) -> object:
    """`torch._tensor._rebuild_from_type_v2`, by which tensors with attributes are pickled."""
    if function not in _TENSORS.values():
        raise CheckpointError("a tensor is made by a function that makes none")
    return cast(Callable[..., object], function)(*arguments)


_TENSORS = {
    "_rebuild_tensor": tensor,
    "_rebuild_tensor_v2": tensor,
    "_rebuild_parameter": lambda data, *_unused: data,
    "_rebuild_parameter_with_state": lambda data, *_unused: data,
}


class Unpickler(safe_pickle.Unpickler):
    """Tensors become arrays: `storage(reference)` returns what a persistent id names."""

    allowed: ClassVar[dict[tuple[str, str], Any]] = safe_pickle.ALLOWED | {
        ("torch", "Size"): safe_pickle.ALLOWED["builtins", "tuple"],
        # The milestones of a learning rate schedule, saved along with many checkpoints.
        ("collections", "Counter"): safe_pickle.ALLOWED["builtins", "dict"],
        **{("torch._utils", name): function for name, function in _TENSORS.items()},
        ("torch._tensor", "_rebuild_from_type_v2"): _from_type,
        **{("torch", name): kind for name, kind in _STORAGE_TYPES.items()},
    }
    holds = (
        "a torch checkpoint may only hold tensors, arrays and plain containers; save the state dict"
        " alone (torch.save(model.state_dict(), path))"
    )
    # A state dict carries `_metadata` as an attribute; nothing here reads it.
    stateless = (OrderedDict, Placeholder)
    placeholders = True

    def __init__(
        self, file: io.BytesIO, where: str, storage: Callable[[tuple], np.ndarray] | None = None
    ):
        super().__init__(file, where)
        self._storage = storage
        self._references: dict[str, StorageType] = {}

    def persistent_load(self, reference: tuple) -> Storage:
        kind, storage_type, key = reference[:3]
        if isinstance(storage_type, Placeholder):
            raise CheckpointError(
                f"{self._where}: holds tensors of {storage_type.name[:60]}, which are rounded or of"
                " another framework; save the network's weights as float32"
            )
        if kind != "storage" or not isinstance(storage_type, StorageType) or self._storage is None:
            raise CheckpointError(f"an unknown reference {kind!r} in the pickle")
        # One storage read as two types would be bytes taken for other numbers.
        if self._references.setdefault(key, storage_type) is not storage_type:
            raise CheckpointError(f"storage {key!r} is of two kinds")
        return Storage(self._storage(reference))


def guarded(path: Path, read: Callable[[Path], object]) -> object:
    """`read(path)`, with every error as a CheckpointError that names the file."""
    try:
        return read(path)
    except CheckpointError as error:
        # Errors from within a pickle do not know their file.
        if str(path) in str(error):
            raise
        raise CheckpointError(f"{path}: damaged: {error}; copy or download it again") from error
    # A damaged pickle or zip can raise nearly anything.
    except Exception as error:
        raise CheckpointError(
            f"{path}: the torch checkpoint is damaged or truncated ({type(error).__name__}:"
            f" {error}); copy or download it again"
        ) from error
