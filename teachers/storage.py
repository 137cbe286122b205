"""Atomic files: a write ends with the whole file or with the old one, whatever happens."""

from __future__ import annotations

import io
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from teachers.errors import CheckpointError, StorageError

META = "__meta__"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` that replaces it when the block ends well.

    Raises:
        StorageError: the disk is full or not writable. `path` keeps its old content and nothing is
            left behind.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # In the same folder: a rename is atomic within one file system only. The suffix stays, as
        # NumPy adds its own to a name without.
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent
        )
        os.close(handle)
        temporary = Path(name)
        yield temporary
        # Before the rename: else a crash of the machine can leave the new name with no content.
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes files that only their owner may read; a run's folder is to be shared.
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot write it ({error.strerror or error}); free some space or choose"
            " another folder with --output, then continue with --resume"
        ) from error
    finally:
        if temporary is not None and temporary.exists():
            temporary.unlink()


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
