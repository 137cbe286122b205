"""NTU RGB+D's raw `.skeleton` text (Shahroudy et al., arXiv 1604.02808): who was tracked where,
frame by frame.

The number of frames; for every frame the number of bodies; for every body a line with its id and
nine numbers, the number of joints, and a line of twelve numbers a joint: x y z in metres before the
camera, then positions in the depth and colour image, an orientation and a tracking state, which
must be numbers and are not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from teachers.errors import DataError

JOINTS = 25
COLUMNS = 12
BODY_LINES = 2 + JOINTS
# Bytes; 300 frames, the longest that networks are trained on, of four bodies have 4 MB
LARGEST_FILE = 20_000_000
# Eleven minutes. The number is read before the frames are, and must not decide how long that takes.
MOST_FRAMES = 20_000
# With the letters of nan and infinity, which `float` reads. Without a check, `float` would also
# take "1_000" and digits of other scripts for numbers.
NUMBERS = b"0123456789+-.eE \t\r\n" + b"aAfFiInNtTyY"
FIX = "copy the file again, or remove it"


@dataclass(frozen=True)
class Body:
    """One tracked body, in the n frames it is in.

    Attributes:
        frames: (n,) which, from 0, rising.
        places: (n,) where it stands among the bodies of that frame, from 0.
        joints: (n, 25, 3) float32, x y z in metres; NaN where the file says so.
    """

    frames: np.ndarray
    places: np.ndarray
    joints: np.ndarray


@dataclass(frozen=True)
class Recording:
    """A file's content: the number of frames, and bodies by id in the order of their first
    appearance."""

    frames: int
    bodies: dict[str, Body]


def read(path: Path) -> Recording:
    """The recording of one file.

    Raises:
        DataError: it cannot be read, is far larger than any recording, or as `parse` says.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); check its permissions or copy it again"
        ) from error
    return parse(data, str(path))


def parse(data: bytes, where: str) -> Recording:
    """The recording that a file's bytes describe. What the text claims is believed as far as its
    length can hold it.

    Args:
        where: the file, for messages.

    Raises:
        DataError: anything but such a text; `where`, the line, what was expected there and the fix
            are named.
    """
    if len(data) > LARGEST_FILE:
        raise DataError(
            f"{where}: more than {LARGEST_FILE} bytes are no NTU RGB+D recording; remove it"
        )
    lines = data.splitlines()
    # One pass over the bytes in C, in place of a check of every number.
    strange = data.translate(None, NUMBERS)
    if strange:
        at = len(data[: data.index(strange[:1]) + 1].splitlines()) - 1
        raise _wrong(where, at, f"holds {strange[:1]!r}", "numbers")
    frames = _count(lines, 0, where, "the number of frames")
    if not 1 <= frames <= min(MOST_FRAMES, len(lines) - 1):
        raise _wrong(
            where,
            0,
            f"{frames} frames (lines left: {len(lines) - 1})",
            f"1 to {MOST_FRAMES} with a line or more each",
        )
    names, frame_of, place_of, first_lines = _layout(lines, frames, where)
    joints = _joints(lines, first_lines, where)
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(names):
        same = rows.setdefault(name, [])
        # Rows come frame by frame, so a repeated body can only be the last one of its name.
        if same and frame_of[same[-1]] == frame_of[row]:
            raise _wrong(
                where,
                first_lines[row] - 2,
                f"body {name} for the second time in frame {frame_of[row]}",
                "every body once",
            )
        same.append(row)
    frame_numbers = np.array(frame_of, int)
    places = np.array(place_of, int)
    bodies = {
        name: Body(frame_numbers[same], places[same], joints[same]) for name, same in rows.items()
    }
    return Recording(frames, bodies)


def kind_of(error: DataError) -> str:
    """What is wrong with a recording that `read` refused: "truncated", "wrong joint count" or
    "unreadable"."""
    # By its words: the report counts kinds, and a field of the error would be of use nowhere else.
    text = str(error)
    if "(lines left: " in text or "the end of the file" in text:
        return "truncated"
    return "wrong joint count" if f" joints, expected {JOINTS};" in text else "unreadable"


