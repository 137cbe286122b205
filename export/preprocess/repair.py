"""Broken frames and joints, mended as training and serving both do it.

Two rules mend. `repair_frames` replaces a frame as a whole: prepared sets that others publish keep
it, for their published accuracy is of clips made so. `repair_joints` replaces a joint: a camera
loses a hand far more often than a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

Bones = Iterable[tuple[int, int]]


@dataclass(frozen=True)
class Repaired:
    """A clip after `repair_joints`.

    Attributes:
        clip: (C, T, V, M).
        joints: how many were interpolated, each counted once a frame and person; 0 where the clip
            is as it was.
        frames: how many frames they are in.
        unseen: joints, from 1, that some person of the clip never has.
    """

    clip: np.ndarray
    joints: int = 0
    frames: int = 0
    unseen: tuple[int, ...] = ()


def repair_frames(clip: np.ndarray) -> tuple[np.ndarray, int]:
    """A clip (C, T, V, M) whose frames with NaN or infinity are replaced by the nearest good frame
    in time, the earlier of two as near; and how many they were. All-zero frames, padding, are no
    replacement while there is another.

    A clip without one good frame is returned as it is, with T as the count.
    """
    finite = np.isfinite(clip).all(axis=(0, 2, 3))
    bad = int((~finite).sum())
    # Nothing to mend, or nothing to mend it with; callers tell the two apart by the count.
    if bad in (0, len(finite)):
        return clip, bad
    # A frame copied from the padding would be a person who vanishes for a moment.
    good = np.flatnonzero(finite & (clip != 0).any(axis=(0, 2, 3)))
    if not good.size:
        good = np.flatnonzero(finite)
    nearest = np.arange(len(finite))
    broken = np.flatnonzero(~finite)
    # By its neighbours alone: a table of all pairs would take a gigabyte of a clip of 16,000 frames.
    behind = np.searchsorted(good, broken)
    earlier = good[np.maximum(behind - 1, 0)]
    later = good[np.minimum(behind, len(good) - 1)]
    nearest[broken] = np.where(abs(broken - earlier) <= abs(later - broken), earlier, later)
    return clip[:, nearest], bad


def repair_joints(clip: np.ndarray, bones: Bones, coordinates: int | None = None) -> Repaired:
    """A clip (C, T, V, M) with its missing joints filled in.

    Missing is a joint with NaN or infinity, and one at zero among others that are not, unless zero
    is a place where joints are: there are seen joints on either side of it along every axis. It is
    interpolated in time between the frames around it that have it, and the nearest at the ends. A
    joint that a person never has takes the place of the nearest on the skeleton, by bones, of
    equally near ones the first; zero where no bone leads to one. Frames of nothing but zeros are
    frames without that person, and stay; a person who is never seen becomes zeros.

    Args:
        bones: pairs of joints, from 1.
        coordinates: channels behind them are scores; one that is no number becomes 0, others stay.
    """
    points = clip[:coordinates]
    finite = np.isfinite(points).all(axis=0)
    zero = (points == 0).all(axis=0)
    # (T, 1, M): NaN is not zero, so a person of nothing but NaN is there and was lost.
    there = ~zero.all(axis=1, keepdims=True)
    seen = finite & ~zero
    # In data around the origin, a hip at zero is the centre and no hole.
    if _zero_is_a_place(points[:, seen]):
        seen = finite
    missing = there & ~seen
    broken_scores = ~np.isfinite(clip[len(points) :])
    if not missing.any() and not broken_scores.any():
        return Repaired(clip)
    filled = clip.copy()
    filled[len(points) :][broken_scores] = 0
    unseen = set()
    for person in range(clip.shape[3]):
        unseen |= _fill(
            filled[: len(points), :, :, person],
            missing[..., person],
            (seen & there)[..., person],
            bones,
        )
    mended = missing | broken_scores.any(axis=0)
    frames = int(mended.any(axis=(1, 2)).sum())
    return Repaired(filled, int(mended.sum()), frames, tuple(sorted(unseen)))


def _zero_is_a_place(points: np.ndarray) -> bool:
    """Whether seen joints (C, n) lie around the origin: on either side along every axis, or all on
    it."""
    if not points.shape[1]:
        return True
    low = points.min(axis=1)
    high = points.max(axis=1)
    return bool((((low < 0) & (high > 0)) | ((low == 0) & (high == 0))).all())


def _fill(points: np.ndarray, missing: np.ndarray, seen: np.ndarray, bones: Bones) -> set[int]:
    """Fills (C, T, V) in place; returns the joints, from 1, that are never seen though the person
    is."""
    if not seen.any():
        # Zeros are what every step takes for a person who is not there.
        points[:, missing.any(axis=1)] = 0
        return set()
    frames = np.arange(len(missing))
    known = seen.any(axis=0)
    for joint in np.flatnonzero(missing.any(axis=0) & known):
        holes = frames[missing[:, joint]]
        times = frames[seen[:, joint]]
        for channel in points:
            # np.interp holds the first and the last value beyond the ends.
            channel[holes, joint] = np.interp(holes, times, channel[times, joint])
    unseen = np.flatnonzero(missing.any(axis=0) & ~known)
    sources = _nearest(unseen.tolist(), len(known), bones)
    for joint in unseen.tolist():
        holes = frames[missing[:, joint]]
        source = sources.get(joint)
        points[:, holes, joint] = 0 if source is None else points[:, holes, source]
    return {joint + 1 for joint in unseen.tolist()}


def _nearest(unseen: list[int], joints: int, bones: Bones) -> dict[int, int]:
    """{joint that is never seen: the nearest one that is}, from 0, of those that bones lead to."""
    neighbours: dict[int, set[int]] = {joint: set() for joint in range(joints)}
    for child, parent in bones:
        neighbours[child - 1].add(parent - 1)
        neighbours[parent - 1].add(child - 1)
    source_of = {joint: joint for joint in range(joints) if joint not in set(unseen)}
    while True:
        # A whole round at a time, and the lowest number: not the order of bones, which the same
        # skeleton may have otherwise where the clip is served.
        reached = {
            joint: source_of[min(neighbours[joint] & source_of.keys())]
            for joint in unseen
            if joint not in source_of and neighbours[joint] & source_of.keys()
        }
        if not reached:
            return {joint: source_of[joint] for joint in unseen if joint in source_of}
        source_of |= reached


def mended(clip: np.ndarray, bones: Bones | None, coordinates: int | None) -> np.ndarray | None:
    """A raw clip (C, T, V, M) mended as those that a network was trained on; None for one without
    a number to mend it by.

    Args:
        bones, coordinates: `repair_bones` and `coordinates` of `recorded` in `deployed.json`.
    """
    if bones is None:
        frames, bad = repair_frames(clip)
        return None if bad == clip.shape[1] else frames
    if not np.isfinite(clip).all(axis=0).any():
        return None
    return repair_joints(clip, bones, coordinates).clip
