"""`result.pkl` of PYSKL and mmaction2: pickles of numpy arrays, or of torch tensors without torch's
file format around them. Read without torch, and without running anything."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from teachers.errors import DataError, FeatherboneError
from teachers.weights import torch_legacy, torch_pickle
from teachers.weights.pickle_weight import check_weight
from teachers.weights.torch_pickle import Storage


def _from_numpy(array: object) -> np.ndarray:
    """`torch.from_numpy`, by which this project writes tensors."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"a tensor made of a {type(array).__name__}")
    return array


class Unpickler(torch_pickle.Unpickler):
    """Tensors become arrays, as `pickle.dump` writes them: the storage of each is a torch file of
    its own within the pickle."""

    allowed: ClassVar[dict[tuple[str, str], Any]] = torch_pickle.Unpickler.allowed | {
        ("torch", "from_numpy"): _from_numpy
    }
    holds = "a result file may only hold scores, labels and plain containers; write it again"

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return self._storage_of
        return super().find_class(module, name)

    def _storage_of(self, data: object) -> Storage:
        if not isinstance(data, bytes):
            raise TypeError(f"a storage made of a {type(data).__name__}")
        # Counted: a pickle can name the same bytes again and again, each time to be read anew.
        self._take(len(data))
        storage = torch_legacy.read(Path(self._where), data)
        if not isinstance(storage, Storage):
            raise TypeError("a storage that is none")
        return storage


def load(data: bytes, where: str) -> object:
    """The object in the pickle, with arrays for tensors.

    Raises:
        DataError: damaged, or holding anything but tensors, arrays and plain containers.
    """
    try:
        content = Unpickler(io.BytesIO(data), where).load()
        check_weight(content, len(data))
        return content
    except FeatherboneError as problem:
        raise DataError(str(problem)) from problem
    # A damaged pickle can raise nearly anything, MemoryError and RecursionError included.
    except Exception as problem:
        raise DataError(
            f"{where}: not a readable pickle, or truncated ({type(problem).__name__}: {problem});"
            " copy or write it again"
        ) from problem
