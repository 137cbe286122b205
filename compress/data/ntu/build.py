"""Makes the cache of a folder of NTU RGB+D recordings (`clip_cache.py`), in parallel processes, or
opens the one there is.

Work that was killed resumes, and ends with the same files to the byte.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from compress.data.dataset import Callback
from compress.data.ntu import clip_cache, making, recordings
from compress.data.ntu.recordings import Source
from compress.process import folders, lock, ranks
from teachers import storage
from teachers.errors import StorageError

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
    workers = workers or max((os.cpu_count() or 1) // ranks.on_this_machine(), 1)
    build = making.Build(target, manifest, source, left_out, workers, callback)
    if ranks.launched_as()[0] > 0:
        cache = build.help()
    else:
        with lock.wait(target / LOCK):
            # Another process may have finished it while this one waited for the lock.
            cache = clip_cache.open_cache(target, manifest)
            if cache is None:
                build.lead()
                cache = clip_cache.open_cache(target, manifest)
    if cache is None:
        raise StorageError(
            f"{target}: was prepared but cannot be opened; remove that folder and prepare again"
        )
    return cache


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
