"""Sizes as people write them, such as 10MB, and back."""

from __future__ import annotations

import re
from decimal import Decimal

UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
}


def parse_size(text: str | int) -> int:
    """Bytes of "10MB", "9.5 MB", "500KB", "8MiB" or a plain number of bytes. MB = 10^6 bytes, MiB =
    2^20.

    Raises:
        ValueError: anything else, with the fix.
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", str(text))
    if not match or match[2].upper() not in UNITS:
        raise ValueError(
            f"cannot read the size {str(text)!r}: write a number with KB, MB, GB, KiB, MiB or GiB, "
            "for example 10MB (10^6 bytes each), or a plain number of bytes"
        )
    # Decimal: 8.2 MB computed in floats would be no whole number of bytes.
    size_bytes = Decimal(match[1]) * UNITS[match[2].upper()]
    if size_bytes != int(size_bytes):
        raise ValueError(f"the size {str(text)!r} is not a whole number of bytes: round it")
    return int(size_bytes)


def format_size(size_bytes: float) -> str:
    """1234567 -> "1.23 MB"; decimal units."""
    # Decimal, as the limits of recipes are (MB = 10^6 bytes): file managers differ from this by
    # up to 7 %.
    for unit, unit_bytes in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if abs(size_bytes) >= unit_bytes:
            return f"{size_bytes / unit_bytes:.2f} {unit}"
    return f"{size_bytes:.0f} B"
