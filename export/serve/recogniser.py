"""Poses of persons as they come in -> events: `Recogniser`."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export import deployed
from export.deployed.live import USUAL_RATE, Live
from export.serve.rule import Event, Rule
from export.serve.settings import resolved
from export.serve.streams import Streams
from export.serve.track import Timeline
from export.serve.windows import Network, Windows
from teachers.errors import DataError, quoted

# Who, joints (V, C) or (P, V, C), seconds.
Pose = tuple[Any, np.ndarray, float]
Refused = Callable[[Pose, DataError], None]
# Windows that go through the network at once: more gain nothing on a core, and take memory.
BATCH = 16
MOST_PENDING = 10_000
# Seconds: two times that are `max_gap` apart are no gap, however their difference is rounded.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Answer:
    """What the network says of a window of a track: scores (K,), and how many frames it had."""

    track: Any
    time: float
    scores: np.ndarray
    frames: int


class _Clock:
    """The newest time of the tracks of one clock, and when who has left was looked for."""

    def __init__(self) -> None:
        self.now = -math.inf
        self.looked = -math.inf
        self.tracks: set[Hashable] = set()


class _Followed:
    """A track and what its windows showed."""

    def __init__(self, track: Timeline, rule: Rule, clock: _Clock):
        self.clock = clock
        self.track = track
        self.rule = rule


class Recogniser:
    """A deployed folder that follows persons through live poses.

    Everything it keeps is bounded by `live`. Not for several threads at once.

    Attributes:
        description: of the folder.
        live: the settings in force, with no 0 left.
        answers: what the last call had the network say, a window each.
        runtime: the format that is served.
        gaps: how often a track had no pose for more than `live.max_gap`, and so began anew or left.
    """

    def __init__(
        self,
        folder: Path | str,
        live: Live | None = None,
        runtime: str | None = None,
        threads: int = 1,
        on_note: Callable[[str], None] = lambda note: None,
        clock_of: Callable[[Hashable], Hashable] = lambda track: None,
        pose_rate: float = USUAL_RATE,
    ):
        """Open a folder, which `zoo:NAME` is, too.

        Args:
            live: instead of what the folder says.
            runtime: a format; None: the continual one where the folder holds it, else as in
                `deployed.open_deployed`, as is `on_note`.
            threads: of one call of the network.
            clock_of: the clock that the times of a track are of, where there are several: one that
                runs ahead makes nobody leave who is on another.
            pose_rate: poses of a track a second: where they are rare and neither `live` nor the folder
                says anything, `max_gap` and `leave_after` are longer.
        Raises:
            CheckpointError, ExportMismatch, DataError: the folder cannot be served.
        """
        served = deployed.open_deployed(
            folder,
            runtime or deployed.follows_by(folder),
            threads=threads,
            on_note=on_note,
        )
        self.description = served.description
        self.runtime = served.runtime
        said = live or self.description.live
        self.live = resolved(said, self.description, served.steps, on_note, pose_rate)
        recorded = self.description.recording
        # As many persons as the network takes: `prepare` cuts what a recording has beyond them.
        persons = min(recorded.persons or 1, self.description.input.clip[3])
        self._shape = (persons, recorded.joints, recorded.channels)
        self._network: Network = (
            Windows(served, self.live, self._shape)
            if served.steps is None
            else Streams(served.steps, self.description, self.live, self._shape)
        )
        self._tracks: dict[Hashable, _Followed] = {}
        # Of those who never ask, the newest.
        self._pending: deque[Event] = deque(maxlen=max(MOST_PENDING, self.live.max_tracks))
        self._clock_of = clock_of
        self._clocks: dict[Hashable, _Clock] = {}
        self.answers: list[Answer] = []
        self.gaps = 0

    @property
    def unusable(self) -> int:
        """Windows that were not answered, or frames of a continual network that were passed over, as
        no number or nobody was in them, or the network made numbers of them that are not finite."""
        return self._network.unusable

    def __len__(self) -> int:
        """Tracks that are followed."""
        return len(self._tracks)

    def __contains__(self, track: Hashable) -> bool:
        """Whether a track is followed."""
        return track in self._tracks

    def on_clock(self, clock: Hashable) -> tuple[Hashable, ...]:
        """The tracks that are followed on a clock."""
        found = self._clocks.get(clock)
        return () if found is None else tuple(found.tracks)

    def push(self, track: Hashable, joints: np.ndarray, time: float) -> Event | None:
        """A pose of a track; the event that it brings, if any. Where it brings more, they wait for
        `left`.

        Args:
            joints: (V, C) as recorded, or (P, V, C) of a group whose persons belong together;
                NaN for what is missing.
            time: seconds, of one clock for all tracks, rising on each track.
        Raises:
            DataError: another shape, a time that does not rise, or a track too many; nothing of the
                pose is kept.
        """
        self.answers = []
        ended = self._add(track, joints, time)
        events = [*([] if ended is None else [ended]), *self._answer(self._due([track]))]
        # The first pose after a gap ends one action and, where one frame is a window, starts another;
        # and it may complete several calls of a continual network.
        self._pending += events[1:]
        return events[0] if events else None

    def push_many(self, poses: Iterable[Pose], on_error: Refused | None = None) -> list[Event]:
        """Poses (track, joints, time), of many tracks; windows that are due go through the network
        in batches, so that scores may differ in the last digits from those of `push`.

        Events of tracks that have left are among those returned.

        Args:
            on_error: is told of each pose that cannot be used, and the others are followed; None:
                the first one raises, those before it are kept, and their events come with the next
                call.
        Raises:
            DataError: as `push`.
        """
        self.answers = []
        due: dict[Hashable, None] = {}
        for pose in poses:
            # A second pose of a track may complete a second window.
            if self._is_due(pose[0]):
                self._pending += self._answer(self._due(due))
                due = {}
            try:
                event = self._add(*pose)
            except DataError as error:
                if on_error is None:
                    raise
                on_error(pose, error)
                continue
            self._pending += [] if event is None else [event]
            due[pose[0]] = None
        self._pending += self._answer(self._due(due))
        return self.left()

    def left(self) -> list[Event]:
        """The events that no call has returned yet: the ends of actions of persons who have left, and
        what a pose brought beside the event that `push` returned."""
        events = list(self._pending)
        self._pending.clear()
        return events

    def answer(self, track: Hashable) -> Answer:
        """What the network says of the frames of a track so far, due or not, without the rule.

        Raises:
            DataError: there is no such track, nobody in its frames, or no finite score of them.
        """
        followed = self._tracks.get(track)
        if followed is None:
            raise DataError(f"track {quoted(track)}: is not followed; push its poses first")
        self.answers = []
        scores = self._network.now(track, followed.track)
        if scores is None:
            raise DataError(
                f"track {quoted(track)}: nobody is in its frames, or no number, or one that is too"
                " large, or too few of them went in yet"
            )
        return Answer(track, followed.track.time, scores, followed.track.covered)

    def leave(self, track: Hashable) -> Event | None:
        """A person leaves now; the end of their action, if one is on."""
        followed = self._tracks.pop(track, None)
        if followed is None:
            return None
        followed.clock.tracks.remove(track)
        if not followed.clock.tracks:
            del self._clocks[self._clock_of(track)]
        return followed.rule.reset(track, followed.track.time)

    def _add(self, track: Hashable, joints: np.ndarray, time: float) -> Event | None:
        pose = self._pose(track, joints)
        if not math.isfinite(time):
            raise DataError(f"track {quoted(track)}: time: must be a number of seconds, is {time}")
        followed = self._tracks.get(track)
        if followed is not None and time <= followed.track.time:
            raise DataError(
                f"track {quoted(track)}: time {time:g} is not after {followed.track.time:g}; push"
                " the poses of a track in order"
            )
        event = None
        # Before who has left is looked for: the end of an action comes before what this pose starts.
        if followed is not None and time - followed.track.time > self.live.max_gap + ROUNDING:
            event = followed.rule.reset(track, followed.track.time)
            followed.track.clear()
            self.gaps += 1
        clock = self._clocks.get(self._clock_of(track)) or _Clock()
        clock.now = max(clock.now, time)
        self._sweep(clock, followed is None and len(self._tracks) >= self.live.max_tracks)
        # Again, for they may just have left.
        followed = self._tracks.get(track)
        if followed is None:
            if len(self._tracks) >= self.live.max_tracks:
                raise DataError(
                    f"track {quoted(track)}: {self.live.max_tracks} tracks are followed already;"
                    " raise live.max_tracks, or drop tracks of noise"
                )
            rule = Rule(self.live, self.description.classes)
            followed = _Followed(self._network.track(), rule, clock)
            self._tracks[track] = followed
            self._clocks[self._clock_of(track)] = clock
            clock.tracks.add(track)
        followed.track.add(pose, time)
        return event

    def _pose(self, track: Hashable, joints: np.ndarray) -> np.ndarray:
        """(P, V, C) float32, a copy, with zeros for persons of the group who are not there."""
        pose = np.zeros(self._shape, np.float32)
        given = np.asarray(joints)
        given = given[None] if given.ndim == 2 else given
        persons, V, C = self._shape
        if given.ndim != 3 or given.shape[1:] != (V, C) or not 1 <= len(given) <= persons:
            raise DataError(
                f"track {quoted(track)}: joints of shape {np.shape(joints)}, expected ({V}, {C}):"
                f" joints and coordinates of {self.description.skeleton.name}"
                + (f", or ({persons}, {V}, {C})" if persons > 1 else "")
            )
        if given.dtype.kind not in "fiu":
            raise DataError(f"track {quoted(track)}: joints of {given.dtype}, expected numbers")
        # Beyond float32 is infinity, and so mended.
        with np.errstate(over="ignore"):
            pose[: len(given)] = given
        return pose

    def _sweep(self, clock: _Clock, at_once: bool) -> None:
        """Forget who has left; looked at twice in the time after which a person has."""
        if not at_once and clock.now - clock.looked < self.live.leave_after / 2:
            return
        clock.looked = clock.now
        last = clock.now - self.live.leave_after
        for name in [each for each in clock.tracks if self._tracks[each].track.time < last]:
            # That of a track which has just begun anew is counted.
            self.gaps += self._tracks[name].track.frames > 0
            event = self.leave(name)
            if event is not None:
                self._pending.append(event)

    def _is_due(self, track: Hashable) -> bool:
        followed = self._tracks.get(track)
        return followed is not None and followed.track.is_due()

    def _due(self, tracks: Iterable[Hashable]) -> list[Hashable]:
        return [track for track in tracks if self._is_due(track)]

    def _answer(self, tracks: Sequence[Hashable]) -> list[Event]:
        """The events that these tracks bring."""
        events: list[Event] = []
        left = list(tracks)
        while left:
            batch = left[:BATCH]
            rows = self._network.answer([(name, self._tracks[name].track) for name in batch])
            for name, scores in zip(batch, rows, strict=True):
                if scores is None:
                    continue
                followed = self._tracks[name]
                time = followed.track.time
                self.answers.append(Answer(name, time, scores, followed.track.covered))
                event = followed.rule.step(name, time, scores)
                events += [] if event is None else [event]
            # More frames of a continual network may wait than go into a call.
            left = left[BATCH:] + self._due(batch)
        return events
