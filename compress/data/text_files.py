"""Files of text, read whole, within a limit."""

from __future__ import annotations

import unicodedata
from pathlib import Path

from teachers.errors import DataError
from teachers.storage.bounded import read_bytes


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
