"""NTU RGB+D 60 and 120 (Shahroudy et al., arXiv 1604.02808; Liu et al., arXiv 1905.04757), two
persons, 25 joints; and arrays of other joints in the forms that its preparations made usual
(`layout.py`).

Reads what people have: CTR-GCN's NTU60_CS.npz, NTU60_CV.npz, NTU120_CSub.npz, NTU120_CSet.npz, or
PaddleVideo's {xsub,xview}/{train,val}_data.npy with their label pickles (`prepared_files.py`); or a
folder of raw `.skeleton` recordings, which is prepared on first use (`build.py`). Clips stay on
disk.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from compress.data.bad_clips import BadClips
from compress.data.data_report import EMPTY, REPAIRED, DataReport, counted
from compress.data.dataset import Callback, Dataset, LazyClips, Split, Unread
from compress.data.ntu import build, clean, layout, naming, prepared_files, recordings, report
from compress.data.ntu.class_names import class_notes, classes_of, overlap
from compress.data.ntu.clip_cache import Cache, CachedClips
from compress.data.ntu.layout import NTU as NTU_LAYOUT
from compress.data.ntu.naming import NTU_120
from compress.data.ntu.prepared_files import Part
from export.preprocess import ops
from export.preprocess.repair import repair_frames
from teachers.errors import DataError
from teachers.skeleton import NTU_25

INPUT = "crop_resize"
# Joint 2, the middle of the spine: what every public preparation subtracts.
CENTRED = ({"op": "centre", "joint": 1, "frame": 0},)


@dataclass(frozen=True)
class Config:
    """Recipe keys; `root` is the folder of the prepared files, one `.npz`, or the folder of
    recordings; `preparation` is what is made of recordings (`clean.py`) and has no meaning for
    prepared files; `skip_bad` leaves out clips of prepared files that cannot be used, as is always
    done with recordings; `joints` is for flat files of other joints than NTU's, whose width does
    not say how many."""

    root: str
    benchmark: Literal["xsub", "xview", "xset"] = "xsub"
    preparation: Literal["ctrgcn", "efficientgcn"] = "ctrgcn"
    skip_bad: bool = False
    joints: int | None = None

    def __post_init__(self):
        if self.joints is not None and not 1 < self.joints <= layout.MOST_JOINTS:
            raise ValueError(f"joints: must be 2 to {layout.MOST_JOINTS}")
        if self.benchmark not in prepared_files.NPZ:
            raise ValueError("benchmark: must be xsub, xview or xset")
        if self.preparation not in clean.PREPARATIONS:
            raise ValueError(f"preparation: must be {' or '.join(clean.PREPARATIONS)}")


class PreparedClips(LazyClips):
    """Clips (3, T, 25, M) float32, or as their layout says, read from disk when asked for: without
    trailing padding, broken frames mended."""

    def __init__(self, part: Part, chosen: np.ndarray | None = None):
        """
        Args:
            chosen: which clips of the part; all by default.
        """
        self._data = part.data
        self._where = part.where
        self._layout = part.layout
        self._chosen = np.arange(len(part.data)) if chosen is None else chosen

    def __len__(self) -> int:
        return len(self._chosen)

    def clip(self, index: int) -> np.ndarray:
        return self.mended(index)[0]

    def mended(self, index: int) -> tuple[np.ndarray, int]:
        """The clip, and how many of its frames held NaN or infinity.

        Raises:
            DataError: all of them did.
        """
        place = int(self._chosen[index])
        where = f"{self._where}[{place}]"
        # Beyond float32 is infinity, and so mended.
        with np.errstate(over="ignore"):
            raw = np.asarray(
                layout.as_clip(self._data[place], where, self._layout), dtype=np.float32
            )
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
        skipped: (name, why) of the clips that are left out.
    """

    train: Split
    val: Split
    fingerprint: str
    notes: tuple[str, ...]
    centred: bool
    skipped: tuple[tuple[str, str], ...] = ()


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
    train, test = prepared_files.read(root, config.benchmark, config.joints)
    meaning = layout.meaning(train.layout, (train.data, test.data))
    classes = classes_of(train, test)
    inspection = inspect(train, test, classes, config.skip_bad, callback)
    scoreless = meaning.coordinates == train.layout.numbers
    return Dataset(
        "ntu",
        inspection.train,
        inspection.val,
        classes,
        meaning.skeleton,
        persons=train.layout.persons,
        channels=train.layout.numbers,
        fingerprint=inspection.fingerprint,
        notes=(
            *inspection.notes,
            *meaning.notes,
            *overlap(train, test),
            *class_notes(train, test, classes),
        ),
        input=INPUT,
        coordinates=meaning.coordinates,
        # Public preparations have joint 2 of the first frame at the origin; a raw clip for the
        # deployed network needs it.
        # Of a score nothing can be subtracted.
        base_ops=CENTRED if inspection.centred and scoreless else (),
        # Nobody knows how others prepared theirs.
        as_recorded=train.layout != NTU_LAYOUT and not inspection.centred,
        skipped=inspection.skipped,
    )


