"""BABEL (Punnakkal et al., CVPR 2021, arXiv 2106.09696): actions of everyday motion, one person,
few classes with most of the clips.

Reads the public features as they are: `train_ntu_sk_60.npy` and `val_ntu_sk_60.npy` (N, 3, 150, 25,
1), or those of 120 classes, with `{train,val}_label_60.pkl` = [segments, [labels, sequences,
chunks, annotations]]. `action_label_2_idx.json` beside them, if it is there, names the classes. The
same clips as `babel60_train.pkl` and `babel60_val.pkl` of mmaction2 are read by the data set
`pyskl`.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from compress.data import ntu
from compress.data.arrays import content, open_npy
from compress.data.dataset import Dataset
from compress.data.ntu import prepared
from compress.data.ntu.prepared import Part
from teachers.errors import DataError
from teachers.skeleton import NTU_25
from teachers.weights import safe_pickle

INPUT = "loop"
INPUT_DEFAULTS = {"frames": 150, "normalise": "none"}  # five seconds; as mmaction2 trains it
NAMES = "action_label_2_idx.json"
LARGEST_NAMES = 10_000_000  # bytes
LARGEST_LABELS = 200_000_000


@dataclass(frozen=True)
class Config:
    """Recipe keys; `root` is the folder, `benchmark` the number of classes (null: the only one
    there is)."""

    root: str
    benchmark: Literal[60, 120] | None = None

    def __post_init__(self):
        if self.benchmark not in (None, 60, 120):
            raise ValueError("benchmark: must be 60 or 120")


def load(config: Config, seed: int, progress=None) -> Dataset:
    """Find the files, look at every clip once, leave them on disk.

    Raises:
        DataError: nothing or more than one thing to read, or content that cannot be used; file,
            place and fix are named.
    """
    root = Path(config.root).expanduser()
    found = [
        count
        for count in (60, 120)
        if config.benchmark in (None, count) and (root / f"train_ntu_sk_{count}.npy").is_file()
    ]
    if len(found) != 1:
        raise DataError(
            f"{root}: holds both 60 and 120 classes; choose with data.benchmark"
            if found
            else (
                f"{root}: holds no train_ntu_sk_{config.benchmark or 60}.npy; give data.root the"
                " folder of BABEL's features, train_ntu_sk_60.npy, train_label_60.pkl and the same"
                " of val"
            )
        )
    classes = found[0]
    (train, first), (val, second) = (_part(root, split, classes) for split in ("train", "val"))
    splits, survey = ntu.examine((train, val), progress, "BABEL")
    return Dataset(
        "babel",
        *splits,
        _names(root / NAMES, classes),
        NTU_25,
        persons=1,
        channels=3,
        fingerprint=survey.digest.hexdigest(),
        notes=(
            *survey.notes(),
            *first,
            *second,
            *ntu.overlap((train, val)),
            *_tail(train.labels, classes),
        ),
        input=INPUT,
    )


def _part(root: Path, split: str, classes: int) -> tuple[Part, list[str]]:
    """(one split, notes on it)."""
    path, data = (
        root / f"{split}_label_{classes}.pkl",
        open_npy(root / f"{split}_ntu_sk_{classes}.npy"),
    )
    where = str(root / f"{split}_ntu_sk_{classes}.npy")
    if (
        data.ndim != 5
        or data.shape[1] != 3
        or data.shape[3:] != (25, 1)
        or 0 in data.shape
        or data.dtype.kind != "f"
    ):
        raise DataError(
            f"{where} has shape {data.shape} of {data.dtype}, expected (N, 3, frames, 25, 1) of"
            " floats, at least one clip"
        )
    try:
        segments, (labels, *others) = safe_pickle.load(
            content(path, LARGEST_LABELS), str(path), DataError
        )
        names = ["_".join(map(_word, parts)) for parts in zip(segments, *others, strict=True)]
        labels = np.asarray(labels)
        if labels.dtype.kind not in "iu" or labels.shape != (len(names),):
            raise ValueError(
                f"{len(names)} segments, labels {labels.dtype} of shape {labels.shape}"
            )
    except (ValueError, TypeError) as error:
        raise DataError(
            f"{path}: expected [segments, [labels, sequences, chunks, annotations]], as many of"
            f" each ({error}); copy it again"
        ) from error
    if len(labels) != len(data):
        raise DataError(
            f"{where} has {len(data)} clips, but {path.name} has {len(labels)} labels; they must"
            " come from the same download"
        )
    if (wrong := np.flatnonzero((labels < 0) | (labels >= classes))).size:
        raise DataError(
            f"{path}: label {labels[wrong[0]]} of {names[wrong[0]]!r} (entry {wrong[0]}) is outside"
            f" 0-{classes - 1}"
        )
    unique, notes = _told_apart(names, path)
    return Part(where, data, labels.astype(np.int64), unique, classes), notes


def _word(part: object) -> str:
    return (
        str(part)
        if isinstance(part, (int, np.integer)) and abs(part) < 2**63
        else prepared.text(part)
    )


def _told_apart(names: list[str], path: Path) -> tuple[tuple[str, ...], list[str]]:
    """Names that are there once each: one seen before gets a number behind it; and the note that
    says so."""
    seen, unique = Counter(), []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    repeated = len(names) - len(seen)
    return tuple(unique), [
        f"{path.name}: {repeated} clip{'s' * (repeated > 1)} named like another, told apart by a"
        " number"
    ] * bool(repeated)


def _tail(labels: np.ndarray, classes: int) -> list[str]:
    """The note on how unequal the classes are."""
    counts = np.bincount(labels, minlength=classes)
    return [
        f"classes have {counts.min()} to {counts.max()} clips to train on, median"
        f" {int(np.median(counts))}; `focal` of a train step weighs them, class_mean judges them"
        " alike"
    ]


def _names(path: Path, classes: int) -> tuple[str, ...]:
    """The names in {name: number}, as far as they are known."""
    known: dict[int, str] = {}
    if path.is_file():
        try:
            numbers = json.loads(content(path, LARGEST_NAMES))
            known = {number: name for name, number in numbers.items() if type(number) is int}
        except (ValueError, AttributeError, RecursionError) as error:
            raise DataError(
                f"{path}: expected {{name: number}} ({error}); copy it again, or remove it"
            ) from error
    return tuple(known.get(index, f"class {index}") for index in range(classes))
