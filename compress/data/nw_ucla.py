"""NW-UCLA (Wang et al., CVPR 2014, arXiv 1405.2941): the public JSON folder as it is, and its
split.

Files are `aAA_sSS_eEE_vVV.json`, each `{file_name, skeletons [T][20][3], label}`. Views 1 and 2
train (1020 clips), view 3 tests (464). The class comes from the action number in the file name; the
`label` inside, which counts the classes from 1, and the `file_name` inside must say the same where
they are given.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from compress.data.bad_clips import BadClips
from compress.data.data_report import counted, shortened
from compress.data.dataset import Callback, Dataset, Split, Unread
from export.preprocess.repair import repair_frames
from teachers.errors import DataError, quoted
from teachers.skeleton import UCLA_20
from teachers.storage import json_text
from teachers.storage.bounded import read_bytes
from teachers.weights.benchmarks import NW_UCLA

# The public set numbers its ten actions with gaps; classes count them without.
ACTIONS = dict(zip((1, 2, 3, 4, 5, 6, 8, 9, 11, 12), NW_UCLA, strict=True))
CLASS_OF = {action: index for index, action in enumerate(ACTIONS)}
NAME = re.compile(r"a(\d+)_s(\d+)_e(\d+)_v(\d+)")
# Clips to train and to test.
PUBLISHED = (1020, 464)
# The public pipeline: every axis to [-1, 1] by its own extent, 52 frames.
INPUT = "min_max_sample"
LabelledClip = tuple[str, np.ndarray, int]
# Bytes; the longest public clip has 201 frames, about 0.3 MB.
LARGEST_FILE = 20_000_000


@dataclass(frozen=True)
class Config:
    """Recipe keys; `root` is the folder of JSON files, or its parent with `all_sqe` inside; `skip_bad`
    leaves out clips that cannot be used."""

    root: str
    skip_bad: bool = False


def load(config: Config, seed: int, callback: Callback | None = None) -> Dataset:
    """Read the folder.

    Raises:
        DataError: no such folder, no clips of one split, or a file that cannot be read; it is
            named.
    """
    # The split is published, so nothing is drawn: `seed` is there for the contract alone.
    files = _files(Path(config.root).expanduser())
    bad = BadClips(files[0].parent, config.skip_bad)
    digest = hashlib.sha256()
    repairs = []
    clips: dict[str, list[LabelledClip]] = {"train": [], "val": []}
    for done, path in enumerate(files, start=1):
        read = bad.attempt(path.name, partial(_read, path), CLASS_OF.get(_numbers(path)[0]))
        if callback:
            callback(done, len(files), "reading NW-UCLA")
        if read is None:
            continue
        # The files' bytes: how clips are mended is no part of the data.
        digest.update(path.name.encode() + read.data)
        if read.repaired:
            repairs.append(f"{path.name}: {read.repaired}")
        # The published protocol: a camera that no training clip was seen by.
        split = "val" if read.view == 3 else "train"
        clips[split].append((path.stem, read.clip, read.label))
    bad.check(len(files))
    # Half a copy of the folder shows here, not at the first evaluation after hours of training.
    for split, views, purpose in (("train", "1 or 2", "train on"), ("val", "3", "test with")):
        if not clips[split]:
            raise DataError(
                f"{config.root}: has no clip of view {views}, so nothing to {purpose}; copy the"
                " whole public folder"
            )
    train = _split(clips["train"])
    val = _split(clips["val"])
    return Dataset(
        "nw_ucla",
        train,
        val,
        tuple(ACTIONS.values()),
        UCLA_20,
        persons=1,
        channels=3,
        fingerprint=digest.hexdigest(),
        notes=(
            *bad.notes([*train.labels.tolist(), *val.labels.tolist()], tuple(ACTIONS.values())),
            *_notes(train, val, repairs),
        ),
        input=INPUT,
        as_recorded=True,
        skipped=bad.skipped,
    )


@dataclass(frozen=True)
class _File:
    """One file of the set; `data` are its bytes, `repaired` says what was mended."""

    data: bytes
    clip: np.ndarray
    label: int
    view: int
    repaired: str


def _read(path: Path) -> _File:
    """
    Raises:
        DataError: no clip of the set.
    """
    label, view = _from_name(path)
    data = read_bytes(path, LARGEST_FILE)
    clip, repaired = parse(data, str(path), label)
    return _File(data, clip, label, view, repaired)


def unread(config: Config, classes: int) -> Unread:
    """What is known before anything is read: the names of the ten actions."""
    return Unread(tuple(ACTIONS.values()) if classes == len(ACTIONS) else ())


def _notes(train: Split, val: Split, repairs: list[str]) -> Iterator[str]:
    """What a reader of the result should know of the data."""
    if repairs:
        yield (
            f"{counted(len(repairs), 'clip')} repaired (frames with NaN or infinity"
            f" take the nearest good frame): {shortened(repairs)}"
        )
    # A note, no error: parts of the set can be trained on, but are not the published benchmark.
    if (len(train), len(val)) != PUBLISHED:
        yield (
            f"{len(train)} training and {len(val)} test clips, where the public set has"
            f" {PUBLISHED[0]} and {PUBLISHED[1]}"
        )


def parse(data: bytes, where: str, label: int | None = None) -> tuple[np.ndarray, str]:
    """One JSON clip -> ((3, T, 20, 1) float32, what was repaired or "").

    Args:
        where: the file, for messages.
        label: class 0-9 that the content must not contradict; the name inside must not contradict
            `where` then either.

    Raises:
        DataError: not such a clip; `where` and the fix are named.
    """
    try:
        content = json_text.loads(data)
        # A null coordinate becomes NaN, and is mended below.
        skeletons = np.array(content["skeletons"], dtype=np.float32)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise DataError(
            f"{where}: not an NW-UCLA clip, or truncated ({type(error).__name__}: {error}); copy it"
            " again or remove it"
        ) from error
    if skeletons.ndim != 3 or skeletons.shape[0] < 1 or skeletons.shape[1:] != (20, 3):
        raise DataError(
            f"{where}: 'skeletons' has shape {skeletons.shape}, expected (frames, 20, 3); copy it"
            " again or remove it"
        )
    if label is not None:
        _check_identity(content, where, label)
    clip, bad = repair_frames(np.ascontiguousarray(skeletons.transpose(2, 0, 1)[..., None]))
    # Without a good frame there is nothing to mend with.
    if bad == len(skeletons):
        raise DataError(f"{where}: every frame holds NaN or infinity; remove the clip")
    repaired = f"{bad} of {len(skeletons)} frames" if bad else ""
    return np.ascontiguousarray(clip), repaired


def _check_identity(content: dict, where: str, label: int) -> None:
    # A file that was renamed would train as another class without a word.
    if content.get("label", label + 1) != label + 1:
        raise DataError(
            f"{where}: its label {quoted(content['label'])} is not that of its name ({label + 1});"
            " correct one of them"
        )
    name = content.get("file_name", Path(where).stem)
    if name not in (Path(where).stem, Path(where).name):
        raise DataError(
            f"{where}: says inside that it is {quoted(name)}; the name decides class and split, so rename"
            " the file or copy it again"
        )


def _files(root: Path) -> list[Path]:
    # The public archive unpacks to all_sqe; people give either folder.
    folder = root / "all_sqe" if (root / "all_sqe").is_dir() else root
    if not folder.is_dir():
        raise DataError(
            f"{root}: no such folder; give data.root the NW-UCLA folder that holds"
            " a01_s01_e00_v01.json and the others"
        )
    # Sorted: the order that a file system lists them in would change every batch.
    # By name: another .json beside the clips is not a damaged clip.
    # What macOS leaves beside each, ._a01_s01_e00_v01.json, is none of them.
    files = sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() == ".json" and NAME.fullmatch(path.stem)
    )
    if not files:
        raise DataError(
            f"{folder}: holds no file named like a01_s01_e00_v01.json; give data.root the NW-UCLA"
            " folder"
        )
    return files


def _from_name(path: Path) -> tuple[int, int]:
    action, _, _, view = _numbers(path)
    # The set has no action 7 or 10; a file of that name is of something else.
    if action not in CLASS_OF or view not in (1, 2, 3):
        raise DataError(
            f"{path}: action {action}, view {view} is not of NW-UCLA (actions "
            f"{', '.join(map(str, ACTIONS))}; views 1-3); remove the file"
        )
    return CLASS_OF[action], view


def _numbers(path: Path) -> tuple[int, ...]:
    """(action, subject, environment, view) in a file's name."""
    match = NAME.fullmatch(path.stem)
    assert match is not None  # `_files` lists such names alone
    return tuple(map(int, match.groups()))


def _split(clips: list[LabelledClip]) -> Split:
    names = tuple(name for name, _, _ in clips)
    labels = np.array([label for _, _, label in clips], dtype=np.int64)
    return Split(names, [clip for _, clip, _ in clips], labels)
