"""Files that a system leaves among others, which are nobody's data."""

from __future__ import annotations

from pathlib import PurePath

_NAMES = {"thumbs.db", "desktop.ini", ".ds_store", "__macosx"}


def is_clutter(path: PurePath | str) -> bool:
    """Whether a path is, or lies in, what macOS or Windows made on its own: `._clip.npy`,
    `__MACOSX`, Thumbs.db."""
    # macOS writes a ._ file beside every file on a drive that is not its own, with its suffix.
    parts = PurePath(path).parts
    return any(part.startswith("._") or part.casefold() in _NAMES for part in parts)
