"""Small charts as inline SVG strings: no script, no resource, the page's own colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

# Of a line chart, in its own units; the page scales it. The margins leave room for the labels.
WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 10, 24
# Up to here a confusion matrix shows class names beside its rows, above it numbers.
NAMED_CLASSES = 24
# The style sheet has this many colours, s0, s1, ...
COLOURS = 8
Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One line: (x, y) points in order; a y of None (not recorded, or not finite) leaves a gap."""

    label: str
    points: tuple[tuple[float, float | None], ...]
    dashed: bool = False

    @property
    def values(self) -> list[float]:
        return [y for _, y in self.points if y is not None]


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers (1, 2, 2.5 or 5 times a power of ten apart) within [low, high]."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    # A thousandth of slack: a rounding error in `raw` must not skip to the next larger step.
    step = next(nice * power for nice in (1, 2, 2.5, 5, 10) if nice * power >= raw * 0.999)
    # The small terms: 0.3 / 0.1 is 2.9999999999999996, and the tick at 0.3 is wanted.
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_label(value: float) -> str:
    """A short label: 0.001 -> "0.001", 5e-05 -> "5e-5"."""
    # Four figures: a tick is a multiple of its step, which may come out as 0.30000000000000004.
    text = f"{value:.4g}"
    return text.replace("e-0", "e-").replace("e+0", "e")


def line_chart(title: str, series: Sequence[Series]) -> Markup:
    """Lines over epochs. Series take the colours s0, s1, ... of the style sheet, in order."""
    # A chart's range is that of all of its lines, so that they can be compared.
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for y in line.values]
    if not ys:
        return Markup("")
    x_low, x_high = min(xs), max(xs)
    low, high = _padded(min(ys), max(ys))

    def at(x: float, y: float) -> Point:
        # A training of one epoch has one point, which is drawn in the middle.
        across = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        return LEFT + across * (WIDTH - LEFT - RIGHT), TOP + (high - y) / (high - low) * (
            HEIGHT - TOP - BOTTOM
        )

    out = [_opened("chart", f"0 0 {WIDTH} {HEIGHT}", title)]
    for y in ticks(low, high):
        _, height = at(x_low, y)
        out.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}"'
            f' y2="{height:.1f}"/><text x="{LEFT - 6}" y="{height + 3.5:.1f}"'
            f' text-anchor="end">{tick_label(y)}</text>'
        )
    # Epochs are whole, so half ones fold together; the first is marked, round number or not.
    for x in sorted({round(x) for x in ticks(x_low, x_high)} | {round(x_low)}):
        across, _ = at(x, low)
        out.append(f'<text x="{across:.1f}" y="{HEIGHT - 7}" text-anchor="middle">{x}</text>')
    for number, line in enumerate(series):
        out.append(_line(line, number, at))
    return Markup("".join(out) + "</svg>")


def skeletons(
    title: str,
    frames: Sequence[Sequence[Sequence[Sequence[float]]]],
    bones: Sequence[Sequence[int]],
    side: float,
) -> Markup:
    """Frames side by side; a frame is a list of persons, each with (x, y) by joint, bones are
    (child, parent) counted from 1."""
    # At least one frame wide: SVG does not render a view box of width zero.
    out = [_opened("skeletons", f"0 0 {side * max(len(frames), 1):g} {side:g}", title)]
    for place, persons in enumerate(frames):
        for person, points in enumerate(persons):
            out.append(
                f'<path class="s{person % COLOURS}" transform="translate({place * side:g} 0)"'
                f' d="{_bones(points, bones)}"/>'
            )
    return Markup("".join(out) + "</svg>")


def _bones(points: Sequence[Sequence[float]], bones: Sequence[Sequence[int]]) -> str:
    """A person as the data of one SVG path."""
    lines = []
    for child, parent in bones:
        # A clip may have fewer joints than the skeleton names, and 0 is no joint.
        if 0 < child <= len(points) and 0 < parent <= len(points):
            x, y = points[child - 1]
            to_x, to_y = points[parent - 1]
            lines.append(f"M{x:g} {y:g}L{to_x:g} {to_y:g}")
    return "".join(lines)


