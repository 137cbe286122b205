"""`streams.json` and `streams.html` of `featherbone stream-eval`."""

from __future__ import annotations

import json
from pathlib import Path

from compress.evaluation.streams.record import Streams
from compress.reporting.design import PAGE
from compress.reporting.streams import streams_view
from teachers import storage
from teachers.storage import typed_json

TEMPLATE = "streams_page.html.j2"


def write(folder: Path, found: Streams) -> list[Path]:
    """Both files; returns their paths.

    Raises:
        StorageError: they cannot be written.
    """
    # Late: only who wants the page waits for it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(PAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    data = folder / "streams.json"
    page = folder / "streams.html"
    storage.write_text(data, json.dumps(typed_json.encode(found), indent=1) + "\n")
    values = {"data": found.data, "streams": streams_view(found)}
    storage.write_text(page, environment.get_template(TEMPLATE).render(values))
    return [data, page]
