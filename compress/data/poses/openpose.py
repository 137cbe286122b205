"""OpenPose's `people[].pose_keypoints_2d`, a file a frame (its doc/02_output.md); frames in one
list; and AlphaPose's `--format open` and `cmu`, which are that under the images' names."""

from __future__ import annotations

from typing import Any

from compress.data.poses.contract import Detection, Frame, Wanted, mean_score, triples, whole
from compress.data.poses.frame_numbers import numbered

TITLE = "OpenPose (people[].pose_keypoints_2d)"
EXPECTED = "pose_keypoints_2d: [x, y, score, ...] (or pose_keypoints_3d, or AlphaPose's joints)"
# AlphaPose calls people bodies in its `cmu` form.
_PEOPLE = ("people", "bodies")
_NUMBERS = ("frame", "frame_id", "frame_index")
_KNOWN = {18: "openpose_18", 25: "openpose_25"}


def frames(content: Any) -> list[Frame] | None:
    """As `contract.Format`."""
    if _people(content) is not None:
        return [_frame(content)]
    if isinstance(content, dict):
        content = content.get("frames", content)
    if isinstance(content, list) and content and all(_people(f) is not None for f in content):
        return [_frame(frame) for frame in content]
    if isinstance(content, dict) and content:
        found = {name: _people(frame) for name, frame in content.items()}
        if all(people is not None for people in found.values()):
            places, note = numbered(list(found))
            return [Frame(places[name], people or (), note) for name, people in found.items()]
    return None


def detection(person: Any, wanted: Wanted) -> Detection | None:
    """As `contract.Format`."""
    if not isinstance(person, dict):
        return None
    track = whole(person.get("person_id"))
    found = triples(person.get("pose_keypoints_3d"), 4) if wanted.coordinates == 3 else None
    for key in ("pose_keypoints_2d", "pose_keypoints", "joints"):
        found = found or triples(person.get(key))
    if found is None:
        return None
    points, scores = found
    return Detection(points, scores, track, mean_score(scores))


def skeleton(joints: int) -> str | None:
    """As `contract.Format`."""
    return _KNOWN.get(joints)


def _people(frame: Any) -> list | None:
    if not isinstance(frame, dict):
        return None
    for key in _PEOPLE:
        if isinstance(frame.get(key), list):
            return frame[key]
    return None


def _frame(content: dict) -> Frame:
    number = next((whole(content[key]) for key in _NUMBERS if key in content), None)
    return Frame(number, _people(content) or ())
