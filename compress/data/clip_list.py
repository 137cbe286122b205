"""Clips to classify, however they are named: files, folders of them, lists of paths, files with
many. A bad one is reported and the rest are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compress.data import clips, poses
from compress.data.pyskl import recordings
from compress.process import console
from teachers.errors import DataError, printable
from teachers.storage.bounded import read_bytes

# Text with a path on every line.
LISTS = (".txt", ".list")
CLIPS = (".skeleton", ".json", ".csv", ".npy", ".npz", ".pkl")
# Bytes: a million long paths.
LARGEST_LIST = 200_000_000
# From so many files on, the reader of a terminal wants to know how far it is.
MANY = 20


@dataclass(frozen=True)
class Clip:
    """A clip that was asked for.

    Attributes:
        file: where it is from.
        name: what it is called; one file may hold many.
        raw: (C, T, V, M) float32; None where it cannot be read.
        problem: why not, with file, place and fix.
        notes: what was taken for granted in reading it.
    """

    file: Path
    name: str
    raw: np.ndarray | None
    problem: str = ""
    notes: tuple[str, ...] = ()


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The files that these name, in their order: a folder stands for the clips right in it, sorted
    by name, unless it is one clip itself, with a file a frame; a list for the paths in it.

    Paths in a list are relative to the working directory, else to the list's own folder. Empty
    lines and those that start with # are left out.

    Raises:
        DataError: a folder or a list without clips, or a list that is no text.
    """
    found = []
    for path in paths:
        if poses.is_folder_of_frames(path):
            found.append(path)
        elif path.is_dir():
            inside = sorted(each for each in path.iterdir() if _is_clip(each))
            if not inside:
                raise DataError(f"{path}: a folder without clips; they end in {', '.join(CLIPS)}")
            found += inside
        elif path.suffix.lower() in LISTS and path.is_file():
            found += files_of(_listed(path))
        else:
            found.append(path)
    return found


def _is_clip(path: Path) -> bool:
    if path.is_dir():
        return poses.is_folder_of_frames(path)
    return path.suffix.lower() in CLIPS


def _listed(path: Path) -> list[Path]:
    try:
        text = read_bytes(path, LARGEST_LIST).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is no UTF-8 text; give a list with one path a line") from error
    lines = [line.strip() for line in text.splitlines()]
    named = [Path(line).expanduser() for line in lines if line and not line.startswith("#")]
    if not named:
        raise DataError(f"{path}: names no clips; give one path a line")
    # A list in a list could name itself, and so never end.
    if any(each.suffix.lower() in LISTS for each in named):
        raise DataError(f"{path}: names another list; give the paths of clips themselves")
    return [each if each.exists() else path.parent / each for each in named]


def read(
    paths: Iterable[Path], recorded: dict[str, Any], image: tuple[int, int] | None = None
) -> Iterator[Clip]:
    """Every clip of these files, read when it is its turn.

    Args:
        recorded, image: as in `compress.data.pyskl.recordings`.
    """
    files = list(paths)
    with console.bar("reading clips", len(files), "files") as advance:
        for path in files:
            yield from _of_file(path, recorded, image)
            if len(files) >= MANY:
                advance(1)


def _of_file(path: Path, recorded: dict[str, Any], image: tuple[int, int] | None) -> Iterator[Clip]:
    try:
        if path.suffix == ".pkl" and path.is_file():
            for name, read_one in recordings.recordings(path, recorded, image):
                yield _tried(path, name, read_one)
            return
        notes: list[str] = []
        for name, raw in clips.read_clip(path, recorded, notes.append):
            yield Clip(path, name, raw, notes=tuple(notes))
    except DataError as error:
        yield Clip(path, path.stem, None, str(error))


def _tried(path: Path, name: str, read_one: recordings.Read) -> Clip:
    try:
        return Clip(path, printable(name), read_one())
    except DataError as error:
        return Clip(path, printable(name), None, str(error))
