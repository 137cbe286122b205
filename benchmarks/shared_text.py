"""Texts of a run as others may read them: no paths of one machine, no drawings of clips."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from compress.reporting import record
from compress.reporting.record import Report
from teachers.errors import DataError

# With two folders at least: a lone slash is a division, or "and".
ABSOLUTE = re.compile(r"(?<![\w.:/<>~])/(?:[\w.+-]+/)+[\w.+-]*")


def paths_of(report: Report, run: Path, name: str) -> Iterator[tuple[str, str]]:
    """(a path of the machine of the run, what stands in its place), the longest first."""
    found = {str(run.resolve()): f"runs/{name}", report.output: f"runs/{name}"}
    for text in texts_of(report.provenance.effective if report.provenance else {}):
        if Path(text).is_absolute():
            found[text] = Path(text).name
    for path in sorted(found, key=len, reverse=True):
        if path:
            yield path, found[path]


def texts_of(value: object) -> Iterator[str]:
    """Every text in a tree of JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts_of(item)
    elif hasattr(value, "values"):
        yield from texts_of(list(value.values()))


def read(path: Path, paths: Sequence[tuple[str, str]]) -> str:
    """A text of a run as others may read it.

    Raises:
        DataError: it names a path of the machine that the recipe does not explain.
    """
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        # Clips are their makers' to publish, drawings of them too.
        report = replace(record.from_json(json.loads(text), str(path)), examples=None)
        text = json.dumps(record.to_json(report), indent=1)
    for here, anywhere in paths:
        text = text.replace(here, anywhere)
    left = sorted(set(ABSOLUTE.findall(text)))
    if left:
        raise DataError(
            f"{path}: names {left[0]}, a path of this machine; run the recipe from the repository,"
            " with relative paths"
        )
    return text
