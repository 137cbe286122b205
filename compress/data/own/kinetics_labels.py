"""Kinetics-Skeleton's label files in place of `labels.csv`, as ST-GCN published them:
`kinetics_train/ID.json` with `kinetics_train_label.json`, {ID: {"has_skeleton", "label",
"label_index"}}, and the same of `val`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from compress.data.bad_clips import BadClips
from compress.data.clutter import is_clutter
from compress.data.data_report import counted, shortened
from compress.data.own.dataset_yaml import MOST_CLASSES
from compress.data.own.labels_csv import LARGEST_FILE, Entry, Listing, is_label
from compress.data.own.paths import Folder
from compress.data.poses.contract import whole
from teachers.errors import DataError
from teachers.storage import json_text
from teachers.storage.bounded import read_bytes

SPLITS = ("train", "val")
_ENDING = "_label.json"


def files(root: Path) -> list[Path]:
    """The label files of a folder, of training and validation; [] unless there is one of each."""
    found = [
        sorted(path for path in root.glob(f"*_{split}{_ENDING}") if not is_clutter(path.name))
        for split in SPLITS
    ]
    return [path for paths in found for path in paths] if all(map(len, found)) else []


def read(folder: Folder, bad: BadClips) -> Listing:
    """What the label files say; clips in which nobody was seen are left out. A clip that is not
    there is a bad one.

    Raises:
        DataError: they are no label files, or disagree on the classes.
    """
    entries = []
    nobody = []
    names: dict[int, str] = {}
    count = 0
    paths = files(folder.root)
    for path in paths:
        folder.add_named(path)
        content = json_text.parse(read_bytes(path, LARGEST_FILE), str(path))
        if not isinstance(content, dict) or not content:
            raise DataError(
                f'{path}: expected {{"ID": {{"has_skeleton": true, "label": "...", "label_index": 0}},'
                " ...}; copy it again"
            )
        for line, (clip, said) in enumerate(content.items(), start=1):
            if isinstance(said, dict) and said.get("has_skeleton") is False:
                nobody.append(clip)
                continue
            count += 1
            reader = partial(_entry, folder, path, line, clip, said, names)
            entry = bad.attempt(clip, reader, _label(said))
            if entry is not None:
                entries.append(entry)
    notes = [f"labels are those of {' and '.join(path.name for path in paths)}"]
    if nobody:
        notes.append(f"{counted(len(nobody), 'clip')} without a skeleton: {shortened(nobody)}")
    # The networks of Kinetics count classes so; an index without a clip keeps its place.
    last = max(names, default=-1)
    classes = tuple(names.get(index, f"class {index}") for index in range(last + 1))
    ordered = tuple(sorted(entries, key=lambda entry: entry.name))
    return Listing(ordered, count, (), tuple(notes), classes)


def _entry(
    folder: Folder, path: Path, line: int, clip: str, said: Any, names: dict[int, str]
) -> Entry:
    """
    Raises:
        DataError: the entry cannot be used.
    """
    place = f"{path}: {clip[:40]!r}"
    label = _label(said)
    index = whole(said.get("label_index")) if isinstance(said, dict) else None
    if label is None or index is None or index >= MOST_CLASSES:
        raise DataError(f"{place}: expected label and label_index; correct it, or take it out")
    if names.setdefault(index, label) != label:
        raise DataError(
            f"{place}: label_index {index} is {label!r}, elsewhere {names[index]!r}; correct it"
        )
    stem = path.name.removesuffix(_ENDING)
    name, file = folder.find(f"{stem}/{clip}.json", place)
    split = next(split for split in SPLITS if stem.endswith(split))
    return Entry(line, name, file, label, split, split, path.name)


def _label(said: Any) -> str | None:
    label = said.get("label") if isinstance(said, dict) else None
    return label if isinstance(label, str) and is_label(label) else None
