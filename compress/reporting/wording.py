"""Numbers in words for the report; an en dash stands for a number that was not recorded."""

from __future__ import annotations

import math

from compress.budget.sizes import format_size


def number(value: object) -> float | None:
    """The value if it is a finite number, else None."""
    plain = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return value if plain else None


def decimals(value: object, digits: int = 1, unit: str = "") -> str:
    """A number with its unit, or an en dash for one that was not recorded."""
    return "–" if number(value) is None else f"{value:,.{digits}f}{unit}"


def short_count(value: object) -> str:
    """1456789 -> "1.46 M"."""
    if number(value) is None:
        return "–"
    for unit, one in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= one:
            return f"{value / one:.2f} {unit}"
    return f"{value:.0f}"


def duration(seconds: object) -> str:
    """3725 -> "1 h 2 min"."""
    if number(seconds) is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(value: object) -> str:
    """1234567 -> "1.23 MB", or an en dash."""
    return "–" if number(value) is None else format_size(value)


def settings(values: dict, prefix: str = "") -> str:
    """{"epochs": 65, "dml": {"weight": 1.0}, "ema": None} -> "epochs 65 · dml.weight 1"; what is
    unset is left out."""
    words = []
    for name, value in values.items():
        if isinstance(value, dict):
            words.append(settings(value, f"{prefix}{name}."))
        elif value is not None and value not in ([], ()):
            items = value if isinstance(value, (list, tuple)) else [value]
            text = ", ".join(
                f"{item:g}" if isinstance(item, float) else str(item) for item in items
            )
            words.append(f"{prefix}{name} {text}")
    return " · ".join(filter(None, words))


def difference(new: object, old: object) -> float | None:
    """new - old, or None if one of them was not recorded."""
    return None if number(new) is None or number(old) is None else new - old


def share(part: object, whole: object) -> float:
    """part / whole in percent, between 0 and 100; 0 if one was not recorded."""
    return (
        0.0
        if number(part) is None or not number(whole)
        else max(0.0, min(100.0, 100 * part / whole))
    )


def instructions(found: object) -> str:
    """What `teachers.cpu` found: "avx2, avx512f", "none" of those it looks for, or "unknown"."""
    if isinstance(found, (list, tuple)):
        return ", ".join(map(str, found)) or "none"
    return str(found or "unknown")
