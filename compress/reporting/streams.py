"""Live poses as tables, for the page of a run, the page of `featherbone stream-eval` and the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from rich.text import Text

from compress.evaluation.streams.record import Choice, Streams
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
    """Right after a part of an action, and when first."""
    parts = tuple(found.followed[0].early)
    rows = [("right %", *(f"after {part} %" for part in parts), "first p50 s", "p95 s", "window")]
    rows += [
        (
            each.name,
            *(wording.decimals(100 * each.early[part], 1) for part in parts),
            wording.decimals(each.first_p50_s, 2),
            wording.decimals(each.first_p95_s, 2),
            f"{each.min_frames} to {each.window}",
        )
        for each in found.followed
    ]
    return tuple(rows)


def alarms_table(found: Streams) -> Rows:
    """The rule of every sensitivity, judged and as it was chosen; one that was chosen for several is
    one row."""
    rows: list[tuple[str, ...]] = [
        ("alarms", "wanted %", "had %", "false an hour", "p50 s", "p95 s", "score", "windows")
        + ("training: had %", "false an hour")
    ]
    for each in found.followed:
        for _, group in groupby(each.choices, key=lambda choice: choice.live):
            rows.append((each.name, *_rule_row(list(group))))
    return tuple(rows)


def _rule_row(choices: Sequence[Choice]) -> tuple[str, ...]:
    """Choices of one rule."""
    last = choices[-1]
    wanted = ", ".join(f"{100 * each.wanted:.0f}" for each in choices)
    return (
        # The most sensitive rule was taken, for none is sensitive enough.
        wanted + ("" if last.training.sensitivity >= last.wanted else " (not reached)"),
        wording.decimals(100 * last.judged.sensitivity, 1),
        wording.decimals(last.judged.false_an_hour, 1),
        wording.decimals(last.judged.p50_s, 2),
        wording.decimals(last.judged.p95_s, 2),
        f"{last.live.threshold:g}",
        f"{last.live.votes} of {last.live.of}",
        wording.decimals(100 * last.training.sensitivity, 1),
        wording.decimals(last.training.false_an_hour, 1),
    )


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
    _print(early_table(found))
    # What is judged, which a terminal is wide enough for.
    _print([row[:8] for row in alarms_table(found)])
    _print(cost_table(found))


def _print(rows: Sequence[Sequence[str]]) -> None:
    show(Table(rows[0], rows[1:]))
    show("")
