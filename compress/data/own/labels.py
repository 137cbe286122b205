"""The labels of own clips as numbers: names of classes in any spelling, or numbers from 0 or 1."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from compress.data.bad_clips import BadClips
from compress.data.own import dataset_yaml
from compress.data.own.dataset_yaml import MOST_CLASSES
from compress.data.own.labels_csv import Entry, listed
from compress.data.text_files import folded

# A label that is none of the classes.
NO_CLASS = -1


@dataclass(frozen=True)
class Labels:
    """What the labels of `labels.csv` mean.

    Attributes:
        numbers: (n,) int64 from 0.
        classes: their names.
        spellings: (label as written, class) of labels that are a class but for their spelling.
        notes: what was taken for granted, in words.
    """

    numbers: np.ndarray
    classes: tuple[str, ...]
    spellings: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def numbered(
    entries: Sequence[Entry], classes: tuple[str, ...] | None, where: Path, bad: BadClips
) -> tuple[list[Entry], Labels]:
    """(the entries that are of a class, their labels as numbers from 0). A label is a class's name,
    letter case and Unicode form apart; or all labels are numbers: from 0, or from 1 where none is 0
    and one is as large as there are classes. An entry whose label is none of `classes`, or one
    class too many, is a bad clip.

    Args:
        bad: labels of clips that cannot be used count as well, and get their numbers: what a
            network answers must not depend on which clips are damaged.
    """
    # Every line of the file may be a bad one.
    if not entries:
        return [], Labels(np.zeros(0, np.int64), classes or ())
    others = bad.written_labels
    labelled = _numbered([*(entry.label for entry in entries), *others], classes)
    numbers, other_numbers = np.split(labelled.numbers, [len(entries)])
    number_of = dict(zip(others, other_numbers.tolist(), strict=True))
    bad.number_labels({label: n for label, n in number_of.items() if n != NO_CLASS})
    kept = []
    for entry, number in zip(entries, numbers, strict=True):
        if number == NO_CLASS:
            bad.add(entry.name, _none_of(entry, labelled.classes, where))
        else:
            kept.append(entry)
    return kept, replace(labelled, numbers=numbers[numbers != NO_CLASS])


def _numbered(written: Sequence[str], classes: tuple[str, ...] | None) -> Labels:
    """The labels as numbers from 0; `NO_CLASS` for those that are none of the classes."""
    # isdecimal, as isdigit takes superscripts, which int() refuses; and nine digits at most, as
    # int() also refuses thousands of them.
    if not all(label.isdecimal() and len(label) < 10 for label in written):
        return _by_name(written, classes or _spelt_most(written))
    # Classes may themselves be called "1", "2", ...: then labels are names, not places in the list,
    # and one stray label must not make places of all the others.
    if classes is not None and (
        all(name.isdecimal() for name in classes) or all(label in classes for label in written)
    ):
        return _by_name(written, classes)
    return _by_number([int(label) for label in written], classes)


def _by_number(labels: Sequence[int], classes: tuple[str, ...] | None) -> Labels:
    first = 0
    if classes is None:
        # A class 0 that no clip is of would be one more answer, and one that is never right.
        first = 1 if min(labels) == 1 else 0
        count = min(max(labels) + 1 - first, MOST_CLASSES)
        classes = tuple(f"class {index + first}" for index in range(count))
        meaning = f"name all classes in {dataset_yaml.NAME} if there is one"
    # From 0 that label would be none of the classes, and no clip would be of the first.
    elif min(labels) == 1 and len(classes) in labels:
        first = 1
        meaning = f"1 is {classes[0]!r}"
    notes: tuple[str, ...] = ()
    if first:
        note = f"labels count from 1 (to {max(labels)}), none is 0: read so, without a class 0"
        notes = (f"{note}; {meaning}",)
    numbers = np.array(labels, np.int64) - first
    numbers[numbers >= len(classes)] = NO_CLASS
    return Labels(numbers, classes, notes=notes)


def _by_name(written: Sequence[str], classes: tuple[str, ...]) -> Labels:
    index_of = {name: index for index, name in enumerate(classes)}
    # Names that the description tells apart by their case alone are two classes: it says so.
    alike = Counter(map(folded, classes))
    by_folded = {folded(name): name for name in classes if alike[folded(name)] == 1}
    labels = []
    spellings = set()
    for label in written:
        name = label if label in index_of else by_folded.get(folded(label))
        if name is None:
            labels.append(NO_CLASS)
            continue
        if name != label:
            spellings.add((label, name))
        labels.append(index_of[name])
    return Labels(np.array(labels, np.int64), classes, tuple(sorted(spellings)))


def _spelt_most(written: Sequence[str]) -> tuple[str, ...]:
    """The classes that the labels name, each in its most common spelling, sorted."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for label in written:
        spellings[folded(label)][label] += 1
    # Of equally common ones the first, whatever the order of the lines is.
    chosen = (min(counts, key=lambda name: (-counts[name], name)) for counts in spellings.values())
    return tuple(sorted(chosen))[:MOST_CLASSES]


def _none_of(entry: Entry, classes: tuple[str, ...], where: Path) -> str:
    return (
        f"{where}: line {entry.line}: label {entry.label!r} of {entry.name!r} is none of"
        f" the {len(classes)} classes ({listed(classes)}); correct it, or the classes in"
        f" {dataset_yaml.NAME} (at most {MOST_CLASSES})"
    )
