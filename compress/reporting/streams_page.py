"""`streams.json` and `streams.html` of `featherbone stream-eval`."""

from __future__ import annotations

import json
from pathlib import Path

from compress.evaluation.streams.record import Streams
from compress.reporting import report
from compress.reporting.streams import streams_view
from teachers import storage
from teachers.storage import typed_json

TEMPLATE = "streams_page.html.j2"


def write(folder: Path, found: Streams) -> list[Path]:
    """Both files; returns their paths.

    Raises:
        StorageError: they cannot be written.
    """
    data = folder / "streams.json"
    page = folder / "streams.html"
    storage.write_text(data, json.dumps(typed_json.encode(found), indent=1) + "\n")
    values = {"data": found.data, "streams": streams_view(found)}
    storage.write_text(page, report.environment().get_template(TEMPLATE).render(values))
    return [data, page]
