"""The header of a CSV clip: which column is which number of which joint."""

from __future__ import annotations

from collections.abc import Iterator, Set as AbstractSet
from dataclasses import dataclass

from compress.data.own.dataset_yaml import Description
from teachers.errors import DataError

# What columns of scores are called, by MediaPipe, DeepLabCut, OpenPose and people.
SCORES = ("visibility", "v", "likelihood", "c", "conf", "confidence", "s", "score")
# Columns that a message names.
MOST_NAMED = 8


@dataclass(frozen=True)
class Columns:
    """Where the columns of a CSV file stand; `points` are V * C, joint after joint."""

    count: int
    points: tuple[int, ...]
    frame: int | None
    person: int | None


def columns_of(header: bytes, where: str, wanted: Description) -> Columns:
    """The columns by the header's names, which may be in any order.

    Raises:
        DataError: one too many or too few; they are named.
    """
    names = [name.strip() for name in header.decode("utf-8", "replace").split(",")]
    forms = list(_forms(wanted))
    index_of = {name: index for index, name in enumerate(names)}
    points = index_of.keys() - {"frame", "person"}
    form = next((form for form in forms if points == set(form)), None)
    repeated = len(index_of) < len(names)
    # Persons without frames: which rows belong together would be a guess.
    frameless = "person" in index_of and "frame" not in index_of
    if form is None or repeated or frameless:
        shown = header[:60].decode("utf-8", "replace")
        first = ", ".join(forms[-1][:4])
        raise DataError(
            f"{where}: line 1: the columns are {shown!r}..., expected {first}, ... to"
            f" {forms[-1][-1]} ({len(forms[0])} for {wanted.joints} joints of {wanted.described}),"
            f" each once, and if need be frame, or frame and person{_misfits(points, forms)}"
        )
    return Columns(
        len(names),
        tuple(index_of[name] for name in form),
        index_of.get("frame"),
        index_of.get("person"),
    )


def _forms(wanted: Description) -> Iterator[list[str]]:
    """The names that columns may have, joint after joint; without scores the last is the one to
    show."""
    for score in SCORES if wanted.score else ("",):
        axes = [*"xyz"[: wanted.coordinates], *([score] if score else [])]
        # People count joints from 0 or from 1; the header says which, as x0 is there or is not.
        for start in (0, 1):
            yield [f"{axis}{joint + start}" for joint in range(wanted.joints) for axis in axes]
        if wanted.names:
            yield [f"{name}_{axis}" for name in wanted.names for axis in axes]


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
