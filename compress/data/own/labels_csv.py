"""`labels.csv` of a folder of own clips: which class a clip has, and which clips validate.

No line leads out of the folder: absolute paths, `..` and links to elsewhere are refused.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from compress.data.own import dataset_yaml
from compress.data.own.dataset_yaml import Holdout
from compress.data.text_files import read_text
from teachers.errors import DataError

NAME = "labels.csv"
KINDS = (".npy", ".csv", ".json")
# Bytes; a million clips.
LARGEST_FILE = 64_000_000
# Letters. Labels are printed in tables and on axes.
LONGEST_LABEL = 200


@dataclass(frozen=True)
class Entry:
    """One line of `labels.csv`: its number, the clip's name (its path in the folder) and file, and
    what the line says."""

    line: int
    name: str
    path: Path
    label: str
    split: str | None


def read(root: Path) -> tuple[list[Entry], tuple[str, ...]]:
    """(the lines of `labels.csv` sorted by the clips' names, the columns that are not used).

    Raises:
        DataError: no such file, no CSV with the columns file and label, a clip that is named twice,
            is missing or lies outside the folder; the line is named.
    """
    where = root / NAME
    # newline="": csv finds the ends of lines by itself, as a quoted cell may hold some.
    text = io.StringIO(read_text(where, LARGEST_FILE), newline="")
    rows = csv.reader(text, strict=True)
    try:
        header = [cell.strip().lower() for cell in next(rows, [])]
        # All of them inside `try`: what is wrong with a row is raised when it is asked for.
        lines = [(rows.line_num, [cell.strip() for cell in row]) for row in rows]
    except csv.Error as error:
        raise DataError(
            f"{where}: line {rows.line_num}: not CSV ({error}); write it as file,label with a line"
            " for each clip"
        ) from error
    for column in ("file", "label"):
        if header.count(column) != 1:
            raise DataError(
                f"{where}: line 1: the columns are {listed(header)}; there must be one called"
                f" {column!r} (file,label or file,label,split)"
            )
    entries: dict[Path, Entry] = {}
    for number, row in lines:
        # Spreadsheets save empty rows as lines of commas.
        if not any(row):
            continue
        if len(row) != len(header):
            raise DataError(
                f"{where}: line {number}: has {len(row)} columns, the first line {len(header)};"
                " quote text with a comma"
            )
        entry = _entry(root, where, number, dict(zip(header, row, strict=True)))
        # By the file behind a name: links and "./" make two names of one clip.
        same = entries.setdefault(entry.path, entry)
        if same is not entry:
            raise DataError(
                f"{where}: lines {same.line} and {number} both name {entry.name!r}; remove one of"
                " them"
            )
    if not entries:
        raise DataError(f"{where}: names no clip; write a line for each")
    # By name: the draw of validating clips must not depend on how somebody sorted the lines.
    ordered = sorted(entries.values(), key=lambda entry: entry.name)
    unused = tuple(sorted(set(header) - {"file", "label", "split"}))
    return ordered, unused


def unnamed(root: Path, entries: Sequence[Entry]) -> list[str]:
    """The files that could be clips, but that `labels.csv` does not name."""
    # labels.csv itself is a .csv in the folder.
    named = {entry.path for entry in entries}
    return sorted(
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.suffix.lower() in KINDS
        and path != root / NAME
        and path.is_file()
        and path.resolve() not in named
    )


def validating(
    entries: Sequence[Entry], labels: np.ndarray, holdout: Holdout | None, where: Path
) -> np.ndarray:
    """(n,) bool: which clips validate.

    Raises:
        DataError: nothing says so, both files do, or one of the two parts would be empty.
    """
    split = [entry.split for entry in entries]
    if holdout is None and None in split:
        raise DataError(
            f"{where}: nothing says which clips validate; add a column split (train or val), or to"
            f" {dataset_yaml.NAME} `split: {{fraction: 0.2, seed: 1}}` or `split: {{val: [P03,"
            " P07]}` (how file names begin)"
        )
    if holdout is not None and any(split):
        raise DataError(
            f"{where}: has a column split, and {dataset_yaml.NAME} has the key split; remove one of"
            " them"
        )
    if holdout is None:
        chosen = np.array([part == "val" for part in split])
    elif holdout.fraction is None:
        chosen = _named(entries, holdout.val, where)
    else:
        chosen = _drawn(labels, holdout.fraction, holdout.seed)
    if chosen.all():
        raise DataError(
            f"{where}: all {len(entries)} clips validate, so nothing is left to train on; change"
            " the split"
        )
    if not chosen.any():
        raise DataError(
            f"{where}: all {len(entries)} clips train, so nothing is left to validate with; change"
            " the split"
        )
    return chosen


def _named(entries: Sequence[Entry], starts: tuple[str, ...], where: Path) -> np.ndarray:
    chosen = np.zeros(len(entries), bool)
    names = [PurePosixPath(entry.name).name for entry in entries]
    for start in starts:
        # fnmatchcase, as fnmatch ignores case on some systems: the split would differ by machine.
        fits = np.array([fnmatchcase(name, start + "*") for name in names])
        if not fits.any():
            raise DataError(
                f"{where}: no file name begins with {start!r} (split.val in {dataset_yaml.NAME});"
                f" the first is {names[0]!r}"
            )
        chosen |= fits
    return chosen


def _drawn(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """The fraction of every class, one clip or more where it has two."""
    generator = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    # Class by class: of the whole set at once, a rare class could be left without a clip to judge
    # it by.
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        count = max(round(fraction * len(members)), 1)
        # A class of one clip trains with it.
        count = min(count, len(members) - 1)
        chosen[members[:count]] = True
    return chosen


def _entry(root: Path, where: Path, number: int, row: dict[str, str]) -> Entry:
    label = row["label"]
    split = row.get("split")
    place = f"{where}: line {number}"
    if not label or len(label) > LONGEST_LABEL or not label.isprintable():
        raise DataError(
            f"{place}: the label is {label[:60]!r}, expected a word or a number; give the clip its"
            " class"
        )
    if split not in (None, "train", "val"):
        raise DataError(f"{place}: the split is {split[:60]!r}, expected train or val")
    name, path = _inside(root, row["file"], place)
    return Entry(number, name, path, label, split)


def _inside(root: Path, file: str, place: str) -> tuple[str, Path]:
    """(the name, the file) that a line means, which lies in the folder."""
    # A labels.csv that was written on Windows is read too.
    pure = PurePosixPath(file.replace("\\", "/"))
    shown = repr(file[:200])
    if not file or pure.is_absolute() or PureWindowsPath(file).drive or ".." in pure.parts:
        raise DataError(
            f"{place}: file {shown} is no path inside the folder; write it as seen from {root},"
            " without .."
        )
    if pure.suffix.lower() not in KINDS:
        raise DataError(f"{place}: file {shown} is no kind of clip; known: {', '.join(KINDS)}")
    try:
        path = (root / pure).resolve(strict=True)
    # ValueError: a name with NUL; RuntimeError: links in a circle, before Python 3.13.
    except (OSError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{place}: file {shown} is not in {root}; copy it there, or remove the line"
        ) from error
    # After links are followed: a folder from elsewhere must not read what is outside it.
    if not path.is_relative_to(root.resolve()):
        raise DataError(f"{place}: file {shown} leads out of the folder; copy the file into it")
    if not path.is_file():
        raise DataError(f"{place}: {shown} is no file; remove the line")
    return pure.as_posix(), path


def listed(names: Sequence[str]) -> str:
    """The first names, on one line."""
    shown = [name[:40] for name in names[:8]]
    if len(names) > len(shown):
        shown.append("...")
    return ", ".join(shown)
