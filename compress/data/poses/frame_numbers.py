"""The numbers of frames that are known by the names of their images or files."""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from pathlib import PurePosixPath

ORDERED = (
    "clip whose images or files have several numbers that differ in their names (in the order of all"
    " of them)"
)

_DIGITS = re.compile(r"\d+")
# Not the fraction of t_0.50, which may be the whole name of an image.
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]*$")


def numbered(names: Sequence[Hashable]) -> tuple[dict[Hashable, int], str | None]:
    """({name: number of its frame}, what was taken for granted): the one number that differs
    between the names (`12.jpg`, `v_000000000012_keypoints.json`, `frame_12_cam1.json`); where
    several do, as in seconds (`t_0.95.json`, `t_1.00.json`), the place in the order of all numbers,
    with a note; else the place among the names."""
    numbers = {name: _numbers(name) for name in names}
    different = len(set(numbers.values())) == len(numbers)
    # Two images of one number are of two clips or two cameras; their order is all there is.
    if not different or not all(numbers.values()):
        return {name: place for place, name in enumerate(numbers)}, None
    if len({len(found) for found in numbers.values()}) == 1:
        columns = list(zip(*numbers.values(), strict=True))
        varying = [place for place, column in enumerate(columns) if len(set(column)) > 1]
        # A single name has its last number, which is the frame's more often than the first.
        place = varying[0] if varying else -1
        if len(varying) < 2:
            return {name: found[place] for name, found in numbers.items()}, None
    ordered = sorted(numbers, key=lambda name: numbers[name])
    return {name: place for place, name in enumerate(ordered)}, ORDERED


def _numbers(name: Hashable) -> tuple[int, ...]:
    # bool is an int to Python.
    if type(name) is int:
        return (name,) if 0 <= name < 2**53 else ()
    if not isinstance(name, str):
        return ()
    stem = _SUFFIX.sub("", PurePosixPath(name.replace("\\", "/")).name)
    # int() refuses thousands of digits, and float64 has no room for more than fifteen.
    return tuple(int(digits) for digits in _DIGITS.findall(stem) if len(digits) <= 15)
