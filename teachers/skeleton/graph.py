"""A skeleton as data: joints, bones and the adjacency matrices that graph networks start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from teachers.errors import RecipeError


@dataclass(frozen=True)
class Skeleton:
    """A named skeleton.

    Attributes:
        name: what recipes and deployed folders call it.
        joints: number of joints V.
        bones: (child, parent) pairs, 1-based as in the literature, pointing inward to the centre;
            the edges of the graph.
        centre: the root joint, 1-based.
        stream_bones: the pairs that bone streams subtract, where the literature takes others than
            the edges; () for the edges.
    """

    name: str
    joints: int
    bones: tuple[tuple[int, int], ...]
    centre: int
    stream_bones: tuple[tuple[int, int], ...] = ()

    def adjacency(self) -> np.ndarray:
        """A (3, V, V) float32: identity, inward and outward, each column-normalised (CTR-GCN,
        `graph/tools.py`)."""
        inward = np.zeros((self.joints, self.joints))
        for child, parent in self.bones:
            # Row parent, column child: the published `edge2mat` transposes its links.
            inward[parent - 1, child - 1] = 1
        # Normalised before the cast: the published code does it in float64.
        subsets = [np.eye(self.joints), column_normalise(inward), column_normalise(inward.T)]
        return np.stack(subsets).astype("float32")

    def hops(self) -> np.ndarray:
        """(V, V) number of bones on the shortest way between two joints; infinity where there is
        none."""
        neighbours: list[set[int]] = [set() for _ in range(self.joints)]
        for child, parent in self.bones:
            neighbours[child - 1].add(parent - 1)
            neighbours[parent - 1].add(child - 1)
        # Breadth first from every joint: products of matrices take V times as long, minutes for the
        # hundreds of joints of face and hands.
        rows = []
        for first in range(self.joints):
            row = [np.inf] * self.joints
            row[first] = 0
            queue = [first]
            for joint in queue:
                for other in neighbours[joint]:
                    if row[other] == np.inf:
                        row[other] = row[joint] + 1
                        queue.append(other)
            rows.append(row)
        return np.array(rows, dtype="float64")

    def bone_pairs(self) -> tuple[tuple[int, int], ...]:
        """(child, parent), 1-based, of bone streams; a joint that is no child has bone zero."""
        return self.stream_bones or self.bones

    def checked(self) -> Skeleton:
        """Itself.

        Raises:
            RecipeError: an edge or the centre names a joint that does not exist, or an edge joins a
                joint to itself.
        """
        # Not in __post_init__: only a skeleton that a person describes needs it, and there the
        # error is a RecipeError.
        for pair in (*self.bones, *self.stream_bones):
            inside = all(1 <= joint <= self.joints for joint in pair)
            if not inside or pair[0] == pair[1]:
                raise RecipeError(
                    f"skeleton {self.name!r}: bone {list(pair)} does not join two of its"
                    f" {self.joints} joints (counted from 1)"
                )
        if not 1 <= self.centre <= self.joints:
            raise RecipeError(
                f"skeleton {self.name!r}: centre {self.centre} is none of its {self.joints} joints"
                " (counted from 1)"
            )
        return self


def column_normalise(matrix: np.ndarray) -> np.ndarray:
    """Every column divided by its sum; columns of zeros stay zero."""
    total = matrix.sum(0)
    return matrix / np.where(total == 0, 1, total)
