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
# Largest number in the header of a record: more clips or classes no batch has.
MOST = 2**20


class Answers:
    """Logits of frozen teachers by the bytes of what they saw; what is asked for again is not
    computed again, bit for bit the same.

    Kept in a file, one record after the other, so that a process that goes on after a kill has them
    too. A last record that a kill cut short is dropped.
    """

    def __init__(self, path: Path):
        self._path = path
        self._known: dict[bytes, np.ndarray] = {}
        content = path.read_bytes() if path.exists() else b""
        end = self._read(content)
        if end < len(content):
            self._write(content[:end], "wb")

    def __len__(self) -> int:
        return len(self._known)

    def of(self, teachers: Teachers, frozen: Frozen) -> Frozen:
        """`frozen`, which computes only what was not asked before; `teachers` are what it computes.

        Raises (from its `compute`):
            StorageError: an answer cannot be written.
        """
        # Their weights count: the answers of others would pass for theirs.
        about = {role: _about(ensemble, frozen.runtime) for role, ensemble in teachers.items()}
        views = {role: _views(ensemble) for role, ensemble in teachers.items()}

        def compute(batch: dict) -> dict[str, paddle.Tensor]:
            keys = {role: _key(about[role], batch, views[role]) for role in teachers}
            if not all(key in self._known for key in keys.values()):
                for role, logits in frozen.compute(batch).items():
                    self._add(keys[role], logits.numpy())
            return {role: paddle.to_tensor(self._known[key]) for role, key in keys.items()}

        return replace(frozen, compute=compute)

    def _add(self, key: bytes, logits: np.ndarray) -> None:
        logits = np.ascontiguousarray(logits, "<f4")
        head = key + np.array(logits.shape, "<u4").tobytes()
        record = head + logits.tobytes()
        self._write(record + zlib.crc32(record).to_bytes(CHECK, "little"), "ab")
        self._known[key] = logits

    def _write(self, content: bytes, mode: str) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open(mode) as file:
                file.write(content)
        except OSError as error:
            raise storage.failure(self._path, error) from error

    def _read(self, content: bytes) -> int:
        """Take over the records of a file; where the last whole one ends."""
        place = 0
        while place + DIGEST + SHAPE <= len(content):
            rows, columns = np.frombuffer(content, "<u4", 2, place + DIGEST).tolist()
            if rows > MOST or columns > MOST:
                break
            start = place + DIGEST + SHAPE
            end = start + 4 * rows * columns
            check = content[end : end + CHECK]
            if (
                zlib.crc32(content[place:end]) != int.from_bytes(check, "little")
                or len(check) < CHECK
            ):
                break
            logits = np.frombuffer(content, "<f4", rows * columns, start).reshape(rows, columns)
            self._known[content[place : place + DIGEST]] = logits.copy()
            place = end + CHECK
        return place


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
