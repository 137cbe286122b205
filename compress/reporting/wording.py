"""Numbers in words for the report; an en dash stands for a number that was not recorded."""

from __future__ import annotations

import math
from collections.abc import Mapping

from compress.budget.sizes import format_size
from compress.evaluation.record import RuntimeRow, Spread

UNKNOWN = "–"


def number(value: object) -> float | None:
    """The value if it is a finite number, else None."""
    # A bool is an int in Python, and True is no measurement.
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return value
    return None


def decimals(value: object, digits: int = 1, unit: str = "") -> str:
    """A number with its unit, or an en dash for one that was not recorded."""
    measured = number(value)
    return UNKNOWN if measured is None else f"{measured:,.{digits}f}{unit}"


def by_persons(one: object, everybody: object) -> str:
    """ "14.0 ms with one person, 27.9 ms with all": of a network of several persons."""
    return f"{decimals(one, 1, ' ms')} with one person, {decimals(everybody, 1, ' ms')} with all"


def short_count(value: object) -> str:
    """1456789 -> "1.46 M"."""
    count = number(value)
    if count is None:
        return UNKNOWN
    # Powers of 1000, as papers give parameters and MACs.
    for unit, size_of_unit in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(count) >= size_of_unit:
            return f"{count / size_of_unit:.2f} {unit}"
    return f"{count:.0f}"


def duration(value: object) -> str:
    """3725 -> "1 h 2 min"."""
    seconds = number(value)
    if seconds is None:
        return UNKNOWN
    if seconds < 60:
        return f"{seconds:.1f} s"
    # Rounded before it is split, or 7199 s would read "1 h 60 min".
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def size(value: object) -> str:
    """1234567 -> "1.23 MB", or an en dash."""
    size_bytes = number(value)
    return UNKNOWN if size_bytes is None else format_size(size_bytes)


def settings(values: Mapping[str, object], prefix: str = "") -> str:
    """{"epochs": 65, "dml": {"weight": 1.0}, "ema": None} -> "epochs 65 · dml.weight 1"; what is
    unset is left out."""
    words = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            words.append(settings(value, f"{prefix}{name}."))
        # Not by truth: 0 and false are settings too.
        elif value is not None and value not in ([], ()):
            items = value if isinstance(value, (list, tuple)) else [value]
            text = ", ".join(_setting(item) for item in items)
            words.append(f"{prefix}{name} {text}")
    return " · ".join(filter(None, words))


def difference(new: object, old: object) -> float | None:
    """new - old, or None if one of them was not recorded."""
    after = number(new)
    before = number(old)
    return None if after is None or before is None else after - before


def against_teacher(change: float) -> str:
    """-0.42 points -> "0.42 points worse than the teacher"; `change` is student's minus teacher's."""
    points = f"{abs(change):.2f} points"
    # As it is shown: "0.00 points worse" would be a puzzle.
    if round(change, 2) == 0:
        return "as good as the teacher"
    return f"{points} {'better' if change > 0 else 'worse'} than the teacher"


def paired(row: RuntimeRow) -> str:
    """How a row differs from the one that it is compared with, clip by clip."""
    if row.p is None:
        return ""
    return f"{row.gained} gained, {row.lost} lost: p = {row.p:.2g}"


def spread(value: Spread | None, digits: int = 2) -> str:
    """ "82.76 ± 0.94", a deviation; without one where there is one draw."""
    if value is None:
        return UNKNOWN
    if value.deviation is None:
        return decimals(value.mean, digits)
    return f"{value.mean:.{digits}f} ± {value.deviation:.{digits}f}"


def share(part: object, whole: object) -> float:
    """part / whole in percent, between 0 and 100; 0 if one was not recorded."""
    numerator = number(part)
    denominator = number(whole)
    if numerator is None or not denominator:
        return 0.0
    # Bars are drawn with it, and none may leave its track.
    return max(0.0, min(100.0, 100 * numerator / denominator))


def instructions(names: object) -> str:
    """What `teachers.cpu` found: "avx2, avx512f", "none" of those it looks for, or "unknown"."""
    if isinstance(names, (list, tuple)):
        return ", ".join(map(str, names)) or "none"
    return str(names or "unknown")


def _setting(item: object) -> str:
    # Recipes write 1e-4, Python would print 0.0001 for it and 1.0 for a plain 1.
    return f"{item:g}" if isinstance(item, float) else str(item)
