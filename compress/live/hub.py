"""Many sources of poses behind one recogniser: each with a clock and limits of its own, windows of
all of them in one batch, on one thread."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from compress.live.lines import Lines
from export.serve import Answer, Event, Pose, Recogniser
from export.serving import top_classes
from teachers.errors import DataError, quoted

TOP = 5
# Seconds between two looks for idle sources, at least.
OFTEN = 1.0
# Of one message: errors that are told, and bad lines behind which it is read no further.
MOST_ERRORS = 20
MOST_BAD_LINES = 100


@dataclass(frozen=True)
class Limits:
    """What one source and all of them may take.

    Attributes:
        sources: at once.
        tracks: of one source; of all together it is `max_tracks` of the folder's `live`.
        poses_a_second: of one source, over a second; a line without one counts as one.
        body: bytes of a message or a request.
        queue: messages that wait to be computed; who sends more waits.
        idle: seconds without a pose that could be followed after which a source that does not hold a
            connection is forgotten.
        slow: seconds that a client may take to receive an answer.
    """

    sources: int = 256
    tracks: int = 50
    poses_a_second: float = 2_000
    body: int = 1_000_000
    queue: int = 512
    idle: float = 60.0
    slow: float = 10.0


@dataclass
class Source:
    """One client: its reader, and what is still to be told it."""

    name: Hashable
    lines: Lines
    # Poses that may still be sent now, of `poses_a_second`.
    credit: float
    number: int = 0
    seen: float = field(default_factory=time.monotonic)
    # When something of it was followed last: a client that starts anew, and whose times are refused,
    # must not keep its old tracks alive.
    followed: float = field(default_factory=time.monotonic)
    # Messages that wait or are computed.
    sending: int = 0
    # Ends of actions of people who left; bounded by the tracks it may have.
    waiting: deque[Event] = field(default_factory=lambda: deque(maxlen=1_000))


@dataclass
class _Job:
    source: Source
    poses: list[Pose]
    reply: dict[str, list[Any]]
    done: asyncio.Future[dict[str, list[Any]]]


class Hub:
    """Give `send` the text of a source, get what the recogniser says of it.

    Attributes:
        counts: for /metrics.
    """

    def __init__(self, recogniser: Recogniser, lines: Callable[[], Lines], limits: Limits):
        self.recogniser = recogniser
        self.limits = limits
        self.counts: Counter[str] = Counter()
        self.sources: dict[Hashable, Source] = {}
        self._lines = lines
        self._queue: asyncio.Queue[_Job] = asyncio.Queue(limits.queue)
        # One thread: ONNX Runtime computes there, while this one answers clients.
        self._thread = ThreadPoolExecutor(1, "recogniser")
        self._task: asyncio.Task[None] | None = None
        self._forgetting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to compute; in a running loop."""
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._work())
        self._forgetting = loop.create_task(self._forget())

    async def stop(self) -> None:
        """End; what waits is not computed any more."""
        tasks = [task for task in (self._task, self._forgetting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._thread.shutdown()

    @property
    def is_well(self) -> bool:
        """Whether anything is still computed."""
        return self._task is not None and not self._task.done()

    @property
    def waiting(self) -> int:
        """Messages that wait to be computed."""
        return self._queue.qsize()

    async def source(self, name: Hashable) -> Source:
        """The source of a name, a new one if need be, or if it was idle.

        Raises:
            DataError: too many at once.
        """
        if name not in self.sources or self._is_idle(self.sources[name]):
            await self.forget_idle()
        if name not in self.sources and len(self.sources) >= self.limits.sources:
            self.counts["refused_sources"] += 1
            raise DataError(f"{self.limits.sources} sources are followed already; try again later")
        new = Source(name, self._lines(), credit=self.limits.poses_a_second)
        return self.sources.setdefault(name, new)

    async def forget_idle(self) -> None:
        """Drop the named sources of which nothing was followed for long; connections end by
        themselves."""
        for source in list(self.sources.values()):
            if self._is_idle(source):
                await self.drop(source)

    def _is_idle(self, source: Source) -> bool:
        last = time.monotonic() - self.limits.idle
        return isinstance(source.name, str) and not source.sending and source.followed < last

    async def _forget(self) -> None:
        """Whether or not anybody new comes: the tracks of who is gone count against `max_tracks`."""
        while True:
            await asyncio.sleep(max(OFTEN, self.limits.idle / 4))
            await self.forget_idle()

    async def drop(self, source: Source) -> None:
        """Forget a source and its tracks."""
        # Another one has its name by now, and tracks of its own.
        if self.sources.get(source.name) is not source:
            return
        del self.sources[source.name]
        await self._on_thread(self._leave, source)

    def pause(self, source: Source, poses: int) -> float:
        """Seconds that a source has to wait after so many poses to keep to its rate."""
        now = time.monotonic()
        rate = self.limits.poses_a_second
        source.credit = min(rate, source.credit + (now - source.seen) * rate) - poses
        source.seen = now
        return max(0.0, -source.credit / rate)

    def read(self, source: Source, text: str) -> tuple[list[Pose], list[str]]:
        """(poses, errors) of lines of JSON; a bad line does not spoil the others, unless there are
        MOST_BAD_LINES. Poses are paid for by `pause`, a line without one here."""
        poses: list[Pose] = []
        errors: list[str] = []
        bad = 0
        left = [line for line in reversed(text.splitlines()) if line.strip()]
        while left and bad < MOST_BAD_LINES:
            source.number += 1
            found: list[Pose] = []
            try:
                found = source.lines.read(left.pop(), f"line {source.number}")
            except DataError as error:
                bad += 1
                self._tell(errors, str(error))
            # It takes as long to read as one with a pose, and holds up all others meanwhile.
            source.credit -= not found
            poses += found
        if left:
            source.number += len(left)
            errors.append(
                f"{len(left)} further lines were not read: {bad} of this message are wrong; correct"
                " them, and send those behind them again"
            )
        return poses, errors

    async def send(
        self, source: Source, poses: list[Pose], errors: list[str]
    ) -> dict[str, list[Any]]:
        """What the poses bring: {"events", "answers", "errors"}. Waits while others are computed.

        Raises:
            ExportMismatch: the network failed.
            DataError: the source was forgotten while its client waited.
        """
        if self.sources.get(source.name) is not source:
            raise DataError(f"source {quoted(source.name)}: was forgotten meanwhile; send again")
        reply: dict[str, list[Any]] = {"events": [], "answers": [], "errors": list(errors)}
        job = _Job(source, poses, reply, asyncio.get_running_loop().create_future())
        source.sending += 1
        try:
            await self._queue.put(job)
            return await job.done
        finally:
            source.sending -= 1

    async def _work(self) -> None:
        while True:
            jobs = [await self._queue.get()]
            # All that is there goes through the network together.
            while not self._queue.empty():
                jobs.append(self._queue.get_nowait())
            try:
                await self._on_thread(self._compute, jobs)
            # Whatever it is: the next ones must be answered all the same.
            except Exception as error:  # noqa: BLE001
                self.counts["failures"] += 1
                for job in jobs:
                    if not job.done.done():
                        job.done.set_exception(error)
                continue
            for job in jobs:
                # A client that went away has cancelled it.
                if not job.done.done():
                    job.done.set_result(job.reply)

    async def _on_thread(self, call: Callable[..., None], *arguments: Any) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def _compute(self, jobs: list[_Job]) -> None:
        started = time.perf_counter()
        # Of a client that went away while its message waited nothing may be followed any more.
        jobs = [job for job in jobs if self.sources.get(job.source.name) is job.source]
        # By source: a client may have several messages here, which come in order.
        of_source = {job.source.name: job for job in jobs}
        allowed = [pose for job in jobs for pose in self._allowed(job)]
        followed = Counter(pose[0][0] for pose in allowed)

        def refused(pose: Pose, error: DataError) -> None:
            source, track = pose[0][0], pose[0][1]
            followed[source] -= 1
            self._refuse(of_source[source], str(error).replace(quoted(pose[0]), quoted(track)))

        events = self.recogniser.push_many(allowed, refused)
        answers = self.recogniser.answers
        for event in events:
            job = of_source.get(event.track[0])
            if job is not None:
                job.reply["events"].append(_own(event).content())
            elif event.track[0] in self.sources:
                self.sources[event.track[0]].waiting.append(event)
        for job in jobs:
            # A frame with nobody in it is a word of its client, too.
            if followed[job.source.name] or not job.poses:
                job.source.followed = time.monotonic()
            waiting = job.source.waiting
            job.reply["events"] += [_own(waiting.popleft()).content() for _ in range(len(waiting))]
        for answer in answers:
            content = self._answer(answer)
            of_source[answer.track[0]].reply["answers"].append(content)
        self.counts["poses"] += len(allowed)
        self.counts["windows"] += len(answers)
        self.counts["gaps"] = self.recogniser.gaps
        self.counts["unusable"] = self.recogniser.unusable
        self.counts["events"] += len(events)
        self.counts["milliseconds"] += round(1000 * (time.perf_counter() - started))

    def _allowed(self, job: _Job) -> list[Pose]:
        """The poses of a job with the source in the name of their tracks, less those of tracks too
        many."""
        name = job.source.name
        tracks = set(self.recogniser.on_clock(name))
        allowed: list[Pose] = []
        for track, joints, moment in job.poses:
            tracks.add((name, track))
            if (name, track) not in self.recogniser and len(tracks) > self.limits.tracks:
                tracks.discard((name, track))
                self._refuse(job, f"track {track!r}: {self.limits.tracks} are followed already")
                continue
            allowed.append(((name, track), joints, moment))
        return allowed

    def _refuse(self, job: _Job, message: str) -> None:
        self._tell(job.reply["errors"], message)

    def _tell(self, errors: list[str], message: str) -> None:
        self.counts["errors"] += 1
        # A megabyte of wrong lines must not become a gigabyte of errors.
        if len(errors) < MOST_ERRORS:
            errors.append(message)
        elif len(errors) == MOST_ERRORS:
            errors.append("further errors are left out; see /metrics for their number")

    def _answer(self, answer: Answer) -> dict[str, Any]:
        top = top_classes(answer.scores, self.recogniser.description.classes, TOP)
        return answer_content(answer.track[1], answer, top)

    def _leave(self, source: Source) -> None:
        for track in self.recogniser.on_clock(source.name):
            self.recogniser.leave(track)


def _own(event: Event) -> Event:
    """An event as its source calls the track."""
    return replace(event, track=event.track[1])


def answer_content(track: Hashable, answer: Answer, top: list[dict[str, Any]]) -> dict[str, Any]:
    """An answer as JSON has it."""
    return {"track": track, "time": round(answer.time, 4), "frames": answer.frames, "top": top}


def clock_of(track: Any) -> Hashable:
    """The source of a track of a hub: every source has a clock of its own."""
    return track[0]
