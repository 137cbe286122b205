"""NTU RGB+D 60 and 120 (Shahroudy et al., arXiv 1604.02808; Liu et al., arXiv 1905.04757), two
persons, 25 joints.

Reads what people have: CTR-GCN's NTU60_CS.npz, NTU60_CV.npz, NTU120_CSub.npz, NTU120_CSet.npz, or
PaddleVideo's
{xsub,xview}/{train,val}_data.npy with their label pickles (`ntu_files.py`); or a folder of raw `.skeleton` recordings, which is
prepared on first use (`ntu_build.py`). Clips stay on disk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from compress.data.arrays import repair_frames
from compress.data.dataset import Dataset, Split
from compress.data.ntu import (
    build,
    cache as ntu_cache,
    clean,
    names as ntu_names,
    prepared as ntu_files,
    report,
    shards,
)
from compress.data.ntu.names import NTU_120
from export.preprocess import ops
from teachers.errors import DataError
from teachers.skeleton import NTU_25

INPUT = "crop_resize"
CENTRED = ({"op": "centre", "joint": 1, "frame": 0},)


@dataclass(frozen=True)
class Config:
    """Recipe keys; `root` is the folder of the prepared files, one `.npz`, or the folder of
    recordings; `preparation` is what is made of recordings (`ntu_clean.py`) and has no meaning for
    prepared files."""

    root: str
    benchmark: Literal["xsub", "xview", "xset"] = "xsub"
    preparation: Literal["ctrgcn", "efficientgcn"] = "ctrgcn"

    def __post_init__(self):
        if self.benchmark not in ntu_files.NPZ:
            raise ValueError("benchmark: must be xsub, xview or xset")
        if self.preparation not in clean.PREPARATIONS:
            raise ValueError(f"preparation: must be {' or '.join(clean.PREPARATIONS)}")


class Clips(Sequence):
    """Clips (3, T, 25, M) float32 read from disk when asked for: without trailing padding, broken
    frames mended."""

    def __init__(self, data: np.ndarray, where: str):
        self._data, self._where = data, where

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.mended(index)[0]

    def mended(self, index: int) -> tuple[np.ndarray, int]:
        """The clip, and how many of its frames held NaN or infinity.

        Raises:
            DataError: all of them did.
        """
        where = f"{self._where}[{index}]"
        with np.errstate(over="ignore"):  # beyond float32 is infinity, and so mended
            raw = np.asarray(ntu_files.as_clip(self._data[index], where), dtype=np.float32)
        clip, bad = repair_frames(raw)
        if bad == clip.shape[1]:
            raise DataError(
                f"{where}: every frame holds NaN or infinity; prepare the file again, or remove the"
                " clip and its label"
            )
        return np.ascontiguousarray(ops.trim(clip)), bad


class Survey:
    """One look at every clip before work starts: fingerprint, mended and empty clips, are
    coordinates centred?"""

    def __init__(self):
        self.digest = hashlib.sha256()
        self.mended: list[str] = []
        self.empty: list[str] = []
        self.centred = True

    def add(self, clips: Clips, part: ntu_files.Part, advance: Callable[[], None]) -> None:
        """Look at all clips of a part; `advance` is called after each."""
        self.digest.update(part.labels.tobytes())
        for index in range(len(clips)):
            clip, bad = clips.mended(index)
            self.digest.update(repr(clip.shape).encode())
            self.digest.update(clip)
            if bad:
                self.mended.append(f"{part.where}[{index}]: {bad} frame{'s' * (bad > 1)}")
            if not clip.any():
                self.empty.append(f"{part.where}[{index}]")
            self.centred &= not clip[:, 0, 1, 0].any()
            advance()

    def notes(self) -> tuple[str, ...]:
        """What was found, in words."""
        told = [
            (self.mended, "repaired (frames with NaN or infinity take the nearest good frame)"),
            (self.empty, "empty, nothing but zeros (kept, and counted like any other)"),
        ]
        return tuple(
            f"{len(cases)} clip{'s' * (len(cases) > 1)} {what}: "
            f"{'; '.join(cases[:5])}{'; ...' * (len(cases) > 5)}"
            for cases, what in told
            if cases
        )


def load(config: Config, seed: int, progress=None) -> Dataset:
    """Find the files, look at every clip once, leave them on disk; or open the cache of recordings,
    making it first if need be.

    Raises:
        DataError: nothing to read, or content that cannot be used; the file, the place in it and
            the fix are named.
        StorageError: the cache of recordings cannot be written.
    """
    root = Path(config.root).expanduser()
    if shards.holds_recordings(root):
        return _recordings(config, root, progress)
    parts = ntu_files.read(root, config.benchmark)
    classes = classes_of(parts)
    splits, survey = examine(parts, progress)
    # Public preparations have joint 2 of the first frame at the origin; a raw clip for the deployed
    # network needs it.
    centre = CENTRED if survey.centred else ()
    return Dataset(
        "ntu",
        *splits,
        classes,
        NTU_25,
        persons=2,
        channels=3,
        fingerprint=survey.digest.hexdigest(),
        notes=(*survey.notes(), *overlap(parts)),
        input=INPUT,
        base_ops=centre,
    )


def examine(
    parts: Sequence[ntu_files.Part], progress=None, what: str = "NTU"
) -> tuple[list[Split], Survey]:
    """(the splits, whose clips stay on disk; what one look at each of their clips found).

    Raises:
        DataError: a clip without a good frame.
    """
    total, done = sum(len(part.labels) for part in parts), 0
    survey = Survey()

    def advance() -> None:
        nonlocal done
        done += 1
        if progress and (done % 100 == 0 or done == total):
            progress(done, total, f"checking {what} clips")

    splits = []
    for part in parts:
        clips = Clips(part.data, part.where)
        survey.add(clips, part, advance)
        splits.append(Split(part.names, clips, part.labels))
    return splits, survey


def _recordings(config: Config, root: Path, progress) -> Dataset:
    """A folder of raw recordings, from its cache."""
    known = (
        *ntu_files.NPZ[config.benchmark],
        f"{config.benchmark}/train_data.npy",
        "train_data.npy",
    )
    if prepared := [name for name in known if (root / name).is_file()]:
        raise DataError(
            f"{root}: holds recordings and {prepared[0]}; give data.root the folder or the file to"
            " use, or put them apart"
        )
    cache = build.open_or_build(root, config.preparation, progress=progress)
    numbers = ntu_names.numbers(cache.names)
    if config.benchmark == "xview" and ntu_names.edition(numbers) == 120:
        raise DataError(
            f"{root}: X-View is a benchmark of NTU RGB+D 60, but clips of 120 are here; set"
            " data.benchmark to xsub or xset, or give a folder of setups 1-17 alone"
        )
    trains, labels, names = (
        ntu_names.trains(numbers, config.benchmark),
        numbers[:, 4] - 1,
        cache.names.astype(str),
    )
    splits = [
        Split(tuple(names[chosen].tolist()), ntu_cache.Clips(cache, chosen), labels[chosen])
        for chosen in map(np.flatnonzero, (trains, ~trains))
    ]
    for split, what in zip(splits, ("train on", "test with")):
        if not len(split):
            raise DataError(
                f"{root}: holds no clip to {what} in the {config.benchmark} split; copy the whole"
                " set, or set data.benchmark"
            )
    digest = hashlib.sha256(
        repr((cache.digests, config.benchmark, config.preparation)).encode() + cache.names.tobytes()
    ).hexdigest()
    return Dataset(
        "ntu",
        *splits,
        NTU_120[: 60 if labels.max() < 60 else 120],
        NTU_25,
        persons=2,
        channels=3,
        fingerprint=digest,
        notes=(f"{report.note(cache.report)} ({cache.folder / 'report.json'})",),
        input=INPUT,
        base_ops=CENTRED if config.preparation == "ctrgcn" else (),
    )


def classes_of(parts: tuple[ntu_files.Part, ntu_files.Part]) -> tuple[str, ...]:
    """The first 60 names, or all 120: as wide as the labels say, else as the largest of them needs."""
    train, test = parts
    if train.classes != test.classes:
        raise DataError(
            f"{train.where}: labels of {train.classes} classes, but the test part has"
            f" {test.classes}; they must come from the same preparation"
        )
    largest = max(int(part.labels.max()) for part in parts)
    return NTU_120[: train.classes or (60 if largest < 60 else 120)]


def overlap(parts: tuple[ntu_files.Part, ntu_files.Part]) -> tuple[str, ...]:
    """The note on clips that both splits name."""
    both = sorted(set(parts[0].names) & set(parts[1].names))
    return (
        (
            (
                f"{len(both)} clip{'s' * (len(both) > 1)} named in both splits, so accuracy is"
                f" flattered: {', '.join(both[:5])}"
            ),
        )
        if both
        else ()
    )
