"""The streams of joints as a network computes them: a gather and a subtraction each.

The same numbers, bit for bit, as `export.preprocess.streams` gives for coordinates; what it makes of
a confidence, and of persons who are missing in between, needs more than the joints' own values.
"""

from __future__ import annotations

import numpy as np
import paddle

from teachers.skeleton import Skeleton

STREAMS = ("joint", "bone", "joint_motion", "bone_motion")


def parents(skeleton: Skeleton) -> np.ndarray:
    """(V,) int64: whom a bone begins at, from 0; a joint that is no child is its own parent, and its
    bone is zero."""
    found = np.arange(skeleton.joints, dtype="int64")
    # Of two bones of one child the last counts, as it does in a bone stream.
    for child, parent in skeleton.bone_pairs():
        found[child - 1] = parent - 1
    return found


def stream(x, kind: str, parents: paddle.Tensor, joints: int, frames: int):
    """One stream of the joints, of the same shape.

    Args:
        x: of any axes, of which `joints` and `frames` are two.
        parents: (V,), of the function of that name.
    """
    if kind.startswith("bone"):
        x = x - paddle.gather(x, parents, axis=joints)
    if not kind.endswith("motion"):
        return x
    length = x.shape[frames]
    # The last frame less itself: zero, as the stream has it.
    later = [paddle.slice(x, [frames], [1], [length]), paddle.slice(x, [frames], [-1], [length])]
    return paddle.concat(later, axis=frames) - x
