"""Atomic files: a write ends with the whole file or with the old one, whatever happens."""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from teachers.errors import CheckpointError, StorageError, advice
from teachers.storage import archives

META = "__meta__"
# What is not finished is called so and nothing else is: after kill -9 it can be told from what
# people keep. Without `path.name`, which may be as long as the file system allows.
UNFINISHED = ".featherbone-partial-"
# In a folder that is being written: whoever writes it holds it locked.
WRITING = "writing"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` that replaces it when the block ends well.

    What a killed process left unfinished in the same folder is removed first.

    Raises:
        StorageError: the disk is full or not writable. `path` keeps its old content and nothing is
            left behind.
    """
    path = Path(path)
    temporary = None
    handle = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        # In the same folder: a rename is atomic within one file system only.
        handle, temporary = _locked_temporary(path.parent, path.suffix)
        yield temporary
        # Before the rename: else a crash of the machine can leave the new name with no content.
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner may read; a run's folder is to be shared.
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise failure(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def failure(path: Path, error: OSError) -> StorageError:
    """The error to raise for a file or folder that cannot be written: what, why and the fix."""
    fix = advice(error) or "choose another folder"
    return StorageError(f"{path}: cannot write it ({error.strerror or error}); {fix}")


def make_folder(folder: Path) -> Path:
    """The folder, made with its parents where there is none.

    Raises:
        StorageError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise failure(folder, error) from error
    return folder


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Yields an empty folder on the file system of `folder`, but not in it: what is finished there
    is moved over by `deliver`, and what a killed process leaves unfinished never lies among what
    ships. It is removed at the end.

    Raises:
        StorageError: it cannot be made.
    """
    # Absolute, since the parent of "." is no folder of its own.
    folder = make_folder(Path(folder).absolute())
    place = folder.parent
    # A folder that is mounted by itself (a container's volume), or whose parent belongs to
    # somebody else: there is no better place than inside, and the next export sweeps it.
    if place.stat().st_dev != folder.stat().st_dev or not os.access(place, os.W_OK):
        place = folder
    sweep(folder)
    with _temporary_folder(place) as temporary:
        yield temporary


@contextmanager
def scratch() -> Iterator[Path]:
    """Yields an empty folder among the system's temporary files, removed at the end; unlike one of
    `tempfile`, it does not stay behind for ever where the process is killed.

    Raises:
        StorageError: it cannot be made.
    """
    with _temporary_folder(Path(tempfile.gettempdir())) as temporary:
        yield temporary


@contextmanager
def _temporary_folder(place: Path) -> Iterator[Path]:
    sweep(place)
    try:
        handle, temporary = _locked_folder(place)
    except OSError as error:
        raise failure(place, error) from error
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(handle)


def deliver(path: Path, folder: Path) -> Path:
    """Move a finished file of `staging` to its folder; returns its new path."""
    target = folder / path.name
    try:
        os.replace(path, target)
    except OSError as error:
        raise failure(target, error) from error
    return target


def sweep(folder: Path) -> None:
    """Remove what killed processes have left unfinished in `folder`; what a living one is writing
    stays."""
    for path in folder.glob(f"{UNFINISHED}*"):
        # Whatever goes wrong: litter of others must never stop the work.
        with suppress(OSError):
            _sweep(path)


def _sweep(path: Path) -> None:
    is_folder = path.is_dir()
    try:
        # For writing, as NFS makes an exclusive lock of such files only.
        handle = os.open(path / WRITING if is_folder else path, os.O_RDWR)
    except FileNotFoundError:
        # Killed before it had a lock. `rmdir` spares a folder that is not empty any more.
        path.rmdir()
        return
    try:
        # The kernel's own lock, which ends with its process, on this machine or another. Process
        # numbers mean nothing elsewhere, and come back.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_folder:
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    finally:
        os.close(handle)


def _locked_temporary(folder: Path, suffix: str) -> tuple[int, Path]:
    # The suffix stays, as NumPy adds its own to a name without.
    while True:
        handle, name = tempfile.mkstemp(prefix=UNFINISHED, suffix=suffix, dir=folder)
        if _lock(handle):
            return handle, Path(name)
        os.close(handle)


def _locked_folder(folder: Path) -> tuple[int, Path]:
    while True:
        made = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=folder))
        # Another process may sweep it before it is locked.
        with suppress(FileNotFoundError):
            handle = os.open(made / WRITING, os.O_RDWR | os.O_CREAT, 0o600)
            if _lock(handle):
                return handle, made
            os.close(handle)


def _lock(handle: int) -> bool:
    """Lock a new file; False where another process has swept it away in that moment."""
    # Some file systems have no locks (ENOLCK, ENOTSUP): there nothing can be swept, either.
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)
    return os.fstat(handle).st_nlink > 0


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic(path) as temporary:
        # Explicit, for Python's default is the locale's.
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write bytes atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(data)


def write_arrays(path: Path, arrays: dict[str, np.ndarray], meta: dict) -> None:
    """Write arrays and a JSON dict as one uncompressed `.npz`, atomically."""
    # Not straight to disk: zipfile complains on its own when the disk fills half-way.
    content = io.BytesIO()
    # Meta as uint8: an array of text takes four bytes a character in NumPy.
    np.savez(content, **{META: np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)}, **arrays)
    write_bytes(path, content.getbuffer())


def read_arrays(path: Path, data: bytes | None = None) -> tuple[dict[str, np.ndarray], dict]:
    """What `write_arrays` wrote.

    Args:
        data: the file's content, where it was read already.
    Raises:
        CheckpointError: missing, truncated or of another kind.
    """
    return _guarded(
        Path(path), lambda path: _read_arrays(path if data is None else io.BytesIO(data))
    )


def _read_arrays(source: Path | io.BytesIO) -> tuple[dict[str, np.ndarray], dict]:
    with zipfile.ZipFile(source) as members:
        size = source.stat().st_size if isinstance(source, Path) else source.getbuffer().nbytes
        archives.check(members.infolist(), size)
    # NumPy's default, said all the same: a weights file must never run code.
    with np.load(source, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return arrays, json.loads(arrays.pop(META).tobytes().decode())


def _guarded(path: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(path)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such file; check the path") from error
    # zipfile, zlib and numpy raise a dozen kinds for a damaged file.
    except Exception as error:
        raise CheckpointError(
            f"{path}: damaged or truncated ({type(error).__name__}: {error}); copy it again or "
            "delete it"
        ) from error
