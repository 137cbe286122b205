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
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from teachers.errors import StorageError

FILE_NAME = "vdlrecords.curves.log"


class Curves:
    """Writer of one VisualDL run.

    Opening a folder again continues it, and for every tag the last writer wins: writing a step that
    is already there first removes that step and all later ones of the tag. So a run resumed after a
    kill shows each step once, whatever the killed process wrote beyond the checkpoint. A record cut
    short by a kill is dropped. A VisualDL server that was showing the run when records were removed
    has to be restarted.
    """

    def __init__(self, logdir: str | Path):
        self.path = Path(logdir) / FILE_NAME
        self._last: dict[str, int] = {}  # tag -> its largest step in the file
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            kept = list(read_records(self.path)) if self.path.exists() else []
            if sum(8 + len(data) for data, _, _ in kept) != (
                self.path.stat().st_size if kept else -1
            ):
                self._rewrite(kept)
        except OSError as error:
            raise self._storage_error(error) from error
        for _, tag, step in kept:
            self._last[tag] = max(step, self._last.get(tag, step))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write one value a tag, for example {"student/train/loss": 0.4}; NaN and infinity are
        shown as such."""
        from visualdl.component.base_component import scalar

        self._append(
            scalar(_checked(tag), float(value), step, _now_ms()) for tag, value in values.items()
        )

    def confusion(
        self, step: int, matrix: np.ndarray, class_names: list[str], tag: str = "confusion"
    ) -> None:
        """Write a confusion matrix (K, K), rows true and columns predicted, as an image."""
        from visualdl.component.base_component import image

        picture = draw_confusion(np.asarray(matrix), list(class_names))  # (H, W, 3) uint8
        self._append([image(_checked(tag), picture, step, _now_ms())])

    def hyperparameters(self, values: dict[str, object], metrics: dict[str, float]) -> None:
        """Write the run's flat hyperparameters and its final metrics; a second call replaces the
        first."""
        from visualdl.component.base_component import hparam
        from visualdl.utils.md5_util import md5

        plain = {name: _plain(value) for name, value in values.items()}
        self._append(
            [hparam(md5(str(self.path)), plain, [_checked(tag) for tag in metrics], _now_ms())]
        )
        self.scalars(0, metrics)

    def close(self) -> None:
        """Nothing is buffered: every call before this one is on disk already."""

    def _append(self, records) -> None:
        values = [
            (record.SerializeToString(), record.values[0].tag, record.values[0].id)
            for record in records
        ]
        again = {tag: step for _, tag, step in values if step <= self._last.get(tag, step - 1)}
        try:
            if again:
                records = read_records(self.path)
                self._rewrite(
                    [record for record in records if record[2] < again.get(record[1], math.inf)]
                )
            self._write_whole(b"".join(map(_framed, values)))
        except OSError as error:
            raise self._storage_error(error) from error
        for _, tag, step in values:
            self._last[tag] = step

    def _write_whole(self, content: bytes) -> None:
        """Append all of it or, on a full disk, nothing: half a record would hide every later one."""
        with open(self.path, "ab", buffering=0) as file:
            before = file.seek(0, os.SEEK_END)
            try:
                while content:
                    content = content[file.write(content) :]
            except OSError:
                file.truncate(before)
                raise

    def _rewrite(self, records: list[tuple[bytes, str, int]]) -> None:
        from visualdl.component.base_component import meta_data

        if not records:  # the first record of a VisualDL file is its meta data
            records = [(meta_data(walltime=_now_ms()).SerializeToString(), "meta_data_tag", 0)]
        beside = self.path.with_name(f"{self.path.name.replace('vdlrecords', 'rewritten')}.tmp")
        beside.write_bytes(b"".join(map(_framed, records)))
        os.replace(beside, self.path)

    def _storage_error(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self.path}: the training curves could not be written ({error.strerror}); "
            "make room or choose another output folder, then run the same command again"
        )


def read_records(path: Path) -> Iterator[tuple[bytes, str, int]]:
    """(record, tag, step) of every whole record of a VisualDL file, up to the first that is cut
    short or damaged."""
    from google.protobuf.message import DecodeError
    from visualdl.proto.record_pb2 import Record

    data, position = path.read_bytes(), 0
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
        if not record.values:
            return
        yield content, record.values[0].tag, record.values[0].id


def draw_confusion(matrix: np.ndarray, class_names: list[str]) -> np.ndarray:
    """The picture (H, W, 3) uint8 of a confusion matrix (K, K): colour is the share of the true
    class, in percent."""
    from matplotlib.backends.backend_agg import (
        FigureCanvasAgg,  # needs no display and changes no global backend
    )
    from matplotlib.figure import Figure

    count = len(class_names)
    if matrix.shape != (count, count):
        raise ValueError(
            f"a confusion matrix of {count} classes is ({count}, {count}), not {matrix.shape}"
        )
    share = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(3 + 0.35 * count, 14)
    figure = Figure(figsize=(side + 1, side), dpi=100, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.1)
    canvas, axes = FigureCanvasAgg(figure), figure.add_subplot()
    colours = axes.imshow(share, cmap="Blues", vmin=0, vmax=100)
    figure.colorbar(colours, label="% of the true class", shrink=0.8)
    # "$" would start mathematics, which fails on names that are none.
    names = [name.replace("$", r"\$")[:30] for name in class_names]
    size = 9 if count <= 30 else max(3, 300 / count)
    axes.set_xticks(range(count), names, rotation=90, fontsize=size)
    axes.set_yticks(range(count), names, fontsize=size)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if count <= 20:
        for row, column in zip(*np.nonzero(matrix), strict=True):
            axes.text(
                column,
                row,
                f"{matrix[row, column]:g}",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if share[row, column] > 55 else "black",
            )
    with warnings.catch_warnings():  # a class name in a script that the font lacks shows as boxes
        warnings.filterwarnings("ignore", message="Glyph")
        canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _framed(record: tuple[bytes, str, int]) -> bytes:
    return struct.pack("<Q", len(record[0])) + record[0]


def _now_ms() -> int:
    return round(time.time() * 1000)


def _plain(value: object) -> int | float | str:
    """VisualDL takes integers of 32 bits, floats and strings; a bool is none of them."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return value if isinstance(value, float) or abs(value) < 2**31 else float(value)


def _checked(tag: str) -> str:
    if "%" in tag:
        raise ValueError(f"tag {tag!r}: VisualDL allows no '%' in a tag; write 'percent'")
    return tag
