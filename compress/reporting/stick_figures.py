"""Skeletons as inline SVG: frames side by side, as a strip or as a film that the style sheet moves."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from markupsafe import Markup

from compress.reporting.charts import COLOURS, opened

# Units of a drawing in one of a frame's square: whole numbers are then finer than a pixel.
FINE = 2


def skeletons(
    title: str,
    frames: Sequence[Sequence[Sequence[Sequence[float]]]],
    bones: Sequence[Sequence[int]],
    side: float,
    kind: str = "skeletons",
) -> Markup:
    """Frames side by side; a frame is a list of persons, each with (x, y) by joint, bones are
    (child, parent) counted from 1. `kind` is the style sheet's class."""
    # At least one frame wide: SVG does not render a view box of width zero.
    unit = FINE * side
    out = [opened(kind, f"0 0 {unit * max(len(frames), 1):g} {unit:g}", title)]
    drawn: dict[int, list[str]] = {}
    for place, persons in enumerate(frames):
        for person, points in enumerate(persons):
            spots = [(round(FINE * x + place * unit), round(FINE * y)) for x, y in points]
            drawn.setdefault(person, []).append(_bones(spots, bones))
    # One path a person: an element for each of many frames would cost more than its bones.
    for person, paths in sorted(drawn.items()):
        out.append(f'<path class="s{person % COLOURS}" d="{"".join(paths)}"/>')
    return Markup("".join(out) + "</svg>")


def _bones(points: Sequence[tuple[int, int]], bones: Sequence[Sequence[int]]) -> str:
    """A person as the data of one SVG path."""
    out = []
    last = 0
    for start, end in _strokes(tuple(tuple(bone) for bone in bones), len(points)):
        (x, y), (to_x, to_y) = points[start - 1], points[end - 1]
        # On from where the last bone ended; a sign parts numbers as a space would.
        moved = "" if start == last else f"M{x} {y}l"
        out.append(f"{moved}{to_x - x:+d}{to_y - y:+d}")
        last = end
    return "".join(out)


@cache
def _strokes(bones: tuple[tuple[int, ...], ...], joints: int) -> tuple[tuple[int, int], ...]:
    """Every bone once, (from, to), each going on where the last one ended wherever it can."""
    # A clip may have fewer joints than the skeleton names, and 0 is no joint.
    left = [(a, b) for a, b in bones if 0 < a <= joints and 0 < b <= joints]
    found: list[tuple[int, int]] = []
    while left:
        here = found[-1][1] if found else 0
        bone = next((bone for bone in left if here in bone), None)
        if bone is None:
            # From the end of a limb, so that its whole length is one stroke.
            ends = [joint for bone in left for joint in bone]
            bone = next((bone for bone in left if min(map(ends.count, bone)) == 1), left[0])
            here = min(bone, key=ends.count)
        left.remove(bone)
        found.append((here, bone[1] if bone[0] == here else bone[0]))
    return tuple(found)
