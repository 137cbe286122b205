"""Clips (C, T, V, M) of one skeleton brought to another: `teachers.skeleton.mapping` as a step that
ships with a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from teachers.skeleton import JointMap

# Weighted points, each the mean of some joints, 0-based: [[weight, [joint, ...]], ...].
Points = Sequence[tuple[float, Sequence[int]]]


def step(
    joints: JointMap, axes: Sequence[str] | None = None, score: bool = False
) -> dict[str, Any]:
    """The step `map_joints`, as data."""
    made: dict[str, Any] = {
        "op": "map_joints",
        "joints": [[[weight, list(group)] for weight, group in points] for points in joints.joints],
    }
    # Keys only where they say something: a view's fingerprint is made of the steps' text.
    if axes:
        made["axes"] = list(axes)
    if score:
        made["score"] = True
    return made


def map_joints(
    clip: np.ndarray,
    joints: Sequence[Points],
    axes: Sequence[str] | None = None,
    score: bool = False,
) -> np.ndarray:
    """(C, T, V, M) -> (C, T, V', M): joint i of the result is the weighted sum of the points
    `joints[i]`.

    A point is the mean of those of its joints that are seen; a missing joint (all zero) is not
    averaged in. A joint with a point of which no joint is seen is missing itself, and all zero.

    Args:
        axes: which coordinate of the clip each of the result is, `-` for turned round: ["-x", "-y",
            "z"].
        score: the last channel is a confidence, of which a joint gets the smallest of those it is
            made of.
    """
    clip = np.asarray(clip, dtype=np.float32)
    coordinates = clip.shape[0] - score
    seen = (clip[:coordinates] != 0).any(axis=0)  # (T, V, M)
    mapped = np.zeros((*clip.shape[:2], len(joints), clip.shape[3]), np.float32)
    for number, points in enumerate(joints):
        place = np.zeros((coordinates, clip.shape[1], clip.shape[3]), np.float32)
        there = np.ones(place.shape[1:], bool)
        for weight, group in points:
            group = list(group)
            count = seen[:, group].sum(axis=1)
            there &= count > 0
            # Missing joints are zeros, so that the sum is of the others alone.
            total = clip[:coordinates, :, group].sum(axis=2)
            place += np.float32(weight) * (total / np.maximum(count, 1).astype(np.float32))
        mapped[:coordinates, :, number] = np.where(there, place, 0)
        if score:
            sources = [joint for _, group in points for joint in group]
            sure = np.where(seen[:, sources], clip[-1][:, sources], np.inf).min(axis=1)
            mapped[-1, :, number] = np.where(there, sure, 0)
    if axes:
        mapped[:coordinates] = np.stack([_axis(mapped, axis) for axis in axes])
    return mapped


def _axis(clip: np.ndarray, axis: str) -> np.ndarray:
    channel = clip["xyz".index(axis[-1])]
    # 0 - x, for -0.0 would be another byte than the 0.0 of a missing joint.
    return 0 - channel if axis.startswith("-") else channel
