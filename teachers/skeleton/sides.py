"""Left and right, read from the names of joints."""

from __future__ import annotations

import re
from collections.abc import Sequence


def other_side(names: Sequence[str]) -> tuple[int, ...]:
    """For each joint, 0-based, the one on the other side of the body; itself for one in the middle.

    Sides are read from names: `left_hand`, `hand_l`, `LeftHand`, `L Hand`.

    Raises:
        ValueError: no joint has a side, or one has no counterpart.
    """
    # By (side, rest of the name); a joint in the middle has the side "".
    number_of = {split_side(name): number for number, name in enumerate(names)}
    if not any(side for side, _ in number_of):
        raise ValueError("no joint's name says left or right")
    other = {"left": "right", "right": "left", "": ""}
    pairs = []
    for name in names:
        side, rest = split_side(name)
        if (other[side], rest) not in number_of:
            raise ValueError(f"joint {name!r} has no counterpart on the {other[side]}")
        pairs.append(number_of[other[side], rest])
    # Two names that read alike would both be swapped with one joint.
    if len(set(pairs)) != len(names):
        raise ValueError("several joints have the same side and name")
    return tuple(pairs)


def split_side(name: str) -> tuple[str, str]:
    """(side, the rest in small letters): LeftHandTip -> ("left", "hand tip"); "" for the middle."""
    # LeftHand and LHand are two words, as left_hand is.
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    words = re.sub(r"[\W_]+", " ", spaced).lower().split()
    for side in ("left", "right"):
        for word in (side, side[0]):
            if word in words:
                words.remove(word)
                return side, " ".join(words)
    return "", " ".join(words)
