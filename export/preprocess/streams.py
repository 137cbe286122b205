"""Joint, bone and motion streams of clips (C, T, V, M), and the three branches of EfficientGCN
(arXiv 2106.15125).

Streams follow two-stream networks (2s-AGCN, arXiv 1805.07694) as CTR-GCN (arXiv 2107.12213) and
PYSKL (arXiv 2205.09443) have them: a bone is a joint less its parent, motion is the next frame less
this one. Bones are pairs (child, parent) counted from 1, as in `teachers.skeleton`; a joint that is
no child has bone zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from teachers.skeleton import Skeleton

Stream = Literal["joint", "bone", "joint_motion", "bone_motion"]
Bones = Sequence[Sequence[int]]


def steps(
    kind: Stream, skeleton: Skeleton, absent: bool = False, score: bool = False
) -> tuple[dict[str, Any], ...]:
    """The step that makes a stream of the joints, as data; none for "joint"."""
    if kind == "joint":
        return ()
    step: dict[str, Any] = {"op": "stream", "kind": kind}
    if kind.startswith("bone"):
        step["bones"] = [list(pair) for pair in skeleton.bone_pairs()]
    # Keys only where they say something: a view's fingerprint is made of the steps' text.
    if absent and kind.endswith("motion"):
        step["absent"] = True
    if score:
        step["score"] = True
    return (step,)


def stream(
    clip: np.ndarray, kind: Stream, bones: Bones = (), absent: bool = False, score: bool = False
) -> np.ndarray:
    """One stream of a clip (C, T, V, M) of joints, the same shape, float32.

    Args:
        absent: motion is zero wherever the person is missing (all zero) from this frame or the
            next; for clips that still have padding or gaps. Otherwise the jump from or to the
            origin counts, as in clips resized in time.
        score: the last channel is a confidence; a bone has the mean of its joints', motion that of
            its frames.
    """
    # Before any difference: float16 sources have few digits.
    clip = np.asarray(clip, dtype=np.float32)
    # Before bones are made: a bone of a person who is there can be zero.
    present = (clip != 0).any(axis=(0, 2))  # (T, M)
    if kind in ("bone", "bone_motion"):
        clip = bone(clip, bones, score)
    elif kind not in ("joint", "joint_motion"):
        raise ValueError(f"unknown stream {kind!r}")
    if not kind.endswith("motion"):
        return clip
    return motion(clip, present if absent else None, score)


def bone(clip: np.ndarray, bones: Bones, score: bool = False) -> np.ndarray:
    """Every joint less its parent, (C, T, V, M)."""
    child, parent = np.array(bones, dtype=int).reshape(-1, 2).T - 1
    vectors = np.zeros_like(clip)
    vectors[:, :, child] = clip[:, :, child] - clip[:, :, parent]
    if score:
        # A joint that is no child keeps its own score, as PYSKL has it.
        vectors[-1] = clip[-1]
        vectors[-1][:, child] = (clip[-1][:, child] + clip[-1][:, parent]) / 2
    return vectors


def motion(clip: np.ndarray, present: np.ndarray | None = None, score: bool = False) -> np.ndarray:
    """The next frame less this one, zero in the last frame, (C, T, V, M); zero too where `present`
    (T, M) is not true twice."""
    moved = np.zeros_like(clip)
    moved[:, :-1] = clip[:, 1:] - clip[:, :-1]
    if score:
        moved[-1, :-1] = (clip[-1, 1:] + clip[-1, :-1]) / 2
    if present is not None:
        moved[:, :-1] *= (present[1:] & present[:-1])[None, :, None]
    return moved


def branches(clip: np.ndarray, centre: int, bones: Bones) -> np.ndarray:
    """EfficientGCN's joint, velocity and bone branch, one after the other: (C, T, V, M) -> (6 C, T,
    V, M).

    Joint: positions, and positions less joint `centre` (0-based) of the same frame. Velocity: to
    the next frame and to the one after that; zero in the last two frames. Bone: joint less parent,
    and its angle to each axis. Padding has bone angles of pi / 2 and a spike of velocity in front
    of it: the published weights expect both.
    """
    velocity = np.zeros((2, *clip.shape), dtype=np.float32)
    velocity[0, :, :-2] = clip[:, 1:-1] - clip[:, :-2]
    velocity[1, :, :-2] = clip[:, 2:] - clip[:, :-2]
    vectors = bone(clip, bones)
    # In float64: the angle of a bone near an axis loses digits.
    exact = vectors.astype(np.float64)
    # 1e-4 is the published program's guard against bones of length zero; another would move angles.
    angles = np.arccos(exact / (np.sqrt((exact**2).sum(axis=0)) + 1e-4)).astype(np.float32)
    return np.concatenate(
        [clip, clip - clip[:, :, centre : centre + 1], *velocity, vectors, angles]
    )
