"""Small charts as inline SVG strings: no script, no resource, colours from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 10, 24
NAMED_CLASSES = (
    24  # up to here a confusion matrix shows class names beside its rows, above it numbers
)


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
    """Round numbers (1, 2, 2.5 or 5 times a power of ten apart) that cover [low, high] from inside."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(nice * power for nice in (1, 2, 2.5, 5, 10) if nice * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_label(value: float) -> str:
    """A short label: 0.001 -> "0.001", 5e-05 -> "5e-5"."""
    text = f"{value:.4g}"
    return text.replace("e-0", "e-").replace("e+0", "e")


def line_chart(title: str, series: Sequence[Series]) -> Markup:
    """Lines over epochs. Series take the colours s0, s1, ... of the style sheet, in order."""
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for y in line.values]
    if not ys:
        return Markup("")
    x_low, x_high = min(xs), max(xs)
    low, high = _padded(min(ys), max(ys))

    def at(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        return LEFT + across * (WIDTH - LEFT - RIGHT), TOP + (high - y) / (high - low) * (
            HEIGHT - TOP - BOTTOM
        )

    out = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{escape(title)}">'
    ]
    for y in ticks(low, high):
        _, height = at(x_low, y)
        out.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}"'
            f' y2="{height:.1f}"/><text x="{LEFT - 6}" y="{height + 3.5:.1f}"'
            f' text-anchor="end">{tick_label(y)}</text>'
        )
    for x in sorted({round(x) for x in ticks(x_low, x_high)} | {round(x_low)}):
        across, _ = at(x, low)
        out.append(f'<text x="{across:.1f}" y="{HEIGHT - 7}" text-anchor="middle">{x}</text>')
    for number, line in enumerate(series):
        out.append(_line(line, number, at))
    return Markup("".join(out) + "</svg>")


def skeletons(title: str, frames: Sequence, bones: Sequence, side: float) -> Markup:
    """Frames side by side; a frame is a list of persons, each with (x, y) by joint, bones are
    (child, parent) counted from 1."""
    out = [
        f'<svg class="skeletons" viewBox="0 0 {side * max(len(frames), 1):g} {side:g}" role="img"'
        f' aria-label="{escape(title)}">'
    ]
    for place, persons in enumerate(frames):
        for person, points in enumerate(persons):
            lines = "".join(
                f"M{points[a - 1][0]:g} {points[a - 1][1]:g}L{points[b - 1][0]:g}"
                f" {points[b - 1][1]:g}"
                for a, b in bones
                if 0 < a <= len(points) and 0 < b <= len(points)
            )
            out.append(
                f'<path class="s{person % 8}" transform="translate({place * side:g} 0)"'
                f' d="{lines}"/>'
            )
    return Markup("".join(out) + "</svg>")


def _padded(low: float, high: float) -> tuple[float, float]:
    margin = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
    return (0.0 if 0 <= low <= margin else low - margin), high + margin


def _line(line: Series, number: int, at) -> str:
    """The polylines of one series, one for each stretch without a gap, and a dot on the last point."""
    stretches, stretch = [], []
    for x, y in line.points:
        if y is None:
            stretches, stretch = stretches + [stretch], []
        else:
            stretch.append(at(x, y))
    dashes = ' stroke-dasharray="5 4"' if line.dashed else ""
    out = [f'<g class="s{number % 8}"><title>{escape(line.label)}</title>']
    for points in filter(None, stretches + [stretch]):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        out.append(f'<polyline points="{path}"{dashes}/>')
        if len(points) == 1 or points is stretch:
            out.append(f'<circle cx="{points[-1][0]:.1f}" cy="{points[-1][1]:.1f}" r="3"/>')
    return "".join(out) + "</g>"


def heatmap(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> Markup:
    """A confusion matrix (K, K), rows true, columns predicted; shade is the share of the true
    class."""
    count, named = len(matrix), len(matrix) <= NAMED_CLASSES
    cell = max(6, min(34, 520 // max(count, 1)))
    left, top = (164 if named else 34), 34
    side = count * cell
    out = [
        (
            f'<svg class="heatmap" viewBox="0 0 {left + side + 4} {top + side + 4}" role="img" '
            'aria-label="Confusion matrix">'
        ),
        f'<text x="{left + side / 2}" y="11" text-anchor="middle">predicted</text>',
        f'<rect class="plane" x="{left}" y="{top}" width="{side}" height="{side}"/>',
    ]
    for row, counts in enumerate(matrix):
        total, y = sum(counts), top + row * cell
        if named or row % 5 == 4:
            label = f"{row + 1} {_shortened(classes[row])}" if named else str(row + 1)
            out.append(
                f'<text x="{left - 6}" y="{y + cell / 2 + 4}"'
                f' text-anchor="end">{escape(label)}</text><text x="{left + (row + 0.5) * cell}"'
                f' y="{top - 6}" text-anchor="middle">{row + 1}</text>'
            )
        for column, number in enumerate(counts):
            if number:
                share = number / total
                out.append(
                    _cell(left + column * cell, y, cell, share, row == column)
                    + f"<title>{escape(classes[row])} → {escape(classes[column])}: {number} of"
                    f" {total} ({100 * share:.1f}%)</title></rect>"
                )
                if named and cell >= 20:
                    shade = "on-dark" if share > 0.5 else "on-light"
                    out.append(
                        f'<text class="{shade}" x="{left + (column + 0.5) * cell}"'
                        f' y="{y + cell / 2 + 4}" text-anchor="middle">{number}</text>'
                    )
    return Markup("".join(out) + "</svg>")


def _shortened(name: str, length: int = 23) -> str:
    return name if len(name) <= length else name[: length - 1].rstrip() + "…"


def _cell(x: float, y: float, cell: int, share: float, right: bool) -> str:
    # A single wrong clip of many must still be seen, so shade starts at 12%.
    return (
        f'<rect class="{"right" if right else "wrong"}" x="{x + 0.5}" y="{y + 0.5}"'
        f' width="{cell - 1}" height="{cell - 1}" fill-opacity="{0.12 + 0.88 * share:.2f}">'
    )
