"""Parts of a data set that are kept from training: clips that choose the epoch, and classes that the
networks are not to know."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from compress.data import copies
from compress.data.data_report import counted, shortened
from compress.data.dataset import Dataset, Split
from teachers.errors import RecipeError, did_you_mean


def held_out(dataset: Dataset, share: float, seed: int) -> Dataset:
    """The data set with `share` of the training clips of every class, drawn by `seed`, in `holdout`.

    Clips that are equal number for number stay together, or the holdout would be known by heart.

    Raises:
        RecipeError: a class would lose all of its clips, or none of them could be held out.
    """
    chosen = _chosen(dataset, share, seed)
    rest = np.setdiff1d(np.arange(len(dataset.train)), chosen)
    counts = np.bincount(dataset.train.labels[rest], minlength=len(dataset.classes))
    before = np.bincount(dataset.train.labels, minlength=len(dataset.classes))
    emptied = [
        name
        for name, left, had in zip(dataset.classes, counts, before, strict=True)
        if had and not left
    ]
    if emptied or not len(chosen):
        what = f"class {emptied[0]!r} keeps no clip to train on" if emptied else "holds no clip"
        raise RecipeError(
            f"holdout: {share:g} of {counted(len(dataset.train), 'clip')} to train on: {what}; change"
            " the share, or leave select_on at validation"
        )
    note = (
        f"select_on: the best epoch is chosen by {counted(len(chosen), 'clip')} of the training"
        f" split ({share:g} of every class, drawn by seed {seed}), which nothing is trained on;"
        f" {len(rest)} are left to train on"
    )
    return replace(
        dataset,
        train=dataset.train.part(rest),
        holdout=dataset.train.part(chosen),
        # Trained teachers are found by it: without these clips they are others.
        fingerprint=_changed(dataset, "holdout", dataset.train, chosen),
        notes=(*dataset.notes, note),
    )


def _chosen(dataset: Dataset, share: float, seed: int) -> np.ndarray:
    """(m,) sorted places of the clips that are held out."""
    rng = np.random.default_rng([seed, 0x686F6C64])
    groups = copies.groups(dataset.train)
    labels = np.asarray(dataset.train.labels)
    chosen: list[int] = []
    for label in range(len(dataset.classes)):
        places = np.flatnonzero(labels == label)
        if not len(places):
            continue
        wanted = max(1, round(share * len(places)))
        taken = 0
        for group in rng.permutation(np.unique(groups[places])):
            members = places[groups[places] == group]
            # A whole group or none of it; a smaller one behind it may fit still.
            if taken + len(members) <= wanted:
                chosen += members.tolist()
                taken += len(members)
    return np.array(sorted(chosen), dtype=int)


def left_out(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The data set without these classes; their validation clips are in `unknown`, without labels.

    Raises:
        RecipeError: no such class, or fewer than two are left.
    """
    for name in names:
        if name not in dataset.classes:
            raise RecipeError(
                f"leave_out: no class {name!r} in data set"
                f" {dataset.name!r}{did_you_mean(name, dataset.classes, always_list=True)}"
            )
    out = np.array([name in names for name in dataset.classes])
    kept = tuple(name for name in dataset.classes if name not in names)
    if len(kept) < 2:
        raise RecipeError(
            f"leave_out: leaves {counted(len(kept), 'class')} of {len(dataset.classes)}, nothing to"
            " tell apart; leave fewer out"
        )
    number = np.cumsum(~out) - 1
    unknown = dataset.val.part(np.flatnonzero(out[dataset.val.labels]))
    if not len(unknown):
        raise RecipeError(
            "leave_out: the validation split has no clip of these classes; name others"
        )
    unknown = replace(unknown, labels=np.full(len(unknown), -1, dtype=np.int64))
    known = []
    for split in (dataset.train, dataset.val):
        part = split.part(np.flatnonzero(~out[split.labels]))
        known.append(replace(part, labels=number[part.labels].astype(np.int64)))
    note = (
        f"leave_out: {counted(len(names), 'class')} ({shortened(list(names))}) of"
        f" {len(dataset.classes)} left out; {counted(len(unknown), 'clip')} of them in the validation split"
        " judge how unknown actions are told"
    )
    return replace(
        dataset,
        train=known[0],
        val=known[1],
        classes=kept,
        unknown=unknown,
        fingerprint=_changed(dataset, "leave_out", dataset.val, np.flatnonzero(out)),
        notes=(*dataset.notes, note),
    )


def _changed(dataset: Dataset, what: str, split: Split, chosen: np.ndarray) -> str:
    parts = [dataset.fingerprint, what, len(split), chosen.tolist()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
