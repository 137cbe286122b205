"""Read a torch checkpoint (the zip format of torch >= 1.6) without torch and without executing code.

The pickle inside names tensors by reference to raw storages; only the handful of globals that rebuild a tensor are
understood, everything else is refused by name.
"""
from __future__ import annotations

import io
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np

from teachers.errors import CheckpointError

_STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8", "IntStorage": "<i4",
             "ShortStorage": "<i2", "CharStorage": "i1", "ByteStorage": "u1", "BoolStorage": "?"}


class _StorageType:
    def __init__(self, dtype: str):
        self.dtype = np.dtype(dtype)


def _tensor(storage: np.ndarray, offset: int, shape: tuple, stride: tuple, *_unused) -> np.ndarray:
    """The strided view that `torch._utils._rebuild_tensor_v2` describes, copied; bounds are checked first."""
    shape, stride = tuple(map(int, shape)), tuple(map(int, stride))
    last = int(offset) + sum((size - 1) * step for size, step in zip(shape, stride)) if all(shape) else 0
    if len(shape) != len(stride) or int(offset) < 0 or min(shape + stride, default=0) < 0 or last >= max(storage.size, 1):
        raise CheckpointError("a tensor points outside its storage")
    view = np.lib.stride_tricks.as_strided(storage[int(offset):], shape, [step * storage.itemsize for step in stride])
    return np.array(view)


class _Unpickler(pickle.Unpickler):
    def __init__(self, data: bytes, storage, where: str):
        super().__init__(io.BytesIO(data))
        self._storage, self._where = storage, where

    def find_class(self, module: str, name: str):
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) in (("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_tensor")):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda tensor, *_unused: tensor
        if module == "torch" and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        raise CheckpointError(f"{self._where}: refuses to load '{module}.{name}': a torch checkpoint may only hold tensors "
                              "and plain containers; save the state dict alone (torch.save(model.state_dict(), path))")

    def persistent_load(self, reference):
        kind, storage_type, key = reference[0], reference[1], reference[2]
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise CheckpointError(f"{self._where}: an unknown reference {kind!r} in the pickle")
        return self._storage(str(key), storage_type.dtype)


def read(path: Path) -> object:
    """The object that was saved, with numpy arrays for tensors.

    Raises:
        CheckpointError: not a torch zip, damaged, or holding anything but tensors and plain containers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            pickles = [name for name in names if name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise CheckpointError(f"{path}: holds no torch checkpoint (no data.pkl in the archive)")
            root = pickles[0][: -len("data.pkl")]

            def storage(key: str, dtype: np.dtype) -> np.ndarray:
                return np.frombuffer(archive.read(f"{root}data/{key}"), dtype)

            return _Unpickler(archive.read(pickles[0]), storage, str(path)).load()
    except CheckpointError as error:
        raise error if str(path) in str(error) else CheckpointError(f"{path}: {error}") from error
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError, IndexError,
            AttributeError, NotImplementedError) as error:
        raise CheckpointError(f"{path}: the torch checkpoint is damaged ({error}); copy or download it again") from error
