"""What pose estimators would report of the built-in bodies: clips of Kinect's 25 joints as dumps of
other skeletons, with a face, fingers and toes where those skeletons have them.

The joints that both have lie where the body's are. What the body has not is put where anatomy has
it, in metres: the face about the centre of the head, fingers along the hand, toes along the foot.
"""

from __future__ import annotations

import numpy as np

from teachers.skeleton import JOINT_NAMES

# (to the right of the person, up, forward) of the centre of the head.
_FACE = {
    "nose": (0, -0.01, 0.11),
    "head_top": (0, 0.11, 0),
    "ear": (0.075, 0, 0),
    "eye": (0.032, 0.025, 0.09),
    "eye_inner": (0.020, 0.025, 0.092),
    "eye_outer": (0.045, 0.025, 0.082),
    "mouth": (0.025, -0.05, 0.095),
}
# Shares of the way from the wrist to the tip of the hand, and metres to the side of the thumb.
_FINGERS = {"index": (0.62, 0.02), "pinky": (0.55, -0.03), "middle_1": (0.62, 0.0)}
# Shares of the way from the ankle to Kinect's foot, and metres to the outside.
_TOES = {
    "big_toe": (1.4, -0.03),
    "small_toe": (1.3, 0.04),
    "foot_index": (1.4, 0.0),
    "heel": (-0.4, 0.0),
}
# What other authors call Kinect's joints.
_CALLED = {
    "pelvis": "spine_base",
    "middle_hip": "spine_base",
    "hip_centre": "spine_base",
    "spine": "spine_middle",
    "thorax": "spine_top",
    "shoulder_centre": "spine_top",
}


def dump(clip: np.ndarray, skeleton: str) -> np.ndarray:
    """A clip (3, T, 25, M) of a built-in body as a dump (3, T, V, M) of a known skeleton, in the
    camera's coordinates."""
    kinect = dict(zip(JOINT_NAMES["ntu_25"], np.moveaxis(clip, 2, 0), strict=True))
    if skeleton in ("ntu_25", "ntu_25_pyskl"):
        return clip
    points = _body(kinect)
    made = np.stack([_point(points, name) for name in JOINT_NAMES[skeleton]], axis=2)
    # Frames in which the sensor lost the person stay without anybody.
    present = (clip != 0).any(axis=(0, 2), keepdims=True)
    return np.where(present, made, 0).astype(np.float32)


def world_landmarks(clip: np.ndarray) -> np.ndarray:
    """A dump of `mediapipe_33` (3, T, 33, M) in MediaPipe's own coordinates: x to the right of the
    image, y down, the middle of the hips at the origin of every frame."""
    hips = clip[:, :, 23:25].mean(axis=2, keepdims=True)
    present = (clip != 0).any(axis=(0, 2), keepdims=True)
    turned = (clip - hips) * np.array([-1, -1, 1]).reshape(3, 1, 1, 1)
    return np.where(present, turned, 0).astype(np.float32)


def _point(points: dict[str, np.ndarray], name: str) -> np.ndarray:
    # Of a face and of fingers, more than the tables above have: these are in no map to NTU.
    if name in points:
        return points[name]
    side, _, rest = name.partition("_")
    if rest.startswith(("thumb", "index", "middle", "ring", "pinky", "hand")):
        return points[f"{side}_hand"]
    return points["nose"]


def _body(kinect: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The places (3, T, M) of everything by name; OpenPose's neck is the middle of the shoulders."""
    points = dict(kinect)
    points |= {name: kinect[joint] for name, joint in _CALLED.items()}
    shoulders = kinect["right_shoulder"], kinect["left_shoulder"]
    points["neck"] = (shoulders[0] + shoulders[1]) / 2
    up = _unit(kinect["head"] - kinect["neck"])
    across = shoulders[0] - shoulders[1]
    right = _unit(across - up * (across * up).sum(axis=0))
    forward = np.cross(up, right, axis=0)
    for name, (x, y, z) in _FACE.items():
        for side, sign in (("left", -1), ("right", 1)):
            place = kinect["head"] + sign * x * right + y * up + z * forward
            points[f"{side}_{name}"] = place
            points[f"{name}_{side}"] = place
        points[name] = kinect["head"] + y * up + z * forward
    for side in ("left", "right"):
        points |= _hand(kinect, side)
        points |= _foot(kinect, side, right if side == "right" else -right)
    return points


def _hand(kinect: dict[str, np.ndarray], side: str) -> dict[str, np.ndarray]:
    wrist = kinect[f"{side}_wrist"]
    tip = kinect[f"{side}_hand_tip"]
    thumb = _unit(kinect[f"{side}_thumb"] - kinect[f"{side}_hand"])
    made = {
        f"{side}_{finger}": wrist + share * (tip - wrist) + aside * thumb
        for finger, (share, aside) in _FINGERS.items()
    }
    made[f"{side}_index_1"] = made[f"{side}_index"]
    made[f"{side}_pinky_1"] = made[f"{side}_pinky"]
    made[f"{side}_middle_4"] = tip
    made[f"{side}_thumb_4"] = kinect[f"{side}_thumb"]
    made[f"{side}_hand_root"] = wrist
    return made


def _foot(kinect: dict[str, np.ndarray], side: str, outside: np.ndarray) -> dict[str, np.ndarray]:
    ankle = kinect[f"{side}_ankle"]
    foot = kinect[f"{side}_foot"]
    return {
        f"{side}_{name}": ankle + share * (foot - ankle) + aside * outside
        for name, (share, aside) in _TOES.items()
    }


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=0, keepdims=True)
    return vectors / np.maximum(length, 1e-9)
