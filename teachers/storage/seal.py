"""What ties `deployed.json` to the files beside it: their SHA-256, and that of the description.

It notices files that were swapped, edited or copied in part. It is no signature: whoever can write
the folder can seal it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

KEY = "sha256"
DESCRIPTION = "deployed.json"


def of(description: dict[str, Any], folder: Path, files: Iterable[str]) -> dict[str, str]:
    """{name: SHA-256} of the files of a folder and, as `deployed.json`, of the description without
    its seal."""
    seal = {name: _digest(folder / name) for name in files}
    return seal | {DESCRIPTION: _digest_of(description)}


def broken(
    description: dict[str, Any], folder: Path, files: Collection[str] | None = None
) -> list[str]:
    """Names of the files that are not those a description was sealed with; [] where it has no
    seal, as folders had before there were any.

    A file that is missing is not among them: a folder with one of two formats still serves it.

    Args:
        files: beside the description, only these are opened; None: all of them.
    """
    seal = description.get(KEY)
    if not isinstance(seal, dict):
        return []
    changed = []
    for name, digest in seal.items():
        path = folder / name
        wanted = files is None or name in files
        if name == DESCRIPTION:
            found = _digest_of(description)
        # By its plain name alone: a seal must not make anybody read files elsewhere.
        elif not wanted or Path(name).name != name or not path.is_file():
            continue
        else:
            found = _digest(path)
        if found != digest:
            changed.append(name)
    return changed


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest_of(description: dict[str, Any]) -> str:
    # Sorted and compact: a program that formats the file anew changes nothing that counts.
    content = {key: value for key, value in description.items() if key != KEY}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
