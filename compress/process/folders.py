"""Where a program may keep what it can make again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from teachers.errors import StorageError

VARIABLE = "FEATHERBONE_CACHE"


def user_cache() -> Path:
    """The user's cache folder for this project: $FEATHERBONE_CACHE, else by the platform's
    convention.

    Raises:
        StorageError: this user has no home folder.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    try:
        return _conventional() / "featherbone"
    # A container's user need not have one.
    except RuntimeError as error:
        raise StorageError(
            f"this user has no home folder to keep caches in; set {VARIABLE}=FOLDER"
        ) from error


def _conventional() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    # A relative path there is to be ignored:
    # https://specifications.freedesktop.org/basedir-spec/latest/
    chosen = Path(os.environ.get("XDG_CACHE_HOME") or "")
    return chosen if chosen.is_absolute() else Path.home() / ".cache"
