"""COCO's results, `[{image_id, keypoints: [x, y, score, ...], score}]`, as COCO's tools, mmpose and
YOLO's validation write them; and AlphaPose's, which are that with `idx`, a track."""

from __future__ import annotations

from typing import Any

from compress.data.poses.contract import (
    Detection,
    Frame,
    Wanted,
    mean_score,
    number,
    triples,
    whole,
)
from compress.data.poses.frame_numbers import numbered

TITLE = "AlphaPose and COCO results (image_id, keypoints, score)"
EXPECTED = "keypoints: [x, y, score, ...]"
_KNOWN = {17: "coco_17", 26: "halpe_26", 133: "coco_wholebody_133"}


def frames(content: Any) -> list[Frame] | None:
    """As `contract.Format`."""
    if not isinstance(content, list) or not content:
        return None
    by_image: dict[Any, list] = {}
    for entry in content:
        if not isinstance(entry, dict) or "keypoints" not in entry:
            return None
        image = entry.get("image_id")
        # A list is no key of a dict; and 1 would be the key of true.
        if type(image) not in (int, str):
            return None
        by_image.setdefault(image, []).append(entry)
    places, note = numbered(list(by_image))
    return [Frame(places[image], persons, note) for image, persons in by_image.items()]


def detection(person: Any, wanted: Wanted) -> Detection | None:
    """As `contract.Format`."""
    found = triples(person["keypoints"])
    if found is None:
        return None
    points, scores = found
    track = next(
        (whole(person[key]) for key in ("idx", "track_id", "person_id") if key in person), None
    )
    return Detection(points, scores, track, number(person.get("score"), mean_score(scores)))


def skeleton(joints: int) -> str | None:
    """As `contract.Format`."""
    return _KNOWN.get(joints)
