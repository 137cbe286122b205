"""The result of a run: `report.json` for programs, `report.html` for people, and a model card for who
gets the deployed folder."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from compress.reporting import model_card, view, wording
from compress.reporting.design import PAGE
from compress.reporting.record import Report, from_json, to_json
from export.formats.profiles import needed
from teachers import storage

if TYPE_CHECKING:
    from jinja2 import Environment

# A list of numbers alone, as `json.dumps` indents it. In a text a line break is written \\n, so that
# none is ever taken for a list.
ROW = re.compile(r"\[\n([-+.\deE,\s]+)\]")


def write(report: Report, folder: str | Path) -> Path:
    """Write `report.json` and the self-contained `report.html` into a folder, and `MODEL_CARD.md` where
    something was deployed; returns the page's path.

    Parts that a run did not reach are None or empty: the page shows what there is and names what is
    not. Numbers that are not finite become null. Each file is complete or not there.

    Raises:
        StorageError: a file could not be written; what was there before is untouched.
        DataError: the report holds a value that its record does not allow; `report.json` is written
            all the same.
    """
    folder = Path(folder)
    data = to_json(report)
    # allow_nan=False: a NaN that slipped through `encode` must raise here, not in a reader whose
    # parser refuses it.
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    _write(folder / "report.json", ROW.sub(_on_a_line, text))
    # The page is made of what the file says, not of what is in memory: the two cannot disagree, and
    # every report is checked against its record once it is safe on disk.
    written = from_json(data, str(folder / "report.json"))
    _write(folder / "report.html", render(written))
    if model_card.is_due(written):
        _write(folder / model_card.NAME, model_card.card(written))
    return folder / "report.html"


def render(report: Report) -> str:
    """The page as one string of HTML: no script, no resource from outside; every text of the report
    escaped."""
    shown = view.view_of(report)
    # Not `asdict`, which would turn the records inside into dicts as well.
    values = {entry.name: getattr(shown, entry.name) for entry in fields(shown)}
    return environment().get_template("page.html.j2").render(values)


def environment(*folders: Path) -> Environment:
    """Templates of `page/` and of further folders, with the words that they use; every text is
    escaped."""
    # Jinja takes longer to load than a recipe takes to read, and only runs need it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([*folders, PAGE]),
        autoescape=True,
        # The view's fields are always there, so an unknown name is a mistake in the page.
        undefined=StrictUndefined,
        # Without it every loop and condition of the template leaves an empty line in the page.
        trim_blocks=True,
        lstrip_blocks=True,
        # Jinja would print a value that was not recorded as "None".
        finalize=lambda value: "" if value is None else value,
    )
    environment.filters |= {
        "size": _unbroken(wording.size),
        "needed": needed,
        "by_persons": _unbroken(wording.by_persons),
        "decimals": _unbroken(wording.decimals),
        "count": _unbroken(wording.short_count),
        "duration": _unbroken(wording.duration),
        "instructions": wording.instructions,
        "settings": wording.settings,
        "paired": wording.paired,
        "spread": _unbroken(wording.spread),
    }
    environment.globals |= {
        "share": wording.share,
        "difference": wording.difference,
        "number": wording.number,
    }
    return environment


def _on_a_line(row: re.Match[str]) -> str:
    return "[" + re.sub(r"\s+", " ", row[1].strip()) + "]"


def _unbroken(function: Callable[..., str]) -> Callable[..., str]:
    """The same function with no-break spaces: a number stays on a line with its unit."""
    return lambda *values: function(*values).replace(" ", "\u00a0")


def _write(path: Path, text: str) -> None:
    # A file name need not be Unicode (Linux takes any bytes), and a report may quote it.
    storage.write_bytes(path, text.encode("utf-8", "backslashreplace"))