def _layout(
    lines: list[bytes], frames: int, where: str
) -> tuple[list[str], list[int], list[int], list[int]]:
    """Of every body in every frame: its id, the frame, its place there, and the index of its first
    joint's line."""
    names: list[str] = []
    frame_of: list[int] = []
    place_of: list[int] = []
    first_lines: list[int] = []
    at = 1
    for frame in range(frames):
        bodies = _count(lines, at, where, f"the number of bodies in frame {frame}")
        at += 1
        # Before the loop: a number of a billion bodies is believed as far as the lines go.
        if bodies * BODY_LINES > len(lines) - at:
            raise _wrong(
                where,
                at - 1,
                f"{bodies} bodies in frame {frame} (lines left: {len(lines) - at})",
                f"{BODY_LINES} lines for each",
            )
        for place in range(bodies):
            # The Kinect's ids are unsigned 64-bit numbers, of at most 20 digits.
            info = lines[at].split()
            if (
                len(info) != 10
                or not info[0].isdigit()
                or len(info[0]) > 20
                or not all(map(_is_number, info[1:]))
            ):
                raise _wrong(where, at, _quoted(lines[at]), "the id of a body and nine numbers")
            joints = _count(lines, at + 1, where, "the number of joints")
            if joints != JOINTS:
                raise _wrong(where, at + 1, f"{joints} joints", f"{JOINTS}")
            names.append(info[0].decode())
            frame_of.append(frame)
            place_of.append(place)
            first_lines.append(at + 2)
            at += BODY_LINES
    if any(line.strip() for line in lines[at:]):
        raise _wrong(where, at, _quoted(lines[at]), f"the end after {frames} frames")
    return names, frame_of, place_of, first_lines


def _joints(lines: list[bytes], first_lines: list[int], where: str) -> np.ndarray:
    """(n, 25, 3) float32 of the joint lines that start at `first_lines` (n)."""
    if not first_lines:
        return np.zeros((0, JOINTS, 3), np.float32)
    rows = [line for first in first_lines for line in lines[first : first + JOINTS]]
    try:
        # Of nothing but empty lines loadtxt warns in place of raising.
        if not rows[0].strip():
            raise ValueError("an empty line")
        # In C, faster than `float` on each of 30,000 numbers a recording. It skips empty
        # lines; the shape tells.
        values = np.loadtxt(rows, np.float64, comments=None, ndmin=2)
        if values.shape != (len(rows), COLUMNS):
            raise ValueError(f"shape {values.shape}")
    except ValueError as error:
        # Only now one by one: to name the line.
        row = next((row for row, line in enumerate(rows) if not _is_joint(line.split())), 0)
        at = first_lines[row // JOINTS] + row % JOINTS
        raise _wrong(where, at, _quoted(lines[at]), f"the {COLUMNS} numbers of a joint") from error
    # Beyond float32 is infinity, and refused below.
    # The other nine numbers of a joint must be numbers, and are not kept.
    with np.errstate(over="ignore"):
        joints = values.reshape(-1, JOINTS, COLUMNS)[..., :3].astype(np.float32)
    if np.isinf(joints).any():
        body, joint, _ = np.argwhere(np.isinf(joints))[0]
        at = first_lines[body] + joint
        raise _wrong(
            where, at, _quoted(lines[at]), "coordinates that are finite in float32, or NaN"
        )
    return joints


def _count(lines: list[bytes], at: int, where: str, what: str) -> int:
    if at >= len(lines):
        raise _wrong(where, at, "the end of the file", what)
    text = lines[at].strip()
    # Python refuses to read whole numbers of more than 4300 digits, with an error of its own.
    if not text.isdigit() or len(text) > 12:
        raise _wrong(where, at, _quoted(text), what)
    return int(text)


def _is_joint(tokens: list[bytes]) -> bool:
    return len(tokens) == COLUMNS and all(map(_is_number, tokens))


def _is_number(token: bytes) -> bool:
    # float is strict enough here: `parse` has ruled out underscores and digits of other scripts.
    try:
        float(token)
        return True
    except ValueError:
        return False


def _quoted(line: bytes) -> str:
    text = line.decode("ascii", "replace").strip()
    return repr(text if len(text) <= 40 else text[:40] + "...")


def _wrong(where: str, at: int, found: str, expected: str) -> DataError:
    return DataError(f"{where}: line {at + 1}: {found}, expected {expected}; {FIX}")
