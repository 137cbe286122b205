"""Live poses by a continual network: every frame goes through it once, and a track keeps its state
(`export.flat.continual`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence

import numpy as np

from export import serving
from export.deployed import Description, Steps
from export.deployed.live import Live
from export.preprocess import framewise, repair
from export.serve.track import Timeline
from teachers.errors import DataError, ExportMismatch


class Frames:
    """Poses -> frames as the network takes them.

    Attributes:
        pace: frames of the network for a pose.
        unusable: frames that were passed over: with no number or nobody in them, or those of a call
            whose scores are not finite.
    """

    def __init__(self, description: Description, window: int):
        """Raises DataError: the preprocessing needs whole clips."""
        steps = description.preprocessing
        self.pace = framewise.pace(steps, window, description.input.clip[1]) or 1.0
        self._recorded = description.recording
        C, _, V, M = description.input.clip
        self._shape = (C, V, M)
        self._steps = framewise.of_stream(steps)
        self.unusable = 0

    def mended(self, before: np.ndarray | None, pose: np.ndarray) -> np.ndarray | None:
        """A pose (P, V, C) as a frame (C, V, M), what is missing taken from the frame before; None
        where there is no number."""
        frame = pose.transpose(2, 1, 0)
        absent = self._shape[2] - frame.shape[2]
        frame = np.pad(frame, ((0, 0), (0, 0), (0, absent)))
        pair = np.stack([frame if before is None else before, frame], axis=1)
        mended = repair.mended(pair, self._recorded.repair_bones, self._recorded.coordinates)
        return None if mended is None else mended[:, 1]

    def prepared(self, first: np.ndarray, frame: np.ndarray) -> np.ndarray | None:
        """See `framewise.prepared`.

        Raises:
            DataError: not what the network takes.
        """
        made = framewise.prepared(first, frame, self._steps)
        if made is not None and made.shape != self._shape:
            raise DataError(
                f"live poses: a frame has shape {made.shape} (C, V, M) after preprocessing, the"
                f" network needs {self._shape}; export the folder again"
            )
        return made


class Stream(Timeline):
    """A track of a continual network: frames that wait for their call, and the state behind the last
    one.

    Attributes:
        state: (size,); None before the first call.
        scores: (K,) behind the last call, once anything is pooled.
        taken: frames that went in since the state was zero.
    """

    def __init__(self, live: Live, shape: tuple[int, int, int], steps: Steps, frames: Frames):
        self._steps = steps
        self._frames = frames
        super().__init__(live, shape)

    def clear(self) -> None:
        """See `Timeline`."""
        super().clear()
        # As many as are pooled.
        self._waiting: deque[np.ndarray] = deque(maxlen=self._steps.span)
        self._first: np.ndarray | None = None
        self._before: np.ndarray | None = None
        self._forget()

    def _forget(self) -> None:
        self.state: np.ndarray | None = None
        self.scores: np.ndarray | None = None
        self.taken = 0
        self._answered = 0

    @property
    def covered(self) -> int:
        """See `Timeline`."""
        pooled = min(self.taken - self._steps.delay, self._steps.span)
        return max(0, round(pooled / self._frames.pace))

    def is_due(self) -> bool:
        """Whether the next frames are to go in."""
        return len(self._waiting) >= self._steps.chunk

    def take(self) -> np.ndarray:
        """The next frames, (C, chunk, V, M)."""
        frames = [self._waiting.popleft() for _ in range(self._steps.chunk)]
        self.taken += len(frames)
        return np.stack(frames, axis=1)

    def answers(self) -> bool:
        """Whether the scores behind this call are an answer: enough frames, `stride` after the
        last."""
        enough = self.scores is not None and self.frames >= self.live.min_frames
        if not enough or self.frames - self._answered < self.live.stride:
            return False
        self._answered = self.frames
        return True

    def _append(self, pose: np.ndarray) -> None:
        times = -int(self.frames * self._frames.pace)
        super()._append(pose)
        times += int(self.frames * self._frames.pace)
        for _ in range(times):
            self._wait(pose)

    def _wait(self, pose: np.ndarray) -> None:
        """Keep a frame until its call."""
        made = self._made(pose)
        if made is None:
            self._frames.unusable += 1
            return
        # A pose after a long gap stands for many frames; those before all that is pooled are lost.
        if len(self._waiting) == self._waiting.maxlen:
            self._forget()
        self._waiting.append(made)

    def _made(self, pose: np.ndarray) -> np.ndarray | None:
        frame = self._frames.mended(self._before, pose)
        # A stream begins with somebody.
        if frame is None or (self._first is None and not frame.any()):
            return None
        self._before = frame
        self._first = frame if self._first is None else self._first
        return self._frames.prepared(self._first, frame)


class Streams:
    """See `export.serve.windows.Network`."""

    def __init__(
        self, steps: Steps, description: Description, live: Live, shape: tuple[int, int, int]
    ):
        """`shape` of a pose, (P, V, C).

        Raises:
            DataError: the preprocessing needs whole clips.
        """
        self._steps = steps
        self._description = description
        self._live = live
        self._shape = shape
        self._frames = Frames(description, live.window)

    @property
    def unusable(self) -> int:
        """See `Frames`."""
        return self._frames.unusable

    def track(self) -> Stream:
        """See `Network`."""
        return Stream(self._live, self._shape, self._steps, self._frames)

    def answer(self, tracks: Sequence[tuple[Hashable, Stream]]) -> list[np.ndarray | None]:
        """See `Network`."""
        streams = [stream for _, stream in tracks]
        frames = np.stack([stream.take() for stream in streams])
        states = np.zeros((len(streams), self._steps.size), np.float32)
        for row, stream in zip(states, streams, strict=True):
            if stream.state is not None:
                row[:] = stream.state
        seen = np.ones((len(streams), self._steps.chunk), np.float32)
        logits, following = self._steps(frames, seen, states)
        if following.shape != states.shape:
            raise ExportMismatch(
                f"live poses: the model returns states of {following.shape}, expected"
                f" {states.shape}; export it again"
            )
        finite = serving.finite_rows(logits, len(streams), self._description, "live poses")
        for stream, row, state, usable in zip(streams, logits, following, finite, strict=True):
            if not usable:
                # Anew: such numbers stay in a state, and the first frame, on which all may be centred,
                # may be the one that is too large.
                stream.clear()
                self._frames.unusable += self._steps.chunk
                continue
            # A copy: a view would keep the states of the whole batch.
            stream.state = state.copy()
            if stream.taken > self._steps.delay:
                stream.scores = serving.scores_of(row[None], self._description.temperature)
        return [stream.scores if stream.answers() else None for stream in streams]

    def now(self, name: Hashable, track: Stream) -> np.ndarray | None:
        """See `Network`."""
        return track.scores
