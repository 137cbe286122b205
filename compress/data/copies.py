"""Clips of the validation split that are training clips again, found by what they hold.

Names and labels decide nothing. A clip is a copy if it is the same number for number, or if at least
half of it is a stretch of a training clip that was moved as a whole (data sets are centred) or cut
at its ends (and trimmed).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from compress.data.data_report import counted, shortened
from compress.data.dataset import Callback, Dataset, Split
from compress.process.folders import user_cache
from teachers import storage
from teachers.errors import StorageError

# Poses are hashed on a grid of so many cells across the body: rounding of float32 is 1e-4 of a
# cell, so that nearly every pose of a moved clip falls into its own cell again.
CELLS = 256
# Training poses that are looked up; more of them would find copies of which less than half is left.
ANCHORS = 8
# Of a clip's extent, that two numbers of a moved copy may differ by.
TOLERANCE = 1e-4
# Of the longer clip's frames, that have to be the same.
SHARE = 0.5
# Places of one pose in the validation split that are compared: people who stand still have many.
MOST_PLACES = 16
# A pose that never moves says nothing about who it is of.
FEWEST_POSES = 3
# Raised when what counts as a copy changes: what was found before is then looked for again.
VERSION = 1


@dataclass(frozen=True)
class Copies:
    """Which validation clips are training clips: `exact`, number for number, and `moved`, the others
    that are; both (n,) bool."""

    exact: np.ndarray
    moved: np.ndarray

    @property
    def any(self) -> np.ndarray:
        """(n,) bool, of either kind."""
        return self.exact | self.moved


def marked(dataset: Dataset, callback: Callback | None = None) -> Dataset:
    """The data set with its copies marked in `val.copies`, and a note where there are any.

    What is found is kept in the user's cache folder by the data set's fingerprint, as every clip
    has to be read for it.
    """
    path = _cache(dataset)
    found = _kept(path, len(dataset.val))
    if found is None:
        found = find(dataset.train, dataset.val, dataset.coordinates, callback)
        _keep(path, found)
    notes = dataset.notes + tuple(_notes(dataset.val, found))
    return replace(dataset, val=replace(dataset.val, copies=found.any), notes=notes)


def find(
    train: Split, val: Split, coordinates: int = 3, callback: Callback | None = None
) -> Copies:
    """The copies among the clips of `val`.

    Args:
        coordinates: channels in front of a score, by which poses are compared.
    """
    index = _Index(val, coordinates)
    exact = np.zeros(len(val), bool)
    moved = np.zeros(len(val), bool)
    for number, clip in enumerate(train.clips):
        same = index.same(clip)
        exact[same] = True
        points = trimmed(clip[:coordinates])
        for candidate in index.candidates(points):
            # What is the same number for number is not looked at again, nor what was found.
            if not exact[candidate[0]] and not moved[candidate[0]]:
                moved[candidate[0]] = _overlap(points, index.points(candidate[0]), candidate[1])
        if callback:
            callback(number + 1, len(train), "looking for copies")
    return Copies(exact, moved & ~exact)


def groups(split: Split) -> np.ndarray:
    """(n,) a number for each clip, the same for clips that are equal number for number."""
    known: dict[bytes, int] = {}
    return np.array([known.setdefault(_content(clip), len(known)) for clip in split.clips])


def trimmed(points: np.ndarray) -> np.ndarray:
    """Points (C, T, V, M) without the frames at both ends that show nobody; (C, 0, V, M) if none
    does."""
    seen = np.flatnonzero((points != 0).any(axis=(0, 2, 3)))
    return points[:, seen[0] : seen[-1] + 1] if seen.size else points[:, :0]


def poses(points: np.ndarray) -> np.ndarray:
    """(T,) int64: a hash of each frame of (C, T, V, M), the same wherever its persons stand
    together."""
    C, T, V, M = points.shape
    seen = (points != 0).any(axis=0)  # (T, V, M)
    count = np.maximum(seen.sum(axis=(1, 2)), 1)
    # float64: the mean of a few hundred float32 would differ by more than the numbers do.
    points = points.astype(np.float64)
    mean = (points * seen).sum(axis=(2, 3)) / count  # (C, T)
    around = np.where(seen, points - mean[:, :, None, None], 0)
    extent = np.abs(around).max(axis=(0, 2, 3), initial=0)  # (T,)
    # A power of two, so that an extent which differs by its rounding gives the same grid.
    cell = 2.0 ** np.round(np.log2(np.maximum(extent, 1e-30))) / CELLS * 2
    cells = np.rint(around / cell[None, :, None, None]).astype(np.int64)
    cells = np.where(seen, cells, CELLS * 4)
    # Odd factors modulo 2^64: a sum of products tells such vectors apart but for 1 in 2^64.
    factors = np.random.default_rng(0).integers(2**62, size=C * V * M, dtype=np.int64) * 2 + 1
    with np.errstate(over="ignore"):
        return cells.transpose(1, 0, 2, 3).reshape(T, C * V * M) @ factors


class _Index:
    """The clips of a split by their content and by their poses."""

    def __init__(self, split: Split, coordinates: int):
        self.split = split
        self.coordinates = coordinates
        self._contents: dict[bytes, list[int]] = {}
        hashes, places = [], []
        for number, clip in enumerate(split.clips):
            self._contents.setdefault(_content(clip), []).append(number)
            found = poses(trimmed(clip[:coordinates]))
            hashes.append(found)
            places.append(np.stack([np.full(len(found), number), np.arange(len(found))], axis=1))
        whole = np.concatenate(hashes)
        # Sorted, not a dict: a split has millions of frames.
        order = np.argsort(whole, kind="stable")
        self._hashes = whole[order]
        self._places = np.concatenate(places)[order]

    def same(self, clip: np.ndarray) -> list[int]:
        """Clips that are equal number for number."""
        return self._contents.get(_content(clip), [])

    def points(self, number: int) -> np.ndarray:
        """What poses of a clip are hashed from."""
        return trimmed(self.split.clips[number][: self.coordinates])

    def candidates(self, points: np.ndarray) -> Iterator[tuple[int, int]]:
        """(clip, its first frame minus this one's) wherever the split has one of the anchors."""
        T = points.shape[1]
        anchors = np.unique(np.linspace(0, T - 1, ANCHORS + 2).astype(int)[1:-1]) if T else []
        if not len(anchors):
            return
        wanted = poses(points[:, anchors])
        first = np.searchsorted(self._hashes, wanted, "left")
        last = np.searchsorted(self._hashes, wanted, "right")
        found: dict[tuple[int, int], None] = {}
        for anchor, start, end in zip(anchors, first, last, strict=True):
            for clip, frame in self._places[start : min(end, start + MOST_PLACES)]:
                found[int(clip), int(frame) - int(anchor)] = None
        yield from found


def _overlap(one: np.ndarray, other: np.ndarray, shift: int) -> bool:
    """Whether `one` (C, T, V, M) is `other`, frame t there being t + shift here, but for a place and
    the ends."""
    start = max(0, -shift)
    end = min(one.shape[1], other.shape[1] - shift)
    if end - start < SHARE * max(one.shape[1], other.shape[1]):
        return False
    first = one[:, start:end].astype(np.float64)
    second = other[:, start + shift : end + shift].astype(np.float64)
    seen = (first != 0).any(axis=0)
    if not np.array_equal(seen, (second != 0).any(axis=0)) or not seen.any():
        return False
    if len(np.unique(poses(first))) < FEWEST_POSES:
        return False
    apart = np.where(seen, first - second, 0)
    apart = np.where(seen, apart - apart.sum(axis=(1, 2, 3), keepdims=True) / seen.sum(), 0)
    extent = np.abs(first).max() - np.where(seen, np.abs(first), np.inf).min()
    return bool(np.abs(apart).max() <= TOLERANCE * max(extent, 1e-30))


def _content(clip: np.ndarray) -> bytes:
    # The bytes themselves are no key: two splits of them would not fit in memory.
    digest = hashlib.blake2b(repr(clip.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(clip).tobytes())
    return digest.digest()


def _cache(dataset: Dataset) -> Path | None:
    try:
        return user_cache() / "copies" / f"{dataset.fingerprint}-{VERSION}.json"
    # A user without a home looks for them every time.
    except StorageError:
        return None


def _kept(path: Path | None, clips: int) -> Copies | None:
    """What was found before; None where it is not there or cannot be read."""
    if path is None:
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        masks = []
        for kind in ("exact", "moved"):
            mask = np.zeros(clips, bool)
            mask[np.array(content[kind], dtype=int)] = True
            masks.append(mask)
        return Copies(*masks) if content["clips"] == clips else None
    # A cache is no input: what is wrong with it is mended by looking again.
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _keep(path: Path | None, found: Copies) -> None:
    if path is None:
        return
    content = {"clips": len(found.exact)}
    content |= {k: np.flatnonzero(getattr(found, k)).tolist() for k in ("exact", "moved")}
    try:
        storage.make_folder(path.parent)
        storage.write_text(path, json.dumps(content))
    # Read-only homes are no reason to stop; the next run looks again.
    except StorageError:
        return


def _notes(val: Split, found: Copies) -> Iterator[str]:
    count = int(found.any.sum())
    if not count:
        return
    kinds = []
    if found.exact.any():
        kinds.append(f"{int(found.exact.sum())} number for number")
    if found.moved.any():
        kinds.append(f"{int(found.moved.sum())} moved or cut")
    names = [name for name, copy in zip(val.names, found.any, strict=True) if copy]
    yield (
        f"{counted(count, 'clip')} of the {len(val)} to validate with {'is' if count == 1 else 'are'}"
        f" among those to train on ({', '.join(kinds)}): {shortened(names)}; accuracy is given of all"
        " clips and, as clean, of the others"
    )
