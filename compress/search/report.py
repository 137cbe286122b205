"""What a search prints at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compress.budget.sizes import format_size
from compress.search.results import Found, missed, to_json
from teachers.terminal.tables import Table


def exit_code(result: Found) -> int:
    """0: a point keeps all limits; 1: nothing was delivered yet, though networks fit; 2: none fits
    size and latency; 3: none of those is accurate enough."""
    best = result.best_point
    if best is None:
        # Of networks that were never trained or failed nothing is known.
        return 1 if result.counts["fitting"] or not result.counts["refused"] else 2
    if not (best["keeps"]["size"] and best["keeps"]["ms"]):
        return 2
    return 0 if best["keeps"]["drop"] and best["keeps"]["top1"] else 3


def last_line(result: Found, folder: Path) -> dict[str, Any]:
    """For a program."""
    code = exit_code(result)
    status = {
        0: "ok",
        1: "nothing delivered",
        2: "nothing fits",
        3: "accuracy gate failed",
    }[code]
    return {"status": status, "exit_code": code, "output": str(folder), **to_json(result)}


def printed(result: Found, folder: Path) -> list[Any]:
    """Table and lines for a person."""
    rows = []
    bold = set()
    for place, point in enumerate(result.on_front):
        if point["name"] == result.best:
            bold.add(place)
        rows.append(
            (
                point["name"],
                format_size(point["bytes"]),
                f"{point['ms']:.2f}",
                f"{point['top1']:.2f}",
                f"{-point['drop']:+.2f}",
                str(point["best_epoch"]),
            )
        )
    columns = ("network", "size", "ms", "top-1", "change", "epoch")
    counts = result.counts
    lines: list[Any] = [Table(columns, rows, bold=frozenset(bold))]
    lines.append(
        f"{len(result.front)} points on the front; {counts['trained']} networks trained,"
        f" {counts['refused']} could not fit; teacher {result.teacher_top1:.2f} %"
    )
    if counts["failed"]:
        lines.append(f"{counts['failed']} could not be trained or delivered, see the lines above")
    if exit_code(result) == 1:
        lines.append(
            "nothing was delivered: "
            + (
                "the time was over before a network was trained; add --resume and more --time"
                if result.why == "time" and not counts["failed"]
                else "every network that fits failed, see the lines above"
            )
        )
    found = missed(result)
    if found:
        lines.append(f"no network keeps all limits; the best has {'; '.join(found)}")
    if result.best_point is not None:
        lines.append(f"best     {folder / 'best' / 'deploy'}  ({result.best})")
    lines.append(f"recipes  {folder / 'front'}")
    return lines
