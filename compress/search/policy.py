"""What a search does next: a function of its log alone.

Successive halving in waves (Jamieson and Talwalkar, arXiv 1502.07943): a wave of networks is trained
for a few epochs each, the best part of them goes on with the same training, and those that are left
get the whole schedule. What the front may gain from is delivered after each of these trainings.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from compress.recipe.search import Bits
from compress.search import front
from compress.search.log import Event

# Until a point was delivered, this is what is kept free for one.
FIRST_RESERVE = 15.0
# Times on a machine that others use vary.
SLACK = 1.25


@dataclass(frozen=True)
class Limits:
    """What is searched for; None: no limit."""

    max_size: int
    max_ms: float | None
    max_drop: float
    seconds: float | None


@dataclass(frozen=True)
class Schedule:
    """Epochs of the whole training, the networks a wave starts with, and the part that goes on."""

    epochs: int
    candidates: int
    halving: int

    @property
    def rungs(self) -> tuple[int, ...]:
        """After how many epochs the networks of a wave are compared; the last are all epochs."""
        parts = (self.halving**2, self.halving, 1)
        return tuple(sorted({math.ceil(self.epochs / part) for part in parts}))

    def survivors(self, count: int) -> int:
        """How many of so many networks go on."""
        return math.ceil(count / self.halving)


@dataclass(frozen=True)
class Ask:
    """Choose one more network for the wave."""


@dataclass(frozen=True)
class Close:
    """The wave has enough of them."""

    members: tuple[str, ...]


@dataclass(frozen=True)
class Train:
    """Train on, up to so many epochs in all."""

    shape: str
    epochs: int


@dataclass(frozen=True)
class Deliver:
    """Export and verify a point."""

    shape: str
    bits: Bits


@dataclass(frozen=True)
class End:
    """There is nothing left to do, or no time for it."""

    why: str


Action = Ask | Close | Train | Deliver | End


@dataclass(frozen=True)
class Candidate:
    """A network that can keep the limits.

    Attributes:
        points: by bits, those of its points that can: bytes, ms, macs.
        top1: of the epochs done, in percent.
        seconds: of the epochs done.
        rested: how many epochs were done when its training last stopped.
        why: it stopped: "rung", "time" or "end".
    """

    name: str
    points: dict[Bits, dict[str, Any]]
    top1: tuple[float, ...]
    seconds: tuple[float, ...]
    rested: int
    why: str

    @property
    def best(self) -> float:
        """The best top-1 so far."""
        return max(self.top1, default=0.0)

    @property
    def best_epoch(self) -> int:
        """The last epoch that reached it, whose weights are kept."""
        return max(
            (place + 1 for place, top1 in enumerate(self.top1) if top1 == self.best), default=0
        )

    @property
    def least_bytes(self) -> int:
        """Of its smallest point."""
        return min(int(point["bytes"]) for point in self.points.values())

    @property
    def macs(self) -> int:
        return int(next(iter(self.points.values()))["macs"])


class State:
    """What a log says."""

    def __init__(self, events: Sequence[Event]):
        self.elapsed = float(events[-1]["elapsed"]) if events else 0.0
        self.failed = {event["shape"] for event in events if event["kind"] == "failed"}
        self.unusable = {
            (event["shape"], event["bits"]) for event in events if event["kind"] == "unusable"
        }
        self.waves = [tuple(event["members"]) for event in events if event["kind"] == "wave"]
        self.exhausted = any(event["kind"] == "exhausted" for event in events)
        self.points = [event for event in events if event["kind"] == "point"]
        self.skipped = [event for event in events if event["kind"] == "skipped"]
        self.under_way = _under_way(events)
        self.candidates = {
            event["name"]: _candidate(event, events)
            for event in events
            if event["kind"] == "candidate"
        }

    @property
    def alive(self) -> list[Candidate]:
        return [one for one in self.candidates.values() if one.name not in self.failed]

    @property
    def open_wave(self) -> list[Candidate]:
        """Networks of the wave that is being filled."""
        closed = {name for wave in self.waves for name in wave}
        return [one for one in self.alive if one.name not in closed]

    def newest(self) -> list[Event]:
        """The last delivery of each point."""
        return list({(event["shape"], event["bits"]): event for event in self.points}.values())

    def reserve(self) -> float:
        """Seconds that a delivery may take."""
        took = [event["seconds"] for event in self.points]
        return SLACK * max(took) if took else FIRST_RESERVE

    def epoch_seconds(self, one: Candidate) -> float | None:
        """Seconds of the next epoch; None: no epoch was measured."""
        if one.seconds:
            return SLACK * max(one.seconds[-2:])
        known = [
            (other.macs, max(other.seconds[-2:]))
            for other in self.candidates.values()
            if other.seconds
        ]
        if not known:
            return None
        # Not proportional: reading clips and the teacher cost the same for every network. The
        # slowest of those no larger, and in proportion beyond the largest.
        smaller = [seconds for macs, seconds in known if macs <= one.macs]
        largest, slowest = max(known)
        growth = max(1.0, one.macs / largest)
        return SLACK * (max(smaller, default=slowest) if growth == 1.0 else slowest * growth)


def _under_way(events: Sequence[Event]) -> Train | None:
    """A training that was begun and has not come to rest: the search was killed in it."""
    for event in reversed(events):
        if event["kind"] in ("rested", "failed"):
            return None
        if event["kind"] == "train":
            return Train(event["shape"], event["epochs"])
    return None


def _candidate(event: Event, events: Sequence[Event]) -> Candidate:
    name = event["name"]
    epochs = [each for each in events if each["kind"] == "epoch" and each["shape"] == name]
    rests = [each for each in events if each["kind"] == "rested" and each["shape"] == name]
    return Candidate(
        name,
        event["points"],
        tuple(each["top1"] for each in epochs),
        tuple(each["seconds"] for each in epochs),
        rests[-1]["epoch"] if rests else 0,
        rests[-1]["why"] if rests else "",
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


def promising(events: Sequence[Event], shape: str, bits: Bits) -> bool:
    """Whether a point may be on the front, by what is known before it is delivered."""
    state = State(events)
    one = state.candidates[shape]
    others = [each for each in state.newest() if (each["shape"], each["bits"]) != (shape, bits)]
    # What storing it in fewer bits costs is known from points that were delivered.
    losses = [each["trained_top1"] - each["top1"] for each in state.points if each["bits"] == bits]
    expected = one.best - (median(losses) if losses else 0.0)
    point = one.points[bits]
    cost = (point["bytes"], point["ms"], -expected)
    return not any(front.beats(cost_of(each), cost) for each in others)


def cost_of(point: Event) -> front.Cost:
    """A delivered point, less is better."""
    return (point["bytes"], point["ms"], -point["top1"])


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
            # "time": there was none for its next epoch, and there is less by now.
            if len(one.top1) < rung and one.why not in ("end", "time"):
                return Train(one.name, rung) if _affordable(state, one, left) else None
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
