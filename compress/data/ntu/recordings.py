"""A folder of raw NTU RGB+D recordings, and the list of missing skeletons beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compress.data.clutter import is_clutter
from compress.data.ntu import naming
from teachers.errors import DataError

SUFFIX = ".skeleton"
# As its publishers call the list, and people who copy it.
MISSING_NAME = re.compile(r".*missing.*skeletons?.*\.txt", re.IGNORECASE)
# Bytes; the published lists have about 20 kB.
LARGEST_LIST = 1_000_000
PATTERN = re.compile(r"[SCPRA0-9*?\[\]-]*[*?\[][SCPRA0-9*?\[\]-]*")


@dataclass(frozen=True)
class Source:
    """A folder of recordings: files as (path relative to it, bytes, modified in ns), by name and
    then by path."""

    root: Path
    files: tuple[tuple[str, int, int], ...]


def holds_recordings(root: Path) -> bool:
    """Whether there is a `.skeleton` file in the folder, or in a folder in it."""
    # The first one answers: a listing of all 114,000 can wait until it is needed.
    return root.is_dir() and next(_walk(root), None) is not None


def listing(root: Path) -> Source:
    """All `.skeleton` files of a folder and of the folders in it; links to folders are not
    followed.

    Raises:
        DataError: there is none, or the folder cannot be read.
    """
    try:
        files = []
        for name, entry in _walk(root):
            stat = entry.stat()
            files.append((name, stat.st_size, stat.st_mtime_ns))
    except OSError as error:
        raise DataError(
            f"{root}: cannot be listed ({error.strerror}); check its permissions"
        ) from error
    if not files:
        raise DataError(
            f"{root}: holds no {SUFFIX} file, nor do the folders in it; give the folder that"
            f" S001C001P001R001A001{SUFFIX} and the others are in"
        )
    # By name first, so that a set in one folder and the same set in two give the same clips in the
    # same order.
    files.sort(key=lambda file: (file[0].rpartition("/")[2], file[0]))
    return Source(root, tuple(files))


def _walk(root: Path) -> Iterator[tuple[str, os.DirEntry]]:
    """(path relative to the root, entry) of recordings."""
    # One level of folders: NTU 60 and 120 come as two. Deeper ones, and those whose name begins
    # with a dot (the cache), are somebody else's.
    folders = [""]
    for folder in folders:
        # scandir, because glob and stat of 114,000 files take their time on network drives.
        with os.scandir(root / folder) as entries:
            for entry in entries:
                if _is_recording(entry):
                    yield (f"{folder}/{entry.name}" if folder else entry.name), entry
                elif (
                    not folder
                    and entry.is_dir(follow_symlinks=False)
                    and not entry.name.startswith(".")
                ):
                    folders.append(entry.name)


def _is_recording(entry: os.DirEntry) -> bool:
    # Drives of cameras and of Windows spell suffixes in capitals.
    named = entry.name.lower().endswith(SUFFIX) and not is_clutter(entry.name)
    return named and entry.is_file()


def missing_list(path: Path) -> tuple[str, ...]:
    """The names, and the patterns like S001C00?P*, of a list of missing skeletons, sorted; other
    words in it are skipped.

    Raises:
        DataError: it cannot be read, is no such list, or names nothing.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_LIST + 1)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); give --missing the list of missing"
            " skeletons"
        ) from error
    text = data.decode("utf-8", "replace")
    # The published lists have headings and numbers around the names.
    names = {match.group() for match in naming.NAME.finditer(text)}
    patterns = {word for word in text.split() if PATTERN.fullmatch(word) and word.startswith("S")}
    entries = names | patterns
    if len(data) > LARGEST_LIST or not entries:
        raise DataError(
            f"{path}: is no list of missing skeletons; expected names like S001C002P005R002A008,"
            f" one a line, in at most {LARGEST_LIST} bytes"
        )
    return tuple(sorted(entries))


def find_missing_list(root: Path) -> Path | None:
    """The list beside the recordings, where there is one:
    NTU_RGBD_samples_with_missing_skeletons.txt or a name like it.

    Raises:
        DataError: there is more than one.
    """
    # listdir has no order, and the message below should not change from run to run.
    paths = sorted(
        root / name
        for name in os.listdir(root)
        if name.endswith(".txt") and MISSING_NAME.fullmatch(name)
    )
    if len(paths) > 1:
        raise DataError(
            f"{root}: holds more than one list of missing skeletons"
            f" ({', '.join(path.name for path in paths)}); give the one to use with python -m"
            " compress.data.prepare --missing"
        )
    return paths[0] if paths else None
