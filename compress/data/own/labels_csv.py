"""`labels.csv` of a folder of own clips: which class a clip has, and which split it is in."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from compress.data import split_names
from compress.data.bad_clips import BadClips
from compress.data.clutter import is_clutter
from compress.data.data_report import counted, shortened
from compress.data.own.dataset_yaml import ENCODING_FIX
from compress.data.own.paths import LABELS, Folder
from compress.data.text_files import read_text
from teachers.errors import DataError

# Bytes; a million clips.
LARGEST_FILE = 64_000_000
# Letters. Labels are printed in tables and on axes.
LONGEST_LABEL = 200
NEEDED = ("file", "label")
# Spreadsheets of half of Europe write semicolons; some programs write tabs.
DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True)
class Entry:
    """One line of `labels.csv`.

    Attributes:
        line: its number.
        name: the clip's, its path in the folder.
        path: the file to open.
        label: as it is written.
        split: train, val or test; None where there is no such column.
        written: the split as it is written.
        source: the file whose line it is.
    """

    line: int
    name: str
    path: Path
    label: str
    split: str | None
    written: str | None = None
    source: str = LABELS

    @property
    def removal(self) -> str:
        """How to take the clip out of the set, in words."""
        if self.source == LABELS:
            return f"remove line {self.line} of {LABELS}"
        return f"take it out of {self.source}"


@dataclass(frozen=True)
class Listing:
    """What `labels.csv` names.

    Attributes:
        entries: the clips that can be used, sorted by their names; their splits are train and val.
        lines: how many clips are named, those that cannot be used included.
        unused: columns that are not used.
        notes: what was taken for granted or left out, in words.
        classes: where the file has them in an order.
    """

    entries: tuple[Entry, ...]
    lines: int
    unused: tuple[str, ...]
    notes: tuple[str, ...]
    classes: tuple[str, ...] | None = None


def read(folder: Folder, bad: BadClips, encoding: str | None = None) -> Listing:
    """What `labels.csv` says. A line that cannot be used is a bad clip: an unknown split, no label,
    a file that is not there or lies outside, a clip that another line names.

    Args:
        encoding: of the file, where it is not UTF-8 and no mark at its start says what it is.
    Raises:
        DataError: no such file, no CSV with the columns file and label, no line.
    """
    where = folder.root / LABELS
    header, rows = _rows(read_text(where, LARGEST_FILE, encoding, ENCODING_FIX), where)
    for column in NEEDED:
        if header.count(column) != 1:
            raise DataError(
                f"{where}: line 1: the columns are {listed(header)}; there must be one called"
                f" {column!r} (file,label or file,label,split)"
            )
    entries = []
    clutter = []
    for number, row in rows:
        whole = len(row) == len(header)
        file, label = (row[header.index(column)] if whole else "" for column in NEEDED)
        # Who lists a folder with a program lists what macOS left in it, too.
        if is_clutter(file):
            clutter.append(file)
            continue
        name = file or f"line {number}"
        # The class is known although the clip cannot be used, and keeps its place.
        known = label if is_label(label) else None
        entry = bad.attempt(name, partial(_entry, folder, where, number, header, row), known)
        if entry is not None:
            entries.append(entry)
    lines = len(rows) - len(clutter)
    if not lines:
        raise DataError(f"{where}: names no clip; write a line for each")
    entries, notes = _two_splits(_unique(entries, folder, bad, where))
    if clutter:
        notes.append(
            f"{counted(len(clutter), 'file')} of the system, not read: {shortened(clutter)}"
        )
    unused = {column or "(no name)" for column in set(header) - {*NEEDED, "split"}}
    return Listing(tuple(entries), lines, tuple(sorted(unused)), tuple(notes))


def _rows(text: str, where: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """(the columns in small letters, (number, cells) of every line that is not empty)."""
    first = text.partition("\n")[0]
    fitting = [mark for mark in DELIMITERS if set(NEEDED) <= set(_cells(first, mark))]
    # newline="": csv finds the ends of lines by itself, as a quoted cell may hold some.
    rows = csv.reader(
        io.StringIO(text, newline=""), strict=True, delimiter=fitting[0] if fitting else ","
    )
    try:
        header = [cell.strip().lower() for cell in next(rows, [])]
        # All of them inside `try`: what is wrong with a row is raised when it is asked for.
        lines = [(rows.line_num, [cell.strip() for cell in row]) for row in rows]
    except csv.Error as error:
        raise DataError(
            f"{where}: line {rows.line_num}: not CSV ({error}); write it as file,label with a line"
            " for each clip"
        ) from error
    # Spreadsheets save empty rows as lines of commas.
    return header, [(number, row) for number, row in lines if any(row)]


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip(' \r"').lower() for cell in line.split(delimiter)]


def _entry(folder: Folder, where: Path, number: int, header: list[str], row: list[str]) -> Entry:
    """
    Raises:
        DataError: the line cannot be used.
    """
    place = f"{where}: line {number}"
    if len(row) != len(header):
        raise DataError(
            f"{place}: has {len(row)} columns, the first line {len(header)}; quote text with a"
            " comma"
        )
    cells = dict(zip(header, row, strict=True))
    label = cells["label"]
    if not is_label(label):
        raise DataError(
            f"{place}: the label is {label[:60]!r}, expected a word or a number; give the clip its"
            " class"
        )
    written = cells.get("split")
    split = None if written is None else split_names.meaning(written)
    if written is not None and split is None:
        raise DataError(f"{place}: the split is {written[:60]!r}, expected train or val")
    name, path = folder.find(cells["file"], place)
    return Entry(number, name, path, label, split, written)


def is_label(label: str) -> bool:
    """Whether a text can be a label."""
    return 0 < len(label) <= LONGEST_LABEL and label.isprintable()


def _unique(entries: Sequence[Entry], folder: Folder, bad: BadClips, where: Path) -> list[Entry]:
    """The entries of clips that are named once, or several times alike, sorted by name."""
    # By the file behind a name: links and "./" make two names of one clip.
    by_file: dict[Path, list[Entry]] = {}
    for entry in entries:
        by_file.setdefault(folder.file_of(entry.path), []).append(entry)
    kept = []
    for first, *others in by_file.values():
        wrong = list(others)
        # Two labels of one clip: neither line can be believed.
        if any((first.label, first.split) != (other.label, other.split) for other in others):
            wrong.append(first)
        else:
            kept.append(first)
        for entry in wrong:
            lines = f"lines {first.line} and {others[0].line}"
            problem = f"{where}: {lines} both name {entry.name!r}; remove one of them"
            bad.add(entry.name, problem, entry.label)
    # By name: the draw of validating clips must not depend on how somebody sorted the lines.
    return sorted(kept, key=lambda entry: entry.name)


def _two_splits(entries: list[Entry]) -> tuple[list[Entry], list[str]]:
    """The entries that train and validate, and the notes on how splits are written."""
    notes = []
    present = {entry.split for entry in entries}
    both = {split_names.VAL, split_names.TEST} <= present
    if both:
        # Models are chosen on val; a test set that took part in that would be none.
        test = [entry.name for entry in entries if entry.split == split_names.TEST]
        notes.append(
            f"{counted(len(test), 'clip')} of the split test not used, as there is a split val:"
            f" {shortened(test)}"
        )
        entries = [entry for entry in entries if entry.split != split_names.TEST]
    meant = []
    spellings: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        split = split_names.VAL if entry.split == split_names.TEST else entry.split
        meant.append(replace(entry, split=split))
        if split is not None and entry.written is not None and entry.written != split:
            spellings[entry.written, split] += 1
    if spellings:
        words = [f"{written} = {split}" for written, split in sorted(spellings)]
        notes.append(
            f"{counted(spellings.total(), 'clip')} with the split in another word:"
            f" {shortened(words)}"
        )
    return meant, notes


def listed(names: Sequence[str]) -> str:
    """The first names, on one line."""
    shown = [name[:40] for name in names[:8]]
    if len(names) > len(shown):
        shown.append("...")
    return ", ".join(shown)
