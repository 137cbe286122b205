"""What the benchmarks share: tables as files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from teachers import storage


def write_csv(path: Path, rows: Sequence[dict], keys: Sequence[str]) -> None:
    """Write these columns of the rows."""
    text = io.StringIO()
    # "\n" rather than CSV's "\r\n": the tables are kept in git.
    writer = csv.DictWriter(text, keys, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    storage.write_text(path, text.getvalue())
