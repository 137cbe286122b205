"""Clips as CSV: a header, then a row for every frame, or for every person of a frame."""

from __future__ import annotations

import numpy as np

from compress.data.poses.contract import FIX, Poses, Wanted, check_size, float32
from compress.data.poses.csv_columns import Columns, columns_of
from teachers.errors import DataError

# With the letters of nan and infinity, which `float` reads. Without a check, `float` would also
# take "1_000" for a number.
NUMBERS = b"0123456789+-.eE, \t\r\n" + b"aAfFiInNtTyY"


def parse(data: bytes, where: str, wanted: Wanted) -> Poses:
    """The clip of a CSV text.

    The columns, in any order, are x0, y0, z0, x1, ... (or from x1 on, or x_0; without z for two
    coordinates; with score0, confidence0 or alike where there are scores; or hip_x, ... with the
    joints' names). A header with semicolons has decimal commas below it. With a column `frame` the
    rows may be in any order, and numbers that are left out are counted, not filled; with a column
    `person` beside it, a number, the same frame has a row for each person. An empty cell is a
    missing number. Indexes and times are passed over.

    Raises:
        DataError: a column or a row that cannot be; line and fix are named.
    """
    lines = _lines(data)
    columns = columns_of(lines[0] if lines else b"", where, wanted)
    values, numbers = _rows(lines, columns, where)
    frames = np.arange(len(values), dtype=float)
    if columns.frame is not None:
        frames = values[:, columns.frame]
    people = np.zeros(len(values))
    if columns.person is not None:
        people = values[:, columns.person]
    _check_whole(frames, people, numbers, where)
    times, frame = np.unique(frames, return_inverse=True)
    ids, person = np.unique(people, return_inverse=True)
    V = wanted.joints
    C = wanted.coordinates
    check_size(where, len(ids), len(times), V, C)
    _check_once(frame * len(ids) + person, numbers, frames, where)
    clip = np.zeros((len(ids), len(times), V, C), np.float32)
    clip[person, frame] = float32(values[:, columns.points]).reshape(-1, V, C)
    scores = None
    if columns.scores:
        scores = np.zeros(clip.shape[:3], np.float32)
        scores[person, frame] = float32(values[:, columns.scores])
    left_out = int(times[-1] - times[0]) + 1 - len(times)
    return Poses(clip, scores, left_out=left_out, notes=_notes(columns))


def _lines(data: bytes) -> list[bytes]:
    """The lines of a CSV text, with commas between numbers that have points."""
    # Excel's byte order mark, and the quotes that some programs put around every cell; numbers and
    # names of columns have neither.
    lines = data.removeprefix(b"\xef\xbb\xbf").replace(b'"', b"").splitlines()
    # As spreadsheets write it in half of Europe. By the header, which has no numbers in it.
    if lines and b";" in lines[0] and b"," not in lines[0]:
        lines = [line.replace(b",", b".").replace(b";", b",") for line in lines]
    return lines


def _check_whole(frames: np.ndarray, people: np.ndarray, numbers: list[int], where: str) -> None:
    for key, whole in (("frame", frames), ("person", people)):
        # From 2**53 on, float64 has no room for every whole number. NaN fails both comparisons.
        exact = (np.abs(whole) < 2**53) & (whole == np.round(whole))
        wrong = np.flatnonzero(~exact)
        if wrong.size:
            raise DataError(
                f"{where}: line {numbers[wrong[0]]}: {key} is {whole[wrong[0]]:g}, expected a whole"
                f" number; {FIX}"
            )


def _notes(columns: Columns) -> tuple[str, ...]:
    if not columns.passed_over:
        return ()
    return (f"clip with columns that are not read ({', '.join(columns.passed_over)})",)


def _rows(lines: list[bytes], columns: Columns, where: str) -> tuple[np.ndarray, list[int]]:
    """((n, columns) float64, the n numbers of their lines)."""
    rows = []
    numbers = []
    used = {*columns.points, *columns.scores, columns.frame, columns.person}
    skipped = [index for index in range(columns.count) if index not in used]
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = line.split(b",")
        try:
            if len(cells) != columns.count:
                raise ValueError
            # A time may be any text.
            for index in skipped:
                cells[index] = b""
            if b"".join(cells).translate(None, NUMBERS):
                raise ValueError
            # An array a row: lists of Python floats take four times the memory.
            rows.append(np.array([float(cell) if cell.strip() else np.nan for cell in cells]))
        except ValueError as error:
            raise DataError(
                f"{where}: line {number}: {line[:40].decode('utf-8', 'replace')!r}, expected"
                f" {columns.count} numbers with commas between them; {FIX}"
            ) from error
        numbers.append(number)
    if not rows:
        raise DataError(f"{where}: has no row of numbers below its header; {FIX}")
    return np.stack(rows), numbers


def _check_once(places: np.ndarray, numbers: list[int], frames: np.ndarray, where: str) -> None:
    """No person may be in a frame twice; `places` is a number for each pair of the two."""
    # Sorted, equal places are neighbours; stable, so that the earlier line is named first.
    order = np.argsort(places, kind="stable")
    same = np.flatnonzero(np.diff(places[order]) == 0)
    if same.size:
        first, second = order[same[0] : same[0] + 2]
        raise DataError(
            f"{where}: lines {numbers[first]} and {numbers[second]} are both frame"
            f" {frames[first]:g} of the same person; {FIX}"
        )
