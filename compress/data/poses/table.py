"""One clip of any known format -> its poses: a `.npy` or `.npz`, a `.csv`, a `.json`, or a folder
with a `.json` a frame.

JSON is recognised by its content, never by a file's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from compress.data.poses import (
    array_files,
    coco_results,
    csv_files,
    kinetics,
    mediapipe,
    mmpose,
    openpose,
    own_json,
    scores,
    yolo,
)
from compress.data.poses.contract import (
    FIX,
    LARGEST_FILE,
    MOST_FRAMES,
    Detection,
    Format,
    Frame,
    Poses,
    Wanted,
)
from compress.data.poses.frame_numbers import numbered
from compress.data.poses.tracks import Moment, are_tracked, assemble
from teachers.errors import DataError
from teachers.storage import json_text
from teachers.storage.bounded import read_bytes

# Suffixes of clips that are a file.
KINDS = (".npy", ".npz", ".csv", ".json")
# Each takes what no other does; `own_json` also takes frames that nobody is in.
FORMATS: tuple[Format, ...] = (
    openpose,
    kinetics,
    coco_results,
    mmpose,
    yolo,
    mediapipe,
    own_json,
)


def read(path: Path, wanted: Wanted) -> Poses:
    """The clip of a file or folder, (M, T, V, C) in `values` with C the channels that are wanted.

    Raises:
        DataError: it cannot be read, is too large, or is no clip of `wanted`; file, place and fix
            are named.
    """
    # As `labels_csv` lets files pass: .CSV is a .csv.
    kind = path.suffix.lower()
    where = str(path)
    if path.is_dir():
        poses = _folder(path, wanted)
    elif kind == ".npy":
        poses = array_files.read_npy(path, wanted)
    elif kind == ".npz":
        poses = array_files.read_npz(path, wanted)
    elif kind == ".csv":
        poses = csv_files.parse(read_bytes(path, LARGEST_FILE), where, wanted)
    else:
        poses = parse_json(read_bytes(path, LARGEST_FILE), where, wanted)
    return scores.fitted(poses, wanted, where)


def is_clip_folder(path: Path) -> bool:
    """Whether a folder is one clip: nothing but a `.json` a frame in it, beside hidden files."""
    return path.is_dir() and bool(frame_files(path))


def is_folder_of_frames(path: Path) -> bool:
    """Whether a folder that nobody has called a clip is one: its files are frames of OpenPose, not
    clips."""
    if not path.is_dir():
        return False
    first = frame_files(path)[:1]
    return bool(first) and b'"people"' in read_bytes(first[0], LARGEST_FILE)


def is_pose_file(path: Path, wanted: Wanted) -> bool:
    """Whether a file or folder that predictions are wanted for is one of these formats, and not of
    a data set that has a reader of its own."""
    kind = path.suffix.lower()
    if path.is_dir():
        return is_clip_folder(path)
    if kind == ".json":
        # NW-UCLA's key, which no format here has.
        return b'"skeletons"' not in read_bytes(path, LARGEST_FILE)
    if kind == ".npy":
        return array_files.is_pose_array(path, wanted)
    if kind == ".npz":
        return not array_files.is_set(path)
    return kind == ".csv"


def parse_json(data: bytes, where: str, wanted: Wanted) -> Poses:
    """The poses of a JSON text of any known format.

    Raises:
        DataError: no JSON, of no known format, or with a person who is none.
    """
    content = json_text.parse(data, where)
    kind, frames = recognised(content, where)
    return _assembled(kind, frames, where, wanted)


def recognised(content: Any, where: str) -> tuple[Format, list[Frame]]:
    """The format of a parsed JSON text, and its frames.

    Raises:
        DataError: no format has such content; all are named.
    """
    for kind in FORMATS:
        frames = kind.frames(content)
        if frames is not None:
            return kind, frames
    known = "; ".join(kind.TITLE for kind in reversed(FORMATS))
    raise DataError(
        f"{where}: is of no known format of poses with one frame or more; known: {known}; {FIX}"
    )


def one_frame(content: Any, wanted: Wanted, where: str) -> list[Detection]:
    """The persons of a parsed JSON text that is a single frame of any known format, the most
    confident first where nothing says who they are.

    Raises:
        DataError: no format has such content, or it is more than a frame.
    """
    kind, frames = recognised(content, where)
    if len(frames) != 1:
        raise DataError(f"{where}: has {len(frames)} frames, expected one; {FIX}")
    persons = _persons(kind, frames[0], wanted, where)
    if are_tracked([persons]):
        return persons
    if len({person.track for person in persons}) == 1:
        # One id that several have is nobody's.
        persons = [replace(person, track=None) for person in persons]
    return sorted(persons, key=lambda person: -person.confidence)


def values_of(
    detection: Detection, wanted: Wanted, where: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """((V, C) of one person in one frame as clips are recorded, NaN for what is missing; notes).

    Raises:
        DataError: other joints, too few coordinates, or no scores where some are needed.
    """
    alone = assemble([Moment(0, [detection])], where, wanted)
    poses = scores.fitted(alone, wanted, where)
    return poses.values[0, 0], poses.notes


def own_detection(joints: Any, wanted: Wanted) -> Detection | None:
    """A person of `{"frames": ...}` (`own_json`) by the joints alone; None if it is none."""
    return own_json.detection((0, joints), wanted)


def _persons(kind: Format, frame: Frame, wanted: Wanted, where: str) -> list[Detection]:
    persons = [kind.detection(person, wanted) for person in frame.persons]
    seen = [person for person in persons if person is not None]
    if len(seen) < len(persons):
        expected = kind.EXPECTED.format(joints=wanted.joints, numbers=wanted.numbers)
        raise DataError(f"{where}: expected {expected}; {FIX}")
    return seen


def _assembled(kind: Format, frames: list[Frame], where: str, wanted: Wanted) -> Poses:
    moments = []
    for place, frame in enumerate(frames):
        seen = _persons(kind, frame, wanted, f"{where}: frames[{place}]")
        moments.append(Moment(place if frame.number is None else frame.number, seen))
    if len({moment.number for moment in moments}) < len(moments):
        # Files put together from several: the order is all there is.
        moments = [replace(moment, number=place) for place, moment in enumerate(moments)]
    moments.sort(key=lambda moment: moment.number)
    poses = assemble(moments, where, wanted)
    remarks = dict.fromkeys(frame.note for frame in frames if frame.note)
    return replace(
        poses,
        skeleton=kind.skeleton(poses.values.shape[2]),
        notes=(*poses.notes, *remarks),
    )


def _folder(folder: Path, wanted: Wanted) -> Poses:
    """A clip of which every frame is a file, in the order of the numbers in their names."""
    files = frame_files(folder)
    if not files:
        raise DataError(
            f"{folder}: is a folder without a .json a frame and nothing else, as OpenPose writes"
            " them; give it one clip's frames, or name a file"
        )
    if len(files) > MOST_FRAMES:
        raise DataError(
            f"{folder}: has {len(files)} files, at most {MOST_FRAMES} are a clip; cut it"
        )
    places, note = numbered([path.name for path in files])
    kinds = {}
    frames = []
    for path, content in _contents(files):
        kind, found = recognised(content, str(path))
        kinds[kind.TITLE] = kind
        if len(found) != 1:
            raise DataError(
                f"{path}: has {len(found)} frames, but a folder of a clip has a file a frame; name"
                " the file itself as the clip"
            )
        frames.append(replace(found[0], number=places[path.name], note=note))
    if len(kinds) > 1:
        raise DataError(
            f"{folder}: has files of {' and of '.join(kinds)}; a clip is of one pose estimator"
        )
    (kind,) = kinds.values()
    return _assembled(kind, frames, str(folder), wanted)


def frame_files(folder: Path) -> list[Path]:
    """The files of a clip's folder, sorted; [] if there is anything but `.json` in it, beside
    hidden files.

    Raises:
        DataError: it cannot be read.
    """
    try:
        paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be read ({error.strerror}); check its permissions"
        ) from error
    if not all(path.suffix.lower() == ".json" and path.is_file() for path in paths):
        return []
    return sorted(paths)


def _contents(files: list[Path]) -> Iterator[tuple[Path, Any]]:
    left = LARGEST_FILE
    for path in files:
        # All of them together are one clip.
        data = read_bytes(path, left)
        left -= len(data)
        yield path, json_text.parse(data, str(path))
