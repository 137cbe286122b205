"""Pickles that may hold numpy arrays and plain containers; anything else is refused by name,
nothing is executed."""

from __future__ import annotations

import io
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from teachers.errors import CheckpointError, FeatherboneError
from teachers.weights import placeholder
from teachers.weights.pickle_weight import DEEPEST, check_weight
from teachers.weights.placeholder import Placeholder


def _encode(text: str, encoding: str = "latin1", *_unused) -> bytes:
    """`_codecs.encode`, as pickle protocol 2 writes bytes with it; only its harmless encodings."""
    if encoding not in ("latin1", "latin-1", "utf-8", "ascii") or not isinstance(text, str):
        raise pickle.UnpicklingError(f"encoding {encoding!r}")
    return text.encode(encoding)


def _bytes() -> bytes:
    """Protocol 2 writes b"" as a call of `bytes`."""
    return b""


def _container(kind: type):
    """`kind(items)`, only of what is in memory already: of an array with forged strides it could
    fill all of it."""

    def made(items=()):
        if not isinstance(items, (list, tuple, set, frozenset, dict)):
            raise pickle.UnpicklingError(f"a {kind.__name__} of a {type(items).__name__}")
        # Before the container is made: to hash a forged key is what takes for ever.
        if kind in (set, frozenset):
            _check_keys(items)
        elif issubclass(kind, dict) and not isinstance(items, dict):
            _check_keys(key for key, _ in items)
        return kind(items)

    return made


def _check_keys(keys: Iterable) -> None:
    """Keys and members of sets are plain: to hash a tuple of twice a tuple of twice a tuple ...
    takes for ever."""
    for key in keys:
        for part in key if isinstance(key, tuple) else (key,):
            # A placeholder is hashed by its identity, of which no two are alike.
            if not (part is None or isinstance(part, PLAIN_KEYS)):
                raise pickle.UnpicklingError(f"a {type(part).__name__} in a key")
            # Python hashes whole numbers modulo 2**61 - 1: multiples of it all collide, and a dict
            # of a hundred thousand takes minutes.
            if isinstance(part, int) and abs(part) >= LARGEST_KEY:
                raise pickle.UnpicklingError("a key beyond 60 bits")


LARGEST_KEY = 2**60
PLAIN_KEYS = (str, bytes, int, float, np.number, Placeholder)


class _Array:
    """Stands for `numpy.ndarray`, which pickles only name: called, it would fill the memory that a
    shape claims."""


def _reconstruct(kind: type, shape: tuple, dtype: object) -> np.ndarray:
    """The empty array that a pickled one begins as; its shape and content come with its state."""
    if kind is not _Array or shape != (0,):
        raise pickle.UnpicklingError("an array that begins with elements")
    # What numpy 1 and 2 pickle arrays by; numpy's stubs leave private names out.
    return np.core.multiarray._reconstruct(np.ndarray, shape, dtype)  # type: ignore[attr-defined]


def _scalar(dtype: np.dtype, value) -> np.generic:
    """A numpy number; without a value, numpy would fill the memory that the dtype claims."""
    return np.core.multiarray.scalar(dtype, value)  # type: ignore[attr-defined]


# Paddle reduces its tensors to tuple((name, array)); Python 2 called the module `__builtin__`, and
# numpy 2 renamed `core` to `_core`.
_BUILTINS = {
    "bytes": _bytes,
    **{kind.__name__: _container(kind) for kind in (set, frozenset, tuple, list, dict)},
}
_MULTIARRAY = {"_reconstruct": _reconstruct, "scalar": _scalar}
ALLOWED = {
    ("collections", "OrderedDict"): _container(OrderedDict),
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
    **{
        (module, name): value
        for module in ("builtins", "__builtin__")
        for name, value in _BUILTINS.items()
    },
    **{
        (f"numpy.{core}", name): value
        for core in ("core.multiarray", "_core.multiarray")
        for name, value in _MULTIARRAY.items()
    },
    **{
        # Of protocol 5, whose buffers lie in the pickle itself.
        (f"numpy.{core}", "_frombuffer"): np.core.numeric._frombuffer  # type: ignore[attr-defined]
        for core in ("core.numeric", "_core.numeric")
    },
}


