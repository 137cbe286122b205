"""Saved scores: the logits of one network on a split, with what they belong to. Files are `.npz`
without pickles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from teachers import storage
from teachers.errors import DataError

FORMAT = "featherbone-scores"


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
