"""Raw recordings in a folder, and a shard of prepared clips: what one worker makes of a few hundred
of them.

A shard is one `.npz` file: `frames`, the clips (3, T, 25, 2) float32 one behind the other, is
memory-mapped where it lies.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compress.data.ntu import clean, names as ntu_names, skeleton_text
from teachers import storage
from teachers.errors import DataError

SUFFIX = ".skeleton"
MISSING_NAME = re.compile(
    r".*missing.*skeletons?.*\.txt", re.IGNORECASE
)  # as its publishers call the list
LARGEST_LIST = 1_000_000  # bytes; the published lists have about 20 kB
PATTERN = re.compile(r"[SCPRA0-9*?\[\]-]*[*?\[][SCPRA0-9*?\[\]-]*")
NO_BODY, NO_NUMBERS = "no body", "no finite coordinates"


@dataclass(frozen=True)
class Source:
    """A folder of recordings: files as (path relative to it, bytes, modified in ns), by name and
    then by path."""

    root: Path
    files: tuple[tuple[str, int, int], ...]


def holds_recordings(root: Path) -> bool:
    """Whether there is a `.skeleton` file in the folder, or in a folder in it."""
    return root.is_dir() and next(_walk(root), None) is not None


def listing(root: Path) -> Source:
    """All `.skeleton` files of a folder and of the folders in it; links to folders are not
    followed.

    Raises:
        DataError: there is none, or the folder cannot be read.
    """
    try:
        files = [
            (name, (stat := entry.stat()).st_size, stat.st_mtime_ns) for name, entry in _walk(root)
        ]
    except OSError as error:
        raise DataError(
            f"{root}: cannot be listed ({error.strerror}); check its permissions"
        ) from error
    if not files:
        raise DataError(
            f"{root}: holds no {SUFFIX} file, nor do the folders in it; give the folder that"
            f" S001C001P001R001A001{SUFFIX} and the others are in"
        )
    return Source(
        root, tuple(sorted(files, key=lambda file: (file[0].rpartition("/")[2], file[0])))
    )


def _walk(root: Path) -> Iterator[tuple[str, os.DirEntry]]:
    """(path relative to the root, entry) of recordings."""
    folders = [""]
    for folder in folders:
        with os.scandir(root / folder) as entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX) and entry.is_file():
                    yield (f"{folder}/{entry.name}" if folder else entry.name), entry
                elif (
                    not folder
                    and entry.is_dir(follow_symlinks=False)
                    and not entry.name.startswith(".")
                ):
                    folders.append(entry.name)


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
    found = {found.group() for found in ntu_names.NAME.finditer(text)} | {
        word for word in text.split() if PATTERN.fullmatch(word) and word.startswith("S")
    }
    if len(data) > LARGEST_LIST or not found:
        raise DataError(
            f"{path}: is no list of missing skeletons; expected names like S001C002P005R002A008,"
            f" one a line, in at most {LARGEST_LIST} bytes"
        )
    return tuple(sorted(found))


def find_missing_list(root: Path) -> Path | None:
    """The list beside the recordings, where there is one:
    NTU_RGBD_samples_with_missing_skeletons.txt or a name like it.

    Raises:
        DataError: there is more than one.
    """
    found = sorted(
        root / name
        for name in os.listdir(root)
        if name.endswith(".txt") and MISSING_NAME.fullmatch(name)
    )
    if len(found) > 1:
        raise DataError(
            f"{root}: holds more than one list of missing skeletons"
            f" ({', '.join(path.name for path in found)}); give the one to use with python -m"
            " compress.data.prepare --missing"
        )
    return found[0] if found else None


def make(task: dict) -> dict:
    """Prepare one shard: {root, files, preparation, target} -> `summary` of the file it wrote.

    Raises:
        StorageError: it cannot be written.
    """
    clips, names, lengths, skipped, repaired = [], [], [], [], []
    for file in task["files"]:
        name = os.path.basename(file)[: -len(SUFFIX)]
        try:
            recording = skeleton_text.read(Path(task["root"]) / file)
        except DataError as error:
            skipped.append(
                [
                    file,
                    skeleton_text.kind_of(error),
                    str(error).removeprefix(f"{Path(task['root']) / file}: "),
                ]
            )
            continue
        clip, repairs = clean.prepare(recording, task["preparation"])
        if clip is None:
            broken = any(not np.isfinite(body.joints).all() for body in recording.bodies.values())
            skipped.append(
                [file, NO_NUMBERS, "every frame holds NaN"]
                if broken
                else [file, NO_BODY, "nobody is in any frame"]
            )
            continue
        clips.append(clip.ravel())
        names.append(name)
        lengths.append(clip.shape[1])
        repaired += [[file, "; ".join(repairs)]] if repairs else []
    frames = np.concatenate(clips) if clips else np.zeros(0, np.float32)
    arrays = {
        "names": np.array(names, f"S{ntu_names.LENGTH}"),
        "lengths": np.array(lengths, np.int64),
        "frames": frames,
    }
    digest = hashlib.sha256(frames).hexdigest()
    target = Path(task["target"])
    storage.write_arrays(
        target,
        arrays,
        {"skipped": skipped, "repaired": repaired, "digest": digest, "files": len(task["files"])},
    )
    return summary(target)


def summary(path: Path) -> dict | None:
    """All of a shard but its frames, as JSON, with the size of the file; None where there is no
    whole one."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            meta = json.loads(archive[storage.META].tobytes().decode())
            named = {
                "names": [name.decode() for name in archive["names"].tolist()],
                "lengths": archive["lengths"].tolist(),
            }
        return {**meta, **named, "size": path.stat().st_size}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
