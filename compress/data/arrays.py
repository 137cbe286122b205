"""Array files read without loading them whole."""

from __future__ import annotations

import math
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from teachers.errors import DataError
from teachers.storage import archives

# The last two fields of a zip member's local header: the lengths of its name and its extra field.
# The central directory has an extra field of its own, so where data begins is said here alone.
_LOCAL_HEADER = struct.Struct("<26xHH")
# What numpy 1.26 and zipfile raise of damaged files: numpy evaluates the header as Python text, so
# a flipped bit there can be any of the parser's errors.
_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    SyntaxError,
    TypeError,
    OverflowError,
    MemoryError,
    RecursionError,
    tokenize.TokenError,
)


def open_npy(path: Path) -> np.ndarray:
    """The array of a .npy file, memory-mapped.

    Raises:
        DataError: missing, damaged, or an array of Python objects.
    """
    try:
        # Not np.load, which would open a zip or a pickle that is called .npy.
        return np.lib.format.open_memmap(path, mode="r")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except _DAMAGE as error:
        raise DataError(
            f"{path}: not a readable .npy file of numbers, or truncated ({_first_line(error)});"
            " copy it again"
        ) from error


def open_npz(path: Path, prefixes: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays of a .npz file whose names start with one of `prefixes`.

    What `numpy.savez` wrote is memory-mapped inside the archive; what `savez_compressed` wrote is
    loaded.

    Raises:
        DataError: missing, damaged, or an array of Python objects.
    """
    # Only what is asked for: a compressed member cannot be mapped, and would be loaded whole.
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if info.filename.startswith(prefixes)]
            archives.check(members, path.stat().st_size)
            return {
                info.filename.removesuffix(".npy"): _member(path, archive, info) for info in members
            }
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except _DAMAGE as error:
        raise DataError(
            f"{path}: not a readable .npz file of numbers, or truncated ({_first_line(error)});"
            " copy it again"
        ) from error


def _member(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    if info.compress_type != zipfile.ZIP_STORED:
        with archive.open(info) as file:
            shape, _, dtype = _header(file)
            # A header may claim any amount of memory, which numpy would take before it reads.
            if math.prod(shape) * dtype.itemsize > info.file_size:
                raise ValueError(f"{info.filename} is cut short: it claims a shape of {shape}")
        with archive.open(info) as file:
            # A pickle in a downloaded file runs whatever it says.
            return np.lib.format.read_array(file, allow_pickle=False)
    # np.load ignores mmap_mode for .npz, and NTU120_CSub.npz has 20 GB. A stored member is a .npy
    # file as it is, somewhere inside the archive, so it can be mapped from there.
    with path.open("rb") as file:
        file.seek(info.header_offset)
        name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
        file.seek(name_length + extra_length, 1)
        shape, fortran, dtype = _header(file)
        # Mapped, they would be pointers of the process that wrote them.
        if dtype.hasobject:
            raise ValueError(f"{info.filename} holds Python objects")
        # mmap refuses a length of zero.
        if 0 in shape:
            return np.zeros(shape, dtype)
        return np.memmap(path, dtype, "r", file.tell(), shape, "F" if fortran else "C")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    # Version 3 differs from 2 in the encoding of field names, which arrays of numbers do not have.
    return np.lib.format.read_array_header_2_0(file)


def _first_line(error: Exception) -> str:
    # numpy appends paragraphs of advice on allow_pickle and max_header_size.
    details = str(error).splitlines()[0] if str(error) else "no details"
    return f"{type(error).__name__}: {details}"
