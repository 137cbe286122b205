"""One look at every data set before anything is built of it: what trains without an error and means
something else is recognised, said in a note, or refused.

Readers know their files; what no reader can know alone, or all of them would have to, is here:
which skeleton it is, classes that are one or none, persons who never appear, coordinates that are
scores, pixels or millimetres.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from compress.data import skeletons
from compress.data.data_report import counted, shortened
from compress.data.dataset import Dataset, Split
from compress.data.text_files import folded
from teachers.errors import DataError
from teachers.skeleton import JOINT_NAMES, Skeleton

# Clips of each split that are opened. Sets of 100,000 clips lie on disk, and the facts that are
# looked for hold for all clips or for none.
MOST = 256
# Metres around a camera stay below it, pixels do not: people are a hundred pixels tall.
PIXELS = 10.0
# A body in metres is 2 at most, in centimetres 150.
BODY = 20.0


@dataclass(frozen=True)
class Seen:
    """What clips of both splits hold.

    Attributes:
        lengths: frames, in rising order.
        low, high: (coordinates,) extremes.
        present: (M,) bool, whether anybody ever has that place.
        body: the median extent of a person in a frame, along the longest axis; 0.0 for nobody.
    """

    lengths: tuple[int, ...]
    low: np.ndarray
    high: np.ndarray
    present: np.ndarray
    body: float


def examine(dataset: Dataset) -> Dataset:
    """The data set with its skeleton recognised, and notes on what is suspicious.

    Raises:
        DataError: one class alone, or x, y and a score that would be read as x, y, z.
    """
    if len(dataset.classes) < 2:
        raise DataError(
            f"data set {dataset.name!r}: every clip is of one class, {dataset.classes[0]!r}: there is"
            " nothing to learn, and any network would be right; add clips of another class"
        )
    seen = _look(dataset)
    skeleton = skeletons.recognise(dataset.skeleton, dataset.joint_names)
    names = dataset.joint_names
    drawn = skeletons.drawn_by(skeleton)
    if names is None and drawn is not None:
        names = JOINT_NAMES[drawn]
    notes = [
        *dataset.notes,
        *_recognised(dataset.skeleton, skeleton),
        *_named(dataset, drawn),
        *_classes(dataset),
        *_persons(seen),
    ]
    if dataset.coordinates == 3:
        notes += _coordinates(dataset, seen)
    return replace(
        dataset, skeleton=skeleton, joint_names=names, notes=tuple(notes), lengths=seen.lengths
    )


def _look(dataset: Dataset) -> Seen:
    lengths = []
    bodies = []
    C = dataset.coordinates
    low = np.full(C, np.inf)
    high = np.full(C, -np.inf)
    present = np.zeros(dataset.persons, bool)
    for clip in _clips(dataset):
        # A score is no place, and an estimator may give one for joints at (0, 0).
        points = clip[:C]
        lengths.append(points.shape[1])
        low = np.minimum(low, points.min(axis=(1, 2, 3)))
        high = np.maximum(high, points.max(axis=(1, 2, 3)))
        there = (points != 0).any(axis=(0, 2))
        present |= there.any(axis=0)
        if there.any():
            extents = (points.max(axis=2) - points.min(axis=2)).max(axis=0)
            bodies.append(float(np.median(extents[there])))
    return Seen(
        tuple(sorted(lengths)), low, high, present, float(np.median(bodies)) if bodies else 0.0
    )


def _clips(dataset: Dataset) -> Iterator[np.ndarray]:
    """Up to `MOST` clips of each split, evenly from first to last."""
    for split in (dataset.train, dataset.val):
        count = min(len(split), MOST)
        # From all over: files are often sorted by class or person.
        for index in np.linspace(0, len(split) - 1, count).astype(int):
            yield split.clips[int(index)]


def _recognised(before: Skeleton, after: Skeleton) -> Iterator[str]:
    if before != after:
        yield (
            f"skeleton: {before.joints} joints with the edges of {after.name}, and taken for it"
            f" (centre: joint {after.centre}); name joints otherwise in the data, or describe"
            " `skeleton` in the recipe, if they are others"
        )


def _named(dataset: Dataset, drawn: str | None) -> Iterator[str]:
    # The graph stays as it was described: another would be another network.
    if drawn is not None and dataset.joint_names is None:
        yield (
            f"skeleton: the edges are those that {drawn} is drawn with, and its joints are called so;"
            " name them in the data if they are others"
        )


def _classes(dataset: Dataset) -> Iterator[str]:
    alike = defaultdict(list)
    for name in dataset.classes:
        alike[folded(name)].append(name)
    same = [" = ".join(map(repr, names)) for names in alike.values() if len(names) > 1]
    if same:
        yield (
            f"{counted(len(same), 'class')} named twice but for letter case, spaces or Unicode form;"
            f" make one of them if that is not meant: {shortened(same)}"
        )
    # A network will never answer with such a class; accuracy would not say why.
    for split, purpose in ((dataset.train, "train on"), (dataset.val, "validate with")):
        present = set(split.labels.tolist())
        missing = [name for index, name in enumerate(dataset.classes) if index not in present]
        if missing:
            yield f"{counted(len(missing), 'class')} without a clip to {purpose}: {shortened(missing)}"
        if len(present) == 1:
            yield _one_class(dataset, split, purpose)


def _one_class(dataset: Dataset, split: Split, purpose: str) -> str:
    return (
        f"all {len(split)} clips to {purpose} are of one class,"
        f" {dataset.classes[int(split.labels[0])]!r}, so accuracy says nothing; give clips of"
        " others, or change the split"
    )


def _persons(seen: Seen) -> Iterator[str]:
    persons = len(seen.present)
    used = int(np.flatnonzero(seen.present)[-1]) + 1 if seen.present.any() else persons
    if used < persons:
        yield (
            f"persons: {persons}, but nobody is ever person {used + 1} in the {len(seen.lengths)}"
            f" clips looked at; persons: {used} saves {100 * (persons - used) // persons} % of the"
            " arithmetic, where no weights need the others"
        )


def _coordinates(dataset: Dataset, seen: Seen) -> Iterator[str]:
    """
    Raises:
        DataError: the third is a score.
    """
    flat = max(abs(float(seen.low[:2].min())), float(seen.high[:2].max()))
    third = (float(seen.low[2]), float(seen.high[2]))
    if third == (0, 0):
        yield (
            "the third coordinate is 0 in every clip looked at; key points of images have two"
            " (`coordinates: 2`)"
        )
    elif third[0] >= 0 and third[1] <= 1:
        if flat > PIXELS:
            raise DataError(
                f"data set {dataset.name!r}: the third number of every joint lies between"
                f" {third[0]:.3g} and {third[1]:.3g}, while x and y reach {flat:.4g}: it is a score,"
                " not z; write `coordinates: 2` and `score: true` into dataset.yaml (own), or give"
                " it as keypoint_score (pyskl)"
            )
        if seen.low.min() >= 0 and flat <= 1:
            yield (
                "x, y and z all lie between 0 and 1; if the third is a score, write `coordinates: 2`"
                " and `score: true` into dataset.yaml (own), or give it as keypoint_score (pyskl)"
            )
    elif seen.body > BODY:
        yield (
            f"a person measures {seen.body:.4g} in a frame: no metres, but millimetres, centimetres"
            " or pixels? weights that were trained on metres do not fit; divide the coordinates"
        )
