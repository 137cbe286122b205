"""How a page of several runs is put together, and where it may be written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from compress.reporting import report as reports, view
from compress.reporting.policy import policy
from teachers import storage
from teachers.errors import DataError

HERE = Path(__file__).parent / "page"
# In the page's head: by it a page of ours is told from somebody else's file of that name.
GENERATOR = "featherbone runs"
_MARK = f'<meta name="generator" content="{GENERATOR}">'.encode()
# Bytes of a page's beginning in which the mark stands; behind the policy, in front of the style.
_HEAD = 4000


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """A page of `page/`: style and script in it, and a policy that lets nothing else run."""
    sheets = (reports.PAGE / "style.css", HERE / "runs.css")
    style = "\n".join(path.read_text(encoding="utf-8") for path in sheets)
    script = (HERE / "runs.js").read_text(encoding="utf-8")
    environment = reports.environment(HERE)
    # Macros see these alone.
    environment.globals |= {"tone": view.TONES}
    return environment.get_template(template).render(
        {
            **values,
            "policy": policy(script, style),
            "generator": GENERATOR,
            "style": Markup(style),
            "script": Markup(script),
        }
    )


def is_ours(path: Path) -> bool:
    """Whether a file is a page of this kind."""
    try:
        with path.open("rb") as file:
            return _MARK in file.read(_HEAD)
    except OSError:
        return False


def write(path: Path, text: str) -> None:
    """Write a page, atomically.

    Raises:
        DataError: somebody else's file is there.
        StorageError: it cannot be written.
    """
    if path.exists() and not is_ours(path):
        raise DataError(f"{path}: is there already, and is no page of runs; give another --output")
    # A folder's name need not be Unicode (Linux takes any bytes).
    storage.write_bytes(path, text.encode("utf-8", "backslashreplace"))