def _padded(low: float, high: float) -> Point:
    # A constant line has no range: a tenth of its value, or 1 around zero, gives it one.
    margin = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
    # A loss ends near zero, and no axis should show negative losses.
    return (0.0 if 0 <= low <= margin else low - margin), high + margin


def _line(line: Series, number: int, at: Callable[[float, float], Point]) -> str:
    """The polylines of one series, one for each stretch without a gap; a dot on the last point."""
    stretches = _stretches(line, at)
    dashes = ' stroke-dasharray="5 4"' if line.dashed else ""
    out = [f'<g class="s{number % COLOURS}"><title>{escape(line.label)}</title>']
    for index, points in enumerate(stretches):
        if not points:
            continue
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        out.append(f'<polyline points="{path}"{dashes}/>')
        # A single point between two gaps is no line: without the dot nobody would see it.
        if len(points) == 1 or index == len(stretches) - 1:
            out.append(f'<circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="3"/>')
    return "".join(out) + "</g>"


def _stretches(line: Series, at: Callable[[float, float], Point]) -> list[list[Point]]:
    """The points in the chart, cut where a value was not recorded."""
    stretches: list[list[Point]] = [[]]
    for x, y in line.points:
        if y is None:
            stretches.append([])
        else:
            stretches[-1].append(at(x, y))
    return stretches


def heatmap(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> Markup:
    """A confusion matrix (K, K), rows true, columns predicted; shade is the share of the true
    class."""
    count = len(matrix)
    named = count <= NAMED_CLASSES
    # 120 classes still have cells that can be told apart, two have none as large as a tile.
    cell = max(6, min(34, 520 // max(count, 1)))
    left = 164 if named else 34
    top = 34
    side = count * cell
    out = [
        _opened("heatmap", f"0 0 {left + side + 4} {top + side + 4}", "Confusion matrix"),
        f'<text x="{left + side / 2}" y="11" text-anchor="middle">predicted</text>',
        f'<rect class="plane" x="{left}" y="{top}" width="{side}" height="{side}"/>',
    ]
    for row, counts in enumerate(matrix):
        y = top + row * cell
        # Names, or numbers of every fifth class: 60 of them would run into one another.
        if named or row % 5 == 4:
            label = f"{row + 1} {_shortened(classes[row])}" if named else str(row + 1)
            out.append(
                f'<text x="{left - 6}" y="{y + cell / 2 + 4}"'
                f' text-anchor="end">{escape(label)}</text><text x="{left + (row + 0.5) * cell}"'
                f' y="{top - 6}" text-anchor="middle">{row + 1}</text>'
            )
        for column, clips in enumerate(counts):
            if clips:
                x = left + column * cell
                # Of its row, not of all clips: a rare class would be too pale to see.
                share = clips / sum(counts)
                out.append(
                    _cell(x, y, cell, share, row == column)
                    + f"<title>{escape(classes[row])} → {escape(classes[column])}: {clips} of"
                    f" {sum(counts)} ({100 * share:.1f}%)</title></rect>"
                )
                # Below 20 a count of three figures is wider than its cell.
                if named and cell >= 20:
                    out.append(_count(x + cell / 2, y + cell / 2 + 4, clips, share))
    return Markup("".join(out) + "</svg>")


def _count(x: float, y: float, clips: int, share: float) -> str:
    # The fill's opacity follows the share (`_cell`): past half, dark figures could not be read.
    shade = "on-dark" if share > 0.5 else "on-light"
    return f'<text class="{shade}" x="{x}" y="{y}" text-anchor="middle">{clips}</text>'


def _opened(kind: str, box: str, title: str) -> str:
    # With role and label a screen reader meets one named picture, not hundreds of shapes.
    return f'<svg class="{kind}" viewBox="{box}" role="img" aria-label="{escape(title)}">'


def _shortened(name: str, length: int = 23) -> str:
    return name if len(name) <= length else name[: length - 1].rstrip() + "…"


def _cell(x: float, y: float, cell: int, share: float, right: bool) -> str:
    # A single wrong clip of many must still be seen, so shade starts at 12%.
    return (
        f'<rect class="{"right" if right else "wrong"}" x="{x + 0.5}" y="{y + 0.5}"'
        f' width="{cell - 1}" height="{cell - 1}" fill-opacity="{0.12 + 0.88 * share:.2f}">'
    )
