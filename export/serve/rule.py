"""The alarm rule of one track: scores of windows -> when an action starts and ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from export.deployed.live import Live

UNKNOWN = -1


@dataclass(frozen=True)
class Event:
    """An action that starts or ends.

    Attributes:
        track: who, as the caller calls them.
        time: seconds, of the pose that decided it.
        kind: "start" or "end".
        name, number: the class, `number` counted from 0.
        score: of the class in the window that decided it; of an end without a window, the last.
    """

    track: Any
    time: float
    kind: str
    name: str
    number: int
    score: float

    def content(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "event": self.kind,
            "track": self.track,
            "time": round(self.time, 4),
            "class": self.name,
            "id": self.number,
            "score": round(self.score, 4),
        }


class Rule:
    """What one track shows: k of the last n windows, hysteresis, a threshold for unknown actions
    and a cool-down. Its state is bounded by `live.of` and the number of classes."""

    def __init__(self, live: Live, classes: Sequence[str]):
        self.live = live
        self.classes = classes
        self.current = UNKNOWN
        self.score = 0.0
        self._quiet = {number for number, name in enumerate(classes) if name in live.quiet}
        self._votes: deque[int] = deque(maxlen=live.of)
        # Class -> when it ended last, for the cool-down.
        self._ended: dict[int, float] = {}

    def step(self, track: Hashable, time: float, scores: np.ndarray) -> Event | None:
        """The event that the scores (K,) of the next window bring, if any."""
        vote = self._vote(scores)
        self._votes.append(vote)
        if self.current != UNKNOWN:
            self.score = float(scores[self.current])
        if vote not in (UNKNOWN, self.current) and self._may_start(vote, time):
            # From one action straight to another: the start says that the other one is over.
            self._end_current(time)
            self.current = vote
            self.score = float(scores[vote])
            return self._event(track, time, "start")
        if self.current != UNKNOWN and self._votes.count(self.current) < self.live.votes:
            return self.reset(track, time, keep_votes=True)
        return None

    def reset(self, track: Hashable, time: float, keep_votes: bool = False) -> Event | None:
        """Forget what was seen: the track has a gap or ends. The end of the action that was on, if
        any."""
        if not keep_votes:
            self._votes.clear()
        if self.current == UNKNOWN:
            return None
        event = self._event(track, time, "end")
        self._end_current(time)
        return event

    def _vote(self, scores: np.ndarray) -> int:
        best = int(np.argmax(scores))
        sure = scores[best] >= self.live.threshold
        if sure and best not in self._quiet:
            return best
        # Hysteresis: to stay on takes less than to start. Not against a quiet class that is sure.
        held = self.current != UNKNOWN and scores[self.current] >= self.live.release
        return self.current if held and not sure else UNKNOWN

    def _may_start(self, vote: int, time: float) -> bool:
        cooled = time - self._ended.get(vote, -np.inf) >= self.live.cool_down
        return cooled and self._votes.count(vote) >= self.live.votes

    def _end_current(self, time: float) -> None:
        if self.current != UNKNOWN:
            self._ended[self.current] = time
        self.current = UNKNOWN

    def _event(self, track: Hashable, time: float, kind: str) -> Event:
        return Event(track, time, kind, self.classes[self.current], self.current, self.score)
