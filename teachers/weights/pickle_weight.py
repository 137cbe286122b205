"""How much there is in a pickle's content when all that stands in it more than once is counted each
time."""

from __future__ import annotations

import pickle

import numpy as np

# How much larger than its pickle content may be when all that stands in it more than once is
# counted each time
REPEATS = 10
# Levels; the files that people have go down four or five.
DEEPEST = 100
CONTAINERS = (list, tuple, dict, set, frozenset, np.ndarray)
# Bits; Python does not even print much larger ones (its limit is 4300 digits).
LARGEST_NUMBER = 4096


def check_weight(content: object, size_bytes: int) -> None:
    """Refuses content that is small in memory, but endless for whoever looks at all of it.

    Args:
        size_bytes: of the pickle that it comes from.
    Raises:
        UnpicklingError: lists of twice the same list of twice ..., a list within itself or
            more than DEEPEST levels down, a number that Python cannot print.
    """
    most = REPEATS * size_bytes + 1000
    # Of containers, by id: `content` keeps them alive, so no id is used twice.
    weights: dict[int, int] = {}
    # Containers whose parts are being weighed: to meet one of them again is a circle.
    open_ids: set[int] = set()
    # A stack of our own: lists nested a hundred thousand deep would overflow Python's.
    root: object = [content]
    stack = [(root, False)]
    while stack:
        container, parts_weighed = stack.pop()
        key = id(container)
        parts = _parts(container)
        inner = [part for part in parts if isinstance(part, CONTAINERS)]
        if parts_weighed:
            weight = 1 + sum(_leaf(part) for part in parts)
            weight += sum(weights[id(part)] for part in inner)
            # At once, not at the end: every level of nesting can double the number.
            if weight > most:
                raise pickle.UnpicklingError("the same containers in each other over and over")
            weights[key] = weight
            open_ids.remove(key)
        elif key in open_ids:
            raise pickle.UnpicklingError("a container within itself")
        elif key not in weights:
            open_ids.add(key)
            if len(open_ids) > DEEPEST:
                raise pickle.UnpicklingError("nested too deeply")
            stack.append((container, True))
            stack.extend((part, False) for part in inner)


def _parts(container: object) -> list:
    if isinstance(container, dict):
        return [*container.keys(), *container.values()]
    if isinstance(container, np.ndarray):
        # Arrays of numbers have no parts that could repeat.
        return list(container.flat) if container.dtype.hasobject else []
    return list(container) if isinstance(container, (list, tuple, set, frozenset)) else []


def _leaf(part: object) -> int:
    """What a part itself weighs; a container counts its parts where it is weighed."""
    if isinstance(part, int) and part.bit_length() > LARGEST_NUMBER:
        raise pickle.UnpicklingError(f"a number of {part.bit_length()} bits")
    # A long text that many references share is as endless to print as nested lists.
    return 1 + (len(part) // 16 if isinstance(part, (str, bytes, bytearray)) else 0)
