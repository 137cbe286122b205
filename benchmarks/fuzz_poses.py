"""Valid files of pose estimators, for `fuzz_inputs.py`: the readers tell them apart by content."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

# Of every joint and person; which number it is decides nothing.
SCORE = 0.5
# Of a set with Kinetics-Skeleton's label files.
CLIPS = ("one", "two")


def seeds(clip: np.ndarray) -> dict[str, list[bytes]]:
    """{kind: files} of a clip (M, T, V, 2)."""
    frames = clip.transpose(1, 0, 2, 3).tolist()
    contents: dict[str, list] = {
        "openpose": _openpose(frames),
        "alphapose": _alphapose(frames),
        "kinetics": _kinetics(frames),
        "mediapipe": _mediapipe(frames),
        "mmpose": _mmpose(frames),
        "yolo": _yolo(frames),
    }
    files = {
        kind: [json.dumps(content).encode() for content in examples]
        for kind, examples in contents.items()
    }
    first = {"version": 1.3, "people": [{"pose_keypoints_2d": _flat(frames[0][0])}]}
    return files | {"frame folder": [json.dumps(first).encode()]}


def kinetics_labels() -> bytes:
    """A label file of Kinetics-Skeleton."""
    entries = {
        clip: {"has_skeleton": True, "label": f"act {index}", "label_index": index}
        for index, clip in enumerate(CLIPS)
    }
    nobody = {"nobody": {"has_skeleton": False, "label": "act 0", "label_index": 0}}
    return json.dumps(entries | nobody).encode()


def _openpose(frames: list) -> list[Any]:
    people = [
        [{"person_id": [m], "pose_keypoints_2d": _flat(points)} for m, points in enumerate(frame)]
        for frame in frames
    ]
    bodies = {
        f"{t}.jpg": {"bodies": [{"joints": _flat(points)} for points in frame]}
        for t, frame in enumerate(frames)
    }
    return [{"frames": [{"people": persons} for persons in people]}, bodies]


def _alphapose(frames: list) -> list[Any]:
    results = [
        {"image_id": f"{t}.jpg", "keypoints": _flat(points), "score": 2.5, "idx": m}
        for t, frame in enumerate(frames)
        for m, points in enumerate(frame)
    ]
    return [results, [{**result, "image_id": 7} for result in results]]


def _kinetics(frames: list) -> list[Any]:
    data = [
        {
            "frame_index": t + 1,
            "skeleton": [
                {"pose": [x for point in points for x in point], "score": [SCORE] * len(points)}
                for points in frame
            ],
        }
        for t, frame in enumerate(frames)
    ]
    return [{"data": data, "label": "walk", "label_index": 1}]


def _mediapipe(frames: list) -> list[Any]:
    landmarks = [
        [[{"x": x, "y": y, "z": 0, "visibility": SCORE} for x, y in points] for points in frame]
        for frame in frames
    ]
    both = [{"pose_landmarks": f, "pose_world_landmarks": f} for f in landmarks]
    single = [frame[0] for frame in landmarks]
    return [single, {"frames": both}, [{"landmark": frame} for frame in single]]


def _mmpose(frames: list) -> list[Any]:
    instances = [
        [{"keypoints": points, "keypoint_scores": [SCORE] * len(points)} for points in frame]
        for frame in frames
    ]
    numbered = [{"frame_id": t, "instances": frame} for t, frame in enumerate(instances)]
    return [{"instance_info": numbered}, instances]


def _yolo(frames: list) -> list[Any]:
    results = [
        [
            {
                "keypoints": {
                    "x": [x for x, _ in points],
                    "y": [y for _, y in points],
                    "visible": [SCORE] * len(points),
                },
                "track_id": m,
            }
            for m, points in enumerate(frame)
        ]
        for frame in frames
    ]
    return [results, {"frames": results}]


def _flat(points: list) -> list[float]:
    """x, y, score, x, y, score, ..."""
    return [number for x, y in points for number in (x, y, SCORE)]
