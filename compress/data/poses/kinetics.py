"""Kinetics-Skeleton, as ST-GCN published it: `data[].skeleton[].pose`, x y of 18 joints as fractions
of the image, and `score`."""

from __future__ import annotations

from typing import Any

from compress.data.poses.contract import Detection, Frame, Wanted, mean_score, numbers, whole

TITLE = "Kinetics-Skeleton (data[].skeleton[].pose, score)"
EXPECTED = '{{"pose": [x, y, ...], "score": [...]}}'


def frames(content: Any) -> list[Frame] | None:
    """As `contract.Format`."""
    listed = content.get("data") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not listed:
        return None
    if not all(isinstance(frame, dict) and "skeleton" in frame for frame in listed):
        return None
    return [_frame(frame) for frame in listed]


def detection(person: Any, wanted: Wanted) -> Detection | None:
    """As `contract.Format`."""
    if not isinstance(person, dict):
        return None
    pose = numbers(person.get("pose"))
    scores = numbers(person.get("score"))
    if pose is None or scores is None or not scores.size or pose.size != 2 * scores.size:
        return None
    track = whole(person.get("track_id"))
    return Detection(pose.reshape(-1, 2), scores, track, mean_score(scores))


def skeleton(joints: int) -> str | None:
    """As `contract.Format`."""
    return "openpose_18" if joints == 18 else None


def _frame(content: dict) -> Frame:
    persons = content["skeleton"]
    # What is no list is refused as a person, with its frame.
    return Frame(
        whole(content.get("frame_index")), persons if isinstance(persons, list) else [persons]
    )
