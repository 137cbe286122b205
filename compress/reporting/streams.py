"""Live poses as tables, for the page of a run, the page of `featherbone stream-eval` and the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from compress.evaluation.streams.record import Streams
from compress.reporting import wording
from teachers.terminal.output import show
from teachers.terminal.tables import Table

Rows = tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class StreamsView:
    """The tables of the page, each with its heads first."""

    about: str
    early: Rows
    alarms: Rows
    cost: Rows


def streams_view(found: Streams | None) -> StreamsView | None:
    """What a page shows; None where nobody asked for it."""
    if found is None:
        return None
    return StreamsView(about(found), early_table(found), alarms_table(found), cost_table(found))


def about(found: Streams) -> str:
    """What was tried on what, in words."""
    return (
        f"{found.clips[1]} validation clips in {found.hours[1]:.2f} hours of recordings at"
        f" {found.rate:g} frames a second, a window every {found.stride} frames. Rules were chosen on"
        f" {found.clips[0]} training clips alone. Idle is made, not recorded: the last pose of a clip"
        " with a little sway, then a straight way to the next first pose."
    )


def early_table(found: Streams) -> Rows:
    """Right after a part of an action."""
    parts = tuple(found.followed[0].early)
    rows = [("right % after", *(f"{part} %" for part in parts), "window")]
    rows += [
        (
            each.name,
            *(wording.decimals(100 * each.early[part], 1) for part in parts),
            f"{each.min_frames} to {each.window}",
        )
        for each in found.followed
    ]
    return tuple(rows)


def alarms_table(found: Streams) -> Rows:
    """The rule of every sensitivity, judged and as it was chosen."""
    rows = [
        ("alarms", "wanted %", "had %", "false an hour", "p50 s", "p95 s", "score", "windows")
        + ("training: had %", "false an hour")
    ]
    for each in found.followed:
        for choice in each.choices:
            rows.append(
                (
                    each.name,
                    f"{100 * choice.wanted:.0f}",
                    wording.decimals(100 * choice.judged.sensitivity, 1),
                    wording.decimals(choice.judged.false_an_hour, 1),
                    wording.decimals(choice.judged.p50_s, 2),
                    wording.decimals(choice.judged.p95_s, 2),
                    f"{choice.live.threshold:g}",
                    f"{choice.live.votes} of {choice.live.of}",
                    wording.decimals(100 * choice.training.sensitivity, 1),
                    wording.decimals(choice.training.false_an_hour, 1),
                )
            )
    return tuple(rows)


def cost_table(found: Streams) -> Rows:
    """Processor time."""
    strides = tuple(found.followed[0].cost_ms)
    rows = [("ms a frame at stride", *strides, "bytes")]
    rows += [
        (
            each.name,
            *(wording.decimals(each.cost_ms[stride], 2) for stride in strides),
            f"{each.size_bytes:,}",
        )
        for each in found.followed
    ]
    return tuple(rows)


def print_streams(found: Streams | None) -> None:
    """The tables on standard output."""
    if found is None:
        return
    show(Text(f"Live poses: {about(found)}"))
    for rows in (early_table(found), alarms_table(found), cost_table(found)):
        _print(rows)


def _print(rows: Sequence[Sequence[str]]) -> None:
    show(Table(rows[0], rows[1:]))
    show("")
