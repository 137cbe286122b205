"""Read a torch checkpoint (the zip format of torch >= 1.6) without torch and without executing
code."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from teachers.errors import CheckpointError
from teachers.storage import archives
from teachers.weights import torch_pickle


def read(path: Path, data: bytes | None = None) -> object:
    """The object that was saved, with numpy arrays for tensors.

    Args:
        data: the file's content, where it was read already.
    Raises:
        CheckpointError: not a torch zip, damaged, or holding anything but tensors, arrays and plain
            containers.
    """
    return torch_pickle.guarded(
        path, lambda path: _read(path, path.read_bytes() if data is None else data)
    )


def _read(path: Path, data: bytes) -> object:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        # The folder inside is named as the file was when it was saved: any name.
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError(f"{path}: holds no torch checkpoint (no data.pkl in the archive)")
        root = pickles[0].removesuffix("data.pkl")
        storages: dict[str, np.ndarray] = {}

        # torch does not compress, so members that are larger than the file are a zip bomb; all of
        # them, for they may share their bytes.
        archives.check(archive.infolist(), len(data))
        claimed = sum(info.file_size for info in archive.infolist())
        if claimed > len(data):
            raise CheckpointError(
                f"its members claim {claimed} bytes, more than the whole file has"
            )

        def content(name: str) -> bytearray:
            # A bytearray, for arrays over `bytes` could not be written to.
            return bytearray(archive.read(name))

        def storage(reference: tuple) -> np.ndarray:
            _, storage_type, key = reference[:3]
            # Once: tied weights are several tensors of one storage.
            if key not in storages:
                storages[key] = storage_type.elements(content(f"{root}data/{key}"))
            return storages[key]

        return torch_pickle.Unpickler(io.BytesIO(content(pickles[0])), str(path), storage).load()
