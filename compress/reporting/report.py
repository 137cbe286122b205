"""The result of a run: `report.json` for programs, `report.html` for people, a summary for the
terminal."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import numpy as np

from compress.reporting import view, wording
from teachers.errors import StorageError

TEMPLATE = Path(__file__).with_name("page.html.j2")


def write(report: dict, folder: str | Path) -> Path:
    """Write `report.json` and the self-contained `report.html` into a folder; returns the page's
    path.

    Any key may be missing, as after an interrupted run: the page shows what there is and names what
    is not. Numbers that are not finite become null. Each file is complete or not there: it is
    written beside its place, then moved.

    Raises:
        StorageError: a file could not be written; what was there before is untouched.
    """
    folder, report = Path(folder), plain(report)
    _replace(
        folder / "report.json",
        json.dumps(report, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    )
    _replace(folder / "report.html", render(report))
    return folder / "report.html"


def render(report: dict) -> str:
    """The page as one string of HTML: no script, no resource from outside; every text of the report
    escaped."""
    from jinja2 import ChainableUndefined, Environment

    environment = Environment(
        autoescape=True,
        undefined=ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: "" if value is None else value,
    )
    numbers = {
        "size": wording.size,
        "decimals": wording.decimals,
        "count": wording.short_count,
        "duration": wording.duration,
    }
    environment.filters |= {name: _unbroken(function) for name, function in numbers.items()}
    environment.filters["instructions"] = wording.instructions
    environment.filters["settings"] = wording.settings
    environment.globals |= {
        "share": wording.share,
        "difference": wording.difference,
        "number": wording.number,
    }
    return environment.from_string(TEMPLATE.read_text("utf-8")).render(view.view_of(plain(report)))


def _unbroken(function):
    """The same function with no-break spaces in its result: a number stays on a line with its unit."""
    return lambda *values: function(*values).replace(" ", "\u00a0")


def plain(value):
    """The value in JSON's types: numpy values, paths and tuples are converted, NaN and infinity
    become None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _replace(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_bytes(text.encode("utf-8", "backslashreplace"))
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"{path}: could not be written ({error.strerror}); make room or choose another output "
            "folder, then run the same command again"
        ) from error
