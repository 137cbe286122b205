"""Makes the cache of a folder of NTU RGB+D recordings (`ntu_cache.py`), in parallel processes, or
opens what is there.

Work that was killed goes on where it was, and ends with the same files to the byte.
"""

from __future__ import annotations

import fcntl
import fnmatch
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from compress.data.ntu import (
    cache as ntu_cache,
    names as ntu_names,
    parallel,
    report,
    shards as ntu_shards,
)
from compress.data.ntu.shards import Source
from teachers import storage
from teachers.errors import DataError, StorageError

SHARD_CLIPS = 256
BESIDE = ".featherbone-cache"
IN_HOME = Path("~/.cache/featherbone")

Progress = Callable[[int, int, str], None]


def place(root: Path, preparation: str) -> Path:
    """The cache's folder: in the source folder where it can be written, else in the home folder."""
    beside = root / BESIDE
    if not (beside.is_dir() or os.access(root, os.W_OK)):
        beside = (
            IN_HOME.expanduser() / hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:16]
        )
    return beside / f"ntu-{preparation}"


def open_or_build(
    root: Path,
    preparation: str,
    missing: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    folder: Path | None = None,
    shard_clips: int = SHARD_CLIPS,
) -> ntu_cache.Cache:
    """The cache of a folder of recordings, made first where there is none of this version and these
    files.

    Args:
        missing: a list of missing skeletons; None for the one beside the recordings, or else the
            cache's own.
        workers: processes, by default one a core.
        progress: is told (clips done, all clips, what is done).

    Raises:
        DataError: no recordings, or none of them can be used. StorageError: the cache cannot be
            written.
    """
    source, folder = ntu_shards.listing(root), folder or place(root, preparation)
    left_out = _missing(root, folder, missing)
    manifest = {
        "version": ntu_cache.VERSION,
        "preparation": preparation,
        "shard_clips": shard_clips,
        "source": _fingerprint(source, left_out),
    }
    if (cache := ntu_cache.opened(folder, manifest)) is not None:
        return cache
    with _alone(folder):
        if (
            cache := ntu_cache.opened(folder, manifest)
        ) is None:  # nobody else has finished it in the meantime
            _build(folder, manifest, source, left_out, workers or os.cpu_count() or 1, progress)
            cache = ntu_cache.opened(folder, manifest)
    if cache is None:
        raise StorageError(
            f"{folder}: was prepared but cannot be opened; remove that folder and prepare again"
        )
    return cache


