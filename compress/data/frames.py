"""Who moves most: a rule on frames that data sets share. How broken ones are mended ships with
networks, in `export.preprocess.repair`."""

from __future__ import annotations

import numpy as np


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
