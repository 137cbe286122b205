"""Before and after: the teacher as it would ship and the student as it ships, figure by figure."""

from __future__ import annotations

from dataclasses import dataclass

from compress.evaluation.record import RuntimeRow
from compress.reporting import wording
from compress.reporting.record import Delivered, Report
from compress.reporting.wording import number

NOT_DISTINGUISHABLE = "not distinguishable"


@dataclass(frozen=True)
class Change:
    """One figure of the teacher and of the student.

    Attributes:
        before, after: with their units; an en dash for what was not recorded.
        says: the change in words; empty where one of the two is unknown.
        state: better, worse or same; empty where one of the two is unknown.
        note: what a person has to know to trust the figure; often empty.
    """

    name: str
    before: str
    after: str
    says: str
    state: str
    note: str = ""


def changes(report: Report) -> tuple[Change, ...]:
    """Top-1, size, latency, parameters and MACs of teacher and student; empty where a run did not
    come to compare them."""
    before = report.before
    after = report.after
    if before is None or after is None:
        return ()
    return (
        _top1(before, after),
        _ratio("Size", wording.size, before.bytes, after.bytes, ("smaller", "larger")),
        _latency(before, after),
        _ratio("Parameters", wording.short_count, before.params, after.params, ("fewer", "more")),
        _ratio("MACs a clip", wording.short_count, before.macs, after.macs, ("fewer", "more")),
    )


def distinguishable(row: RuntimeRow | Delivered, other: RuntimeRow | Delivered) -> bool:
    """Whether two medians differ by more than the timings of either spread."""
    fast = number(row.p50_ms)
    slow = number(other.p50_ms)
    if fast is None or slow is None:
        return False
    # A report of an older release has no spread, and was compared without one.
    spread = max(number(row.spread_ms) or 0.0, number(other.spread_ms) or 0.0)
    return abs(fast - slow) > spread


def ratio_words(before: float, after: float, words: tuple[str, str]) -> tuple[str, str]:
    """("2.2 times faster", "better"); `words` are for a figure that fell and for one that rose."""
    lower = after <= before
    factor = before / after if lower else after / before
    # As it is shown: "1.0 times smaller" would claim a change that nobody can see.
    if round(factor, 1) <= 1.0:
        return "about the same", "same"
    return f"{factor:.1f} times {words[0 if lower else 1]}", "better" if lower else "worse"


def _top1(before: Delivered, after: Delivered) -> Change:
    change = wording.difference(after.top1, before.top1)
    says = ""
    state = ""
    if change is not None:
        says = wording.against_teacher(change)
        state = "same" if round(change, 2) == 0 else "better" if change > 0 else "worse"
    return Change(
        "Top-1",
        wording.decimals(before.top1, 2, " %"),
        wording.decimals(after.top1, 2, " %"),
        says,
        state,
    )


def _ratio(name, shown, before: object, after: object, words: tuple[str, str]) -> Change:
    old = number(before)
    new = number(after)
    says = ""
    state = ""
    if old and new:
        says, state = ratio_words(old, new, words)
    return Change(name, shown(before), shown(after), says, state)


def _latency(before: Delivered, after: Delivered) -> Change:
    row = _ratio("Latency", _milliseconds, before.p50_ms, after.p50_ms, ("faster", "slower"))
    says = row.says
    state = row.state
    if says and not distinguishable(before, after):
        says = NOT_DISTINGUISHABLE
        state = "same"
    # The runtime is part of the figure: the same file takes another time in another one.
    name = f"Latency, {after.runtime}" if after.runtime else "Latency"
    return Change(name, row.before, row.after, says, state, _spread(before, after))


def _milliseconds(value: object) -> str:
    return wording.decimals(value, 2, " ms")


def _spread(before: Delivered, after: Delivered) -> str:
    # Not beside each median: the figures that count are to be read at a glance.
    if number(before.spread_ms) is None or number(after.spread_ms) is None:
        return ""
    return f"quartiles {_milliseconds(before.spread_ms)} and {_milliseconds(after.spread_ms)} apart"