def _build(
    folder: Path,
    manifest: dict,
    source: Source,
    missing: tuple[str, ...],
    workers: int,
    progress: Progress | None,
) -> None:
    if ntu_cache.read_json(folder / "manifest.json") != manifest:
        for old in (
            folder / "manifest.json",
            folder / "index.npz",
            folder / "report.json",
            *folder.glob("shards/*.npz"),
        ):
            old.unlink(missing_ok=True)
        storage.write_text(folder / "missing.txt", "".join(f"{name}\n" for name in missing))
        storage.write_text(folder / "manifest.json", json.dumps(manifest, indent=1))
    for pattern in (
        "shards/.*.npz",
        ".*.npz",
        ".*.json",
        ".*.txt",
    ):  # half written when something was killed
        for unfinished in folder.glob(pattern):
            unfinished.unlink(missing_ok=True)
    files, skipped = _wanted(source, missing)
    size = manifest["shard_clips"]
    tasks = [
        {
            "root": str(source.root.resolve()),
            "files": files[start : start + size],
            "preparation": manifest["preparation"],
            "target": str(ntu_cache.shard_path(folder, start // size).resolve()),
        }
        for start in range(0, len(files), size)
    ]
    done = {
        number: told
        for number in range(len(tasks))
        if (told := ntu_shards.summary(ntu_cache.shard_path(folder, number))) is not None
    }
    ready = sum(told["files"] for told in done.values())
    for number, told in _made(
        {number: task for number, task in enumerate(tasks) if number not in done}, workers
    ):
        done[number] = told
        ready += told["files"]
        if progress:
            progress(ready, len(files), "preparing recordings")
    _finish(
        folder,
        manifest,
        [done[number] for number in range(len(tasks))],
        skipped,
        len(source.files),
        len(missing),
    )


def _made(tasks: dict[int, dict], workers: int) -> Iterator[tuple[int, dict]]:
    """(number, summary) of shards as they are finished."""
    if workers == 1 or len(tasks) < 2:
        yield from ((number, ntu_shards.make(task)) for number, task in tasks.items())
    else:
        numbers = {task["target"]: number for number, task in tasks.items()}
        for task, told in parallel.run(
            "compress.data.ntu.shards:make", tasks.values(), min(workers, len(tasks))
        ):
            yield numbers[task["target"]], told


def _finish(
    folder: Path,
    manifest: dict,
    shards: list[dict],
    skipped: list[list[str]],
    found: int,
    missing: int,
) -> None:
    """Index and report of finished shards."""
    lengths = np.array([length for told in shards for length in told["lengths"]], np.int64)
    names = np.array([name for told in shards for name in told["names"]], f"S{ntu_names.LENGTH}")
    numbers = np.repeat(np.arange(len(shards)), [len(told["names"]) for told in shards])
    offsets = np.concatenate(
        [np.cumsum([0, *told["lengths"]])[:-1] * 150 for told in shards] or [np.zeros(0)]
    ).astype(np.int64)
    skipped = skipped + [entry for told in shards for entry in told["skipped"]]
    repaired = [entry for told in shards for entry in told["repaired"]]
    told = report.report(
        manifest["preparation"], found, names, int(lengths.sum()), skipped, repaired, missing
    )
    storage.write_text(folder / "report.json", json.dumps(told, indent=1))
    if not len(names):
        raise DataError(
            f"{folder / 'report.json'}: none of {found} recordings could be prepared"
            f" ({report.note(told)}); it says why"
        )
    storage.write_arrays(
        folder / "index.npz",
        {"names": names, "shards": numbers, "offsets": offsets, "lengths": lengths},
        {
            "manifest": manifest,
            "sizes": [told["size"] for told in shards],
            "digests": [told["digest"] for told in shards],
        },
    )


def _wanted(source: Source, missing: tuple[str, ...]) -> tuple[list[str], list[list[str]]]:
    """(files to read, [file, reason, details] of those that are not): by list, by name, by being
    there twice."""
    names, patterns = (
        {name for name in missing if ntu_names.NAME.fullmatch(name)},
        [name for name in missing if set(name) & set("*?[")],
    )
    files, skipped, seen = [], [], {}
    for path, _, _ in source.files:
        name = os.path.basename(path)[: -len(ntu_shards.SUFFIX)]
        if problem := ntu_names.problem(name):
            skipped.append([path, "unknown name", problem])
        elif name in names or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
            skipped.append([path, "missing-skeleton list", "is on the list"])
        elif name in seen:
            skipped.append([path, "duplicate name", f"{seen[name]} is taken"])
        else:
            seen[name] = path
            files.append(path)
    return files, skipped


def _missing(root: Path, folder: Path, given: Path | None) -> tuple[str, ...]:
    path = given or ntu_shards.find_missing_list(root) or folder / "missing.txt"
    if given is None and path == folder / "missing.txt" and not ntu_cache.size_of(path):
        return ()
    return ntu_shards.missing_list(path)


def _fingerprint(source: Source, missing: tuple[str, ...]) -> str:
    return hashlib.sha256(repr((source.files, missing)).encode()).hexdigest()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits until no other process prepares this cache; the lock falls with the process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise StorageError(
            f"{folder}: cannot be written ({error.strerror}); free some space or choose another"
            " folder with python -m compress.data.prepare --cache"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
