"""Writes a prepared set as EfficientGCN's array files, which its own program reads, and the data set
`efficientgcn` (`compress/data/efficientgcn.py`).

`original|transformed/BENCHMARK/{train,eval}_data.npy` (N, 3, 300, 25, 2) float32, and `_label.pkl`,
a pickle of (paths, labels, lengths). Beside each, `_data.json` says of what it was made and how far;
work that was killed goes on from there.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from compress.data.arrays import open_npy
from compress.data.dataset import Dataset, Split
from compress.data.ntu.clip_cache import read_json
from compress.data.ntu.recordings import SUFFIX
from compress.process import lock
from export.preprocess import normalise, ops
from teachers import storage
from teachers.errors import DataError, StorageError
from teachers.skeleton import NTU_25
from teachers.terminal.output import say

FRAMES = 300
SHAPE = (3, FRAMES, 25, 2)
FIT = {"op": "fit", "frames": FRAMES}
# What is done to a recording, by the name of the folder.
STEPS: dict[str, tuple[dict[str, Any], ...]] = {
    "original": (FIT,),
    "transformed": (FIT, {"op": "view_transform", **normalise.frame_of(NTU_25, None, None)}),
}
# 46 MB, a few tenths of a second of work: so much is written before it is noted.
NOTED = 256
LOCK = ".lock"


def write(
    dataset: Dataset,
    root: Path,
    prepared: str,
    benchmark: str,
    advance: Callable[[int], None] = lambda clips: None,
) -> Path:
    """Write both splits below `root`; returns their folder. What is there already and whole stays.

    Args:
        dataset: as `preparation: efficientgcn` gives it.
        prepared: a key of STEPS.
        advance: called as advance(clips) as clips are written, those of an earlier call counted.
    Raises:
        DataError: files of another origin are in the way.
        StorageError: the disk is full or not writable.
    """
    folder = storage.make_folder(root / prepared / benchmark)
    with lock.wait(folder / LOCK):
        for name, split in (("train", dataset.train), ("eval", dataset.val)):
            made_of = {"source": dataset.fingerprint, "prepared": prepared, "clips": len(split)}
            _Writer(folder, name, split, made_of, STEPS[prepared]).write(advance)
    return folder


class _Writer:
    """One split's two files."""

    def __init__(self, folder: Path, name: str, split: Split, made_of: dict, steps: tuple):
        self.split = split
        self.steps = steps
        self.data = folder / f"{name}_data.npy"
        self.labels = folder / f"{name}_label.pkl"
        self.note = folder / f"{name}_data.json"
        # Not by `storage.atomic`, whose unfinished files the next write in the folder removes: this
        # one is to outlive its process.
        self.unfinished = folder / f"{name}_data.npy.unfinished"
        self.made_of = made_of

    def write(self, advance: Callable[[int], None]) -> None:
        """All that is missing; `advance(clips)` hears of it."""
        start = self._start()
        advance(start)
        if not self.data.is_file():
            self._write_clips(start, advance)
            self._write_labels()
            try:
                os.replace(self.unfinished, self.data)
            except OSError as error:
                raise storage.failure(self.data, error) from error
        elif not self.labels.is_file():
            self._write_labels()

    def _start(self) -> int:
        """How many clips an earlier call has written of the same recordings; what it wrote of others
        is removed."""
        note = read_json(self.note)
        ours = isinstance(note, dict) and note.keys() == {*self.made_of, "done"}
        if not ours and self.data.exists():
            raise DataError(
                f"{self.data}: is there already, and was not written by this command; choose another"
                " folder with --to, or move it away"
            )
        done = int(note.pop("done")) if ours else 0
        same = ours and note == self.made_of
        if same and done == len(self.split) and self._is_whole(self.data):
            return done
        # The data first: killed in between, the note still says that they are ours.
        self.data.unlink(missing_ok=True)
        if same and self._is_whole(self.unfinished):
            return done
        self.unfinished.unlink(missing_ok=True)
        return 0

    def _is_whole(self, path: Path) -> bool:
        try:
            return open_npy(path).shape == (len(self.split), *SHAPE)
        except DataError:
            return False

    def _write_labels(self) -> None:
        frames = [self.split.clips[index].shape[1] for index in range(len(self.split))]
        longer = sum(count > FRAMES for count in frames)
        if longer:
            say(f"note: {self.data.name}: {longer} clips cut to their first {FRAMES} frames")
        # Names of recordings, as the published program's paths are; the last part is what counts.
        paths = [f"{name}{SUFFIX}" for name in self.split.names]
        lengths = [min(count, FRAMES) for count in frames]
        content = (paths, self.split.labels.tolist(), lengths)
        storage.write_bytes(self.labels, pickle.dumps(content, 2))

    def _write_clips(self, start: int, advance: Callable[[int], None]) -> None:
        array = self._opened(start)
        for index in range(start, len(self.split)):
            array[index] = ops.apply(self.split.clips[index], self.steps)
            done = index + 1
            if done % NOTED == 0 or done == len(self.split):
                # On disk before the note: after a crash of the machine it must not say too much.
                array.flush()
                self._note(done)
                advance(done - start)
                start = done

    def _opened(self, start: int) -> np.memmap:
        shape = (len(self.split), *SHAPE)
        try:
            if start:
                return np.lib.format.open_memmap(self.unfinished, mode="r+")
            self._note(0)
            array = np.lib.format.open_memmap(self.unfinished, "w+", np.float32, shape)
            # A map is a file with holes; where the disk is full at one, the process dies of SIGBUS.
            with self.unfinished.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, self.unfinished.stat().st_size)
            return array
        except OSError as error:
            # What an earlier call has written stays, whatever keeps this one from opening it.
            if not start:
                self.unfinished.unlink(missing_ok=True)
            raise storage.failure(self.data, error) from error
        except ValueError as error:
            raise StorageError(
                f"{self.unfinished}: cannot be continued ({error}); remove it and start again"
            ) from error

    def _note(self, done: int) -> None:
        storage.write_text(self.note, json.dumps({**self.made_of, "done": done}))
