"""What every runtime does alike when it loads a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from teachers.errors import ExportMismatch

Loaded = TypeVar("Loaded")


def loaded(model: Path, create: Callable[[], Loaded]) -> Loaded:
    """What `create()` returns.

    Raises:
        ExportMismatch: it failed; names the file.
    """
    try:
        return create()
    except Exception as error:  # each runtime raises its own kinds
        text = str(error).strip()
        first = text.splitlines()[-1] if text else type(error).__name__
        raise ExportMismatch(
            f"{model}: its runtime cannot load it ({first}); export it again"
        ) from error
