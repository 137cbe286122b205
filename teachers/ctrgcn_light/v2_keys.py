"""CTRGCN_light V2 weights from PaddleVideo's key names, those of V1 with one relation."""

from __future__ import annotations

import numpy as np

from teachers.ctrgcn_light.v1_keys import read, relation_groups
from teachers.ctrgcn_light.v2 import Block, Spec
from teachers.weights.published import NO_HINTS, Hints

READS = ("PaddleVideo",)


def is_published(arrays: dict[str, np.ndarray]) -> bool:
    """Whether the key names are those of V2."""
    return relation_groups(arrays) == 1


def from_published(
    arrays: dict[str, np.ndarray], hints: Hints = NO_HINTS
) -> tuple[Spec, dict[str, np.ndarray]]:
    """Spec and our state from published names.

    Raises:
        CheckpointError: a key is missing or left over, or the shapes are not those of one
            CTRGCN_light V2.
    """
    return read(arrays, hints, Block, Spec, "CTRGCN_light V2")
