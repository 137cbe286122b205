"""Persons of frames -> persons over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compress.data.poses.contract import Detection, Poses, Wanted, check_size, float32
from teachers.errors import DataError

UNTRACKED = (
    "clip without track ids whose frames hold more than one person (in each frame those with the"
    " highest scores stay, the highest first)"
)
REPEATED = "clip with a track id twice in a frame (the more confident stays)"


@dataclass(frozen=True)
class Moment:
    """The persons of the frame with this number."""

    number: int
    persons: Sequence[Detection]


def assemble(moments: Sequence[Moment], where: str, wanted: Wanted) -> Poses:
    """The clip of its frames, in rising order. Track ids say who is who; without them, persons are
    in the order of their confidence in each frame (ST-GCN's `feeder_kinetics`), and no more than
    are wanted.

    Raises:
        DataError: persons of different numbers of joints, or a clip too large.
    """
    persons = [person for moment in moments for person in moment.persons]
    shapes = sorted({person.points.shape for person in persons})
    if len(shapes) > 1:
        raise DataError(
            f"{where}: has persons of {shapes[0][0]} joints of {shapes[0][1]} numbers and of"
            f" {shapes[1][0]} joints of {shapes[1][1]}; a clip is of one pose estimator"
        )
    V, C = shapes[0] if shapes else (wanted.joints, wanted.coordinates)
    if are_tracked([moment.persons for moment in moments]):
        chosen, notes = _tracked(moments)
    else:
        chosen, notes = _by_confidence(moments, wanted.persons)
    M = 1 + max((slot for slot, _, _ in chosen), default=-1)
    # Before memory is taken for it: one frame with a thousand persons makes all frames as large.
    check_size(where, M, len(moments), V, C)
    values = np.zeros((M, len(moments), V, C), np.float32)
    scored = any(person.scores is not None for person in persons)
    scores = np.zeros(values.shape[:3], np.float32) if scored else None
    for slot, place, person in chosen:
        values[slot, place] = float32(person.points)
        if scores is not None and person.scores is not None:
            scores[slot, place] = float32(person.scores)
    left_out = moments[-1].number - moments[0].number + 1 - len(moments)
    remarks = dict.fromkeys(person.note for person in persons if person.note)
    return Poses(values, scores, left_out=left_out, notes=(*notes, *remarks))


def are_tracked(frames: Sequence[Sequence[Detection]]) -> bool:
    """Whether track ids say who is who, by the persons of every frame."""
    ids = {person.track for persons in frames for person in persons}
    # Without a tracker AlphaPose writes one id for everybody.
    everybody = len(ids) == 1 and any(len(persons) > 1 for persons in frames)
    return None not in ids and not everybody


def _tracked(
    moments: Sequence[Moment],
) -> tuple[list[tuple[int, int, Detection]], tuple[str, ...]]:
    """((slot, place in time, person), notes); slots in the order of the first frames."""
    slots: dict[int | None, int] = {}
    best: dict[tuple[int, int], Detection] = {}
    repeated = False
    for place, moment in enumerate(moments):
        for person in moment.persons:
            key = slots.setdefault(person.track, len(slots)), place
            repeated |= key in best
            if key not in best or person.confidence > best[key].confidence:
                best[key] = person
    chosen = [(slot, place, person) for (slot, place), person in best.items()]
    return chosen, (REPEATED,) if repeated else ()


def _by_confidence(
    moments: Sequence[Moment], persons: int
) -> tuple[list[tuple[int, int, Detection]], tuple[str, ...]]:
    chosen = []
    crowded = False
    for place, moment in enumerate(moments):
        # Stable: of equally sure ones the first, as the file has them.
        ranked = sorted(moment.persons, key=lambda person: -person.confidence)
        crowded |= len(ranked) > 1
        chosen += [(slot, place, person) for slot, person in enumerate(ranked[:persons])]
    return chosen, (UNTRACKED,) if crowded else ()
