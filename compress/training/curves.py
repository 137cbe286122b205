"""Training curves, confusion matrices and hyperparameters for VisualDL (`visualdl --logdir
<run>/curves`).

VisualDL 2.5.3 shows only one record file of a folder, the one whose name sorts last, so every
process of a run writes to the same file. Its own LogWriter prints to standard output and loses
records on a full disk without an error: the records are VisualDL's, the file is written here (each
record is its length, uint64 little-endian, and a protobuf).
"""

from __future__ import annotations

import math
import os
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from compress.training.confusion_picture import draw_confusion
from teachers import storage

FILE_NAME = "vdlrecords.curves.log"


class Curves:
    """Writer of one VisualDL run.

    Opening a folder again appends to it, and for every tag the last writer wins: writing a step
    that is already there first removes that step and all later ones of the tag. So a run resumed
    after a kill shows each step once, whatever the killed process wrote beyond the checkpoint. A
    record cut short by a kill is dropped. A VisualDL server that was showing the run when records
    were removed has to be restarted.
    """

    def __init__(self, logdir: str | Path):
        self.path = Path(logdir) / FILE_NAME
        # Tag -> its largest step in the file.
        self._last: dict[str, int] = {}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            kept = list(read_records(self.path)) if self.path.exists() else []
            whole_bytes = sum(8 + len(data) for data, _, _ in kept)
            # Bytes behind the last whole record are one that a kill cut short: anything appended
            # to them would be read as its content. Without records the file needs its first one.
            if not kept or whole_bytes != self.path.stat().st_size:
                self._rewrite(kept)
        except OSError as error:
            raise storage.failure(self.path, error) from error
        for _, tag, step in kept:
            self._last[tag] = max(step, self._last.get(tag, step))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write one value a tag, for example {"student/train/loss": 0.4}; NaN and infinity are
        shown as such."""
        # Late, as in the rest of this file: VisualDL takes time to import, and a dry run or a
        # recipe with an error writes no curve.
        from visualdl.component.base_component import scalar

        self._append(
            scalar(tagged(tag), float(value), step, now_ms()) for tag, value in values.items()
        )

    def confusion(
        self, step: int, matrix: np.ndarray, class_names: list[str], tag: str = "confusion"
    ) -> None:
        """Write a confusion matrix (K, K), rows true and columns predicted, as an image."""
        from visualdl.component.base_component import image

        picture = draw_confusion(np.asarray(matrix), list(class_names))
        self._append([image(tagged(tag), picture, step, now_ms())])

    def hyperparameters(self, values: dict[str, object], metrics: dict[str, float]) -> None:
        """Write the run's flat hyperparameters and its final metrics; a second call replaces the
        first."""
        from visualdl.component.base_component import hparam
        from visualdl.utils.md5_util import md5

        plain = {name: _plain(value) for name, value in values.items()}
        # The name by which VisualDL tells runs apart; its own LogWriter takes the same hash.
        run = md5(str(self.path))
        self._append([hparam(run, plain, [tagged(tag) for tag in metrics], now_ms())])
        self.scalars(0, metrics)

    def part(self, name: str) -> Curves:
        """The curves of a part of the run, such as one training: a folder of its own.

        For VisualDL every folder is a run. Its pages compare runs under one tag, and have one
        slider of steps for each: trainings in one folder would leave the shorter one's precision
        and recall blank.
        """
        return Curves(self.path.parent / name)

    def write(self, records: Iterable) -> None:
        """Write VisualDL's own records, all in one go."""
        self._append(records)

    def close(self) -> None:
        """Nothing is buffered: every call before this one is on disk already."""

    def _append(self, records: Iterable) -> None:
        values = [
            (record.SerializeToString(), record.values[0].tag, record.values[0].id)
            for record in records
        ]
        # Steps that are in the file already: those of a killed run beyond its checkpoint. VisualDL
        # would show both.
        again: dict[str, int] = {}
        for _, tag, step in values:
            if step <= self._last.get(tag, step - 1):
                # The first of them: several steps of a tag may be written at once.
                again[tag] = min(step, again.get(tag, step))
        try:
            if again:
                earlier = [
                    (data, tag, step)
                    for data, tag, step in read_records(self.path)
                    if step < again.get(tag, math.inf)
                ]
                self._rewrite(earlier)
            self._write_whole(b"".join(map(_framed, values)))
        except OSError as error:
            raise storage.failure(self.path, error) from error
        for _, tag, step in values:
            self._last[tag] = step

    def _write_whole(self, content: bytes) -> None:
        """Append all or, on a full disk, nothing: half a record would hide every later one."""
        # Unbuffered, so that a full disk is an error here and not when the file is closed.
        with open(self.path, "ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            try:
                # An unbuffered write may take a part only, without an error.
                while content:
                    content = content[file.write(content) :]
            except OSError:
                file.truncate(before)
                raise

    def _rewrite(self, records: list[tuple[bytes, str, int]]) -> None:
        from visualdl.component.base_component import meta_data

        # The first record of a VisualDL file is its meta data.
        if not records:
            records = [(meta_data(walltime=now_ms()).SerializeToString(), "meta_data_tag", 0)]
        # VisualDL reads every file with "vdlrecords" in its name, so one that is half written must
        # not have it; names of `storage` have not.
        storage.write_bytes(self.path, b"".join(map(_framed, records)))


class NoCurves(Curves):
    """Writes nothing: of several processes, one draws the curves."""

    def __init__(self) -> None:
        pass

    def part(self, name: str) -> Curves:
        return self

    def write(self, records: Iterable) -> None:
        pass

    def close(self) -> None:
        pass


def read_records(path: Path) -> Iterator[tuple[bytes, str, int]]:
    """(record, tag, step) of every whole record of a VisualDL file, up to the first that is cut
    short or damaged."""
    from google.protobuf.message import DecodeError
    from visualdl.proto.record_pb2 import Record

    data = path.read_bytes()
    position = 0
    while position + 8 <= len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        position += 8 + length
        if position > len(data):
            return
        content = data[position - length : position]
        try:
            record = Record.FromString(content)
        except DecodeError:
            return
        # Zeros parse as an empty record, and a crash of the machine can leave them in a file.
        if not record.values:
            return
        yield content, record.values[0].tag, record.values[0].id


def _framed(record: tuple[bytes, str, int]) -> bytes:
    return struct.pack("<Q", len(record[0])) + record[0]


def now_ms() -> int:
    """The time of a record."""
    return round(time.time() * 1000)


def _plain(value: object) -> int | float | str:
    """VisualDL takes integers of 32 bits, floats and strings; a bool is none of them."""
    # A bool is an int in Python, but VisualDL would show True as 1.
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) and abs(value) >= 2**31:
        return float(value)
    return value


def tagged(tag: str) -> str:
    """The tag, checked."""
    if "%" in tag:
        raise ValueError(f"tag {tag!r}: VisualDL allows no '%' in a tag; write 'percent'")
    return tag
