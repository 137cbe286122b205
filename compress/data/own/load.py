"""Own recordings: a folder with one `.npy`, `.csv` or `.json` a clip, `labels.csv`
(file,label[,split]) and `dataset.yaml`.

Formats of clips: `own_files.py`; `dataset.yaml`: `own_description.py`; `labels.csv`:
`own_labels.py`. What is messy is mended by these rules, and counted in the notes:

- a frame with NaN, infinity or a missing number takes the nearest good frame; a frame of nothing
  but zeros is one that nobody is in, and stays; a clip of one frame is a clip; without one good
  frame in it, a clip is refused;
- of more persons than `persons` those of most energy (`ntu_persons.energy`) stay, in their order;
  missing ones are zeros;
- clips are in the order of their names, however files and lines are sorted; frame numbers that are
  left out are closed up;
- the same content in training and validation stays, as do files that `labels.csv` does not name out
  of it.

What could mean two things is refused, with file and line: a clip named twice, a label that is no
class, a file that is not there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compress.data.arrays import energy, repair_frames
from compress.data.dataset import Dataset, Split
from compress.data.own import description as own_description, files, labels as own_labels
from compress.data.own.description import Description
from compress.data.own.labels import Entry
from teachers.errors import DataError

INPUT = "crop_resize"


@dataclass(frozen=True)
class Config:
    """Recipe keys; `root` is the folder, whose `dataset.yaml` says everything else."""

    root: str


class Survey:
    """What reading found: the fingerprint, and what a reader of the result should know."""

    def __init__(self, description: Description):
        self.digest = hashlib.sha256(repr(description).encode())
        self._cases: dict[str, list[str]] = {}

    def add(self, name: str, clip: np.ndarray, label: int, validates: bool) -> None:
        """A clip that was read."""
        self.digest.update(repr((name, clip.shape, label, validates)).encode())
        self.digest.update(clip)

    def case(self, what: str, told: str) -> None:
        """Something of a clip that is to be counted."""
        self._cases.setdefault(what, []).append(told)

    def notes(self) -> tuple[str, ...]:
        """What was found, in words."""
        return tuple(
            f"{_count(len(cases), what)}: {'; '.join(cases[:5])}{'; ...' * (len(cases) > 5)}"
            for what, cases in self._cases.items()
        )


def load(config: Config, seed: int, progress=None) -> Dataset:
    """Read the folder; the clips are kept in memory.

    Raises:
        DataError: something is missing or cannot be used; file, line or place, and the fix are
            named.
        RecipeError: the same of `dataset.yaml`.
    """
    root = Path(config.root).expanduser()
    description = own_description.read(root)
    entries, ignored = own_labels.read(root)
    where = root / own_labels.NAME
    labels, classes = own_labels.numbered(entries, description.classes, where)
    validates = own_labels.validating(entries, labels, description.split, where)
    survey, clips = Survey(description), []
    for done, (entry, label, held) in enumerate(zip(entries, labels, validates), start=1):
        clips.append(read(entry, description, survey))
        survey.add(entry.name, clips[-1], int(label), bool(held))
        if progress:
            progress(done, len(entries), "reading own clips")
    _look(root, entries, clips, validates, survey)
    train, val = (
        Split(
            tuple(entries[index].name for index in part),
            [clips[index] for index in part],
            labels[part],
        )
        for part in (np.flatnonzero(~validates), np.flatnonzero(validates))
    )
    for index in sorted(set(range(len(classes))) - set(train.labels.tolist())):
        survey.case("class without a clip to train on", classes[index])
    for column in ignored:
        survey.case(f"column of {own_labels.NAME} not used", column)
    return Dataset(
        "own",
        train,
        val,
        classes,
        description.skeleton(),
        description.persons,
        description.coordinates,
        survey.digest.hexdigest(),
        survey.notes(),
        INPUT,
        coordinates=description.coordinates,
        joint_names=description.names,
    )


def read(entry: Entry, description: Description, survey: Survey) -> np.ndarray:
    """The clip (C, T, V, M) float32 of one line of `labels.csv`; what was mended goes to the
    survey.

    Raises:
        DataError: no such clip, or one without a good frame.
    """
    raw, left_out = files.read(entry.path, description)
    clip, bad = repair_frames(of_persons(raw, description.persons))
    if bad == clip.shape[1] or not clip.any():
        raise DataError(
            f"{entry.path}: has no frame with somebody in it and without NaN or infinity; record it"
            f" again, or remove line {entry.line} of {own_labels.NAME}"
        )
    if bad:
        survey.case(
            "clip repaired (frames with NaN, infinity or missing numbers take the nearest good"
            " frame)",
            f"{entry.name}: {bad} of {clip.shape[1]} frames",
        )
    if empty := int((~clip.any(axis=(0, 2, 3))).sum()):
        survey.case(
            "clip with frames that nobody is in (kept)",
            f"{entry.name}: {empty} of {clip.shape[1]} frames",
        )
    if clip.shape[1] == 1:
        survey.case("clip of one frame (kept)", entry.name)
    if len(raw) > description.persons:
        survey.case(
            f"clip of more than {description.persons} persons (those of most energy stay)",
            f"{entry.name}: {len(raw)}",
        )
    if left_out:
        survey.case(
            "clip whose frame numbers leave some out (closed up)", f"{entry.name}: {left_out}"
        )
    return np.ascontiguousarray(clip)


def of_persons(raw: np.ndarray, persons: int) -> np.ndarray:
    """(M', T, V, C) -> (C, T, V, M): of more than M persons those of most energy, in their order;
    zeros for missing ones."""
    if len(raw) > persons:
        raw = raw[np.sort(np.argsort([-energy(one) for one in raw], kind="stable")[:persons])]
    padded = np.zeros((persons, *raw.shape[1:]), np.float32)
    padded[: len(raw)] = raw
    return padded.transpose(3, 1, 2, 0)


def _look(
    root: Path,
    entries: Sequence[Entry],
    clips: list[np.ndarray],
    validates: np.ndarray,
    survey: Survey,
) -> None:
    """Count what concerns more than one clip: the same content on both sides, and files without a
    line."""
    contents = [
        hashlib.sha256(repr(clip.shape).encode() + clip.tobytes()).digest() for clip in clips
    ]
    trained = {
        content: entry.name
        for entry, content, held in zip(entries, contents, validates)
        if not held
    }
    for entry, content, held in zip(entries, contents, validates):
        if held and content in trained:
            survey.case(
                "clip to validate with that is one trained on, number for number (kept; accuracy is"
                " flattered)",
                f"{entry.name} = {trained[content]}",
            )
    for name in own_labels.unnamed(root, entries):
        survey.case(f"file without a line in {own_labels.NAME} (not used)", name)


def _count(number: int, what: str) -> str:
    noun, rest = what.split(" ", 1)
    return f"{number} {noun}{'' if number == 1 else 'es' if noun.endswith('s') else 's'} {rest}"
