"""`streams.json` and `streams.html` of `featherbone stream-eval`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compress.reporting import design
from teachers import storage

TEMPLATE = "streams.html.j2"


def write(folder: Path, about: dict[str, Any]) -> list[Path]:
    """Both files; returns their paths.

    Raises:
        StorageError: they cannot be written.
    """
    # Late: only who wants the page waits for it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([Path(__file__).parent, design.PAGE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    data = folder / "streams.json"
    page = folder / "streams.html"
    storage.write_text(data, json.dumps(about, indent=1))
    storage.write_text(page, environment.get_template(TEMPLATE).render(**about))
    return [data, page]
