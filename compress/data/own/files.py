"""One file of own clips -> who was where: `.npy`, `.csv` or `.json`, read strictly and within
limits.

What a file claims is believed as far as its length can hold it. Coordinates that are missing or too
large become NaN or infinity.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compress.data import arrays
from compress.data.own.description import Description
from teachers.errors import DataError

LARGEST_FILE = 32_000_000  # bytes of text
MOST_FRAMES, MOST_NUMBERS = 100_000, 50_000_000  # of one clip
NUMBERS = (
    b"0123456789+-.eE, \t\r\n" + b"aAfFiInNtTyY"
)  # the letters of nan and infinity, which `float` reads
FIX = "correct it, or record the clip again"


def read(path: Path, wanted: Description) -> tuple[np.ndarray, int]:
    """((M, T, V, C) float32 of a file, M as many persons as are in it; how many frame numbers are
    left out in it).

    Raises:
        DataError: it cannot be read, is too large, or is no clip of `wanted`; file, place and fix
            are named.
    """
    kind = path.suffix.lower()
    if kind == ".npy":
        return from_array(arrays.open_npy(path), str(path), wanted), 0
    data = arrays.content(path, LARGEST_FILE)
    return (
        parse_csv(data, str(path), wanted)
        if kind == ".csv"
        else (parse_json(data, str(path), wanted), 0)
    )


def from_array(values: np.ndarray, where: str, wanted: Description) -> np.ndarray:
    """(M, T, V, C) float32 of an array (T, V, C), (C, T, V, M) or (T, M, V, C), whichever fits the
    joints and coordinates."""
    V, C = wanted.joints, wanted.coordinates
    fitting = {}
    if values.ndim == 3 and values.shape[1:] == (V, C):
        fitting["(T, V, C)"] = values[None]
    if values.ndim == 4 and values.shape[0] == C and values.shape[2] == V:
        fitting["(C, T, V, M)"] = values.transpose(3, 1, 2, 0)
    if values.ndim == 4 and values.shape[2:] == (V, C):
        fitting["(T, M, V, C)"] = values.transpose(1, 0, 2, 3)
    if len(fitting) == 2:  # as many persons as are expected decide
        fitting = {
            name: one for name, one in fitting.items() if len(one) == wanted.persons
        } or fitting
    told = f"{where}: has shape {values.shape} of {values.dtype}"
    if len(fitting) > 1:
        raise DataError(
            f"{told}, which could be {' or '.join(fitting)}; save it with another number of frames,"
            " or as .json"
        )
    if not fitting or values.dtype.kind not in "fiu" or 0 in values.shape:
        raise DataError(
            f"{told}, expected numbers as (T, V, C), (C, T, V, M) or (T, M, V, C) with V = {V}"
            f" joints and C = {C} coordinates; {FIX}"
        )
    (clip,) = fitting.values()
    _check_size(where, *clip.shape)
    return _float32(clip)


def parse_json(data: bytes, where: str, wanted: Description) -> np.ndarray:
    """(M, T, V, C) float32 of {"frames": [frame]}, a frame being [[x, y, z], ...], its joints, or a
    list of persons who are such lists. [] and null are a frame without anybody, null a missing
    number. Other keys are not looked at.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{where}: not JSON, or truncated ({error or 'nested too deeply'}); copy it again"
        ) from error
    frames = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(frames, list) or not frames:
        raise DataError(
            f'{where}: expected {{"frames": [[[x, y, z], ...], ...]}} with one frame or more; {FIX}'
        )
    V, C = wanted.joints, wanted.coordinates
    people = [_persons(frame) for frame in frames]
    _check_size(where, max(map(len, people)), len(frames), V, C)
    clip = np.zeros((max(map(len, people)), len(frames), V, C), np.float32)
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
    first = frame[0] if isinstance(frame, list) else None
    return frame if isinstance(first, list) and first and isinstance(first[0], list) else [frame]


def _joints(person: object, V: int, C: int) -> np.ndarray | None:
    """(V * C,) float64 of V lists of C numbers or nulls; None for anything else."""
    if (
        not isinstance(person, list)
        or len(person) != V
        or not all(isinstance(joint, list) and len(joint) == C for joint in person)
    ):
        return None
    flat = [value for joint in person for value in joint]
    if not all(value is None or type(value) in (int, float) for value in flat):
        return None
    try:
        return np.array([np.nan if value is None else float(value) for value in flat])
    except OverflowError:  # a whole number beyond float64
        return None