# Opcodes that a pickle may have whatever its size; those that make a container count as many times
# as it takes longer to look at one afterwards. The annotations of 240,000 clips have 40 million.
WORK = 20_000_000
WORK_OF_A_CONTAINER = 5
BYTES_PER_WORK = 20
# Bytes that calls may make of what was read.
MEMORY = 64_000_000
MEMORY_PER_BYTE = 4
_CONTAINER_OPCODES = frozenset(
    opcode[0]
    for opcode in (
        pickle.EMPTY_LIST,
        pickle.EMPTY_DICT,
        pickle.EMPTY_TUPLE,
        pickle.EMPTY_SET,
        pickle.LIST,
        pickle.DICT,
        pickle.TUPLE,
        pickle.TUPLE1,
        pickle.TUPLE2,
        pickle.TUPLE3,
        pickle.FROZENSET,
    )
)


class _Counted(dict):
    """A table of opcodes that counts how often it is looked into: the loop that does so is
    pickle's."""

    def __init__(self, table: dict[int, Callable[[Any], None]], work: int):
        super().__init__(table)
        self._left = work

    def __getitem__(self, opcode: int) -> Callable[[Any], None]:
        self._left -= WORK_OF_A_CONTAINER if opcode in _CONTAINER_OPCODES else 1
        if self._left < 0:
            raise pickle.UnpicklingError("more opcodes than are read of a file of this size")
        return super().__getitem__(opcode)


