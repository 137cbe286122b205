"""The header of a CSV clip: which column is which number of which joint."""

from __future__ import annotations

from collections.abc import Iterator, Set as AbstractSet
from dataclasses import dataclass

from compress.data.poses.contract import Wanted
from teachers.errors import DataError

# What columns of scores are called, by MediaPipe, DeepLabCut, OpenPose and people.
SCORES = ("visibility", "v", "likelihood", "c", "conf", "confidence", "s", "score")
FRAME = ("frame", "frame_id", "frame_index", "frame_idx", "frame_number")
PERSON = ("person", "person_id", "track_id", "track")
# What says nothing of where anybody is: the index that pandas writes, and times.
PASSED_OVER = frozenset(
    ["", "index", "unnamed: 0", "timestamp", "timestamp_ms", "time", "time_ms", "time_s", "fps"]
)
# Columns that a message names.
MOST_NAMED = 8


@dataclass(frozen=True)
class Columns:
    """Where the columns of a CSV file stand.

    Attributes:
        points: V * coordinates, joint after joint.
        scores: V, or none.
        passed_over: the names of columns that are not read.
    """

    count: int
    points: tuple[int, ...]
    scores: tuple[int, ...]
    frame: int | None
    person: int | None
    passed_over: tuple[str, ...] = ()


def columns_of(header: bytes, where: str, wanted: Wanted) -> Columns:
    """The columns by the header's names, which may be in any order; letter case says nothing.

    Raises:
        DataError: one too many or too few; they are named.
    """
    written = [name.strip() for name in header.decode("utf-8", "replace").split(",")]
    names = [name.casefold() for name in written]
    index_of = {name: index for index, name in enumerate(names)}
    frame = next((name for name in FRAME if name in index_of), None)
    person = next((name for name in PERSON if name in index_of), None)
    forms = list(_forms(wanted))
    scores = _scores(index_of, wanted)
    passed_over = _passed_over(index_of.keys(), forms, scores, wanted)
    points = index_of.keys() - {frame, person} - passed_over - set(scores)
    form = next((form for form in forms if points == set(form)), None)
    readable = [name for name in names if name not in passed_over]
    repeated = len(set(readable)) < len(readable)
    # Persons without frames: which rows belong together would be a guess.
    frameless = person is not None and frame is None
    scoreless = wanted.score_columns and not scores
    if form is None or repeated or frameless or scoreless:
        raise _unfit(header, where, wanted, points, scoreless)
    return Columns(
        len(names),
        tuple(index_of[name] for name in form),
        tuple(index_of[name] for name in scores),
        None if frame is None else index_of[frame],
        None if person is None else index_of[person],
        tuple(written[index_of[name]][:40] or "(without a name)" for name in sorted(passed_over)),
    )


def _passed_over(
    names: AbstractSet[str], forms: list[list[str]], scores: list[str], wanted: Wanted
) -> AbstractSet[str]:
    """The columns that say by their names that they are nobody's place."""
    of_scores = {name for form in _score_forms(wanted) for name in form}
    # An unfinished set of scores is passed over as a whole. A joint may be called like one of them.
    known = (PASSED_OVER | of_scores) - set(scores) - {name for form in forms for name in form}
    return known & names


def _unfit(
    header: bytes, where: str, wanted: Wanted, points: AbstractSet[str], scoreless: bool
) -> DataError:
    forms = list(_forms(wanted))
    shown = header[:60].decode("utf-8", "replace")
    expected = ", ".join([*forms[-1][:4], "..."])
    scored = ", and visibility0 or score0, ... to the last joint" if scoreless else ""
    return DataError(
        f"{where}: line 1: the columns are {shown!r}..., expected {expected} to {forms[-1][-1]}"
        f" ({len(forms[0])} for {wanted.joints} joints of {wanted.coordinates} coordinates{scored}),"
        f" each once, and if need be frame, or frame and person{_misfits(points, forms)}"
    )


def _forms(wanted: Wanted) -> Iterator[list[str]]:
    """The names that columns of coordinates may have, joint after joint; the last is the one to
    show."""
    axes = "xyz"[: wanted.coordinates]
    if wanted.names:
        for pattern in ("{name}_{axis}", "{axis}_{name}", "{name}.{axis}", "{name} {axis}"):
            yield [
                pattern.format(name=name.casefold(), axis=axis)
                for name in wanted.names
                for axis in axes
            ]
    # People count joints from 0 or from 1; the header says which, as x0 is there or is not.
    for pattern in ("{axis}_{joint}", "{joint}_{axis}", "{axis}{joint}"):
        for start in (0, 1):
            yield [
                pattern.format(axis=axis, joint=joint + start)
                for joint in range(wanted.joints)
                for axis in axes
            ]


def _score_forms(wanted: Wanted) -> Iterator[list[str]]:
    """The names that columns of scores may have, joint after joint."""
    for word in SCORES:
        for pattern in ("{word}{joint}", "{word}_{joint}", "{joint}_{word}"):
            for start in (0, 1):
                yield [
                    pattern.format(word=word, joint=joint + start) for joint in range(wanted.joints)
                ]
        if wanted.names:
            yield [f"{name.casefold()}_{word}" for name in wanted.names]


def _scores(index_of: dict[str, int], wanted: Wanted) -> list[str]:
    """The columns that are a score for every joint; [] without a whole set."""
    whole = (form for form in _score_forms(wanted) if index_of.keys() >= set(form))
    return next(whole, [])


def _misfits(points: AbstractSet[str], forms: list[list[str]]) -> str:
    """Which columns are too many and which are missing, of the form that fits best."""
    form = max(forms, key=lambda names: len(points & set(names)))
    extra = sorted(name[:40] for name in points - set(form))
    missing = [name for name in form if name not in points]
    if not points & set(form):
        return ""
    words = ""
    if extra:
        words += f"; not one of them: {', '.join(extra[:MOST_NAMED])} (take them out)"
    if missing:
        words += f"; missing: {', '.join(missing[:MOST_NAMED])}"
    return words
