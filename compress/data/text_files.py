"""Files that are read whole, within a limit: their bytes, or their text."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from teachers.errors import DataError


def folded(name: str) -> str:
    """A name without what people do not mean by it: letter case, Unicode form, doubled spaces."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def read_text(path: Path, largest: int) -> str:
    """The UTF-8 text of a file of at most `largest` bytes.

    Raises:
        DataError: missing, unreadable, larger, or no UTF-8.
    """
    data = read_bytes(path, largest)
    try:
        # Excel begins its "CSV UTF-8" with a byte order mark, which is no part of the first column.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}: line {line}: is not UTF-8 text; save the file as UTF-8"
        ) from error


def read_bytes(path: Path, largest: int) -> bytes:
    """The bytes of a file of at most `largest`.

    Raises:
        DataError: missing, unreadable, or larger.
    """
    try:
        # A pipe or a device would be read without end, or never answer.
        if not path.is_file():
            raise DataError(f"{path}: no such file; it belongs beside the others of the data set")
        with path.open("rb") as file:
            # One byte more than allowed is enough to tell, and stat() would be outdated for a file
            # that is still growing.
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
