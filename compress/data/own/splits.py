"""Which own clips validate: by the column `split` of `labels.csv`, or by `split` of
`dataset.yaml`."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

import numpy as np

from compress.data.own import dataset_yaml
from compress.data.own.dataset_yaml import Holdout
from compress.data.own.labels_csv import Entry
from teachers.errors import DataError


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
