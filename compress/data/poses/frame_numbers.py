"""The numbers of frames that are known by the names of their images or files."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from pathlib import PurePosixPath

_DIGITS = re.compile(r"\d+")


def numbered(names: Sequence[Hashable]) -> dict[Hashable, int]:
    """{name: number of its frame}: the last number in a name (`12.jpg`,
    `v_000000000012_keypoints.json`), else the order of the names."""
    numbers = {name: _last_number(name) for name in names}
    known = set(numbers.values())
    # Two images of one number are of two clips or two cameras; their order is all there is.
    if None in known or len(known) < len(numbers):
        return {name: place for place, name in enumerate(numbers)}
    return {name: number for name, number in numbers.items() if number is not None}


def _last_number(name: Hashable) -> int | None:
    # bool is an int to Python.
    if type(name) is int:
        return name if 0 <= name < 2**53 else None
    stem = PurePosixPath(name.replace("\\", "/")).stem if isinstance(name, str) else ""
    # int() refuses thousands of digits, and float64 has no room for more than fifteen.
    found = [digits for digits in _DIGITS.findall(stem) if len(digits) <= 15]
    return int(found[-1]) if found else None
