"""Array files read without loading them whole, and the one rule by which broken frames are mended."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np

from teachers.errors import DataError

_LOCAL_HEADER = struct.Struct(
    "<26xHH"
)  # of a zip member: the lengths of its name and its extra field, at its end
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
)  # numpy 1.26, of damaged headers


def open_npy(path: Path) -> np.ndarray:
    """The array of a .npy file, memory-mapped.

    Raises:
        DataError: missing, damaged, or an array of Python objects.
    """
    try:
        return np.lib.format.open_memmap(
            path, mode="r"
        )  # np.load would take a zip or a pickle by that name for one
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
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                info.filename.removesuffix(".npy"): _member(path, archive, info)
                for info in archive.infolist()
                if info.filename.startswith(prefixes)
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
            return np.lib.format.read_array(file, allow_pickle=False)
    with path.open("rb") as file:
        file.seek(info.header_offset)
        file.seek(sum(_LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))), 1)
        shape, fortran, dtype = _header(file)
        if dtype.hasobject:
            raise ValueError(f"{info.filename} holds Python objects")
        if 0 in shape:
            return np.zeros(shape, dtype)
        return np.memmap(path, dtype, "r", file.tell(), shape, "F" if fortran else "C")


def _header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    return read(file)


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no details'}"


def repair_frames(clip: np.ndarray) -> tuple[np.ndarray, int]:
    """A clip (C, T, V, M) whose frames with NaN or infinity are replaced by the nearest good frame
    in time, the earlier of two as near; and how many they were. All-zero frames, padding, are no
    replacement while there is another.

    A clip without one good frame is returned as it is, with T as the count.
    """
    finite = np.isfinite(clip).all(axis=(0, 2, 3))
    bad = int((~finite).sum())
    if bad in (0, len(finite)):
        return clip, bad
    good = np.flatnonzero(finite & (clip != 0).any(axis=(0, 2, 3)))
    good = good if good.size else np.flatnonzero(finite)
    nearest = np.arange(len(finite))
    broken = np.flatnonzero(~finite)
    nearest[broken] = good[np.abs(broken[:, None] - good[None, :]).argmin(axis=1)]
    return clip[:, nearest], bad


def energy(place: np.ndarray) -> float:
    """Of (T, V, C): the standard deviations of the coordinates over frames with somebody, added up;
    0.0 for nobody."""
    there = place[(place != 0).any(axis=(1, 2)) & np.isfinite(place).all(axis=(1, 2))]
    return float(there.std(axis=(0, 1), dtype=np.float64).sum()) if len(there) else 0.0


def text(path: Path, largest: int) -> str:
    """The UTF-8 text of a file of at most `largest` bytes.

    Raises:
        DataError: missing, unreadable, larger, or no UTF-8.
    """
    data = content(path, largest)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: line {line}: is not UTF-8 text; save the file as UTF-8"
        ) from error


def content(path: Path, largest: int) -> bytes:
    """The bytes of a file; errors as `text`, of the same kinds."""
    try:
        if not path.is_file():
            raise DataError(f"{path}: no such file; it belongs beside the others of the data set")
        with path.open("rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); check its permissions or copy it again"
        ) from error
    if len(data) > largest:
        raise DataError(
            f"{path}: is larger than {largest} bytes, the most that is read; split it, or remove"
            " what is not needed"
        )
    return data
