"""How much there is in a pickle's content when all that stands in it more than once is counted each
time."""

from __future__ import annotations

import pickle

import numpy as np

# How much larger than its pickle content may be when all that stands in it more than once is
# counted each time
REPEATS = 10
CONTAINERS = (list, tuple, dict, set, frozenset, np.ndarray)
LARGEST_NUMBER = 4096  # bits; Python does not even print much larger ones


def check_weight(content: object, size_bytes: int) -> None:
    """Refuses content that is small in memory, but endless for whoever looks at all of it.

    Args:
        size_bytes: of the pickle that it comes from.
    Raises:
        UnpicklingError: lists of twice the same list of twice ..., a list within itself, a number
            that Python cannot print.
    """
    most = REPEATS * size_bytes + 1000
    weights: dict[int, int | None] = {}  # of containers, by id; None while their parts are weighed
    stack = [([content], False)]
    while stack:
        one, weighed = stack.pop()
        parts = _parts(one)
        inner = [part for part in parts if isinstance(part, CONTAINERS)]
        if weighed:
            weights[id(one)] = weight = (
                1 + sum(map(_leaf, parts)) + sum(weights[id(part)] for part in inner)
            )
            if weight > most:
                raise pickle.UnpicklingError("the same containers in each other over and over")
        elif id(one) not in weights:
            weights[id(one)] = None
            stack += [(one, True), *((part, False) for part in inner)]
        elif weights[id(one)] is None:
            raise pickle.UnpicklingError("a container within itself")


def _parts(one: object) -> list:
    if isinstance(one, dict):
        return [*one.keys(), *one.values()]
    if isinstance(one, np.ndarray):
        return list(one.flat) if one.dtype.hasobject else []
    return list(one) if isinstance(one, (list, tuple, set, frozenset)) else []


def _leaf(one: object) -> int:
    if isinstance(one, int) and one.bit_length() > LARGEST_NUMBER:
        raise pickle.UnpicklingError(f"a number of {one.bit_length()} bits")
    return 1 + (
        len(one) // 16 if isinstance(one, (str, bytes, bytearray)) else 0
    )  # a container counts its parts itself
