"""`{"frames": [frame]}`, a frame being [[x, y, z], ...], its joints, or a list of persons who are
such lists. [] and null are a frame without anybody, null a missing number. Other keys are not
looked at."""

from __future__ import annotations

from typing import Any

from compress.data.poses.contract import Detection, Frame, Wanted, numbers

TITLE = '{"frames": [[[x, y, z], ...], ...]}'
EXPECTED = "{joints} joints of {numbers} numbers, or a list of persons with as many"


def frames(content: Any) -> list[Frame] | None:
    """As `contract.Format`."""
    listed = content.get("frames") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not listed:
        return None
    # Frames of other formats are mappings, or lists of such.
    if any(_is_foreign(frame) for frame in listed):
        return None
    # The place in the list is who somebody is.
    return [Frame(None, tuple(enumerate(_persons(frame)))) for frame in listed]


def detection(person: Any, wanted: Wanted) -> Detection | None:
    """As `contract.Format`."""
    place, joints = person
    V = wanted.joints
    C = wanted.numbers
    if (
        not isinstance(joints, list)
        or len(joints) != V
        or not all(isinstance(joint, list) and len(joint) == C for joint in joints)
    ):
        return None
    values = numbers([value for joint in joints for value in joint])
    if values is None:
        return None
    rows = values.reshape(V, C)
    scores = rows[:, wanted.coordinates] if wanted.score_columns else None
    return Detection(rows[:, : wanted.coordinates], scores, place)


def skeleton(joints: int) -> str | None:
    """As `contract.Format`."""
    return None


def _is_foreign(frame: object) -> bool:
    while isinstance(frame, list) and frame:
        frame = frame[0]
    return isinstance(frame, dict)


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
