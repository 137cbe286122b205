"""Which of the bodies in an NTU RGB+D recording are the two persons of its clip."""
from __future__ import annotations

import numpy as np

from compress.data.skeleton_text import JOINTS, Recording

PLACES, PERSONS = 4, 2


def efficientgcn_raw(recording: Recording) -> np.ndarray:
    """The clip (3, T, 25, 2) float32 that EfficientGCN (arXiv 2106.15125), like 2s-AGCN (arXiv 1805.07694) before it, makes
    of a recording: camera coordinates in metres, T all of its frames, also those that nobody is in.

    A person is a place in the frames' lists of bodies, whatever the id there: its first entries are the first person, and so
    on up to four; what is missing is zero. Of these the two with the highest energy are kept, the highest first, and of equal
    ones the later first: the standard deviations of x, of y and of z, each over all joints of the frames with somebody in that
    place, added up. Frames with NaN, which have no energy, are left out of it here.
    """
    places = np.zeros((PLACES, recording.frames, JOINTS, 3), np.float32)
    for body in recording.bodies.values():
        kept = body.places < PLACES
        places[body.places[kept], body.frames[kept]] = body.joints[kept]
    highest = np.argsort([energy(place) for place in places], kind="stable")[::-1][:PERSONS]
    return np.ascontiguousarray(places[highest].transpose(3, 1, 2, 0))


def energy(place: np.ndarray) -> float:
    """Of (T, V, C): the standard deviations of the coordinates over frames with somebody, added up; 0.0 for nobody."""
    there = place[(place != 0).any(axis=(1, 2)) & np.isfinite(place).all(axis=(1, 2))]
    return float(there.std(axis=(0, 1), dtype=np.float64).sum()) if len(there) else 0.0