# The unpickler written in Python: in the one in C no opcode can be guarded.
class Unpickler(pickle._Unpickler):
    """Unpickles what `allowed` names, from a file that holds its bytes in memory (`io.BytesIO`).

    Attributes:
        allowed: what a pickle may name, by (module, name).
        holds: what such a pickle may hold, for the message.
        stateless: classes whose state is thrown away instead of refused.
        placeholders: what is not allowed becomes a `Placeholder` instead of an error, unless it is
            harmful.
    """

    allowed: ClassVar[dict[tuple[str, str], Any]] = ALLOWED
    holds = "pickles may only hold numpy arrays and plain containers"
    stateless: tuple[type, ...] = (Placeholder,)
    placeholders = False
    # A copy, for pickle's own table serves every other unpickler of the process. Any: an opcode's
    # function takes the class it stands in.
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(
        self, file: io.BytesIO, where: str, error: type[FeatherboneError] = CheckpointError
    ):
        # latin1 keeps the bytes of Python 2's strings, which numpy arrays of Python 2 are made of.
        super().__init__(file, encoding="latin1")
        self._where = where
        self._error = error
        size_bytes = len(file.getbuffer())
        self._unknown: dict[tuple[str, str], Placeholder] = {}
        self._memory_left = MEMORY + MEMORY_PER_BYTE * size_bytes
        # Over the class's table, for each unpickler counts its own.
        self.dispatch = _Counted(type(self).dispatch, WORK + size_bytes // BYTES_PER_WORK)  # type: ignore[misc]

    def _take(self, size_bytes: int) -> None:
        """Counts bytes that a call or a state makes of what is in memory already."""
        self._memory_left -= size_bytes
        if self._memory_left < 0:
            raise pickle.UnpicklingError("it unpacks to far more than the file has")

    def _reduce(self):
        self.load_reduce()
        self._take_made()

    def _take_made(self):
        """Counts what a call has left on the stack."""
        made = self.stack[-1]
        # Text of a megabyte, encoded a thousand times, is a gigabyte out of a few bytes each.
        if isinstance(made, np.ndarray):
            self._take(made.nbytes)
        else:
            self._take(sys.getsizeof(made))
        if isinstance(made, Placeholder):
            self._take(placeholder.SIZE_BYTES)

    def _inst(self):
        self.load_inst()
        self._take_made()

    def _obj(self):
        self.load_obj()
        self._take_made()

    def _newobj(self):
        """An object of a class, from (class, arguments); of an unknown one its placeholder."""
        if isinstance(self.stack[-2], Placeholder):
            self.load_reduce()
        else:
            self.load_newobj()
        self._take_made()

    def _newobj_ex(self):
        if isinstance(self.stack[-3], Placeholder):
            # Named arguments, too: a placeholder keeps none of them.
            self.stack.pop()
            self.load_reduce()
        else:
            self.load_newobj_ex()
        self._take_made()

    def _mark(self):
        if len(self.metastack) >= DEEPEST:
            raise pickle.UnpicklingError("nested too deeply")
        self.load_mark()

    def find_class(self, module: str, name: str):
        if (module, name) in self.allowed:
            return self.allowed[module, name]
        if not self.placeholders or placeholder.is_harmful(module, name):
            raise self._error(f"{self._where}: refuses to load '{module}.{name}': {self.holds}")
        # Once each: a name is a few bytes in the file wherever it stands again.
        if (module, name) not in self._unknown:
            self._take(placeholder.SIZE_BYTES + len(module) + len(name))
            self._unknown[module, name] = Placeholder(f"{module}.{name}")
        return self._unknown[module, name]

    def _build(self):
        """Set state on arrays, and byte order on dtypes: a forged dtype would make numpy take bytes
        for pointers."""
        target, state = self.stack[-2:]
        if isinstance(target, self.stateless):
            self.stack.pop()
            return
        if not isinstance(target, (np.ndarray, np.dtype)):
            raise pickle.UnpicklingError(f"state for a {type(target).__name__}")
        if isinstance(target, np.dtype) and tuple(state)[2:8] != target.__reduce__()[2][2:8]:
            raise pickle.UnpicklingError(f"a {target} with fields or flags of its own")
        self.load_build()
        if isinstance(target, np.ndarray):
            self._take(target.nbytes)

    def _bytearray(self):
        """Reads what there is: Python would allocate the size that the file claims first."""
        size = int.from_bytes(self.read(8), "little")
        content = self.read(size)
        if len(content) != size:
            raise EOFError(f"{len(content)} of {size} bytes")
        self.append(bytearray(content))

    def _global(self):
        """A name of which the file holds only the start is no other name: the file is truncated."""
        module = self.readline()
        name = self.readline()
        if not name.endswith(b"\n"):
            raise EOFError("within a name")
        self.append(self.find_class(module[:-1].decode(), name[:-1].decode()))

    def _setitem(self):
        _check_keys(self.stack[-2:-1])
        self.load_setitem()

    def _setitems(self):
        # A mark begins a new stack, so this one holds key, value, key, value and nothing else.
        _check_keys(self.stack[::2])
        self.load_setitems()

    def _dict(self):
        _check_keys(self.stack[::2])
        self.load_dict()

    def _additems(self):
        _check_keys(self.stack)
        self.load_additems()

    def _frozenset(self):
        _check_keys(self.stack)
        self.load_frozenset()

    dispatch[pickle.MARK[0]] = _mark
    dispatch[pickle.REDUCE[0]] = _reduce
    dispatch[pickle.INST[0]] = _inst
    dispatch[pickle.OBJ[0]] = _obj
    dispatch[pickle.NEWOBJ[0]] = _newobj
    dispatch[pickle.NEWOBJ_EX[0]] = _newobj_ex
    dispatch[pickle.SETITEM[0]] = _setitem
    dispatch[pickle.SETITEMS[0]] = _setitems
    dispatch[pickle.DICT[0]] = _dict
    dispatch[pickle.ADDITEMS[0]] = _additems
    dispatch[pickle.FROZENSET[0]] = _frozenset
    dispatch[pickle.GLOBAL[0]] = _global
    dispatch[pickle.BUILD[0]] = _build
    dispatch[pickle.BYTEARRAY8[0]] = _bytearray


class WeightsUnpickler(Unpickler):
    """Of a weights file: whatever stands beside the weights becomes a placeholder."""

    placeholders = True


def load(
    data: bytes,
    where: str,
    error: type[FeatherboneError] = CheckpointError,
    unpickler: type[Unpickler] = Unpickler,
) -> object:
    """The object in a pickle (protocols 0 to 5, Python 2 too).

    Args:
        where: the file, for messages.
        error: the class of FeatherboneError to raise.
        unpickler: what the pickle may name.
    Raises:
        error: the pickle is damaged, or wants anything but numpy arrays, numbers, text and plain
            containers.
    """
    try:
        content = unpickler(io.BytesIO(data), where, error).load()
        check_weight(content, len(data))
        return content
    except FeatherboneError:
        raise
    # A damaged pickle can raise nearly anything, MemoryError and RecursionError included.
    except Exception as problem:
        raise error(
            f"{where}: not a readable pickle, or truncated ({type(problem).__name__}: {problem});"
            " copy or download it again"
        ) from problem
