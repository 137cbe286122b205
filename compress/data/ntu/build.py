"""Makes the cache of a folder of NTU RGB+D recordings (`clip_cache.py`), in parallel processes, or
opens the one there is.

Work that was killed resumes, and ends with the same files to the byte.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from compress.data.dataset import Callback
from compress.data.ntu import clip_cache, naming, parallel, recordings, report, shards
from compress.data.ntu.recordings import Source
from compress.process import folders, lock
from teachers import storage
from teachers.errors import DataError, StorageError

# A few seconds of work for a process, so that little is lost when it is killed; and 46 MB of clips
# of 300 frames, which many processes can hold at once.
SHARD_CLIPS = 256
# Where releases before 0.1 made caches, and whoever shares a data set may make one still. A leading
# dot: neither a listing of the recordings nor a wildcard meets it.
BESIDE = ".featherbone-cache"
LOCK = ".lock"


def place(root: Path, preparation: str) -> Path:
    """The cache's folder: the user's own, since nobody asked for files among the recordings."""
    # By the whole path: two data sets may have folders of one name.
    name = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
    return folders.user_cache() / name / f"ntu-{preparation}"


def open_or_build(
    root: Path,
    preparation: str,
    missing: Path | None = None,
    workers: int | None = None,
    callback: Callback | None = None,
    folder: Path | None = None,
    shard_clips: int = SHARD_CLIPS,
) -> clip_cache.Cache:
    """The cache of a folder of recordings, made first where there is none of this version and these
    files.

    Args:
        missing: a list of missing skeletons; None for the one beside the recordings, or else the
            cache's own.
        workers: processes, by default one a core.
        callback: called as callback(done, total, what) after each shard; clips are counted.

    Raises:
        DataError: no recordings, or none of them can be used. StorageError: the cache cannot be
            written.
    """
    source = recordings.listing(root)
    beside = root / BESIDE / f"ntu-{preparation}"
    # Data sets often lie on a drive that is shared and read-only. A cache that somebody made there
    # is used, and never written.
    candidates = (folder,) if folder else (beside, place(root, preparation))
    for target in candidates:
        left_out = _missing(root, target, missing)
        # A cache is used where all of this is equal, and replaced otherwise.
        manifest = {
            "version": clip_cache.VERSION,
            "preparation": preparation,
            "shard_clips": shard_clips,
            "source": _fingerprint(source, left_out),
        }
        cache = clip_cache.open_cache(target, manifest)
        if cache is not None:
            return cache
    # The last of them is where a cache is made.
    try:
        storage.make_folder(target)
    except StorageError as error:
        raise StorageError(
            f"{error} with FEATHERBONE_CACHE, or python -m compress.data.prepare --cache"
        ) from error
    with lock.wait(target / LOCK):
        # Another process may have finished it while this one waited for the lock.
        cache = clip_cache.open_cache(target, manifest)
        if cache is None:
            workers = workers or os.cpu_count() or 1
            _build(target, manifest, source, left_out, workers, callback)
            cache = clip_cache.open_cache(target, manifest)
    if cache is None:
        raise StorageError(
            f"{target}: was prepared but cannot be opened; remove that folder and prepare again"
        )
    return cache


def _build(
    folder: Path,
    manifest: dict[str, Any],
    source: Source,
    missing: tuple[str, ...],
    workers: int,
    callback: Callback | None,
) -> None:
    _prepare_folder(folder, manifest, missing)
    files, skipped = _select(source, missing)
    size = manifest["shard_clips"]
    tasks = [
        {
            "root": str(source.root.resolve()),
            "files": files[start : start + size],
            "preparation": manifest["preparation"],
            "target": str(clip_cache.shard_path(folder, start // size).resolve()),
        }
        for start in range(0, len(files), size)
    ]
    # What an earlier run finished is kept: shards are written whole or not at all.
    summaries: dict[int, dict[str, Any]] = {}
    for number in range(len(tasks)):
        summary = shards.summary(clip_cache.shard_path(folder, number))
        if summary is not None:
            summaries[number] = summary
    ready = sum(summary["files"] for summary in summaries.values())
    remaining = {number: task for number, task in enumerate(tasks) if number not in summaries}
    for number, summary in _make_shards(remaining, workers):
        summaries[number] = summary
        ready += summary["files"]
        if callback:
            callback(ready, len(files), "preparing recordings")
    # By number, not as they were finished: the index is the same however many processes there are.
    ordered = [summaries[number] for number in range(len(tasks))]
    _write_index(folder, manifest, ordered, skipped, len(source.files), len(missing))


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


def _missing(root: Path, folder: Path, path: Path | None) -> tuple[str, ...]:
    """The entries of the list at `path`, or else of the one beside the recordings, or else of the
    one that the cache was made with."""
    path = path or recordings.find_missing_list(root)
    if path is None:
        # A recipe cannot name a list. With the cache's own, it opens what
        # `prepare --missing LIST` made, in place of making it anew without the list.
        path = folder / "missing.txt"
        if not clip_cache.size_of(path):
            return ()
    return recordings.missing_list(path)


def _fingerprint(source: Source, missing: tuple[str, ...]) -> str:
    # Names, sizes and times: reading 114,000 files to be sure would take as long as preparing them.
    return hashlib.sha256(repr((source.files, missing)).encode()).hexdigest()
