"""What a step makes of a clip, known before it does: steps may be a stranger's, and what they claim
becomes memory of whoever serves them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from teachers.errors import DataError

# Numbers of a clip: 400 MB of float32, as of all views of one in `export.deployed.record`.
MOST_NUMBERS = 100_000_000
# Steps that answer with as many frames as their key `frames` says.
FRAMES = ("sample", "crop_resize", "loop", "fit", "uniform", "window")
# Keys whose value is a list. In another's place a list is an index or a factor to NumPy, which makes
# a number of each of its elements.
LISTS = ("bones", "joints", "axes")
PAIRS = ("image", "spine", "shoulders")


def require(shape: Sequence[int], name: str, parameters: Mapping[str, Any], where: str) -> None:
    """Refuse a step that would make too much of a clip of `shape` (C, T, V, M).

    Raises:
        DataError: more than MOST_NUMBERS. ValueError, TypeError: see `largest`.
    """
    numbers = largest(shape, name, parameters)
    if numbers > MOST_NUMBERS:
        raise DataError(
            f"{where}: {name} would make {numbers:,} numbers of a clip of shape {tuple(shape)}"
            f" (C, T, V, M), and at most {MOST_NUMBERS:,} are made; give a shorter clip, or steps that"
            " enlarge it less"
        )


def largest(shape: Sequence[int], name: str, parameters: Mapping[str, Any]) -> int:
    """The most numbers that a step holds at once of a clip of `shape` (C, T, V, M), where it may
    enlarge it; 0 where it does not.

    Raises:
        ValueError, TypeError: parameters that are of no use to any step.
    """
    _check_plain(parameters)
    C, T, V, M = shape
    if name in FRAMES:
        # Without `pad` a window is a part of the clip.
        grows = name != "window" or parameters.get("pad") is not None
        return C * int(parameters.get("frames", 0)) * V * M if grows else 0
    if name == "map_joints":
        joints = parameters.get("joints", ())
        # Of one joint, all that it is made of is collected.
        collected = max((_sources(points) for points in joints), default=0)
        channels = max(C, len(parameters.get("axes") or ()))
        return T * M * max(C * collected, channels * len(joints))
    if name in ("stream", "branches"):
        pairs = np.size(parameters.get("bones", ())) // 2
        return C * T * M * max(6 * V if name == "branches" else V, pairs)
    return 0


def _sources(points: Iterable[tuple[float, Sequence[int]]]) -> int:
    return sum(np.size(group) for _, group in points)


def _check_plain(parameters: Mapping[str, Any]) -> None:
    for key, value in parameters.items():
        if key in LISTS or not isinstance(value, (list, tuple, dict, np.ndarray)):
            continue
        several: Any = value
        if key not in PAIRS or np.shape(several) != (2,):
            wanted = "two numbers" if key in PAIRS else "one value"
            raise ValueError(f"{key}: must be {wanted}")
