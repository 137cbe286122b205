"""One file of own clips -> who was where: `.npy`, `.csv` or `.json`, read strictly and within
limits.

What a file claims is believed as far as its length can hold it. Coordinates that are missing or too
large become NaN or infinity.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compress.data import arrays
from compress.data.own.columns import Columns, columns_of
from compress.data.own.dataset_yaml import NAME, Description
from teachers.errors import DataError
from teachers.storage import json_text
from teachers.storage.bounded import read_bytes

# Bytes of text.
LARGEST_FILE = 32_000_000
# Of one clip: an hour at 28 frames a second, and 200 MB of float32.
MOST_FRAMES = 100_000
MOST_NUMBERS = 50_000_000
# With the letters of nan and infinity, which `float` reads. Without a check, `float` would also
# take "1_000" for a number.
NUMBERS = b"0123456789+-.eE, \t\r\n" + b"aAfFiInNtTyY"
FIX = "correct it, or record the clip again"


def read(path: Path, wanted: Description) -> tuple[np.ndarray, int]:
    """((M, T, V, C) float32 of a file, M as many persons as are in it, C the clip's channels; how
    many frame numbers are left out in it).

    Raises:
        DataError: it cannot be read, is too large, or is no clip of `wanted`; file, place and fix
            are named.
    """
    # As `labels_csv` lets files pass: .CSV is a .csv.
    kind = path.suffix.lower()
    left_out = 0
    if kind == ".npy":
        clip = from_array(arrays.open_npy(path), str(path), wanted)
    elif kind == ".csv":
        clip, left_out = parse_csv(read_bytes(path, LARGEST_FILE), str(path), wanted)
    else:
        clip = parse_json(read_bytes(path, LARGEST_FILE), str(path), wanted)
    # Here, not in each format: a score of x y z is left out, broken ones with it.
    return clip[..., : wanted.channels], left_out


def from_array(values: np.ndarray, where: str, wanted: Description) -> np.ndarray:
    """(M, T, V, C) float32 of an array (T, V, C), (C, T, V, M) or (T, M, V, C), whichever fits the
    joints and numbers."""
    V = wanted.joints
    C = wanted.numbers
    fitting = {}
    if values.ndim == 3 and values.shape[1:] == (V, C):
        fitting["(T, V, C)"] = values[None]
    if values.ndim == 4 and values.shape[0] == C and values.shape[2] == V:
        fitting["(C, T, V, M)"] = values.transpose(3, 1, 2, 0)
    if values.ndim == 4 and values.shape[2:] == (V, C):
        fitting["(T, M, V, C)"] = values.transpose(1, 0, 2, 3)
    # A shape such as (3, 9, 3, 2) fits twice; as many persons as are expected decide.
    if len(fitting) == 2:
        expected = {name: clip for name, clip in fitting.items() if len(clip) == wanted.persons}
        fitting = expected or fitting
    problem = f"{where}: has shape {values.shape} of {values.dtype}"
    if len(fitting) > 1:
        raise DataError(
            f"{problem}, which could be {' or '.join(fitting)}; save it with another number of"
            " frames, or as .json"
        )
    if not fitting or values.dtype.kind not in "fiu" or 0 in values.shape:
        raise DataError(
            f"{problem}, expected numbers as (T, V, C), (C, T, V, M) or (T, M, V, C) with V = {V}"
            f" joints and C = {wanted.described}; {_fix(values.shape, wanted)}"
        )
    (clip,) = fitting.values()
    _check_size(where, *clip.shape)
    return _float32(clip)


def _fix(shape: tuple[int, ...], wanted: Description) -> str:
    # One number more is most often how sure an estimator was.
    more = wanted.numbers + 1
    if not wanted.score and shape and more in (shape[-1], shape[0]):
        return f"if the last of {more} is a score, write `score: true` into {NAME}"
    return FIX


def parse_json(data: bytes, where: str, wanted: Description) -> np.ndarray:
    """(M, T, V, C) float32 of {"frames": [frame]}, a frame being [[x, y, z], ...], its joints, or a
    list of persons who are such lists. [] and null are a frame without anybody, null a missing
    number. Other keys are not looked at.
    """
    content = json_text.parse(data, where)
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not frames:
        raise DataError(
            f'{where}: expected {{"frames": [[[x, y, z], ...], ...]}} with one frame or more; {FIX}'
        )
    V = wanted.joints
    C = wanted.numbers
    people = [_persons(frame) for frame in frames]
    M = max(map(len, people))
    # Before memory is taken for it: one frame with a thousand persons makes all frames as large.
    _check_size(where, M, len(frames), V, C)
    clip = np.zeros((M, len(frames), V, C), np.float32)
    for number, persons in enumerate(people):
        for place, person in enumerate(persons):
            joints = _joints(person, V, C)
            if joints is None:
                raise DataError(
                    f"{where}: frames[{number}]: expected {V} joints of {C} numbers, or a list of"
                    f" persons with as many; {FIX}"
                )
            clip[place, number] = _float32(joints).reshape(V, C)
    return clip


def _persons(frame: object) -> list:
    """The persons of a frame, unchecked."""
    if frame is None or frame == []:
        return []
    # A person is a list of joints, a joint a list of numbers: two levels are one person, three are
    # several.
    if isinstance(frame, list):
        first = frame[0]
        if isinstance(first, list) and first and isinstance(first[0], list):
            return frame
    return [frame]


def _joints(person: object, V: int, C: int) -> np.ndarray | None:
    """(V * C,) float64 of V lists of C numbers or nulls; None for anything else."""
    if (
        not isinstance(person, list)
        or len(person) != V
        or not all(isinstance(joint, list) and len(joint) == C for joint in person)
    ):
        return None
    flat = [value for joint in person for value in joint]
    # Not isinstance, for which true is a number.
    if not all(value is None or type(value) in (int, float) for value in flat):
        return None
    try:
        return np.array([np.nan if value is None else float(value) for value in flat])
    # A whole number beyond float64.
    except OverflowError:
        return None


def parse_csv(data: bytes, where: str, wanted: Description) -> tuple[np.ndarray, int]:
    """As `read`, of a CSV text: a header, then a row for every frame, or for every person of a
    frame.

    The columns, in any order, are x0, y0, z0, x1, ... (or from x1 on; without z for two
    coordinates; with score0, confidence0 or alike where there are scores; or hip_x, ... with the
    joints' names). A header with semicolons has decimal commas below it. With a column `frame` the rows may be in any
    order, and numbers that are left out are counted, not filled; with a column `person` beside it,
    a number, the same frame has a row for each person. An empty cell is a missing number.
    """
    # Excel's byte order mark, and the quotes that some programs put around every cell; numbers and
    # names of columns have neither.
    lines = data.removeprefix(b"\xef\xbb\xbf").replace(b'"', b"").splitlines()
    # As spreadsheets write it in half of Europe. By the header, which has no numbers in it.
    if lines and b";" in lines[0] and b"," not in lines[0]:
        lines = [line.replace(b",", b".").replace(b";", b",") for line in lines]
    columns = columns_of(lines[0] if lines else b"", where, wanted)
    values, numbers = _rows(lines, columns, where)
    frames = np.arange(len(values), dtype=float)
    if columns.frame is not None:
        frames = values[:, columns.frame]
    people = np.zeros(len(values))
    if columns.person is not None:
        people = values[:, columns.person]
    for key, whole in (("frame", frames), ("person", people)):
        # From 2**53 on, float64 has no room for every whole number. NaN fails both comparisons.
        exact = (np.abs(whole) < 2**53) & (whole == np.round(whole))
        wrong = np.flatnonzero(~exact)
        if wrong.size:
            raise DataError(
                f"{where}: line {numbers[wrong[0]]}: {key} is {whole[wrong[0]]:g}, expected a whole"
                f" number; {FIX}"
            )
    times, frame = np.unique(frames, return_inverse=True)
    ids, person = np.unique(people, return_inverse=True)
    V = wanted.joints
    C = wanted.numbers
    _check_size(where, len(ids), len(times), V, C)
    _check_once(frame * len(ids) + person, numbers, frames, where)
    clip = np.zeros((len(ids), len(times), V, C), np.float32)
    clip[person, frame] = _float32(values[:, columns.points]).reshape(-1, V, C)
    return clip, int(times[-1] - times[0]) + 1 - len(times)


def _rows(lines: list[bytes], columns: Columns, where: str) -> tuple[np.ndarray, list[int]]:
    """((n, columns) float64, the n numbers of their lines)."""
    rows = []
    numbers = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        cells = line.split(b",")
        try:
            if len(cells) != columns.count or line.translate(None, NUMBERS):
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


def _check_size(where: str, M: int, T: int, V: int, C: int) -> None:
    # Both limits: a few frames of many persons and joints can take as much memory as many frames.
    if T > MOST_FRAMES or M * T * V * C > MOST_NUMBERS:
        raise DataError(
            f"{where}: {M} persons in {T} frames, at most {MOST_FRAMES} frames and {MOST_NUMBERS}"
            " numbers are a clip; cut it into shorter ones"
        )


def _float32(values: np.ndarray) -> np.ndarray:
    # Beyond float32 is infinity, and so mended.
    with np.errstate(over="ignore"):
        return np.array(values, dtype=np.float32, order="C")
