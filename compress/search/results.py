"""What a search has found so far: its front, the best point, and the files that keep them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from compress.search import chart, front
from compress.search.log import Event
from compress.search.state import Limits, State, cost_of, keeps, order
from teachers import storage


@dataclass(frozen=True)
class Found:
    """Points that were delivered.

    Attributes:
        points: the best delivery of each, with `name`, `drop` (points of top-1 below the teacher)
            and `keeps`, the limits that it keeps.
        front: names of those that no other beats in bytes, ms and top-1.
        best: the name of the most accurate that keeps most limits; None: there is none yet.
        why: it ended: "time", "space" or, under way, "".
        delivered: names of all points that were ever delivered: `front/` may hold their recipes.
        begun: see `compress.search.state.State.begun`.
    """

    points: tuple[dict[str, Any], ...]
    front: tuple[str, ...]
    best: str | None
    teacher_top1: float
    limits: Limits
    seconds: float
    counts: dict[str, int]
    latency: dict[str, Any]
    why: str = ""
    delivered: frozenset[str] = frozenset()
    begun: frozenset[str] = frozenset()

    @property
    def best_point(self) -> dict[str, Any] | None:
        return next((point for point in self.points if point["name"] == self.best), None)

    @property
    def on_front(self) -> list[dict[str, Any]]:
        """The front, the smallest first."""
        points = [point for point in self.points if point["name"] in self.front]
        return sorted(points, key=lambda point: (point["bytes"], -point["top1"]))


def found(events: Sequence[Event], limits: Limits, teacher_top1: float) -> Found:
    """What a log has come to."""
    state = State(events)
    points = tuple(
        _point(event, limits, teacher_top1) for event in state.kept(limits, teacher_top1)
    )
    costs = [cost_of(point) for point in points]
    names = tuple(points[place]["name"] for place in front.front(costs))
    best = min(points, key=lambda point: order(point, limits, teacher_top1), default=None)
    fitted = [event for event in events if event["kind"] == "latency"]
    return Found(
        points,
        names,
        best["name"] if best else None,
        teacher_top1,
        limits,
        state.elapsed,
        {
            "fitting": len(state.candidates),
            "trained": sum(1 for one in state.candidates.values() if one.top1),
            "refused": sum(1 for event in events if event["kind"] == "refused"),
            "failed": len(state.failed) + len(state.unusable),
        },
        {key: fitted[0][key] for key in ("error", "largest")} if fitted else {},
        events[-1]["why"] if events and events[-1]["kind"] == "end" else "",
        frozenset(_name(event) for event in events if event["kind"] == "point"),
        state.begun,
    )


def missed(result: Found) -> list[str]:
    """Which limits the best point does not keep, in words; empty where it keeps all, and where there is
    none."""
    best = result.best_point
    if best is None:
        return []
    limits = result.limits
    keeps = best["keeps"]
    found = []
    if not keeps["size"]:
        found.append(f"{best['bytes']:,} bytes, at most {limits.max_size:,}")
    if not keeps["ms"]:
        found.append(f"{best['ms']:.2f} ms, at most {limits.max_ms:g}")
    if not keeps["drop"]:
        found.append(f"{best['drop']:.2f} points below the teacher, at most {limits.max_drop:g}")
    if not keeps["top1"]:
        found.append(f"top-1 {best['top1']:.2f} %, at least {limits.min_top1:g}")
    return found


def _name(event: Event) -> str:
    return f"{event['shape']}-{event['bits']}"


def _point(event: Event, limits: Limits, teacher_top1: float) -> dict[str, Any]:
    kept = {key: value for key, value in event.items() if key not in ("kind", "elapsed")}
    return {
        "name": _name(event),
        **kept,
        "drop": teacher_top1 - event["top1"],
        "keeps": keeps(event, limits, teacher_top1),
    }


def write(result: Found, folder: Path, recipe_of: Callable[[dict[str, Any]], str]) -> None:
    """Bring the files of a search to what was found: `front/`, `front.json`, `report.html`,
    `best`.

    Args:
        recipe_of: the recipe of a point, as text.
    Raises:
        StorageError: a file cannot be written.
    """
    recipes = storage.make_folder(folder / "front")
    for point in result.on_front:
        storage.write_text(recipes / f"{point['name']}.yaml", recipe_of(point))
    # By name: whatever else lies there, recipes made of these among it, is somebody's own.
    for stale in result.delivered - set(result.front):
        (recipes / f"{stale}.yaml").unlink(missing_ok=True)
    if result.best_point is not None:
        _link(folder / "best", result.best_point["folder"])
    storage.write_text(folder / "front.json", json.dumps(to_json(result), indent=1) + "\n")
    storage.write_text(folder / "report.html", chart.html(to_json(result), missed(result)))
    kept = {Path(point["folder"]).name for point in result.points}
    _sweep(folder / "points", result.begun - kept)


def to_json(result: Found) -> dict[str, Any]:
    """For programs: the last line of the command, and `front.json`."""
    return {
        "best": result.best_point,
        "front": result.on_front,
        "dominated": [point for point in result.points if point["name"] not in result.front],
        "teacher_top1": result.teacher_top1,
        "limits": asdict(result.limits),
        "seconds": result.seconds,
        "ended": result.why,
        "counts": result.counts,
        "latency_model": result.latency,
    }


def _link(path: Path, target: str) -> None:
    """Let a symbolic link point elsewhere, at no moment to nothing."""
    if path.is_symlink() and os.readlink(path) == target:
        return
    temporary = path.with_name(f"{storage.UNFINISHED}best")
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        os.replace(temporary, path)
    except OSError as error:
        raise storage.failure(path, error) from error


def _sweep(folder: Path, stale: frozenset[str]) -> None:
    """Remove deliveries that a better one of the same point has taken the place of, and those that
    came to nothing."""
    for old in folder.iterdir() if folder.is_dir() else ():
        if old.name in stale:
            shutil.rmtree(old, ignore_errors=True)
