"""Saved scores: the logits of networks on a split, with what they belong to. Files are `.npz` without
pickles.

`scores.npz` of a run has all that it judged on the whole split, in float16: enough to count every
table again, without data or network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import numpy as np

from compress.data.dataset import Dataset
from teachers import storage
from teachers.errors import DataError, printable

FORMAT = "featherbone-scores"
FORMAT_ALL = "featherbone-results"
NAME = "scores.npz"
# What a file of strangers may claim: 200 results of NTU 120's 51,000 clips and 120 classes in float16
# have 2.5 GB.
MOST_RESULTS = 200
# Of float16, below a clip's largest logit: further down a score is 0 in any precision.
LOWEST = -30000.0


@dataclass(frozen=True)
class Scores:
    """Logits (n, K) of the samples `names` with their labels (n,); `title` says of what network."""

    title: str
    names: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray


def save(path: Path, scores: Scores) -> None:
    """Write one network's scores, atomically."""
    storage.write_arrays(
        path,
        {"labels": scores.labels, "logits": scores.logits},
        {"format": FORMAT, "version": 1, "title": scores.title, "names": list(scores.names)},
    )


def load(path: Path) -> Scores:
    """Scores that `save` wrote.

    Raises:
        DataError: another kind of file, or one whose parts do not fit together.
        CheckpointError: missing or damaged.
    """
    arrays, meta = storage.read_arrays(path)
    if meta.get("format") != FORMAT or set(arrays) != {"labels", "logits"}:
        raise DataError(f"{path}: holds no scores; write them with benchmarks/fusion.py --dump")
    # Files come from other machines and older commits, so what is in them is checked, not believed.
    labels, logits, names = arrays["labels"], arrays["logits"], tuple(map(str, meta["names"]))
    if (
        logits.ndim != 2
        or labels.shape != (len(logits),)
        or len(names) != len(logits)
        or not np.isfinite(logits).all()
    ):
        raise DataError(
            f"{path}: its {logits.shape} logits, {labels.shape} labels and {len(names)} names do"
            " not fit together, or are not finite; write them again with benchmarks/fusion.py"
            " --dump"
        )
    return Scores(str(meta["title"]), names, labels.astype(np.int64), logits)


def aligned(several: list[Scores]) -> list[Scores]:
    """The same scores in the order of the first one's samples.

    Raises:
        DataError: they are not of the same samples, labels or classes.
    """
    first = several[0]
    # By name: a file of another run may have the split in another order.
    place = {name: index for index, name in enumerate(first.names)}
    ordered = []
    for one in several:
        if len(one.names) != len(place) or set(one.names) != set(place):
            odd = sorted(set(one.names) ^ set(place))[:1] or [f"{len(one.names)} samples"]
            raise DataError(
                f"scores of {one.title!r} and {first.title!r} are not of the same samples"
                f" ({odd[0]}); use one split for all"
            )
        if one.logits.shape[1] != first.logits.shape[1]:
            raise DataError(
                f"scores of {one.title!r} have {one.logits.shape[1]} classes, those of"
                f" {first.title!r} {first.logits.shape[1]}"
            )
        # Places are a permutation by now, so sorting them is its inverse.
        order = np.argsort([place[name] for name in one.names])
        if not np.array_equal(one.labels[order], first.labels):
            raise DataError(
                f"scores of {one.title!r} and {first.title!r} disagree about labels; use one split"
                " for all"
            )
        ordered.append(Scores(one.title, first.names, first.labels, one.logits[order]))
    return ordered


@dataclass(frozen=True)
class Results:
    """What several networks answered on one split.

    Attributes:
        names, labels: of the clips (n,); `copies` (n,) bool are training clips again.
        logits: (n, K) float16 by the network's name: each clip's largest one is 0.
    """

    dataset: str
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: np.ndarray
    copies: np.ndarray
    logits: dict[str, np.ndarray]


def save_all(path: Path, dataset: Dataset, results: dict[str, np.ndarray]) -> None:
    """Write logits (n, K) on the validation split by name, atomically, with two bytes a number."""
    val = dataset.val
    none = np.zeros(len(val), bool)
    arrays = {
        "labels": np.asarray(val.labels, np.int32),
        "copies": none if val.copies is None else val.copies,
    }
    # Numbered: a name in an archive is a file name, and these have spaces.
    for number, logits in enumerate(results.values()):
        arrays[f"logits{number}"] = quantised(logits)
    meta = {
        "format": FORMAT_ALL,
        "version": 1,
        "dataset": dataset.name,
        "classes": list(dataset.classes),
        "names": list(val.names),
        "results": list(results),
    }
    storage.write_arrays(path, arrays, meta)


def load_all(path: Path) -> Results:
    """What `save_all` wrote.

    Raises:
        DataError: another kind of file, or one whose parts do not fit together.
        CheckpointError: missing or damaged.
    """
    arrays, meta = storage.read_arrays(path)
    wrong = DataError(
        f"{path}: holds no results of a run; give scores.npz of a run's folder, or the folder"
    )
    titles = meta.get("results")
    if meta.get("format") != FORMAT_ALL or meta.get("version") != 1 or not _texts(titles):
        raise wrong
    if not _texts(meta.get("classes")) or not _texts(meta.get("names")):
        raise wrong
    wanted = {"labels", "copies", *(f"logits{number}" for number in range(len(titles)))}
    if (
        set(arrays) != wanted
        or not 1 <= len(titles) <= MOST_RESULTS
        or len(set(titles)) < len(titles)
    ):
        raise wrong
    clips, classes = len(meta["names"]), len(meta["classes"])
    labels, copies = arrays["labels"], arrays["copies"]
    fits = labels.shape == copies.shape == (clips,) and clips > 0
    fits = fits and labels.dtype.kind == "i" and copies.dtype == bool
    logits = {title: arrays[f"logits{number}"] for number, title in enumerate(titles)}
    for each in logits.values():
        fits = fits and each.shape == (clips, classes) and each.dtype == np.float16
        fits = fits and bool(np.isfinite(each).all())
    if not fits or labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"{path}: its parts do not fit together; write it again with the run")
    return Results(
        printable(str(meta.get("dataset", ""))),
        tuple(map(printable, meta["classes"])),
        tuple(map(printable, meta["names"])),
        labels.astype(np.int64),
        copies,
        {printable(title): each for title, each in logits.items()},
    )


def _texts(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def quantised(logits: np.ndarray) -> np.ndarray:
    """Logits (n, K) as float16, each row's largest 0, in the very order that they had: top-1, top-5
    and every answer stay what they were."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    rounded = np.maximum(shifted, LOWEST).astype(np.float16)
    # As answers are counted: of equal logits the first class comes first.
    order = np.argsort(-logits, axis=1, kind="stable")
    rows = np.arange(len(logits))
    for rank in range(1, logits.shape[1]):
        before, here = order[:, rank - 1], order[:, rank]
        above = rounded[rows, before]
        # Equal is enough where the class that comes first has the smaller number.
        limit = np.where(before < here, above, np.nextafter(above, np.float16(-np.inf)))
        rounded[rows, here] = np.minimum(rounded[rows, here], limit)
    return rounded
