"""NTU RGB+D 60 and 120 (Shahroudy et al., arXiv 1604.02808; Liu et al., arXiv 1905.04757), two
persons, 25 joints.

Reads what people have: CTR-GCN's NTU60_CS.npz, NTU60_CV.npz, NTU120_CSub.npz, NTU120_CSet.npz, or
PaddleVideo's {xsub,xview}/{train,val}_data.npy with their label pickles (`prepared_files.py`); or a
folder of raw `.skeleton` recordings, which is prepared on first use (`build.py`). Clips stay on
disk.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from compress.data.data_report import EMPTY, EXAMPLES, REPAIRED, DataReport, counted
from compress.data.dataset import Callback, Dataset, LazyClips, Split
from compress.data.frames import repair_frames
from compress.data.ntu import build, clean, naming, prepared_files, recordings, report
from compress.data.ntu.clip_cache import CachedClips
from compress.data.ntu.naming import NTU_120
from compress.data.ntu.prepared_files import Part
from export.preprocess import ops
from teachers.errors import DataError
from teachers.skeleton import NTU_25

INPUT = "crop_resize"
# Joint 2, the middle of the spine: what every public preparation subtracts.
CENTRED = ({"op": "centre", "joint": 1, "frame": 0},)


@dataclass(frozen=True)
class Config:
    """Recipe keys; `root` is the folder of the prepared files, one `.npz`, or the folder of
    recordings; `preparation` is what is made of recordings (`clean.py`) and has no meaning for
    prepared files."""

    root: str
    benchmark: Literal["xsub", "xview", "xset"] = "xsub"
    preparation: Literal["ctrgcn", "efficientgcn"] = "ctrgcn"

    def __post_init__(self):
        if self.benchmark not in prepared_files.NPZ:
            raise ValueError("benchmark: must be xsub, xview or xset")
        if self.preparation not in clean.PREPARATIONS:
            raise ValueError(f"preparation: must be {' or '.join(clean.PREPARATIONS)}")


class PreparedClips(LazyClips):
    """Clips (3, T, 25, M) float32 read from disk when asked for: without trailing padding, broken
    frames mended."""

    def __init__(self, data: np.ndarray, where: str):
        self._data = data
        self._where = where

    def __len__(self) -> int:
        return len(self._data)

    def clip(self, index: int) -> np.ndarray:
        return self.mended(index)[0]

    def mended(self, index: int) -> tuple[np.ndarray, int]:
        """The clip, and how many of its frames held NaN or infinity.

        Raises:
            DataError: all of them did.
        """
        where = f"{self._where}[{index}]"
        # Beyond float32 is infinity, and so mended.
        with np.errstate(over="ignore"):
            raw = np.asarray(prepared_files.as_clip(self._data[index], where), dtype=np.float32)
        clip, bad = repair_frames(raw)
        if bad == clip.shape[1]:
            raise DataError(
                f"{where}: every frame holds NaN or infinity; prepare the file again, or remove the"
                " clip and its label"
            )
        # Only the end: zeros between frames are a person who was lost, and time that passed.
        return np.ascontiguousarray(ops.trim(clip)), bad


@dataclass(frozen=True)
class Inspection:
    """What one look at every clip of two splits found; the clips stay on disk.

    Attributes:
        fingerprint: SHA-256 of labels and clips.
        centred: whether every clip has joint 2 of its first frame at the origin.
    """

    train: Split
    val: Split
    fingerprint: str
    notes: tuple[str, ...]
    centred: bool


def load(config: Config, seed: int, callback: Callback | None = None) -> Dataset:
    """Find the files, look at every clip once, leave them on disk; or open the cache of recordings,
    making it first if need be.

    Raises:
        DataError: nothing to read, or content that cannot be used; the file, the place in it and
            the fix are named.
        StorageError: the cache of recordings cannot be written.
    """
    root = Path(config.root).expanduser()
    if recordings.holds_recordings(root):
        return _recorded(config, root, callback)
    train, test = prepared_files.read(root, config.benchmark)
    classes = classes_of(train, test)
    inspection = inspect(train, test, callback)
    return Dataset(
        "ntu",
        inspection.train,
        inspection.val,
        classes,
        NTU_25,
        persons=2,
        channels=3,
        fingerprint=inspection.fingerprint,
        notes=(*inspection.notes, *overlap(train, test), *class_notes(train, test, classes)),
        input=INPUT,
        # Public preparations have joint 2 of the first frame at the origin; a raw clip for the
        # deployed network needs it.
        base_ops=CENTRED if inspection.centred else (),
    )


def inspect(
    train: Part, val: Part, callback: Callback | None = None, what: str = "NTU"
) -> Inspection:
    """Looks at each clip of two splits once, before work starts: training for hours must not end at
    a clip that cannot be read.

    Args:
        callback: called as callback(done, total, what) for every hundredth clip and the last.
        what: the data set, for the callback.

    Raises:
        DataError: a clip without a good frame.
    """
    total = len(train.labels) + len(val.labels)
    done = 0
    centred = True
    found = DataReport(order=(REPAIRED, EMPTY))
    splits = []
    for part in (train, val):
        clips = PreparedClips(part.data, part.where)
        found.digest.update(part.labels.tobytes())
        for index in range(len(clips)):
            clip, bad = clips.mended(index)
            found.add_clip(clip)
            if bad:
                found.add_case(REPAIRED, f"{part.where}[{index}]: {counted(bad, 'frame')}")
            if not clip.any():
                found.add_case(EMPTY, f"{part.where}[{index}]")
            # Exactly zero: the preparations subtract the joint from itself.
            centred &= not clip[:, 0, 1, 0].any()
            done += 1
            if callback and (done % 100 == 0 or done == total):
                callback(done, total, f"checking {what} clips")
        splits.append(Split(part.names, clips, part.labels))
    return Inspection(splits[0], splits[1], found.digest.hexdigest(), found.notes(), centred)


def _recorded(config: Config, root: Path, callback: Callback | None) -> Dataset:
    """A folder of raw recordings, from its cache."""
    known = (
        *prepared_files.NPZ[config.benchmark],
        f"{config.benchmark}/train_data.npy",
        "train_data.npy",
    )
    # Prepared files beside recordings: which of the two is meant would be a guess.
    prepared = [name for name in known if (root / name).is_file()]
    if prepared:
        raise DataError(
            f"{root}: holds recordings and {prepared[0]}; give data.root the folder or the file to"
            " use, or put them apart"
        )
    cache = build.open_or_build(root, config.preparation, callback=callback)
    numbers = naming.numbers(cache.names)
    # NTU 120 has no X-View; X-Set took its place.
    if config.benchmark == "xview" and naming.edition(numbers) == 120:
        raise DataError(
            f"{root}: X-View is a benchmark of NTU RGB+D 60, but clips of 120 are here; set"
            " data.benchmark to xsub or xset, or give a folder of setups 1-17 alone"
        )
    trains = naming.trains(numbers, config.benchmark)
    labels = numbers[:, 4] - 1
    names = cache.names.astype(str)

    def split(chosen: np.ndarray, purpose: str) -> Split:
        if not chosen.size:
            raise DataError(
                f"{root}: holds no clip to {purpose} in the {config.benchmark} split; copy the"
                " whole set, or set data.benchmark"
            )
        return Split(tuple(names[chosen].tolist()), CachedClips(cache, chosen), labels[chosen])

    # The shards' digests stand for the clips, which need not be read for the fingerprint.
    settings = repr((cache.digests, config.benchmark, config.preparation)).encode()
    digest = hashlib.sha256(settings + cache.names.tobytes()).hexdigest()
    return Dataset(
        "ntu",
        split(np.flatnonzero(trains), "train on"),
        split(np.flatnonzero(~trains), "test with"),
        NTU_120[: 60 if labels.max() < 60 else 120],
        NTU_25,
        persons=2,
        channels=3,
        fingerprint=digest,
        notes=(f"{report.note(cache.report)} ({cache.folder / 'report.json'})",),
        input=INPUT,
        base_ops=CENTRED if config.preparation == "ctrgcn" else (),
        as_recorded=config.preparation != "ctrgcn",
    )


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
    if classes[0] in NTU_120:
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
