"""The work of making a cache of NTU RGB+D recordings: shards in parallel, and the index of them."""

from __future__ import annotations

import fnmatch
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compress.data.dataset import Callback
from compress.data.ntu import clip_cache, naming, parallel, recordings, report, shards
from compress.data.ntu.recordings import Source
from compress.process import ranks
from teachers import storage
from teachers.errors import DataError, StorageError

# Between two looks at what the other processes of a launcher have made.
WAIT_SECONDS = 0.2


@dataclass(frozen=True)
class Build:
    """A cache that is made now, by this process or by those of a launcher together: each makes
    every so-manieth shard, and the first one the rest. They meet in the folder alone."""

    folder: Path
    manifest: dict[str, Any]
    source: Source
    missing: tuple[str, ...]
    workers: int
    callback: Callback | None

    def lead(self) -> None:
        """Make the cache; of several processes, as the first."""
        index, count = ranks.launched_as()
        _prepare_folder(self.folder, self.manifest, self.missing)
        if count == 1:
            _remove_unfinished(self.folder)
        tasks, skipped = self._tasks()
        files = sum(len(task["files"]) for task in tasks)
        # What an earlier run finished is kept: shards are written whole or not at all.
        summaries: dict[int, dict[str, Any]] = {}
        for number, summary in self._made(tasks, index, count):
            summaries[number] = summary
            if self.callback:
                ready = sum(summary["files"] for summary in summaries.values())
                self.callback(ready, files, "preparing recordings")
        # By number, not as they were finished: the index is the same however many processes there
        # are.
        ordered = [summaries[number] for number in range(len(tasks))]
        # Now at the latest nobody writes any more.
        _remove_unfinished(self.folder)
        _write_index(
            self.folder, self.manifest, ordered, skipped, len(self.source.files), len(self.missing)
        )

    def help(self) -> clip_cache.Cache:
        """Make this process's shards, and wait for the first one to finish the cache."""
        index, count = ranks.launched_as()
        while (cache := clip_cache.open_cache(self.folder, self.manifest)) is None:
            if clip_cache.read_json(self.folder / "manifest.json") == self.manifest:
                tasks, _ = self._tasks()
                mine = {
                    number: task for number, task in enumerate(tasks) if number % count == index
                }
                for _ in _make_shards(self._left(mine), self.workers):
                    pass
            time.sleep(WAIT_SECONDS)
        return cache

    def _tasks(self) -> tuple[list[dict[str, Any]], list[list[str]]]:
        """(a task a shard, the recordings that are in none)."""
        files, skipped = _select(self.source, self.missing)
        size = self.manifest["shard_clips"]
        tasks = [
            {
                "root": str(self.source.root.resolve()),
                "files": files[start : start + size],
                "preparation": self.manifest["preparation"],
                "target": str(clip_cache.shard_path(self.folder, start // size).resolve()),
            }
            for start in range(0, len(files), size)
        ]
        return tasks, skipped

    def _left(self, tasks: dict[int, dict[str, Any]]) -> dict[int, dict[str, Any]]:
        return {
            number: task
            for number, task in tasks.items()
            if shards.summary(clip_cache.shard_path(self.folder, number)) is None
        }

    def _made(
        self, tasks: list[dict[str, Any]], index: int, count: int
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """(number, summary) of all shards, as they are there: made before, here or by others."""
        waiting = dict(enumerate(tasks))
        mine = {number: task for number, task in waiting.items() if number % count == index}
        left = self._left(mine)
        for number in mine.keys() - left.keys():
            yield number, self._summary(number)
        yield from _make_shards(left, self.workers)
        others = waiting.keys() - mine.keys()
        while others:
            there = [n for n in sorted(others) if clip_cache.shard_path(self.folder, n).exists()]
            for number in there:
                # One that is damaged is of an earlier time: its process makes it anew.
                summary = shards.summary(clip_cache.shard_path(self.folder, number))
                if summary is not None:
                    others -= {number}
                    yield number, summary
            if others:
                # A launcher ends all its processes when one has ended, this one too.
                time.sleep(WAIT_SECONDS)

    def _summary(self, number: int) -> dict[str, Any]:
        path = clip_cache.shard_path(self.folder, number)
        summary = shards.summary(path)
        if summary is None:
            raise StorageError(f"{path}: was there a moment ago and cannot be read; check the disk")
        return summary


def _prepare_folder(folder: Path, manifest: dict[str, Any], missing: tuple[str, ...]) -> None:
    """Removes a cache of another manifest, and what was left half written."""
    if clip_cache.read_json(folder / "manifest.json") != manifest:
        # The manifest first: killed in between, nobody takes the rest for a cache of it.
        outdated = (
            folder / "manifest.json",
            folder / "index.npz",
            folder / "report.json",
            *folder.glob("shards/*.npz"),
        )
        for path in outdated:
            path.unlink(missing_ok=True)
        storage.write_text(folder / "missing.txt", "".join(f"{name}\n" for name in missing))
        storage.write_text(folder / "manifest.json", json.dumps(manifest, indent=1))


def _remove_unfinished(folder: Path) -> None:
    # `storage` writes to a hidden name and renames; kill -9 leaves the hidden file.
    for pattern in ("shards/.*.npz", ".*.npz", ".*.json", ".*.txt"):
        for unfinished in folder.glob(pattern):
            unfinished.unlink(missing_ok=True)


def _make_shards(
    tasks: dict[int, dict[str, Any]], workers: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, summary) of shards as they are finished."""
    # Starting a process costs more than a single shard of a small folder.
    if workers == 1 or len(tasks) < 2:
        for number, task in tasks.items():
            yield number, shards.make(task)
        return
    numbers = {task["target"]: number for number, task in tasks.items()}
    replies = parallel.run(
        "compress.data.ntu.shards:make", tasks.values(), min(workers, len(tasks))
    )
    for task, summary in replies:
        yield numbers[task["target"]], summary


def _write_index(
    folder: Path,
    manifest: dict[str, Any],
    summaries: list[dict[str, Any]],
    skipped: list[list[str]],
    recorded: int,
    missing: int,
) -> None:
    """Index and report of finished shards.

    Args:
        skipped: of the recordings that no shard has seen.
        recorded: how many recordings the folder has.
        missing: entries of the list of missing skeletons.
    """
    names = []
    lengths = []
    offsets = []
    repaired = []
    for summary in summaries:
        names += summary["names"]
        lengths += summary["lengths"]
        ends = np.cumsum([0, *summary["lengths"]])
        offsets += (ends[:-1] * shards.FRAME_SIZE).tolist()
        skipped = skipped + summary["skipped"]
        repaired += summary["repaired"]
    clips_in = [len(summary["names"]) for summary in summaries]
    # Bytes of a fixed length: 114,000 names are an array of 2 MB that opens in an instant.
    arrays = {
        "names": np.array(names, f"S{naming.LENGTH}"),
        "shards": np.repeat(np.arange(len(summaries)), np.array(clips_in, np.int64)),
        "offsets": np.array(offsets, np.int64),
        "lengths": np.array(lengths, np.int64),
    }
    counts = report.report(
        manifest["preparation"],
        recorded,
        arrays["names"],
        sum(lengths),
        skipped,
        repaired,
        missing,
    )
    # Before the check below: it is the report that says why nothing could be prepared.
    storage.write_text(folder / "report.json", json.dumps(counts, indent=1))
    if not names:
        raise DataError(
            f"{folder / 'report.json'}: none of {recorded} recordings could be prepared"
            f" ({report.note(counts)}); it says why"
        )
    # The index comes last: where it is, everything is.
    storage.write_arrays(
        folder / "index.npz",
        arrays,
        {
            "manifest": manifest,
            "sizes": [summary["size"] for summary in summaries],
            "digests": [summary["digest"] for summary in summaries],
        },
    )


def _select(source: Source, missing: tuple[str, ...]) -> tuple[list[str], list[list[str]]]:
    """(files to read, [file, reason, details] of those that are not): by list, by name, by being
    there twice."""
    # Names in a set, as the published list has 535 of them; only patterns are tried one by one.
    names = {name for name in missing if naming.NAME.fullmatch(name)}
    patterns = [name for name in missing if set(name) & set("*?[")]
    files: list[str] = []
    skipped: list[list[str]] = []
    seen: dict[str, str] = {}
    for path, _, _ in source.files:
        name = os.path.basename(path)[: -len(recordings.SUFFIX)]
        if problem := naming.problem(name):
            skipped.append([path, "unknown name", problem])
        elif name in names or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            skipped.append([path, "missing-skeleton list", "is on the list"])
        elif name in seen:
            skipped.append([path, "duplicate name", f"{seen[name]} is taken"])
        else:
            seen[name] = path
            files.append(path)
    return files, skipped
