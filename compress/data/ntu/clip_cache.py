"""Prepared NTU RGB+D recordings as a cache: shards of clips that are memory-mapped, and an index of
them.

The cache belongs to one version of the preparation and one state of the source folder (names,
sizes, times of all files); of another, it is made anew. Every file is written atomically, so work
that was killed resumes.

    manifest.json       version, preparation and source
    missing.txt         the list of missing skeletons it was made with
    shards/00000.npz    `shards.make`
    index.npz           name, shard and place of every clip, by name; the last to be written
    report.json         `report.report`
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from compress.data.arrays import open_npz
from compress.data.dataset import LazyClips
from compress.data.ntu.shards import FRAME_SIZE
from teachers import storage
from teachers.errors import CheckpointError

# Of the prepared numbers and of the files; raise it when either changes.
VERSION = 1


@dataclass(frozen=True)
class Cache:
    """An opened cache of n clips, by name.

    Attributes:
        names: (n,) bytes; shards, offsets, lengths: (n,) where a clip begins in which shard, and
            its frames.
        digests: SHA-256 of every shard's frames.
    """

    folder: Path
    names: np.ndarray
    shards: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    digests: tuple[str, ...]
    report: dict[str, Any]
    _open: dict[int, np.ndarray] = field(default_factory=dict)

    def clip(self, index: int) -> np.ndarray:
        """Clip (3, T, 25, 2) float32, read-only where it lies on disk."""
        shard = int(self.shards[index])
        # Shards stay mapped: there are about 450 of NTU 120, and their pages belong to the system.
        # Two threads may map the same one; the later replaces the former, and both are right.
        if shard not in self._open:
            self._open[shard] = open_npz(shard_path(self.folder, shard), ("frames",))["frames"]
        start = int(self.offsets[index])
        T = int(self.lengths[index])
        return self._open[shard][start : start + T * FRAME_SIZE].reshape(3, T, 25, 2)


class CachedClips(LazyClips):
    """Some clips of a cache, read from disk when asked for."""

    def __init__(self, cache: Cache, indices: np.ndarray):
        self._cache = cache
        self._indices = indices

    def __len__(self) -> int:
        return len(self._indices)

    def clip(self, index: int) -> np.ndarray:
        # A copy: whoever augments in place must not meet a read-only page.
        return np.array(self._cache.clip(int(self._indices[index])))


def open_cache(folder: Path, manifest: dict[str, Any]) -> Cache | None:
    """The cache, if it is whole and of this manifest."""
    try:
        arrays, meta = storage.read_arrays(folder / "index.npz")
    # Missing or half written: to be made, which is no error.
    except CheckpointError:
        return None
    report = read_json(folder / "report.json")
    # Sizes, not contents: hashing gigabytes would take minutes.
    sizes = [size_of(shard_path(folder, number)) for number in range(len(meta["sizes"]))]
    if meta["manifest"] != manifest or sizes != meta["sizes"] or report is None:
        return None
    return Cache(
        folder,
        names=arrays["names"],
        shards=arrays["shards"],
        offsets=arrays["offsets"],
        lengths=arrays["lengths"],
        digests=tuple(meta["digests"]),
        report=report,
    )


def shard_path(folder: Path, number: int) -> Path:
    """Where shard `number` of a cache is."""
    return folder / "shards" / f"{number:05d}.npz"


def size_of(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def read_json(path: Path) -> Any:
    """The content of a JSON file, None where there is no whole one."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
