"""Files of text, read whole, within a limit."""

from __future__ import annotations

import codecs
import re
import unicodedata
from pathlib import Path

from teachers.errors import DataError
from teachers.storage.bounded import read_bytes

# The longer first: UTF-32's mark begins with that of UTF-16. Excel begins its "CSV UTF-8" with a
# mark, which is no part of the first column.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
# A line of the file itself, in letters that all encodings have alike.
_DECLARED = re.compile(rb"(?m)^encoding:[ \t]*['\"]?([A-Za-z0-9_.-]+)")
# Python's ways to write text in ASCII. No file is meant by them, and idna takes the square of a
# text's length.
_NO_TEXT = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "utf-7"}


def folded(name: str) -> str:
    """A name without what people do not mean by it: letter case, Unicode form, doubled spaces."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def is_encoding(name: str) -> bool:
    """Whether Python knows an encoding of text by that name."""
    try:
        # Something to decode: Python looks no encoding up for nothing. "rot13", "hex" and "zip" are
        # codecs too, but of no text: to decode with them is a LookupError.
        b"text".decode(name)
    except UnicodeDecodeError:
        # UTF-32 of an impossible character.
        return True
    except (LookupError, ValueError):
        return False
    return codecs.lookup(name).name not in _NO_TEXT


def declared_encoding(path: Path, largest: int) -> str | None:
    """The value of a line `encoding: NAME` of a file; None without one."""
    declaration = _DECLARED.search(read_bytes(path, largest))
    return declaration[1].decode("ascii") if declaration else None


def read_text(
    path: Path, largest: int, encoding: str | None = None, fix: str = "save the file as UTF-8"
) -> str:
    """The text of a file of at most `largest` bytes: as its byte order mark says, else in UTF-8,
    else in `encoding`.

    Never in an encoding that is a guess: all bytes are text in latin-1, and names would be wrong
    without an error.

    Args:
        fix: what to do about a file that is none of these.
    Raises:
        DataError: missing, unreadable, larger, or not such text.
    """
    data = read_bytes(path, largest)
    name = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if name is None:
        # UTF-8 before the key: bytes of another encoding are hardly ever UTF-8 by chance, so a file
        # that was saved anew is read although the key was left.
        name = "utf-8" if encoding is None or _is_utf8(data) else encoding
    try:
        text = data.decode(name)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path}: line {line}: is not {_called(name)} text; {fix}") from error
    # UTF-16 without a mark is UTF-8 with a NUL behind each letter.
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}: line {line}: holds NUL, as UTF-16 without its mark does; {fix}")
    return text


def _is_utf8(data: bytes) -> bool:
    try:
        # UTF-16 without a mark passes as UTF-8, and is not meant.
        return "\0" not in data.decode("utf-8")
    except UnicodeDecodeError:
        return False


def _called(encoding: str) -> str:
    return "UTF-8" if encoding.startswith("utf-8") else encoding
