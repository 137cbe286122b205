"""What readers of pose files are told, what they return, and the limits that all of them keep.

A format of JSON is a module with the attributes of `Format` and a row of `table.FORMATS`. It says
which persons are in which frame; what becomes of tracks, scores and missing joints is decided once,
in `tracks.py` and `scores.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from teachers.errors import DataError

# Bytes of text, of a file or of a folder of one clip.
LARGEST_FILE = 32_000_000
# Of one clip: an hour at 28 frames a second, and 200 MB of float32.
MOST_FRAMES = 100_000
MOST_NUMBERS = 50_000_000
# Far above any skeleton; a slip of the keyboard should be an error, not a network that fills the
# memory.
MOST_JOINTS = 1000
MOST_PERSONS = 16
FIX = "correct it, or record the clip again"


@dataclass(frozen=True)
class Wanted:
    """What a clip must hold.

    Attributes:
        joints, coordinates, persons: V, 2 or 3, and M.
        names: of the joints; CSV columns may then be called `hip_x`.
        edges: of the skeleton, in whichever direction, counted from 1; () where they are not known.
        score_columns: files that do not name their numbers (arrays, own JSON, CSV) have a score
            behind the coordinates of every joint.
        keep_score: the score stays as the last channel.
        min_score: joints of a lower score are missing.
    """

    joints: int
    coordinates: int
    persons: int = 1
    names: tuple[str, ...] | None = None
    edges: tuple[tuple[int, int], ...] = ()
    score_columns: bool = False
    keep_score: bool = False
    min_score: float | None = None

    def __post_init__(self):
        for key, highest in (("joints", MOST_JOINTS), ("persons", MOST_PERSONS)):
            if not 1 <= getattr(self, key) <= highest:
                raise ValueError(f"{key}: must be 1 to {highest}")

    @property
    def numbers(self) -> int:
        """How many numbers a joint has in a file that does not name them."""
        return self.coordinates + self.score_columns

    @property
    def described(self) -> str:
        """What these numbers are, in words."""
        return f"{self.coordinates} coordinates{' and a score' if self.score_columns else ''}"


@dataclass(frozen=True)
class Poses:
    """Who was where, as a file says it.

    Attributes:
        values: (M, T, V, C) float32, M as many persons as there are; zeros for a person who is not
            in a frame, NaN for a number that is missing.
        scores: (M, T, V) float32; None where there are none.
        skeleton: the known skeleton that the format implies; None where it implies none.
        left_out: how many frame numbers are left out.
        notes: what was taken for granted, each as a case of a clip ("clip without ...").
    """

    values: np.ndarray
    scores: np.ndarray | None = None
    skeleton: str | None = None
    left_out: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Detection:
    """One person in one frame.

    Attributes:
        points: (V, C) float64, NaN for what is missing.
        scores: (V,) float64; None where the file has none.
        track: who it is, the same number in all frames; None where the file does not say so.
        confidence: of the person, by which persons without a track are put in order.
        note: as of `Poses.notes`.
    """

    points: np.ndarray
    scores: np.ndarray | None = None
    track: int | None = None
    confidence: float = 0.0
    note: str | None = None


@dataclass(frozen=True)
class Frame:
    """One frame: its number, None where its place says it, its persons as the file has them, and
    what was taken for granted about the number, as of `Poses.notes`."""

    number: int | None
    persons: Sequence[Any]
    note: str | None = None


class Format(Protocol):
    """A format of JSON.

    Attributes:
        TITLE: what messages call it, with the keys by which it is recognised.
        EXPECTED: what a person of it is, for messages; may hold {joints} and {numbers}.
    """

    TITLE: str
    EXPECTED: str

    def frames(self, content: Any) -> list[Frame] | None:
        """The frames of a parsed file; None if it is of another format.

        A file of one frame is one of a folder's, too. Content is a stranger's: every level may be
        anything.
        """

    def detection(self, person: Any, wanted: Wanted) -> Detection | None:
        """A person of a frame; None if it is none."""

    def skeleton(self, joints: int) -> str | None:
        """The known skeleton that the format implies for so many joints."""


def of_recording(recorded: dict[str, Any]) -> Wanted:
    """What the clips of a deployed network are, by `recorded` of its `deployed.json`.

    Raises:
        DataError: it says something impossible.
    """
    try:
        channels = recorded["channels"]
        coordinates = recorded.get("coordinates") or channels
        return Wanted(
            recorded["joints"],
            coordinates,
            recorded["persons"],
            tuple(recorded["names"]) if recorded.get("names") else None,
            # For missing joints alone: the network has its graph already.
            tuple((child, parent) for child, parent in recorded.get("repair_bones") or ()),
            score_columns=bool(recorded.get("score")),
            keep_score=channels > coordinates,
            min_score=recorded.get("min_score"),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"deployed.json: recorded: {error}; export the network again") from error


def check_size(where: str, M: int, T: int, V: int, C: int) -> None:
    """Before memory is taken for a clip.

    Raises:
        DataError: it would be too large.
    """
    # Both limits: a few frames of many persons and joints can take as much memory as many frames.
    if T > MOST_FRAMES or M * T * V * C > MOST_NUMBERS:
        raise DataError(
            f"{where}: {M} persons in {T} frames, at most {MOST_FRAMES} frames and {MOST_NUMBERS}"
            " numbers are a clip; cut it into shorter ones"
        )


def float32(values: np.ndarray) -> np.ndarray:
    """A copy in float32, C order."""
    # Beyond float32 is infinity, and so mended.
    with np.errstate(over="ignore"):
        return np.array(values, dtype=np.float32, order="C")


def numbers(values: Any) -> np.ndarray | None:
    """(n,) float64 of a list of numbers and nulls, null as NaN; None for anything else."""
    # Not isinstance, for which true is a number.
    if not isinstance(values, list) or not all(
        value is None or type(value) in (int, float) for value in values
    ):
        return None
    try:
        return np.array([np.nan if value is None else float(value) for value in values])
    # A whole number beyond float64.
    except OverflowError:
        return None


def number(value: Any, otherwise: float = 0.0) -> float:
    """A finite number of a stranger's JSON, else `otherwise`."""
    values = numbers([value])
    return float(values[0]) if values is not None and np.isfinite(values[0]) else otherwise


def whole(value: Any) -> int | None:
    """A number of a track or frame; None where there is none. Estimators write -1 or [-1] for
    nobody known."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < 2**53 else None


def triples(values: Any, width: int = 3) -> tuple[np.ndarray, np.ndarray] | None:
    """((V, width - 1) points, (V,) scores) of a flat list x, y, score, x, y, score, ...; None for
    anything else."""
    flat = numbers(values)
    if flat is None or not flat.size or flat.size % width:
        return None
    rows = flat.reshape(-1, width)
    return rows[:, :-1], rows[:, -1]


def mean_score(scores: np.ndarray | None) -> float:
    """The mean of the scores that are there, 0.0 without any: how sure of a person."""
    if scores is None or not np.isfinite(scores).any():
        return 0.0
    # A stranger's scores may add up to more than float64 holds.
    with np.errstate(over="ignore"):
        return float(scores[np.isfinite(scores)].mean())
