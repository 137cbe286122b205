"""MediaPipe's landmarks as people dump them: lists of {x, y, z, visibility}, a list a frame, or
frames with `pose_landmarks` and `pose_world_landmarks`.

World landmarks are metres around the hips, the others fractions of the image; for three coordinates
the world's are taken, for two the image's.
"""

from __future__ import annotations

from typing import Any

from compress.data.poses.contract import Detection, Frame, Wanted, mean_score, numbers

TITLE = "MediaPipe (lists of {x, y, z, visibility}, pose_landmarks, pose_world_landmarks)"
EXPECTED = "a list of {{x, y, z}}"
IMAGE_DEPTH = (
    "clip of MediaPipe's landmarks of the image, which are fractions of it and a rough depth (world"
    " landmarks, which are metres, would be taken)"
)
# Of the Python solutions, the tasks and the web, which write one word differently.
_WORLD = ("pose_world_landmarks", "poseWorldLandmarks", "world_landmarks", "worldLandmarks")
_IMAGE = ("pose_landmarks", "poseLandmarks", "landmarks", "landmark")


def frames(content: Any) -> list[Frame] | None:
    """As `contract.Format`."""
    # A list of lists is frames, not persons: dumps of one person are by far the more common.
    single = isinstance(content, dict) or bool(_landmarks(content))
    if single and _is_frame(content) and _people(content):
        return [Frame(None, _people(content))]
    listed = content.get("frames") if isinstance(content, dict) else content
    if not isinstance(listed, list) or not listed or not all(map(_is_frame, listed)):
        return None
    found = _of_one_kind([_people(frame) for frame in listed])
    return [Frame(None, persons) for persons in found] if any(found) else None


def detection(person: Any, wanted: Wanted) -> Detection | None:
    """As `contract.Format`."""
    world, image = person
    landmarks = world or image if wanted.coordinates == 3 else image or world
    if not landmarks or not all(isinstance(landmark, dict) for landmark in landmarks):
        return None
    axes = "xyz" if all("z" in landmark for landmark in landmarks) else "xy"
    values = numbers([landmark.get(axis) for landmark in landmarks for axis in axes])
    if values is None:
        return None
    # Presence is whether a landmark is in the image, visibility also that nothing hides it.
    keys = ("visibility", "presence")
    key = next((key for key in keys if all(key in landmark for landmark in landmarks)), None)
    scores = numbers([landmark[key] for landmark in landmarks]) if key else None
    if key and scores is None:
        return None
    points = values.reshape(len(landmarks), len(axes))
    note = IMAGE_DEPTH if wanted.coordinates == 3 and not world else None
    return Detection(points, scores, confidence=mean_score(scores), note=note)


def skeleton(joints: int) -> str | None:
    """As `contract.Format`."""
    return "mediapipe_33" if joints == 33 else None


def _is_frame(frame: Any) -> bool:
    if frame is None or frame == []:
        return True
    if isinstance(frame, dict):
        return not frame or any(key in frame for key in (*_WORLD, *_IMAGE))
    return isinstance(frame, list) and bool(_lists(frame))


def _people(frame: Any) -> list[tuple[list, list]]:
    """The persons of a frame, each as (world landmarks, landmarks of the image), either of which
    may be []."""
    if isinstance(frame, list):
        return [([], person) for person in _lists(frame)]
    world: list[list] = []
    image: list[list] = []
    if isinstance(frame, dict):
        world = _lists(_first(frame, _WORLD))
        image = _lists(_first(frame, _IMAGE))
    count = max(len(world), len(image))
    # One may be left out; the persons of both are in one order.
    world += [[]] * (count - len(world))
    image += [[]] * (count - len(image))
    return list(zip(world, image, strict=True))


def _of_one_kind(frames: list[list[tuple[list, list]]]) -> list[list[tuple[list, list]]]:
    """World landmarks where every person has them, those of the image where not: metres and
    fractions in one clip would be jumps."""
    persons = [person for frame in frames for person in frame]
    if all(world for world, _ in persons) or not all(image for _, image in persons):
        return frames
    return [[([], image) for _, image in frame] for frame in frames]


def _first(frame: dict, keys: tuple[str, ...]) -> Any:
    return next((frame[key] for key in keys if frame.get(key)), None)


def _lists(landmarks: Any) -> list[list]:
    """Landmarks of one person, or of several, as a list of persons; [] for anything else."""
    single = _landmarks(landmarks)
    if single:
        return [single]
    # Not by recursion: a stranger may nest lists as deep as Python bears.
    several = landmarks if isinstance(landmarks, list) else []
    return [person for person in map(_landmarks, several) if person]


def _landmarks(person: Any) -> list:
    # As protobuf's MessageToDict writes a list.
    if isinstance(person, dict):
        person = person.get("landmark")
    if isinstance(person, list) and person and isinstance(person[0], dict) and "x" in person[0]:
        return person
    return []
