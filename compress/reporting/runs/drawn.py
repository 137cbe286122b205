"""The scatter as inline SVG; its points can be reached with the keyboard (`page/runs.js`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from compress.reporting.charts import COLOURS, tick_label, ticks
from compress.reporting.runs.points import Point, Scatter

# In its own units. Near what a phone has, so that text is as large there as it is drawn.
WIDTH = 360
HEIGHT = 280
LEFT = 40
RIGHT = 18
TOP = 26
BOTTOM = 42
# Numbers, or stretches of them, beside the points of one place.
MOST_NUMBERS = 4
# One for each runtime, by its number; a hollow square is a teacher, a disc a whole folder.
SHAPES = ("disc", "diamond", "triangle", "cross")


@dataclass(frozen=True)
class _Frame:
    low: float
    high: float
    bottom: float
    top: float

    def x(self, value: float) -> float:
        return LEFT + (value - self.low) / (self.high - self.low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        share = (self.top - value) / (self.top - self.bottom)
        return TOP + share * (HEIGHT - TOP - BOTTOM)


def draw(scatter: Scatter) -> Markup:
    """The scatter; each point is a button that says its values and chooses its run."""
    frame = _frame(scatter)
    title = f"Top-1 by {scatter.title}; arrow keys go from point to point, Enter chooses a run"
    box = f"0 0 {WIDTH} {HEIGHT}"
    out = [
        f'<svg class="scatter" viewBox="{box}" role="group" aria-label="{escape(title)}">',
        _axes(scatter, frame),
        _front(scatter, frame),
    ]
    for start, end in scatter.arrows:
        out.append(_arrow(scatter.points[start], scatter.points[end], frame))
    # From left to right, which is the way of the arrow keys.
    ordered = sorted(scatter.points, key=lambda point: (point.x, point.top1))
    out += [_point(point, frame, first=place == 0) for place, point in enumerate(ordered)]
    out.append(_numbers(ordered, frame))
    return Markup("".join(out) + "</svg>")


def legend(kind: str) -> Markup:
    """The shape of a kind, alone."""
    return Markup(f'<svg viewBox="-8 -8 16 16" aria-hidden="true">{mark(shape_of(kind))}</svg>')


def shape_of(kind: str) -> str:
    """The shape of a point's kind."""
    if kind == "teacher":
        return "square"
    return "disc" if kind == "folder" else SHAPES[int(kind) % len(SHAPES)]


def mark(shape: str, x: float = 0, y: float = 0, r: float = 5) -> str:
    """A shape around a place."""
    if shape == "disc":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:g}"/>'
    paths = {
        "square": f"M{-r:g} {-r:g}h{2 * r:g}v{2 * r:g}h{-2 * r:g}z",
        "diamond": f"M0 {-1.3 * r:g}L{1.3 * r:g} 0L0 {1.3 * r:g}L{-1.3 * r:g} 0z",
        "triangle": f"M0 {-1.2 * r:g}L{1.2 * r:g} {r:g}L{-1.2 * r:g} {r:g}z",
        "cross": f"M{-r:g} {-r:g}L{r:g} {r:g}M{r:g} {-r:g}L{-r:g} {r:g}",
    }
    return f'<path class="{shape}" transform="translate({x:.1f} {y:.1f})" d="{paths[shape]}"/>'


def _frame(scatter: Scatter) -> _Frame:
    xs = [point.x for point in scatter.points]
    ys = [point.top1 for point in scatter.points]
    # From nought: half the bytes are to look like half.
    wide = max(xs) * 1.08 or 1.0
    room = (max(ys) - min(ys)) * 0.12 or 1.0
    return _Frame(0.0, wide, max(0.0, min(ys) - room), max(ys) + room)


def _axes(scatter: Scatter, frame: _Frame) -> str:
    middle = (LEFT + WIDTH - RIGHT) / 2
    x_title = f'<text class="axis-title" x="{middle:g}" y="{HEIGHT - 4}" text-anchor="middle">'
    out = [
        '<text class="axis-title" x="0" y="12">top-1 accuracy, %</text>',
        f"{x_title}{escape(scatter.axis)}</text>",
    ]
    for value in ticks(frame.bottom, frame.top):
        y = frame.y(value)
        out.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick_label(value)}</text>'
        )
    for value in ticks(0, frame.high / scatter.unit):
        x = frame.x(value * scatter.unit)
        out.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 22}" text-anchor="middle">{tick_label(value)}</text>'
        )
    return "".join(out)


def _front(scatter: Scatter, frame: _Frame) -> str:
    """The front as stairs: at each cost the best accuracy that is had for it."""
    best = sorted({(point.x, point.top1) for point in scatter.points if point.front})
    # Of runs that were all judged on other clips than the first.
    if not best:
        return ""
    path = ""
    for place, (x, top1) in enumerate(best):
        across, up = frame.x(x), frame.y(top1)
        path += f"H{across:.1f}V{up:.1f}" if place else f"M{across:.1f} {up:.1f}"
    return f'<path class="front" d="{path}H{WIDTH - RIGHT}"/>'


def _arrow(start: Point, end: Point, frame: _Frame) -> str:
    x, y = frame.x(start.x), frame.y(start.top1)
    to_x, to_y = frame.x(end.x), frame.y(end.top1)
    return (
        f'<line class="arrow s{end.run % COLOURS}" data-run="{end.run}" x1="{x:.1f}" y1="{y:.1f}"'
        f' x2="{to_x:.1f}" y2="{to_y:.1f}"/>'
    )


def _numbers(points: Sequence[Point], frame: _Frame) -> str:
    """The runs' numbers, written beside the points; those of one place together."""
    at: dict[tuple[float, float], set[int]] = {}
    for point in points:
        at.setdefault((frame.x(point.x), frame.y(point.top1)), set()).add(point.run + 1)
    out = []
    for (x, y), runs in at.items():
        # Towards the middle, so that the number stays inside at either end.
        side, anchor = (-1, "end") if x > WIDTH * 0.8 else (1, "start")
        out.append(
            f'<text class="number" x="{x + 8 * side:.1f}" y="{y - 6:.1f}" text-anchor="{anchor}"'
            f' aria-hidden="true">{in_short(runs)}</text>'
        )
    return "".join(out)


def in_short(numbers: Iterable[int]) -> str:
    """{1, 2, 3, 7} -> "1–3, 7"; what is longer than a chart has room for ends in dots."""
    stretches: list[list[int]] = []
    for number in sorted(numbers):
        if stretches and number == stretches[-1][-1] + 1:
            stretches[-1].append(number)
        else:
            stretches.append([number])
    words = [f"{each[0]}–{each[-1]}" if len(each) > 1 else str(each[0]) for each in stretches]
    return ", ".join(words if len(words) <= MOST_NUMBERS else [*words[:MOST_NUMBERS], "…"])


def _point(point: Point, frame: _Frame, first: bool) -> str:
    x, y = frame.x(point.x), frame.y(point.top1)
    # One stop of the Tab key for all of them; the script moves it.
    reached = 0 if first else -1
    says = escape(point.says + ("; on the front" if point.front else ""))
    return (
        f'<g class="point s{point.run % COLOURS}" data-run="{point.run}" role="button"'
        f' tabindex="{reached}" aria-pressed="false" aria-label="{says}">'
        f'<circle class="hit" cx="{x:.1f}" cy="{y:.1f}" r="12"/>'
        f'<g class="mark">{mark(shape_of(point.kind), x, y)}</g></g>'
    )
