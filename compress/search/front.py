"""Which points are worth having: those that no other point beats in everything."""

from __future__ import annotations

from collections.abc import Sequence

# Bytes, milliseconds and minus top-1: less is better in each.
Cost = tuple[float, ...]


def beats(one: Cost, other: Cost) -> bool:
    """Whether `one` is nowhere worse and somewhere better."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def front(costs: Sequence[Cost]) -> list[int]:
    """Places of those that none beats; of equal ones the first."""
    return [
        place
        for place, cost in enumerate(costs)
        if not any(beats(other, cost) for other in costs) and cost not in costs[:place]
    ]


def ranks(costs: Sequence[Cost]) -> list[int]:
    """0 for the front, 1 for the front of the rest, and so on (Deb et al., NSGA-II, 2002)."""
    found = [0] * len(costs)
    left = list(range(len(costs)))
    rank = 0
    while left:
        best = [
            place for place in left if not any(beats(costs[other], costs[place]) for other in left)
        ]
        for place in best:
            found[place] = rank
        left = [place for place in left if place not in best]
        rank += 1
    return found
