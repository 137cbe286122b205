"""YOLO-pose: what Ultralytics' `results.to_json()` gives for each frame, a list of
`{"keypoints": {"x": [...], "y": [...], "visible": [...]}, "track_id", "confidence"}`."""

from __future__ import annotations

from typing import Any

import numpy as np

from compress.data.poses.contract import (
    Detection,
    Frame,
    Wanted,
    mean_score,
    number,
    numbers,
    whole,
)

TITLE = "YOLO-pose (keypoints: {x, y, visible})"
EXPECTED = "keypoints with as many x as y (and visible)"


def frames(content: Any) -> list[Frame] | None:
    """As `contract.Format`."""
    if isinstance(content, dict):
        content = content.get("frames")
    if not isinstance(content, list) or not content:
        return None
    if all(map(_is_result, content)):
        return [Frame(None, content)]
    if not all(isinstance(frame, list) and all(map(_is_result, frame)) for frame in content):
        return None
    return [Frame(None, frame) for frame in content] if any(content) else None


def detection(person: Any, wanted: Wanted) -> Detection | None:
    """As `contract.Format`."""
    keypoints = person["keypoints"]
    x = numbers(keypoints.get("x"))
    y = numbers(keypoints.get("y"))
    if x is None or y is None or not 0 < x.size == y.size:
        return None
    scores = None
    # Models without visibility write none (Ultralytics 8.4.5).
    if keypoints.get("visible") is not None:
        scores = numbers(keypoints["visible"])
        if scores is None or scores.size != x.size:
            return None
    confidence = number(person.get("confidence"), mean_score(scores))
    return Detection(np.stack([x, y], axis=1), scores, whole(person.get("track_id")), confidence)


def skeleton(joints: int) -> str | None:
    """As `contract.Format`."""
    return "coco_17" if joints == 17 else None


def _is_result(person: object) -> bool:
    return isinstance(person, dict) and isinstance(person.get("keypoints"), dict)
