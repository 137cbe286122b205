"""The points of the scatter: accuracy against what it costs, and those that nothing beats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set as AbstractSet
from dataclasses import dataclass, replace

from compress.evaluation.record import RuntimeRow
from compress.reporting import wording
from compress.reporting.record import Delivered
from compress.reporting.runs.facts import same_clips, shipped
from compress.reporting.runs.reading import Run
from compress.reporting.runs.rows import deployed

# Of a run: more files than there are runtimes are no run of this program.
MOST_FILES = 8
# Bytes or milliseconds; beyond it a report is wrong, and would leave no room for the others.
LARGEST = 1e15


@dataclass(frozen=True)
class Point:
    """A network as it is served.

    Attributes:
        run: its place among the runs.
        kind: teacher, folder, or the number of its runtime in the order of `Scatter.runtimes`.
        x: bytes or milliseconds.
        says: every value, in words.
        front: no other point has both a smaller x and a higher top-1.
    """

    run: int
    kind: str
    x: float
    top1: float
    says: str
    front: bool = False


@dataclass(frozen=True)
class Scatter:
    """One choice of the horizontal axis.

    Attributes:
        unit: what a step of the axis is a multiple of, such as a million bytes.
        arrows: (from, to) places of a teacher's point and of what a run made of it.
    """

    key: str
    title: str
    axis: str
    unit: float
    points: tuple[Point, ...]
    runtimes: tuple[str, ...] = ()
    arrows: tuple[tuple[int, int], ...] = ()


def scatters(runs: Sequence[Run]) -> tuple[Scatter, ...]:
    """Whole folders, files and latencies; one without points is left out."""
    judged = {place for place, run in enumerate(runs) if same_clips(runs[0], run)}
    found = (_folders(runs), _files(runs), _latencies(runs))
    return tuple(_with_front(scatter, judged) for scatter in found if scatter.points)


def _with_front(scatter: Scatter, judged: AbstractSet[int]) -> Scatter:
    """The scatter with its front, of the runs that were judged on the same clips."""
    among = [point for point in scatter.points if point.run in judged]
    front = on_front([(point.x, point.top1) for point in among])
    best = {id(point) for point, is_best in zip(among, front, strict=True) if is_best}
    points = tuple(replace(point, front=id(point) in best) for point in scatter.points)
    return replace(scatter, points=points)


def on_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Whether each (cost, accuracy) is beaten by none: no other has less or equal cost and more or
    equal accuracy, and one of them strictly."""
    return [
        not any(
            other_x <= x and other_y >= y and (other_x, other_y) != (x, y)
            for other_x, other_y in points
        )
        for x, y in points
    ]


def _folders(runs: Sequence[Run]) -> Scatter:
    points: list[Point] = []
    arrows: list[tuple[int, int]] = []
    for place, run in enumerate(runs):
        pair = [("teacher", run.report.before), ("folder", shipped(run.report))]
        added = _pair(points, place, run, pair, "bytes")
        if len(added) == 2:
            arrows.append((added[0], added[1]))
    return Scatter(
        key="folder",
        title="size of all files",
        axis="MB, all files that ship",
        unit=1e6,
        points=tuple(points),
        arrows=tuple(arrows),
    )


def _latencies(runs: Sequence[Run]) -> Scatter:
    points: list[Point] = []
    arrows: list[tuple[int, int]] = []
    runtimes = _runtimes(runs)
    for place, run in enumerate(runs):
        before = run.report.before
        teacher = _pair(points, place, run, [("teacher", before)], "p50_ms")
        for row, x, top1 in _files_at(run, "p50_ms"):
            says = f"{place + 1} {run.name}, {row.name}: {top1:.2f} %, {x:.2f} ms, {wording.size(row.bytes)}"
            if teacher and before is not None and before.runtime == row.name:
                arrows.append((teacher[0], len(points)))
            points.append(Point(place, str(runtimes.index(row.name)), x, top1, says))
    return Scatter(
        key="latency",
        title="latency",
        axis="ms for one clip",
        unit=1.0,
        points=tuple(points),
        runtimes=runtimes,
        arrows=tuple(arrows),
    )


def _files(runs: Sequence[Run]) -> Scatter:
    points: list[Point] = []
    runtimes = _runtimes(runs)
    for place, run in enumerate(runs):
        for row, x, top1 in _files_at(run, "bytes"):
            ms = wording.decimals(row.p50_ms, 2, " ms")
            says = f"{place + 1} {run.name}, {row.name}: {top1:.2f} %, {wording.size(x)}, {ms}"
            points.append(Point(place, str(runtimes.index(row.name)), x, top1, says))
    return Scatter(
        key="files",
        title="size of each runtime's files",
        axis="MB, files of one runtime",
        unit=1e6,
        points=tuple(points),
        runtimes=runtimes,
    )


def _files_at(run: Run, key: str) -> Iterator[tuple[RuntimeRow, float, float]]:
    """(file, its value, top-1) of the files of a run that have both."""
    for row in deployed(run)[:MOST_FILES]:
        x, top1 = _place(getattr(row, key), row.top1)
        if x is not None and top1 is not None:
            yield row, x, top1


def _pair(
    points: list[Point],
    place: int,
    run: Run,
    networks: Sequence[tuple[str, Delivered | None]],
    key: str,
) -> list[int]:
    """Adds a point for each network that has the value; returns their places."""
    added = []
    for kind, network in networks:
        if network is None:
            continue
        x, top1 = _place(getattr(network, key), network.top1)
        if x is None or top1 is None:
            continue
        of = f"{place + 1} {run.name}" + (", its teacher" if kind == "teacher" else "")
        ms = wording.decimals(network.p50_ms, 2, " ms")
        says = f"{of}: {top1:.2f} %, {wording.size(network.bytes)}, {ms} in {network.runtime}"
        added.append(len(points))
        points.append(Point(place, kind, x, top1, says.removesuffix(" in ")))
    return added


def _place(cost: object, accuracy: object) -> tuple[float | None, float | None]:
    """Both, if a chart can have a place for them: reports come from anywhere."""
    x, top1 = wording.number(cost), wording.number(accuracy)
    if x is None or top1 is None or not 0 < x < LARGEST or not 0 <= top1 <= 100:
        return None, None
    return x, top1


def _runtimes(runs: Sequence[Run]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.name for run in runs for row in deployed(run)[:MOST_FILES]))
