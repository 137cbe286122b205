"""Skeletons as data: joints, bones and the adjacency matrices that graph networks start from."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Skeleton:
    """A named skeleton.

    Attributes:
        name: what recipes and deployed folders call it.
        joints: number of joints V.
        bones: (child, parent) pairs, 1-based as in the literature, pointing inward to the centre.
        centre: the root joint, 1-based.
    """

    name: str
    joints: int
    bones: tuple[tuple[int, int], ...]
    centre: int

    def adjacency(self) -> np.ndarray:
        """A (3, V, V) float32: identity, inward and outward, each column-normalised (CTR-GCN, `graph/tools.py`)."""
        inward = np.zeros((self.joints, self.joints))
        for child, parent in self.bones:
            inward[parent - 1, child - 1] = 1
        return np.stack([np.eye(self.joints), _column_normalise(inward), _column_normalise(inward.T)]).astype("float32")


def _column_normalise(matrix: np.ndarray) -> np.ndarray:
    total = matrix.sum(0)
    return matrix / np.where(total == 0, 1, total)


NTU_25 = Skeleton("ntu_25", 25, (
    (1, 2), (2, 21), (3, 21), (4, 3), (5, 21), (6, 5), (7, 6), (8, 7), (9, 21), (10, 9), (11, 10), (12, 11),
    (13, 1), (14, 13), (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19),
    (22, 23), (23, 8), (24, 25), (25, 12)), centre=21)

UCLA_20 = Skeleton("ucla_20", 20, (
    (1, 2), (2, 3), (4, 3), (5, 3), (6, 5), (7, 6), (8, 7), (9, 3), (10, 9), (11, 10), (12, 11),
    (13, 1), (14, 13), (15, 14), (16, 15), (17, 1), (18, 17), (19, 18), (20, 19)), centre=3)

SKELETONS = {skeleton.name: skeleton for skeleton in (NTU_25, UCLA_20)}
