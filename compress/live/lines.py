"""Lines of JSON -> poses of tracks. A line is a frame: ours, or that of any pose estimator whose files
are read (`compress.data.poses`).

{"time": 12.5, "track": 1, "joints": [[x, y, z], ...]}
{"time": 12.5, "persons": [{"track": 1, "joints": [...]}, ...]}
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from compress.data.poses import of_recording, one_frame, own_detection, values_of
from export import serving
from export.deployed import Description
from export.deployed.live import USUAL_RATE
from export.preprocess.joints import map_joints
from export.serve import Pose
from teachers.errors import DataError, RecipeError, quoted
from teachers.skeleton import JOINT_NAMES, between, named
from teachers.storage import json_text

# Bytes: a hundred persons of 133 joints with all digits.
LONGEST_LINE = 2_000_000
LONGEST_TRACK = 100
MOST_PERSONS = 1_000
FORM = '{"time": seconds, "track": 1, "joints": [[x, y, z], ...]}, or "persons" with a list of such'


class Lines:
    """The reader of one source. Lines without `time` are frames at `fps`, in their order.

    Attributes:
        notes: what was taken for granted, once each.
    """

    def __init__(self, description: Description, fps: float = USUAL_RATE, skeleton: str = ""):
        """Args:
            skeleton: that the poses are of, where it is not the one that the network was trained
                on; its joints are brought over.
        Raises:
            RecipeError: no such skeleton, or a network whose joints are not known by name.
        """
        self.wanted = of_recording(serving.recording(description))
        self.fps = fps
        self.notes: list[str] = []
        self._frame = 0
        self._map: tuple[Any, ...] | None = None
        if skeleton:
            self._bring(skeleton, description)

    def _bring(self, skeleton: str, description: Description) -> None:
        target = description.skeleton.name
        if target not in JOINT_NAMES or description.skeleton.joints != self.wanted.joints:
            raise RecipeError(
                f"--from-skeleton {skeleton}: this network takes {self.wanted.joints} joints of"
                f" {target!r}, which are not known by name; bring them over in training"
                " (skeleton: {from: ..., to: ...})"
            )
        self._map = between(skeleton, target).joints
        source = named(skeleton)
        self.wanted = replace(self.wanted, joints=source.joints, names=None, edges=source.bones)

    def read(self, line: bytes | str, where: str) -> list[Pose]:
        """The poses (track, (V, C), seconds) of a line; [] of a frame with nobody.

        Raises:
            DataError: it is none, with the place.
        """
        data = line.encode() if isinstance(line, str) else line
        if len(data) > LONGEST_LINE:
            raise DataError(f"{where}: has more than {LONGEST_LINE} bytes; send a frame a line")
        content = json_text.parse(data, where)
        time = self._time(content, where)
        self._frame += 1
        if isinstance(content, dict) and ("joints" in content or "persons" in content):
            return self._own(content, time, where)
        return self._foreign(content, time, where)

    def _time(self, content: Any, where: str) -> float:
        said = content.get("time") if isinstance(content, dict) else None
        if said is None:
            return self._frame / self.fps
        if type(said) not in (int, float) or not math.isfinite(said) or abs(said) > 1e12:
            raise DataError(f"{where}: time: must be a number of seconds, is {quoted(said)}")
        return float(said)

    def _own(self, content: dict[str, Any], time: float, where: str) -> list[Pose]:
        persons = content.get("persons", [content])
        if not isinstance(persons, list) or len(persons) > MOST_PERSONS:
            raise DataError(f"{where}: persons: must be a list of at most {MOST_PERSONS}")
        poses = []
        for number, person in enumerate(persons):
            place = f"{where}: persons[{number}]" if "persons" in content else where
            if not isinstance(person, dict):
                raise DataError(f"{place}: expected {FORM}, got {quoted(person)}")
            track = person.get("track", number)
            if type(track) not in (int, str) or len(str(track)) > LONGEST_TRACK:
                raise DataError(f"{place}: track: must be a number or a short text")
            detection = own_detection(person.get("joints"), self.wanted)
            if detection is None:
                raise DataError(
                    f"{place}: joints: expected {self.wanted.joints} of {self.wanted.described}"
                )
            poses.append((track, self._values(detection, place), time))
        return poses

    def _foreign(self, content: Any, time: float, where: str) -> list[Pose]:
        try:
            detections = one_frame(content, self.wanted, where)
        except DataError as error:
            raise DataError(f"{error} (a line is a frame: {FORM})") from error
        poses = []
        for number, detection in enumerate(detections):
            track = number if detection.track is None else detection.track
            poses.append((track, self._values(detection, where), time))
        return poses

    def _values(self, detection: Any, where: str) -> np.ndarray:
        """(V, C) as the network's clips are recorded."""
        values, notes = values_of(detection, self.wanted, where)
        self.notes += [note for note in notes if note not in self.notes]
        if self._map is None:
            return values
        # What is missing is zero to `map_joints`, which leaves it out of means.
        clip = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).T[:, None, :, None]
        return map_joints(clip, self._map, score=self.wanted.keep_score)[:, 0, :, 0].T


def line_of(track: int | str, joints: np.ndarray, time: float) -> dict[str, Any]:
    """A pose (V, C) as our line has it; what is no number becomes null."""
    rows = [
        [round(float(value), 5) if math.isfinite(value) else None for value in joint]
        for joint in joints
    ]
    return {"time": round(time, 4), "track": track, "joints": rows}
