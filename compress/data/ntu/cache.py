"""Prepared NTU RGB+D recordings as a cache: shards of clips that are memory-mapped, and an index of
them.

The cache belongs to one version of the preparation and one state of the source folder (names,
sizes, times of all files); of another, it is made anew. Every file is written atomically, so work
that was killed goes on where it was.

    manifest.json       version, preparation and source
    missing.txt         the list of missing skeletons it was made with
    shards/00000.npz    `ntu_shards.make`
    index.npz           name, shard and place of every clip, by name; the last to be written
    report.json         `ntu_report.report`
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from compress.data.arrays import open_npz
from teachers import storage
from teachers.errors import CheckpointError

VERSION = 1  # of the prepared numbers and of the files; raise it when either changes


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
    report: dict
    _open: dict[int, np.ndarray] = field(default_factory=dict)

    def clip(self, index: int) -> np.ndarray:
        """Clip (3, T, 25, 2) float32, read-only where it lies on disk."""
        shard = int(self.shards[index])
        if shard not in self._open:
            self._open[shard] = open_npz(shard_path(self.folder, shard), ("frames",))["frames"]
        start, T = int(self.offsets[index]), int(self.lengths[index])
        return self._open[shard][start : start + T * 150].reshape(3, T, 25, 2)


class Clips(Sequence):
    """Some clips of a cache, read from disk when asked for."""

    def __init__(self, cache: Cache, indices: np.ndarray):
        self._cache, self._indices = cache, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> np.ndarray:
        return np.array(self._cache.clip(int(self._indices[index])))


def opened(folder: Path, manifest: dict) -> Cache | None:
    """The cache, if it is whole and of this manifest."""
    try:
        arrays, meta = storage.read_arrays(folder / "index.npz")
    except CheckpointError:
        return None
    report = read_json(folder / "report.json")
    sizes = [size_of(shard_path(folder, number)) for number in range(len(meta["sizes"]))]
    if meta["manifest"] != manifest or sizes != meta["sizes"] or report is None:
        return None
    return Cache(folder, **arrays, digests=tuple(meta["digests"]), report=report)


def shard_path(folder: Path, number: int) -> Path:
    """Where shard `number` of a cache is."""
    return folder / "shards" / f"{number:05d}.npz"


def size_of(path: Path) -> int:
    """Bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def read_json(path: Path):
    """The content of a JSON file, None where there is no whole one."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
