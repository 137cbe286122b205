"""BABEL (Punnakkal et al., CVPR 2021, arXiv 2106.09696): actions of everyday motion, one person,
few classes with most of the clips.

Reads the public features as they are: `train_ntu_sk_60.npy` and `val_ntu_sk_60.npy` (N, 3, 150, 25,
1), or those of 120 classes, with `{train,val}_label_60.pkl` = [segments, [labels, sequences,
chunks, annotations]]. `action_label_2_idx.json` beside them, if it is there, names the classes. The
same clips as `babel60_train.pkl` and `babel60_val.pkl` of mmaction2 are read by the data set
`pyskl`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from compress.data import ntu
from compress.data.arrays import open_npy
from compress.data.data_report import counted
from compress.data.dataset import Callback, Dataset
from compress.data.ntu.prepared_files import Part, name_text
from teachers.errors import DataError
from teachers.skeleton import NTU_25
from teachers.storage import json_text
from teachers.storage.bounded import read_bytes
from teachers.weights import safe_pickle

INPUT = "loop"
# Five seconds at 30 frames a second; as mmaction2 trains it.
INPUT_DEFAULTS = {"frames": 150, "normalise": "none"}
NAMES = "action_label_2_idx.json"
# Bytes; the public label files have a few megabytes.
LARGEST_NAMES = 10_000_000
LARGEST_LABELS = 200_000_000


@dataclass(frozen=True)
class Config:
    """Recipe keys; `root` is the folder, `benchmark` the number of classes (null: the only one
    there is), `skip_bad` leaves out clips that cannot be used."""

    root: str
    benchmark: Literal[60, 120] | None = None
    skip_bad: bool = False

    def __post_init__(self):
        if self.benchmark not in (None, 60, 120):
            raise ValueError("benchmark: must be 60 or 120")


def load(config: Config, seed: int, callback: Callback | None = None) -> Dataset:
    """Find the files, look at every clip once, leave them on disk.

    Raises:
        DataError: nothing or more than one thing to read, or content that cannot be used; file,
            place and fix are named.
    """
    root = Path(config.root).expanduser()
    classes = _find_classes(root, config.benchmark)
    train, train_notes = _part(root, "train", classes)
    val, val_notes = _part(root, "val", classes)
    # The arrays have NTU's shape and joints, so NTU's reader looks at them.
    names = _names(root / NAMES, classes)
    inspection = ntu.inspect(train, val, names, config.skip_bad, callback, "BABEL")
    return Dataset(
        "babel",
        inspection.train,
        inspection.val,
        names,
        NTU_25,
        persons=1,
        channels=3,
        fingerprint=inspection.fingerprint,
        notes=(
            *inspection.notes,
            *train_notes,
            *val_notes,
            *ntu.overlap(train, val),
            _class_sizes(inspection.train.labels, classes),
        ),
        input=INPUT,
        as_recorded=True,
        skipped=inspection.skipped,
    )


def _find_classes(root: Path, benchmark: int | None) -> int:
    """60 or 120: how many classes the files are of."""
    present = [
        count
        for count in (60, 120)
        if benchmark in (None, count) and (root / f"train_ntu_sk_{count}.npy").is_file()
    ]
    if not present:
        raise DataError(
            f"{root}: holds no train_ntu_sk_{benchmark or 60}.npy; give data.root the folder of"
            " BABEL's features, train_ntu_sk_60.npy, train_label_60.pkl and the same of val"
        )
    # Not the larger by default: accuracies over 60 and over 120 classes do not compare.
    if len(present) > 1:
        raise DataError(f"{root}: holds both 60 and 120 classes; choose with data.benchmark")
    return present[0]


def _part(root: Path, split: str, classes: int) -> tuple[Part, list[str]]:
    """(one split, notes on it)."""
    path = root / f"{split}_label_{classes}.pkl"
    where = str(root / f"{split}_ntu_sk_{classes}.npy")
    data = open_npy(Path(where))
    # One person: BABEL labels motion capture of people on their own.
    fits = data.ndim == 5 and data.shape[1] == 3 and data.shape[3:] == (25, 1)
    if not fits or 0 in data.shape or data.dtype.kind != "f":
        raise DataError(
            f"{where} has shape {data.shape} of {data.dtype}, expected (N, 3, frames, 25, 1) of"
            " floats, at least one clip"
        )
    names, labels = _names_and_labels(path)
    if len(labels) != len(data):
        raise DataError(
            f"{where} has {len(data)} clips, but {path.name} has {len(labels)} labels; they must"
            " come from the same download"
        )
    # A negative label would count from the end of the classes without an error.
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if wrong.size:
        raise DataError(
            f"{path}: label {labels[wrong[0]]} of {names[wrong[0]]!r} (entry {wrong[0]}) is outside"
            f" 0-{classes - 1}"
        )
    unique, notes = _unique_names(names, path)
    return Part(where, data, labels.astype(np.int64), unique, classes), notes


def _names_and_labels(path: Path) -> tuple[list[str], np.ndarray]:
    """(names of the clips, (n,) whole numbers) of a label pickle."""
    try:
        content: Any = safe_pickle.load(read_bytes(path, LARGEST_LABELS), str(path), DataError)
        segments, (numbers, *others) = content
        # A segment alone names several clips: long ones are cut into chunks.
        names = ["_".join(map(_word, parts)) for parts in zip(segments, *others, strict=True)]
        labels = np.asarray(numbers)
        if labels.dtype.kind not in "iu" or labels.shape != (len(names),):
            raise ValueError(
                f"{len(names)} segments, labels {labels.dtype} of shape {labels.shape}"
            )
    # Unpacking something of another form raises one of these; what is in a pickle can be anything.
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{path}: expected [segments, [labels, sequences, chunks, annotations]], as many of"
            f" each ({error}); copy it again"
        ) from error
    return names, labels


def _word(part: object) -> str:
    # Python refuses to print a whole number of thousands of digits, which a pickle can hold.
    if isinstance(part, (int, np.integer)) and abs(int(part)) < 2**63:
        return str(part)
    return name_text(part)


def _unique_names(names: list[str], path: Path) -> tuple[tuple[str, ...], list[str]]:
    """Names that occur once each: one seen before gets a number behind it; and the note that
    says so."""
    # A sequence with several annotations is in the set once for each; the rest of the project
    # knows a clip by its name.
    seen: Counter[str] = Counter()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    repeated = len(names) - len(seen)
    if not repeated:
        return tuple(unique), []
    note = f"{path.name}: {counted(repeated, 'clip')} named like another, told apart by a number"
    return tuple(unique), [note]


def _class_sizes(labels: np.ndarray, classes: int) -> str:
    """The note on how unequal the classes are."""
    # A few classes have most of the clips: accuracy alone would hide the rare ones.
    counts = np.bincount(labels, minlength=classes)
    return (
        f"classes have {counts.min()} to {counts.max()} clips to train on, median"
        f" {int(np.median(counts))}; `focal` of a train step weighs them, class_mean judges them"
        " alike"
    )


def _names(path: Path, classes: int) -> tuple[str, ...]:
    """The names in {name: number}, as far as they are known."""
    known: dict[int, str] = {}
    if path.is_file():
        try:
            numbers = json_text.parse(read_bytes(path, LARGEST_NAMES), str(path))
            # Not isinstance, for which true is the number 1.
            known = {number: name for name, number in numbers.items() if type(number) is int}
        except AttributeError as error:
            raise DataError(
                f"{path}: expected {{name: number}} ({error}); copy it again, or remove it"
            ) from error
    # A gap in the file costs a name, not the run: the names are for people only.
    return tuple(known.get(index, f"class {index}") for index in range(classes))
