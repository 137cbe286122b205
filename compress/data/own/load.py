"""Own recordings: a folder with a file of poses or a folder of them for each clip, `labels.csv`
(file,label[,split]) and `dataset.yaml`.

Formats of clips: `compress/data/poses`; `dataset.yaml`: `dataset_yaml.py`; `labels.csv`:
`labels_csv.py`. What is messy is mended by these rules, and counted in the notes:

- a joint with NaN, infinity or a missing number, or at zero among others, is interpolated in time,
  and one that is never seen takes the place of its neighbour (`export.preprocess.repair.repair_joints`);
  a frame of nothing but zeros is one that nobody is in, and stays; a clip of one frame is a clip;
  without anybody in it, a clip is refused;
- of more persons than `persons` those of most energy (`compress.data.frames.energy`) stay, in
  their order; missing ones are zeros;
- clips are in the order of their names, however files and lines are sorted; frame numbers that are
  left out are closed up;
- the same content in training and validation stays, as do files that `labels.csv` does not name out
  of it.

What could mean two things is refused, with file and line: a clip named twice, a label that is no
class, a file that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from compress.data import poses
from compress.data.bad_clips import BadClips
from compress.data.data_report import REPAIRED_JOINTS, DataReport, counted
from compress.data.dataset import Callback, Dataset, Split
from compress.data.frames import energy
from compress.data.own import dataset_yaml, kinetics_labels, labels, labels_csv, splits
from compress.data.own.dataset_yaml import Description
from compress.data.own.labels import Labels
from compress.data.own.labels_csv import Entry, Listing
from compress.data.own.paths import LABELS, Folder
from compress.data.poses import Wanted
from export.preprocess.repair import Repaired, repair_joints
from teachers.errors import DataError

# It takes clips of any length and frame rate, which is all that is known of them.
INPUT = "crop_resize"


@dataclass(frozen=True)
class Config:
    """Recipe keys; `root` is the folder, whose `dataset.yaml` says everything else; `skip_bad`
    leaves out clips that cannot be used, where the set is refused otherwise; `link_root` is a
    folder outside that links may lead into."""

    root: str
    skip_bad: bool = False
    link_root: str | None = None


def load(config: Config, seed: int, callback: Callback | None = None) -> Dataset:
    """Read the folder; the clips are kept in memory.

    Raises:
        DataError: something is missing or cannot be used; file, line or place, and the fix are
            named.
        RecipeError: the same of `dataset.yaml`.
    """
    root = Path(config.root).expanduser()
    description = dataset_yaml.read(root)
    bad = BadClips(root, config.skip_bad)
    folder = Folder(root, Path(config.link_root).expanduser() if config.link_root else None)
    where, listed = _listed(root, folder, description, bad)
    class_names = description.classes or listed.classes
    entries, labelled = labels.numbered(listed.entries, class_names, where, bad)
    if not entries:
        bad.check(listed.lines)
    # A split that cannot be is said before all clips are read, unless bad lines are why.
    if not len(bad):
        splits.validating(entries, labelled.numbers, description.split, where)
    # The description is part of the fingerprint: other persons or joints are another data set.
    report = DataReport(description.settings().encode())
    clips, kept = _read_all(entries, labelled.numbers, description, report, bad, callback)
    bad.check(listed.lines)
    # A set without its bad clips is what it would be without their lines.
    entries = [entries[index] for index in kept]
    numbers = labelled.numbers[kept]
    validates = splits.validating(entries, numbers, description.split, where)
    classes = labelled.classes
    _identify(entries, clips, numbers, validates, report)
    _unnamed(folder, report)

    def split(chosen: np.ndarray) -> Split:
        names = tuple(entries[index].name for index in chosen)
        return Split(names, [clips[index] for index in chosen], numbers[chosen])

    train = split(np.flatnonzero(~validates))
    val = split(np.flatnonzero(validates))
    _report_spellings(labelled, folder, listed, report)
    return Dataset(
        "own",
        train,
        val,
        classes,
        description.skeleton(),
        description.persons,
        description.channels,
        report.digest.hexdigest(),
        (*bad.notes(numbers.tolist(), classes), *report.notes(), *listed.notes, *labelled.notes),
        INPUT,
        coordinates=description.coordinates,
        joint_names=description.names,
        as_recorded=True,
        score_columns=description.score is not False,
        min_score=description.lowest_score,
        repair_bones=description.edges,
        skipped=bad.skipped,
    )


def _listed(
    root: Path, folder: Folder, description: Description, bad: BadClips
) -> tuple[Path, Listing]:
    """(where the labels stand, for messages; what they say)."""
    where = root / LABELS
    if not where.exists() and kinetics_labels.files(root):
        return root, kinetics_labels.read(folder, bad)
    return where, labels_csv.read(folder, bad, description.encoding)


def _identify(
    entries: Sequence[Entry],
    clips: list[np.ndarray],
    numbers: np.ndarray,
    validates: np.ndarray,
    report: DataReport,
) -> None:
    """Make the clips part of the fingerprint."""
    for entry, clip, label, held_out in zip(entries, clips, numbers, validates, strict=True):
        identity = (entry.name, clip.shape, int(label), bool(held_out))
        report.digest.update(repr(identity).encode())
        report.digest.update(clip.data)


def _report_spellings(
    labelled: Labels, folder: Folder, listed: Listing, report: DataReport
) -> None:
    """Count what was written otherwise than it is called, and what is not used."""
    for written, name in labelled.spellings:
        report.add_case(
            "label written unlike its class in letter case, spaces or Unicode form (counted as it)",
            f"{written} = {name}",
        )
    for written, name in folder.recased:
        report.add_case("file called otherwise in letter case", f"{written} = {name}")
    for column in listed.unused:
        report.add_case(f"column of {LABELS} not used", column)


def _read_all(
    entries: Sequence[Entry],
    numbers: np.ndarray,
    description: Description,
    report: DataReport,
    bad: BadClips,
    callback: Callback | None,
) -> tuple[list[np.ndarray], list[int]]:
    """(the clips that can be used, which of the entries they are)."""
    clips = []
    kept = []
    for index, (entry, label) in enumerate(zip(entries, numbers.tolist(), strict=True)):
        # `partial`, since a lambda would see the entry of another turn of the loop.
        clip = bad.attempt(entry.name, partial(read, entry, description, report), label)
        if clip is not None:
            clips.append(clip)
            kept.append(index)
        if callback:
            callback(index + 1, len(entries), "reading own clips")
    return clips, kept


def read(entry: Entry, description: Description, report: DataReport) -> np.ndarray:
    """The clip (C, T, V, M) float32 of one line of `labels.csv`; what was mended goes to the
    report.

    Raises:
        DataError: no such clip, or one without a good frame.
    """
    file = poses.read(entry.path, description.wanted)
    raw = file.values
    repaired = prepared(raw, description.wanted)
    clip = repaired.clip
    # Not its score, which an estimator may give for joints at (0, 0).
    points = clip[: description.coordinates]
    # Public sets keep their empty clips, as everybody counts them; here one is a mistake.
    if not points.any():
        raise DataError(
            f"{entry.path}: has no frame with somebody in it and without NaN or infinity; record it"
            f" again, or {entry.removal}"
        )
    if repaired.joints:
        report.add_case(
            REPAIRED_JOINTS,
            f"{entry.name}: {counted(repaired.joints, 'joint')} in {repaired.frames} of"
            f" {clip.shape[1]} frames",
        )
    if repaired.unseen:
        numbers = ", ".join(map(str, repaired.unseen))
        report.add_case(
            "clip with joints that are never seen (in the place of their neighbours)",
            f"{entry.name}: {numbers}",
        )
    empty = int((~points.any(axis=(0, 2, 3))).sum())
    if empty:
        report.add_case(
            "clip with frames that nobody is in (kept)",
            f"{entry.name}: {empty} of {clip.shape[1]} frames",
        )
    if clip.shape[1] == 1:
        report.add_case("clip of one frame (kept)", entry.name)
    if len(raw) > description.persons:
        report.add_case(
            f"clip of more than {description.persons} persons (those of most energy stay)",
            f"{entry.name}: {len(raw)}",
        )
    if file.left_out:
        report.add_case(
            "clip whose frame numbers leave some out (closed up)", f"{entry.name}: {file.left_out}"
        )
    for note in file.notes:
        report.add_case(note, entry.name)
    return clip


def prepared(raw: np.ndarray, wanted: Wanted) -> Repaired:
    """The clip (C, T, V, M) of what a file holds, (M', T, V, C): missing joints filled in, then the
    persons chosen. Training and serving both use it."""
    clip = np.ascontiguousarray(raw.transpose(3, 1, 2, 0))
    repaired = repair_joints(clip, wanted.edges, wanted.coordinates)
    # Persons are chosen after that: one of whom a joint is never seen has energy all the same.
    chosen = of_persons(repaired.clip.transpose(3, 1, 2, 0), wanted.persons, wanted.coordinates)
    return replace(repaired, clip=np.ascontiguousarray(chosen))


def of_persons(raw: np.ndarray, persons: int, coordinates: int | None = None) -> np.ndarray:
    """(M', T, V, C) -> (C, T, V, M): of more than M persons those of most energy, in their order;
    zeros for missing ones. Channels behind `coordinates` are scores, which do not move."""
    if len(raw) > persons:
        # In their order in the file, not by energy: who is first must not change between clips.
        ranked = np.argsort([-energy(person[..., :coordinates]) for person in raw], kind="stable")
        raw = raw[np.sort(ranked[:persons])]
    # Zeros are what every step takes for a person who is not there.
    padded = np.zeros((persons, *raw.shape[1:]), np.float32)
    padded[: len(raw)] = raw
    return padded.transpose(3, 1, 2, 0)


def _unnamed(folder: Folder, report: DataReport) -> None:
    """Count files without a line."""
    for name in folder.unnamed():
        report.add_case(f"file without a line in {LABELS} (not used)", name)
