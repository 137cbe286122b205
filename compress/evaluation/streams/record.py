"""The record of a trial on recordings."""

from __future__ import annotations

from dataclasses import dataclass

from export.deployed.live import Live


@dataclass(frozen=True)
class Alarms:
    """How an alarm rule did.

    Attributes:
        sensitivity: share of actions of which the right alarm came, in time.
        false_an_hour: alarms an hour of a wrong class, or of nothing.
        p50_s, p95_s: seconds from the start of an action to its right alarm, of those that had
            one; None without any.
    """

    actions: int
    hours: float
    sensitivity: float
    false_alarms: int
    false_an_hour: float
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True)
class Choice:
    """The rule that training-side recordings choose for a sensitivity, and how it did."""

    wanted: float
    live: Live
    training: Alarms
    judged: Alarms


@dataclass(frozen=True)
class Followed:
    """What was tried, and its figures.

    Attributes:
        name: for tables.
        runtime: the format that was served; `size_bytes` are of its files.
        window, min_frames: in force.
        early: share right after so many percent of an action.
        first_p50_s, first_p95_s: seconds from the start of an action to the first right answer,
            before any alarm rule, of actions that had one by their end; None without any.
        cost_ms: milliseconds of processor time a frame, by stride.
    """

    name: str
    runtime: str
    size_bytes: int
    window: int
    min_frames: int
    early: dict[str, float]
    first_p50_s: float | None
    first_p95_s: float | None
    choices: tuple[Choice, ...]
    cost_ms: dict[str, float]


@dataclass(frozen=True)
class Streams:
    """Everything that was tried on the same recordings; pairs are of the training and the judging
    side.

    Attributes:
        sensitivity: the wanted share whose rule is written into `deployed.json`.
    """

    data: str
    rate: float
    stride: int
    sensitivity: float
    clips: tuple[int, int]
    hours: tuple[float, float]
    followed: tuple[Followed, ...]