def inspect(
    train: Part,
    val: Part,
    classes: Sequence[str],
    skip_bad: bool = False,
    callback: Callback | None = None,
    what: str = "NTU",
) -> Inspection:
    """Looks at each clip of two splits once, before work starts: training for hours must not end at
    a clip that cannot be read.

    Args:
        skip_bad: whether clips without a good frame are left out.
        callback: called as callback(done, total, what) for every hundredth clip and the last.
        what: the data set, for the callback.

    Raises:
        DataError: clips without a good frame that are not left out.
    """
    total = len(train.labels) + len(val.labels)
    # The folder that both parts are in, or the one file.
    bad = BadClips(os.path.commonpath([_file_of(train), _file_of(val)]), skip_bad)
    if callback is not None:
        callback = _every_hundredth(callback, f"checking {what} clips")
    everything = [(part, np.arange(len(part.labels))) for part in (train, val)]
    inspection, good = _looked_at(everything, bad, total, callback)
    bad.check(total)
    if not len(bad):
        return inspection
    # Once more without them: the fingerprint is of the clips that remain.
    chosen = [(part, kept) for (part, _), kept in zip(everything, good, strict=True)]
    for (part, kept), purpose in zip(chosen, ("train on", "validate with"), strict=True):
        if not len(kept):
            raise DataError(f"{part.where}: no clip is left to {purpose}; prepare the file again")
    inspection, _ = _looked_at(chosen, bad, total, None)
    labels = [*inspection.train.labels.tolist(), *inspection.val.labels.tolist()]
    notes = (*bad.notes(labels, classes), *inspection.notes)
    return replace(inspection, notes=notes, skipped=bad.skipped)


def _every_hundredth(callback: Callback, what: str) -> Callback:
    def call(done: int, total: int, _: str) -> None:
        # A line or a bar for every clip would take longer than the clip.
        if done % 100 == 0 or done == total:
            callback(done, total, what)

    return call


def _looked_at(
    parts: Sequence[tuple[Part, np.ndarray]],
    bad: BadClips,
    total: int,
    callback: Callback | None,
) -> tuple[Inspection, list[np.ndarray]]:
    """(what the chosen clips of two parts are, which of them can be used, part by part)."""
    done = 0
    centred = True
    report = DataReport(order=(REPAIRED, EMPTY))
    splits = []
    good = []
    for part, chosen in parts:
        clips = PreparedClips(part, chosen)
        labels = part.labels[chosen]
        names = tuple(part.names[index] for index in chosen.tolist())
        report.digest.update(labels.tobytes())
        kept = []
        for index, place in enumerate(chosen.tolist()):
            done += 1
            if callback:
                callback(done, total, "")
            mended = bad.attempt(names[index], partial(clips.mended, index), int(labels[index]))
            if mended is None:
                continue
            kept.append(place)
            clip, broken = mended
            report.add_clip(clip)
            if broken:
                report.add_case(REPAIRED, f"{part.where}[{place}]: {counted(broken, 'frame')}")
            if not clip.any():
                report.add_case(EMPTY, f"{part.where}[{place}]")
            # Exactly zero: the preparations subtract the joint from itself.
            centred &= not clip[:, 0, 1, 0].any()
        splits.append(Split(names, clips, labels))
        good.append(np.array(kept, np.int64))
    found = Inspection(splits[0], splits[1], report.digest.hexdigest(), report.notes(), centred)
    return found, good


def _file_of(part: Part) -> str:
    """The file that a part is in: of an archive, `where` names the array behind it."""
    return part.where.split(": ")[0]


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
    return of_cache(build.open_or_build(root, config.preparation, callback=callback), config)


def of_cache(cache: Cache, config: Config) -> Dataset:
    """The data set in a cache of recordings.

    Raises:
        DataError: the benchmark does not exist for them, or leaves a split without clips.
    """
    root = config.root
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
    facts = unread(config, 60 if labels.max() < 60 else 120)
    return Dataset(
        "ntu",
        split(np.flatnonzero(trains), "train on"),
        split(np.flatnonzero(~trains), "test with"),
        facts.classes,
        NTU_25,
        persons=2,
        channels=3,
        fingerprint=digest,
        notes=(f"{report.note(cache.report)} ({cache.folder / 'report.json'})",),
        input=INPUT,
        base_ops=facts.base_ops,
        as_recorded=facts.as_recorded,
    )


def unread(config: Config, classes: int) -> Unread:
    """What is known of clips and classes before anything is read: NTU's names where there are as
    many classes, and where prepared clips stand."""
    centred = config.preparation == "ctrgcn"
    return Unread(
        NTU_120[:classes] if classes in (60, 120) else (), CENTRED if centred else (), not centred
    )
