"""What frozen teachers said of batches that they have seen before.

A batch is a function of seed, epoch and place, so networks that are trained under one teacher by one
schedule, as those of a search are, see the same batches one after the other. The teacher's half of a
step is then work done twice, and for a small student it is most of the step.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle

from compress.training.frozen import Frozen, Teachers
from compress.training.model import Model
from teachers import networks, storage

# Of SHA-256; a batch of other clips has another one.
DIGEST = 16
# Rows and columns of the logits, uint32 each
SHAPE = 8
CHECK = 4
# A file of this size takes no more: on NTU RGB+D 120 an epoch's answers are 30 MB.
LARGEST = 2**30


class Answers:
    """Logits of frozen teachers by the bytes of what they saw; what is asked for again is not
    computed again, bit for bit the same.

    Kept in a file, one record after the other, so that a process that goes on after a kill has them
    too. A last record that a kill cut short is dropped. In memory is where each of them lies.
    """

    def __init__(self, path: Path, largest: int = LARGEST):
        self._path = path
        self._largest = largest
        # Digest -> (place of the logits, rows, columns)
        self._known: dict[bytes, tuple[int, int, int]] = {}
        self._end = self._scan() if path.exists() else 0

    def __len__(self) -> int:
        return len(self._known)

    def of(self, teachers: Teachers, frozen: Frozen) -> Frozen:
        """`frozen`, which computes only what was not asked before; `teachers` are what it computes.

        Raises (from its `compute`):
            StorageError: an answer cannot be written or read.
        """
        # Their weights count: the answers of others would pass for theirs.
        about = {role: _about(ensemble, frozen.runtime) for role, ensemble in teachers.items()}
        views = {role: _views(ensemble) for role, ensemble in teachers.items()}

        def compute(batch: dict) -> dict[str, paddle.Tensor]:
            keys = {role: _key(about[role], batch, views[role]) for role in teachers}
            if all(key in self._known for key in keys.values()):
                return {role: paddle.to_tensor(self._read(key)) for role, key in keys.items()}
            computed = frozen.compute(batch)
            for role, logits in computed.items():
                self._keep(keys[role], logits.numpy())
            return computed

        return replace(frozen, compute=compute)

    def _keep(self, key: bytes, logits: np.ndarray) -> None:
        logits = np.ascontiguousarray(logits, "<f4")
        record = key + np.array(logits.shape, "<u4").tobytes() + logits.tobytes()
        record += zlib.crc32(record).to_bytes(CHECK, "little")
        if key in self._known or self._end + len(record) > self._largest:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("r+b" if self._end else "wb") as file:
                # Not at the end of the file: a record that was cut short is written over.
                file.seek(self._end)
                file.write(record)
                file.truncate()
        except OSError as error:
            raise storage.failure(self._path, error) from error
        rows, columns = logits.shape
        self._known[key] = (self._end + DIGEST + SHAPE, rows, columns)
        self._end += len(record)

    def _read(self, key: bytes) -> np.ndarray:
        place, rows, columns = self._known[key]
        try:
            with self._path.open("rb") as file:
                file.seek(place)
                content = file.read(4 * rows * columns)
        except OSError as error:
            raise storage.failure(self._path, error) from error
        return np.frombuffer(content, "<f4").reshape(rows, columns).copy()

    def _scan(self) -> int:
        """Where each whole record lies; where the last one ends."""
        end = 0
        with self._path.open("rb") as file:
            while len(head := file.read(DIGEST + SHAPE)) == DIGEST + SHAPE:
                rows, columns = np.frombuffer(head, "<u4", 2, DIGEST).tolist()
                size = 4 * rows * columns
                if size > self._largest:
                    break
                content, check = file.read(size), file.read(CHECK)
                whole = len(content) == size and len(check) == CHECK
                if not whole or zlib.crc32(head + content) != int.from_bytes(check, "little"):
                    break
                self._known[head[:DIGEST]] = (end + len(head), rows, columns)
                end = file.tell()
        return end


def _views(ensemble: tuple[Model, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(model.view.fingerprint for model in ensemble))


def _about(ensemble: tuple[Model, ...], runtime: str) -> bytes:
    found = hashlib.sha256(runtime.encode())
    for model in ensemble:
        found.update(f"{model.view.fingerprint} {model.weight}".encode())
        for name, value in networks.state_of(model.network).items():
            found.update(name.encode())
            found.update(np.ascontiguousarray(value).data)
    return found.digest()


def _key(about: bytes, batch: Mapping[str, paddle.Tensor], views: tuple[str, ...]) -> bytes:
    found = hashlib.sha256(about)
    for view in views:
        x = batch[view].numpy()
        found.update(str(x.shape).encode())
        found.update(np.ascontiguousarray(x).data)
    return found.digest()[:DIGEST]
