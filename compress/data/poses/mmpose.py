"""mmpose 1.x (RTMPose): `keypoints: [[x, y], ...]` with `keypoint_scores`, as its inferencer writes
them for images (instances) and videos (frames of instances), or its demo (`instance_info`)."""

from __future__ import annotations

from typing import Any

from compress.data.poses.contract import (
    Detection,
    Frame,
    Wanted,
    mean_score,
    number,
    numbers,
    whole,
)

TITLE = "mmpose and RTMPose (instances[].keypoints, keypoint_scores)"
EXPECTED = "keypoints: [[x, y], ...] with as many keypoint_scores"
_KNOWN = {17: "coco_17", 26: "halpe_26", 133: "coco_wholebody_133"}


def frames(content: Any) -> list[Frame] | None:
    """As `contract.Format`."""
    for key in ("instance_info", "predictions", "frames"):
        if isinstance(content, dict) and key in content:
            content = content[key]
    if isinstance(content, dict) and "instances" in content:
        content = [content]
    if not isinstance(content, list) or not content:
        return None
    if all(map(_is_instance, content)):
        return [Frame(None, content)]
    found = []
    for frame in content:
        persons = frame.get("instances") if isinstance(frame, dict) else frame
        # A video's predictions may also be plain lists of instances.
        if not isinstance(persons, list) or not all(map(_is_instance, persons)):
            return None
        number_of = whole(frame.get("frame_id")) if isinstance(frame, dict) else None
        found.append(Frame(number_of, persons))
    return found if any(frame.persons for frame in found) else None


def detection(person: Any, wanted: Wanted) -> Detection | None:
    """As `contract.Format`."""
    rows = person["keypoints"]
    scores = numbers(person["keypoint_scores"])
    if scores is None or not isinstance(rows, list) or not 0 < len(rows) == len(scores):
        return None
    widths = {len(row) if isinstance(row, list) else 0 for row in rows}
    if widths not in ({2}, {3}):
        return None
    points = numbers([value for row in rows for value in row])
    if points is None:
        return None
    # bbox_score is how sure the detector was of a person.
    confidence = number(person.get("bbox_score"), mean_score(scores))
    track = whole(person.get("track_id"))
    return Detection(points.reshape(len(rows), -1), scores, track, confidence)


def skeleton(joints: int) -> str | None:
    """As `contract.Format`."""
    return _KNOWN.get(joints)


def _is_instance(person: object) -> bool:
    return isinstance(person, dict) and {"keypoints", "keypoint_scores"} <= person.keys()
