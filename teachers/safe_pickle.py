"""Pickles that may hold numpy arrays and plain containers; anything else is refused by name, nothing is executed."""
from __future__ import annotations

import io
import pickle
from collections import OrderedDict

import numpy as np

from teachers.errors import CheckpointError, FeatherboneError


def _encode(text: str, encoding: str = "latin1", *_unused) -> bytes:
    """`_codecs.encode`, as pickle protocol 2 writes bytes with it; only its harmless encodings."""
    if encoding not in ("latin1", "latin-1", "utf-8", "ascii") or not isinstance(text, str):
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode(encoding)


_BUILTINS = {"set": set, "frozenset": frozenset, "bytes": bytes,  # protocol 2 writes b"" as bytes()
             "tuple": tuple, "list": list, "dict": dict}  # Paddle reduces its tensors to tuple((name, array))
_MULTIARRAY = {"_reconstruct": np.core.multiarray._reconstruct, "scalar": np.core.multiarray.scalar}
_ALLOWED = {("collections", "OrderedDict"): OrderedDict, ("numpy", "ndarray"): np.ndarray, ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): _encode,
            **{(module, name): value for module in ("builtins", "__builtin__") for name, value in _BUILTINS.items()},
            **{(f"numpy.{core}", name): value for core in ("core.multiarray", "_core.multiarray")
               for name, value in _MULTIARRAY.items()},
            **{(f"numpy.{core}", "_frombuffer"): np.core.numeric._frombuffer
               for core in ("core.numeric", "_core.numeric")}}


class _Unpickler(pickle._Unpickler):  # the one written in Python: its BUILD can be guarded
    dispatch = dict(pickle._Unpickler.dispatch)

    def __init__(self, data: bytes, where: str, error: type[FeatherboneError]):
        super().__init__(io.BytesIO(data), encoding="latin1")
        self._where, self._error = where, error

    def find_class(self, module: str, name: str):
        if (module, name) not in _ALLOWED:
            raise self._error(f"{self._where}: refuses to load '{module}.{name}': pickles may only hold numpy arrays "
                              "and plain containers")
        return _ALLOWED[module, name]

    def _build(self):
        """Set state on arrays, and byte order on dtypes: a forged dtype would make numpy take bytes for pointers."""
        target, state = self.stack[-2:]
        if not isinstance(target, (np.ndarray, np.dtype)):
            raise pickle.UnpicklingError(f"state for a {type(target).__name__}")
        if isinstance(target, np.dtype) and tuple(state)[2:8] != target.__reduce__()[2][2:8]:
            raise pickle.UnpicklingError(f"a {target} with fields or flags of its own")
        self.load_build()

    dispatch[pickle.BUILD[0]] = _build


def load(data: bytes, where: str, error: type[FeatherboneError] = CheckpointError) -> object:
    """The object in a pickle (protocols 0 to 5, Python 2 too).

    Args:
        where: the file, for messages.
        error: the class of FeatherboneError to raise.
    Raises:
        error: the pickle is damaged, or wants anything but numpy arrays, numbers, text and plain containers.
    """
    try:
        return _Unpickler(data, where, error).load()
    except FeatherboneError:
        raise
    except Exception as problem:  # a damaged pickle can raise nearly anything
        raise error(f"{where}: not a readable pickle, or truncated ({type(problem).__name__}: {problem}); copy or "
                    "download it again") from problem
