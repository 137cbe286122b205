"""Small charts as inline SVG strings: no script, no resource, the page's own colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

# Of a line chart, in its own units; the page scales it, on a phone to four fifths, where text of 13
# units can still be read. The margins leave room for labels and the names of the axes.
WIDTH = 300
HEIGHT = 216
LEFT = 50
RIGHT = 10
TOP = 28
BOTTOM = 40
# More strips to point at could not be hit, and each is a hundred bytes of the page.
MOST_STRIPS = 150
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


def epoch_ticks(low: float, high: float) -> list[int]:
    """Whole round numbers within [low, high], and the first epoch, round number or not."""
    marks = [round(mark) for mark in ticks(low, high) if mark == round(mark)]
    first = round(low)
    # Half a step from the first its label would run into the next one's.
    step = marks[1] - marks[0] if len(marks) > 1 else 0
    return [first, *(mark for mark in marks if mark - first > step / 2)]


def tick_label(value: float) -> str:
    """A short label: 0.001 -> "0.001", 5e-05 -> "5e-5"."""
    # Four figures: a tick is a multiple of its step, which may come out as 0.30000000000000004.
    text = f"{value:.4g}"
    text = text.replace("e-0", "e-").replace("e+0", "e")
    # A minus as wide as a plus, where the sign is the first thing to be read.
    return f"−{text[1:]}" if text.startswith("-") else text


@dataclass(frozen=True)
class BarAxis:
    """The axis below horizontal bars: `ticks` are (percent of a full bar, label)."""

    name: str
    ticks: tuple[tuple[float, str], ...]


def bar_axis(name: str, low: float, high: float, unit: float = 1.0) -> BarAxis:
    """The axis of bars from `low` to `high`, labelled in multiples of `unit`."""
    span = (high - low) or 1.0
    # Four steps: more labels would touch on a phone.
    marks = ticks(low / unit, high / unit, 4)
    places = [(100 * (mark * unit - low) / span, tick_label(mark)) for mark in marks]
    return BarAxis(name, tuple(places))


def line_chart(
    y_name: str, series: Sequence[Series], kept: int | None = None, x_name: str = "epoch"
) -> Markup:
    """Lines over epochs, or over `x_name`. Series take the colours s0, s1, ... of the style sheet, in
    order.

    Args:
        y_name: of the vertical axis, with its unit.
        kept: the epoch whose weights were kept, which is marked.
    """
    # A chart's range is that of all of its lines, so that they can be compared.
    xs = [x for line in series for x, _ in line.points]
    ys = [y for line in series for y in line.values]
    if not ys:
        return Markup("")
    plot = _Plot(min(xs), max(xs), *_padded(min(ys), max(ys)))
    out = [
        opened("chart", f"0 0 {WIDTH} {HEIGHT}", f"{y_name} of every {x_name}"),
        _axes(plot, y_name, x_name),
    ]
    if kept is not None and plot.x_low <= kept <= plot.x_high:
        out.append(_kept(plot, kept))
    for number, line in enumerate(series):
        out.append(_line(line, number, plot.at))
    out.append(_strips(plot, series, x_name))
    return Markup("".join(out) + "</svg>")


@dataclass(frozen=True)
class _Plot:
    """The range of a line chart."""

    x_low: float
    x_high: float
    low: float
    high: float

    def at(self, x: float, y: float) -> Point:
        """The place of a point in the chart."""
        span = self.x_high - self.x_low
        # A training of one epoch has one point, which is drawn in the middle.
        across = (x - self.x_low) / span if span > 0 else 0.5
        up = (self.high - y) / (self.high - self.low)
        return LEFT + across * (WIDTH - LEFT - RIGHT), TOP + up * (HEIGHT - TOP - BOTTOM)


def _axes(plot: _Plot, y_name: str, x_name: str) -> str:
    # The name stands above its axis, not turned beside it: nobody tilts a phone to read.
    middle = (LEFT + WIDTH - RIGHT) / 2
    x_title = f'<text class="axis-title" x="{middle:g}" y="{HEIGHT - 4}" text-anchor="middle">'
    out = [
        f'<text class="axis-title" x="0" y="12">{escape(y_name)}</text>',
        f"{x_title}{escape(x_name)}</text>",
    ]
    for y in ticks(plot.low, plot.high):
        _, height = plot.at(plot.x_low, y)
        out.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height:.1f}"'
            f' y2="{height:.1f}"/><text x="{LEFT - 6}" y="{height + 4:.1f}"'
            f' text-anchor="end">{tick_label(y)}</text>'
        )
    for x in epoch_ticks(plot.x_low, plot.x_high):
        across, _ = plot.at(x, plot.low)
        out.append(f'<text x="{across:.1f}" y="{HEIGHT - 22}" text-anchor="middle">{x}</text>')
    return "".join(out)


def _kept(plot: _Plot, epoch: int) -> str:
    across, _ = plot.at(epoch, plot.low)
    # Towards the middle, so that the words stay inside at either end.
    anchor = "end" if across > WIDTH / 2 else "start"
    aside = -4 if across > WIDTH / 2 else 4
    return (
        f'<line class="kept" x1="{across:.1f}" x2="{across:.1f}" y1="{TOP - 8}"'
        f' y2="{HEIGHT - BOTTOM}"/><text class="kept-name" x="{across + aside:.1f}" y="{TOP - 1}"'
        f' text-anchor="{anchor}">kept: epoch {epoch}</text>'
    )


def _strips(plot: _Plot, series: Sequence[Series], x_name: str) -> str:
    """Invisible strips over the chart, one for an epoch: pointed at, each tells its values."""
    # A title of SVG needs no script, and a strip is hit more easily than a line.
    values: dict[float, list[str]] = {}
    for line in series:
        for x, y in line.points:
            if y is not None:
                values.setdefault(x, []).append(f"{line.label} {y:.4g}")
    epochs = sorted(values)
    chosen = epochs[:: math.ceil(len(epochs) / MOST_STRIPS)]
    width = (WIDTH - LEFT - RIGHT) / len(chosen)
    out = []
    for x in chosen:
        across, _ = plot.at(x, plot.low)
        says = "\n".join([f"{x_name} {x:g}", *values[x]])
        # The last one would stick out of the picture, and a phone's page scroll sideways for it.
        start = across - width / 2
        end = min(across + width / 2, WIDTH)
        out.append(
            f'<rect class="hover" x="{start:.1f}" y="{TOP}" width="{end - start:.1f}"'
            f' height="{HEIGHT - TOP - BOTTOM}"><title>{escape(says)}</title></rect>'
        )
    return "".join(out)


def histogram(
    shares: Sequence[float], low: float, high: float, ends: Sequence[float], title: str
) -> Markup:
    """Bars of equal bins from `low` to `high`; lines at `ends`, the limits of what was chosen.

    Args:
        shares: of the values in each bin.
        title: for those who cannot see it.
    """
    width = len(shares)
    tallest = max(shares, default=0.0) or 1.0
    # The root of a share: what is rare is what a range cuts off, and it would be no pixel high.
    heights = [round(10 * math.sqrt(share / tallest), 1) for share in shares]
    outline = "".join(f"V{10 - height:g}h1" for height in heights)
    out = [
        opened("histogram", f"-.5 -.5 {width + 1} 11", title, ' preserveAspectRatio="none"'),
        f'<path d="M0 10{outline}V10z"/>',
    ]
    for end in ends:
        across = width * (end - low) / ((high - low) or 1.0)
        # A range may be wider than all that was seen, as one that has to hold zero is.
        inside = min(max(across, 0.0), width)
        out.append(f'<line x1="{inside:.1f}" x2="{inside:.1f}" y1="0" y2="10"/>')
    return Markup("".join(out) + "</svg>")


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


def opened(kind: str, box: str, title: str, more: str = "") -> str:
    """The tag that begins a picture, for screen readers `title`."""
    # With role and label a screen reader meets one named picture, not hundreds of shapes.
    return f'<svg class="{kind}" viewBox="{box}" role="img" aria-label="{escape(title)}"{more}>'
