"""What a search may do, and what its log says it has done."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compress.recipe.search import Bits
from compress.search import front
from compress.search.log import Event

# Percentages are quotients: a drop of exactly what is allowed must not fail by rounding.
DUST = 1e-9
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
    min_top1: float | None = None


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
        points: by bits, those of its points that can: bytes, ms, macs, of "mixed" the layers in int8.
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

    def in_int8(self, bits: Bits) -> tuple[str, ...]:
        """The layers that its file of these bits keeps in int8 beside int4."""
        return tuple(self.points[bits].get("in_int8", ()))


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
        self.points = _on_disk(events)
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

    @property
    def begun(self) -> frozenset[str]:
        """Folders of every delivery that may have been begun: of one that was stopped on the way the
        log says nothing."""
        return frozenset(
            delivery_name(one.name, bits, epoch)
            for one in self.candidates.values()
            for bits in one.points
            for epoch in range(1, len(one.top1) + 1)
        )

    def newest(self) -> list[Event]:
        """The last delivery of each point."""
        return list({(event["shape"], event["bits"]): event for event in self.points}.values())

    def kept(self, limits: Limits, teacher_top1: float) -> list[Event]:
        """The best delivery of each point: a later one has weights that were better before they were
        rounded, which its file need not be."""
        best: dict[tuple[str, str], Event] = {}
        for event in self.points:
            key = event["shape"], event["bits"]
            # Of equals the later, as among epochs
            if key not in best or order(event, limits, teacher_top1) <= order(
                best[key], limits, teacher_top1
            ):
                best[key] = event
        return list(best.values())

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


def _on_disk(events: Sequence[Event]) -> list[Event]:
    """Deliveries, without those that were lost since."""
    points: list[Event] = []
    for event in events:
        if event["kind"] == "point":
            points.append(event)
        elif event["kind"] == "lost":
            points = [point for point in points if point["folder"] != event["folder"]]
    return points


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


def delivery_name(shape: str, bits: Bits, epoch: int) -> str:
    """The folder of a delivery with the weights of an epoch, below `points/`."""
    return f"{shape}-{bits}-e{epoch}"


def cost_of(point: Event) -> front.Cost:
    """A delivered point, less is better."""
    return (point["bytes"], point["ms"], -point["top1"])


def keeps(point: Event, limits: Limits, teacher_top1: float) -> dict[str, bool]:
    """Which limits a delivered point keeps."""
    drop = teacher_top1 - point["top1"]
    return {
        "size": point["bytes"] <= limits.max_size,
        "ms": limits.max_ms is None or point["ms"] <= limits.max_ms,
        "drop": drop <= limits.max_drop + DUST,
        "top1": limits.min_top1 is None or point["top1"] >= limits.min_top1 - DUST,
    }


def order(point: Event, limits: Limits, teacher_top1: float) -> tuple[Any, ...]:
    """Best first: what is over a hard limit is of no use, however accurate."""
    kept = keeps(point, limits, teacher_top1)
    fits = kept["size"] and kept["ms"]
    accurate = kept["drop"] and kept["top1"]
    return (not fits, not accurate, -point["top1"], point["bytes"], point["ms"])
