"""What a search does next: a function of its log alone.

Successive halving in waves (Jamieson and Talwalkar, arXiv 1502.07943): a wave of networks is trained
for a few epochs each, the best part of them goes on with the same training, and those that are left
get the whole schedule. What the front may gain from is delivered after each of these trainings.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from statistics import median

from compress.recipe.search import Bits
from compress.search import front
from compress.search.log import Event
from compress.search.state import (
    SLACK,
    Action,
    Ask,
    Candidate,
    Close,
    Deliver,
    End,
    Limits,
    Schedule,
    State,
    Train,
    cost_of,
)


def next_action(events: Sequence[Event], limits: Limits, schedule: Schedule) -> Action:
    """What follows from the log."""
    state = State(events)
    left = math.inf if limits.seconds is None else limits.seconds - state.elapsed
    begun = state.under_way
    # First, though time may be over: what it has learnt by now is delivered yet.
    if begun is not None and (state.candidates[begun.shape].top1 or left >= state.reserve()):
        return begun
    if left < state.reserve():
        return End("time")
    delivery = _delivery(state)
    if delivery is not None:
        return delivery
    planned = _wave(state, left, schedule)
    if planned is not None:
        return planned
    # Time is left, and no new wave fits in it or there is nothing new: the others go on.
    rest = [one for one in _ranked(state.alive, None) if _unfinished(one, schedule)]
    for one in rest:
        if _affordable(state, one, left):
            return Train(one.name, schedule.epochs)
    return End("time" if rest or not state.exhausted else "space")


def stops(events: Sequence[Event], shape: str, target: int, limits: Limits) -> str:
    """Why the training of a network ends before its next epoch: "rung", "time", or "": it goes on."""
    state = State(events)
    one = state.candidates[shape]
    if len(one.top1) >= target:
        return "rung"
    if limits.seconds is None:
        return ""
    left = limits.seconds - state.elapsed
    # Its first epoch: it was started because it fits.
    if one.top1 and not _affordable(state, one, left):
        return "time"
    return ""


def _affordable(state: State, one: Candidate, left: float) -> bool:
    return (state.epoch_seconds(one) or 0.0) + state.reserve() <= left


def _unfinished(one: Candidate, schedule: Schedule) -> bool:
    return len(one.top1) < schedule.epochs and one.why != "end"


def _delivery(state: State) -> Deliver | None:
    """A point of a network at rest that may be on the front."""
    delivered = {(event["shape"], event["bits"]): event for event in state.newest()}
    skipped = {(event["shape"], event["bits"], event["best_epoch"]) for event in state.skipped}
    for one in state.alive:
        if one.rested < len(one.top1) or not one.top1:
            continue
        for bits in one.points:
            before = delivered.get((one.name, bits))
            if before is not None and before["best_epoch"] == one.best_epoch:
                continue
            if (one.name, bits) in state.unusable or (one.name, bits, one.best_epoch) in skipped:
                continue
            return Deliver(one.name, bits)
    return None


def promising(
    events: Sequence[Event], shape: str, bits: Bits, limits: Limits, teacher_top1: float
) -> bool:
    """Whether a point may be on the front, by what is known before it is delivered."""
    state = State(events)
    one = state.candidates[shape]
    kept = state.kept(limits, teacher_top1)
    others = [each for each in kept if (each["shape"], each["bits"]) != (shape, bits)]
    # What storing it in fewer bits costs is known from points that were delivered.
    losses = [each["trained_top1"] - each["top1"] for each in state.points if each["bits"] == bits]
    expected = one.best - (median(losses) if losses else 0.0)
    point = one.points[bits]
    cost = (point["bytes"], point["ms"], -expected)
    return not any(front.beats(cost_of(each), cost) for each in others)


def _wave(state: State, left: float, schedule: Schedule) -> Action | None:
    """The next step of the wave under way, or the first of a new one; None: it is done and no other
    fits."""
    first, *later = schedule.rungs
    members = state.open_wave
    for one in members:
        if len(one.top1) < first and one.why != "end":
            # Not even one epoch: the wave ends with those that were trained.
            if not _affordable(state, one, left):
                return None
            return Train(one.name, first)
    if members:
        more = len(members) < schedule.candidates and not state.exhausted
        if more and _wave_seconds(state, len(members) + 1, 1, schedule) <= left:
            return Ask()
        return Close(tuple(one.name for one in members))
    if state.waves:
        trained = _promoted(state, state.waves[-1], left, (first, *later), schedule)
        if trained is not None:
            return trained
    started = len(state.candidates) > 0
    fewest = min(schedule.halving, schedule.candidates)
    if state.exhausted or (started and _wave_seconds(state, fewest, fewest, schedule) > left):
        return None
    return Ask()


def _promoted(
    state: State, names: Sequence[str], left: float, rungs: Sequence[int], schedule: Schedule
) -> Train | None:
    group = [one for one in state.alive if one.name in names]
    for before, rung in itertools.pairwise(rungs):
        group = _ranked(group, before)[: schedule.survivors(len(group))]
        for one in group:
            if len(one.top1) >= rung or one.why == "end":
                continue
            if _affordable(state, one, left):
                return Train(one.name, rung)
            # One that time has ended is left behind; a search that goes on with more has some again.
            if one.why != "time":
                return None
    return None


def _ranked(group: Sequence[Candidate], epochs: int | None) -> list[Candidate]:
    """The best first: those on the front of bytes, ms and top-1 after so many epochs, by top-1."""
    reached = [max(one.top1[:epochs], default=0.0) for one in group]
    costs = [
        (
            one.least_bytes,
            min(point["ms"] for point in one.points.values()),
            -top1,
        )
        for one, top1 in zip(group, reached, strict=True)
    ]
    rank = front.ranks(costs)
    order = sorted(range(len(group)), key=lambda place: (rank[place], -reached[place], place))
    return [group[place] for place in order]


def _wave_seconds(state: State, count: int, new: int, schedule: Schedule) -> float:
    """What a wave of `count` networks still takes if `new` of them are yet to begin."""
    known = [seconds for one in state.candidates.values() for seconds in one.seconds]
    if not known:
        return 0.0
    first, *later = schedule.rungs
    epochs = new * first
    before = first
    for rung in later:
        count = schedule.survivors(count)
        epochs += count * (rung - before)
        before = rung
    return SLACK * median(known) * epochs + count * state.reserve()
