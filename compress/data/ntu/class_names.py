"""The classes of prepared files: NTU's names where the clips are NTU's, else numbers; and what the
names of clips say of the splits."""

from __future__ import annotations

from compress.data.data_report import EXAMPLES, counted
from compress.data.ntu import prepared_files
from compress.data.ntu.layout import NTU
from compress.data.ntu.naming import NTU_120
from compress.data.ntu.prepared_files import Part
from teachers.errors import DataError


def classes_of(train: Part, test: Part) -> tuple[str, ...]:
    """NTU's first 60 names, or all 120: as wide as the labels say, else as the largest needs.

    Clips of other actions in NTU's layout, which are named otherwise and have fewer classes, get
    numbers for names.
    """
    # One part of 60 classes and one of 120: files of two preparations under one name.
    if train.classes != test.classes:
        raise DataError(
            f"{train.where}: labels of {train.classes} classes, but the test part has"
            f" {test.classes}; they must come from the same preparation"
        )
    if train.layout != NTU or train.classes not in (None, 60, 120):
        largest = max(*train.labels.tolist(), *test.labels.tolist())
        return tuple(f"class {index}" for index in range(train.classes or largest + 1))
    if train.classes:
        return NTU_120[: train.classes]
    # Labels as numbers do not say of which set they are; a network of 120 classes for clips of 60
    # would not take the published weights.
    present = {*train.labels.tolist(), *test.labels.tolist()}
    largest = max(present)
    if are_ntus((train, test)) or len(present) in (60, 120):
        return NTU_120[: 60 if largest < 60 else 120]
    return tuple(f"class {index}" for index in range(largest + 1))


def are_ntus(parts: tuple[Part, ...]) -> bool:
    """Whether a clip is named like NTU's (S001C001P001R001A001); the readers hold each such name
    to its label."""
    return any(prepared_files.ACTION.search(name) for part in parts for name in part.names)


def class_notes(train: Part, test: Part, classes: tuple[str, ...]) -> tuple[str, ...]:
    """The note on clips of other actions in NTU's layout."""
    # Of other joints nobody expects NTU's actions.
    if classes[0] in NTU_120 or train.layout != NTU:
        return ()
    present = {*train.labels.tolist(), *test.labels.tolist()}
    note = (
        f"clips are not named like NTU's (the first is {train.names[0]!r}) and are of {len(present)}"
        " classes: taken for other actions in NTU's layout, with numbers for names"
    )
    return (note,)


def overlap(train: Part, test: Part) -> tuple[str, ...]:
    """The note on clips that both splits name, if there are such clips."""
    both = sorted(set(train.names) & set(test.names))
    if not both:
        return ()
    examples = ", ".join(both[:EXAMPLES])
    return (
        f"{counted(len(both), 'clip')} named in both splits, so accuracy is flattered: {examples}",
    )
