"""A kinematic person on the NTU-25 skeleton: proportions, joint angles over time, forward
kinematics.

Body frame, metres: x to the person's right, y up, z backward (the person looks along -z), as the
Kinect sees someone who faces it. A joint's angles turn everything beyond it: (pitch, twist, roll)
in degrees, applied roll * pitch * twist. For a limb: pitch raises it forward, roll lifts it
sideways, twist turns it inward; an elbow bends by positive pitch, a knee and the spine (forward) by
negative pitch. Angles are written for the right-handed person; `mirror` gives the other one.
"""

from __future__ import annotations

import numpy as np

# NTU-25 joints (0-based) -> parent in the tree that moves, and the offset from it in units of body
# height.
# Hand tip and thumb both hang on the hand, so that every bone of the graph is rigid.
PARENTS = (-1, 0, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, 1, 7, 7, 11, 11)
# Parents before children.
ORDER = (
    1,
    20,
    2,
    3,
    8,
    9,
    10,
    11,
    23,
    24,
    4,
    5,
    6,
    7,
    21,
    22,
    16,
    17,
    18,
    19,
    12,
    13,
    14,
    15,
)
# The right side and the middle; the left side is its mirror image.
_RIGHT = {
    8: (0.105, -0.015, 0),
    9: (0.010, -0.172, 0),
    10: (0, -0.146, 0),
    11: (0, -0.045, 0),
    23: (0, -0.045, -0.005),
    24: (-0.022, -0.022, -0.015),
    16: (0.052, -0.010, 0),
    17: (0, -0.245, 0),
    18: (0, -0.235, 0),
    19: (0.010, -0.030, -0.070),
}
_MIDDLE = {1: (0, 0.145, 0), 20: (0, 0.135, 0), 2: (0, 0.040, -0.005), 3: (0, 0.085, -0.010)}
LEFT_OF = {8: 4, 9: 5, 10: 6, 11: 7, 23: 21, 24: 22, 16: 12, 17: 13, 18: 14, 19: 15}
OFFSETS = np.zeros((25, 3))
for _joint, _offset in (_MIDDLE | _RIGHT).items():
    OFFSETS[_joint] = _offset
for _joint, _left in LEFT_OF.items():
    OFFSETS[_left] = OFFSETS[_joint] * (-1, 1, 1)

# What poses can turn: name -> joint. "r." is the acting side, "l." the other one.
HINGES = {
    "root": 0,
    "spine": 1,
    "chest": 20,
    "head": 2,
    "r.shoulder": 8,
    "r.elbow": 9,
    "r.wrist": 10,
    "r.hip": 16,
    "r.knee": 17,
    "r.ankle": 18,
    "l.shoulder": 4,
    "l.elbow": 5,
    "l.wrist": 6,
    "l.hip": 12,
    "l.knee": 13,
    "l.ankle": 14,
}

_SWAP = np.arange(25)
for _joint, _left in LEFT_OF.items():
    _SWAP[[_joint, _left]] = _left, _joint


def pose_angles(pose: dict[str, tuple[float, float, float]]) -> np.ndarray:
    """A pose {hinge: (pitch, twist, roll)} in degrees -> (25, 3). Twist and roll of "l." hinges are
    outward/inward alike."""
    angles = np.zeros((25, 3))
    for hinge, (pitch, twist, roll) in pose.items():
        side = -1 if hinge.startswith("l.") else 1
        angles[HINGES[hinge]] += pitch, side * twist, side * roll
    return angles


def within_limits(angles: np.ndarray) -> np.ndarray:
    """Angles (..., 25, 3) with elbows and knees that bend one way only, and nobody tilted beyond
    lying."""
    limited = angles.copy()
    # A fall aims at 100 degrees and is scaled besides; beyond 90 is below the ground.
    limited[..., 0, :] = np.clip(limited[..., 0, :], -90, 90)
    # Sums of posture, action and sway can pass a joint's stop.
    limited[..., [9, 5], 0] = np.clip(limited[..., [9, 5], 0], 0, 150)
    limited[..., [17, 13], 0] = np.clip(limited[..., [17, 13], 0], -150, 0)
    return limited


