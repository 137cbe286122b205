"""The weights files that a run works from, by their hashes: a run that is resumed must find the files
that it was started with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from teachers import storage
from teachers.errors import CheckpointError

NAME = "weights.json"


class HeldFiles:
    """SHA-256 by file, kept in a run's folder.

    A run of an older release has kept none; it is held to what is there when it is resumed first.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "state" / NAME
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else "{}"
        self._kept: dict[str, str] = json.loads(text)

    def check(self, files: Mapping[str, str]) -> None:
        """
        Args:
            files: SHA-256 by name, as the files are now.
        Raises:
            CheckpointError: one has changed since the run was started.
        """
        for file, sha256 in files.items():
            kept = self._kept.get(file, sha256)
            if kept != sha256:
                raise CheckpointError(
                    f"{file}: has changed since {self._folder} was started (SHA-256 {kept[:12]}..."
                    f" then, {sha256[:12]}... now); put the old file back, or start anew with"
                    " another --output"
                )

    def keep(self, files: Mapping[str, str]) -> None:
        """Hold the run to these files from now on.

        Raises:
            StorageError: it cannot be written down.
        """
        kept = {**self._kept, **files}
        if kept != self._kept:
            storage.write_text(self._path, json.dumps(kept, indent=1))
            self._kept = kept


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