@dataclass(frozen=True)
class Columns:
    """Where the columns of a CSV file stand; `points` are V * C, joint after joint."""

    count: int
    points: tuple[int, ...]
    frame: int | None
    person: int | None


def parse_csv(data: bytes, where: str, wanted: Description) -> tuple[np.ndarray, int]:
    """As `read`, of a CSV text: a header, then a row for every frame, or for every person of a
    frame.

    The columns, in any order, are x0, y0, z0, x1, ... (or from x1 on; without z for two
    coordinates; or hip_x, ... with the joints' names). With a column `frame` the rows may be in any
    order, and numbers that are left out are counted, not filled; with a column `person` beside it,
    a number, the same frame has a row for each person. An empty cell is a missing number.
    """
    lines = data.removeprefix(b"\xef\xbb\xbf").replace(b'"', b"").splitlines()
    columns = _columns(lines[0] if lines else b"", where, wanted)
    values, numbers = _rows(lines, columns, where)
    frames = (
        values[:, columns.frame]
        if columns.frame is not None
        else np.arange(len(values), dtype=float)
    )
    people = values[:, columns.person] if columns.person is not None else np.zeros(len(values))
    for key, whole in (("frame", frames), ("person", people)):
        wrong = np.flatnonzero(~((np.abs(whole) < 2**53) & (whole == np.round(whole))))
        if wrong.size:
            raise DataError(
                f"{where}: line {numbers[wrong[0]]}: {key} is {whole[wrong[0]]:g}, expected a whole"
                f" number; {FIX}"
            )
    times, frame = np.unique(frames, return_inverse=True)
    ids, person = np.unique(people, return_inverse=True)
    V, C = wanted.joints, wanted.coordinates
    _check_size(where, len(ids), len(times), V, C)
    _check_once(frame * len(ids) + person, numbers, frames, where)
    clip = np.zeros((len(ids), len(times), V, C), np.float32)
    clip[person, frame] = _float32(values[:, columns.points]).reshape(-1, V, C)
    return clip, int(times[-1] - times[0]) + 1 - len(times)


def _columns(header: bytes, where: str, wanted: Description) -> Columns:
    names = [name.strip() for name in header.decode("utf-8", "replace").split(",")]
    axes = "xyz"[: wanted.coordinates]
    forms = [
        [f"{axis}{joint + start}" for joint in range(wanted.joints) for axis in axes]
        for start in (0, 1)
    ]
    if wanted.names:
        forms.append([f"{name}_{axis}" for name in wanted.names for axis in axes])
    found = {name: index for index, name in enumerate(names)}
    points = found.keys() - {"frame", "person"}
    form = next((form for form in forms if points == set(form)), None)
    if form is None or len(found) < len(names) or "person" in found and "frame" not in found:
        shown, first = header[:60].decode("utf-8", "replace"), ", ".join(forms[-1][:4])
        raise DataError(
            f"{where}: line 1: the columns are {shown!r}..., expected {first}, ... to"
            f" {forms[-1][-1]} ({len(forms[0])} for {wanted.joints} joints of {wanted.coordinates}"
            " coordinates), each once, and if need be frame, or frame and person"
        )
    return Columns(
        len(names), tuple(found[name] for name in form), found.get("frame"), found.get("person")
    )


def _rows(lines: list[bytes], columns: Columns, where: str) -> tuple[np.ndarray, list[int]]:
    """((n, columns) float64, the n numbers of their lines)."""
    rows, numbers = [], []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        try:
            if line.count(b",") + 1 != columns.count or line.translate(None, NUMBERS):
                raise ValueError
            rows.append(
                np.array([float(cell) if cell.strip() else np.nan for cell in line.split(b",")])
            )
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
    order = np.argsort(places, kind="stable")
    same = np.flatnonzero(np.diff(places[order]) == 0)
    if same.size:
        first, second = order[same[0] : same[0] + 2]
        raise DataError(
            f"{where}: lines {numbers[first]} and {numbers[second]} are both frame"
            f" {frames[first]:g} of the same person; {FIX}"
        )


def _check_size(where: str, M: int, T: int, V: int, C: int) -> None:
    if T > MOST_FRAMES or M * T * V * C > MOST_NUMBERS:
        raise DataError(
            f"{where}: {M} persons in {T} frames, at most {MOST_FRAMES} frames and {MOST_NUMBERS}"
            " numbers are a clip; cut it into shorter ones"
        )


def _float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # beyond float32 is infinity, and so mended
        return np.array(values, dtype=np.float32, order="C")
