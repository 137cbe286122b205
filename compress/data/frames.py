"""Rules on frames that every data set shares: how broken ones are mended, and who moves most."""

from __future__ import annotations

import numpy as np


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
    # argmin takes the first of equals, and `good` rises: the earlier of two frames as near.
    nearest[broken] = good[np.abs(broken[:, None] - good[None, :]).argmin(axis=1)]
    return clip[:, nearest], bad


def energy(person: np.ndarray) -> float:
    """Of one person (T, V, C): the standard deviations of the coordinates over frames with
    somebody, added up; 0.0 for nobody."""
    present = (person != 0).any(axis=(1, 2))
    finite = np.isfinite(person).all(axis=(1, 2))
    seen = person[present & finite]
    if not len(seen):
        return 0.0
    # The published programs (2s-AGCN, EfficientGCN) have arrays of float64 here; sums of float32
    # could rank two persons who move alike the other way.
    return float(seen.std(axis=(0, 1), dtype=np.float64).sum())