def mirror(angles: np.ndarray) -> np.ndarray:
    """Angles (..., 25, 3) of the same motion done with the other side."""
    # In a mirror, turns about x keep their sense; those about y and z change it.
    return angles[..., _SWAP, :] * (1, -1, -1)


def body(rng: np.random.Generator) -> np.ndarray:
    """Bone offsets (25, 3) in metres of one person: height, arm, leg, trunk and shoulder
    proportions drawn at random."""
    # Heights of adults, in metres.
    offsets = OFFSETS * rng.uniform(1.45, 1.95)
    # Clipped: a normal draw has tails, and nobody should have arms out of all proportion.
    arm, leg, trunk, width = 1 + np.clip(rng.normal(0, 0.06, 4), -0.12, 0.12)
    for joints, scale in (((9, 10, 11, 23, 24), arm), ((17, 18, 19), leg)):
        for joint in joints:
            offsets[[joint, LEFT_OF[joint]]] *= scale
    offsets[[1, 20, 2, 3]] *= trunk
    offsets[[8, 4, 16, 12]] *= width
    return offsets


def rotations(angles: np.ndarray) -> np.ndarray:
    """Degrees (..., 3) as (pitch, twist, roll) -> matrices (..., 3, 3) = Rz(roll) @ Rx(pitch) @
    Ry(twist)."""
    radians = np.deg2rad(angles)
    cx, cy, cz = np.moveaxis(np.cos(radians), -1, 0)
    sx, sy, sz = np.moveaxis(np.sin(radians), -1, 0)
    # Multiplied out, in place of three matrix products for every joint and frame.
    rows = (
        cz * cy - sz * sx * sy,
        -sz * cx,
        cz * sy + sz * sx * cy,
        sz * cy + cz * sx * sy,
        cz * cx,
        sz * sy - cz * sx * cy,
        -cx * sy,
        sx,
        cx * cy,
    )
    return np.stack(rows, axis=-1).reshape(*angles.shape[:-1], 3, 3)


def forward(angles: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Joint angles (T, 25, 3) and bone offsets (25, 3) -> positions (T, 25, 3), the base of the
    spine at the origin."""
    # Joints first, so that each turn of the loop is one product for all frames.
    local = rotations(angles).transpose(1, 0, 2, 3)  # (25, T, 3, 3)
    total = local.copy()
    positions = np.zeros((25, len(angles), 3))
    for joint in ORDER:
        parent = PARENTS[joint]
        positions[joint] = positions[parent] + total[parent] @ offsets[joint]
        total[joint] = total[parent] @ local[joint]
    return positions.transpose(1, 0, 2)


def ease(phase: np.ndarray) -> np.ndarray:
    """0 to 1 with zero speed at both ends; clipped outside."""
    phase = np.clip(phase, 0, 1)
    return phase * phase * (3 - 2 * phase)


def through(keys: tuple[tuple[float, np.ndarray], ...], phase: np.ndarray) -> np.ndarray:
    """Poses (25, 3) at increasing phases in [0, 1] -> (T, 25, 3), eased from one to the next; rest
    at phases 0 and 1."""
    # At rest at both ends: repetitions follow each other without a jump.
    times = np.array([0, *(key for key, _ in keys), 1])
    poses = np.stack(
        [np.zeros_like(keys[0][1]), *(pose for _, pose in keys), np.zeros_like(keys[0][1])]
    )
    # Clipped, as phase 1 itself lies behind the last interval.
    step = np.clip(np.searchsorted(times, phase, side="right") - 1, 0, len(times) - 2)
    weight = ease((phase - times[step]) / (times[step + 1] - times[step]))[:, None, None]
    return poses[step] * (1 - weight) + poses[step + 1] * weight
