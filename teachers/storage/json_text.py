"""JSON of strangers: what a text can make Python allocate is bounded before it is parsed, and a key
that is given twice is an error."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from teachers.errors import DataError, FeatherboneError

# Bytes that Python's objects may take. The largest clip that `compress.data.own` takes as text has
# a quarter of it.
MOST_MEMORY = 1_000_000_000
# Of Python 3.11 on 64 bits: a list, a dict, and a place in either with the number or text in it.
_LIST_BYTES = 64
_DICT_BYTES = 240
_ENTRY_BYTES = 40


def parse(data: bytes, where: str, error: type[FeatherboneError] = DataError) -> Any:
    """The content of a JSON text.

    Args:
        where: the file, for messages.
        error: the class of FeatherboneError to raise.
    Raises:
        error: as `loads`, with file and fix.
    """
    try:
        return loads(data)
    except ValueError as problem:
        raise error(f"{where}: not JSON, or truncated ({problem}); copy it again") from problem


def loads(data: bytes) -> Any:
    """The content of a JSON text.

    Raises:
        ValueError: no JSON, nested too deeply, a key twice, or more than MOST_MEMORY.
    """
    # Brackets within texts count too: who has a million of those may not be read.
    needed = (
        data.count(b"[") * _LIST_BYTES
        + data.count(b"{") * _DICT_BYTES
        # An entry ends with a comma or its container's end.
        + (data.count(b",") + data.count(b"]") + data.count(b"}")) * _ENTRY_BYTES
    )
    if needed > MOST_MEMORY:
        raise ValueError(
            f"its lists would take {needed // 10**6} MB of memory, {MOST_MEMORY // 10**6} are"
            " allowed"
        )
    try:
        return json.loads(data, object_pairs_hook=_unique)
    # By a parser in C that counts its depth, so a megabyte of brackets ends at once.
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python's parser lets the later one win, silently; another program may take the first."""
    content = dict(pairs)
    if len(content) < len(pairs):
        ((twice, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice[:40]!r} is there twice")
    return content
