"""The frames of one track, at the frame rate of the network; and a ring of the newest."""

from __future__ import annotations

import numpy as np

from export.deployed.live import Live

# Of a frame: a pose so near to the time of a frame is that frame, number for number.
SNAP = 0.01


class Timeline:
    """Poses (P, V, C) of P persons that belong together, made frames of the network's rate.

    Attributes:
        time: of the last pose, seconds.
        frames: since the start.
    """

    def __init__(self, live: Live, shape: tuple[int, int, int]):
        self.live = live
        self.time = -np.inf
        self._last = np.zeros(shape, np.float32)
        self.clear()

    def clear(self) -> None:
        """Begin anew with the next pose."""
        self._start = 0.0
        self.frames = 0

    def add(self, pose: np.ndarray, time: float) -> None:
        """A pose (P, V, C) at a time in seconds, later than the one before."""
        if self.frames == 0:
            self._start = time
            self._append(pose)
        elif self.live.rate is None:
            self._append(pose)
        else:
            self._interpolate(pose, time, self.live.rate)
        self._last = pose
        self.time = time

    @property
    def covered(self) -> int:
        """How many frames an answer is about."""
        raise NotImplementedError

    def is_due(self) -> bool:
        """Whether the network is to see the newest frames."""
        raise NotImplementedError

    def _append(self, pose: np.ndarray) -> None:
        """Keep the next frame (P, V, C)."""
        self.frames += 1

    def _interpolate(self, pose: np.ndarray, time: float, rate: float) -> None:
        """The frames between the last pose and this one. Their times are whole numbers of frames
        from the start, so that rounding does not add up over hours."""
        length = time - self.time
        # No more than a gap allows, for `Recogniser` begins anew after one.
        while True:
            at = self._start + self.frames / rate
            if (at - time) * rate > SNAP:
                return
            if abs(at - time) * rate <= SNAP:
                self._append(pose)
            else:
                weight = np.float32((at - self.time) / length)
                self._append(between(self._last, pose, weight))


class Track(Timeline):
    """A ring of the last `live.window` frames, (window, P, V, C)."""

    def __init__(self, live: Live, shape: tuple[int, int, int]):
        self._ring = np.zeros((live.window, *shape), np.float32)
        super().__init__(live, shape)

    def clear(self) -> None:
        """See `Timeline`."""
        super().clear()
        # Frames that were there at the last window.
        self._answered = 0

    @property
    def covered(self) -> int:
        """See `Timeline`."""
        return min(self.frames, self.live.window)

    def is_due(self) -> bool:
        """Whether the next window is to be answered."""
        enough = self.covered >= self.live.min_frames
        return enough and self.frames - self._answered >= self.live.stride

    def mark_answered(self) -> None:
        """The next window is due `live.stride` frames from now."""
        self._answered = self.frames

    def clip(self) -> np.ndarray:
        """The window, (C, T, V, P), T at most `live.window`: a copy, in order of time."""
        if self.frames < self.live.window:
            frames = self._ring[: self.frames]
        else:
            frames = np.roll(self._ring, -(self.frames % self.live.window), axis=0)
        return np.ascontiguousarray(frames.transpose(3, 0, 2, 1))

    def _append(self, pose: np.ndarray) -> None:
        self._ring[self.frames % self.live.window] = pose
        super()._append(pose)


def between(first: np.ndarray, second: np.ndarray, weight: np.float32) -> np.ndarray:
    """Two poses (P, V, C) mixed. A joint that one of them misses (all zero or no number) is the
    nearer pose's."""
    mixed = first * (1 - weight) + second * weight
    seen = _seen(first) & _seen(second)
    return np.where(seen, mixed, second if weight >= 0.5 else first)


def _seen(pose: np.ndarray) -> np.ndarray:
    return (np.isfinite(pose).all(axis=-1) & (pose != 0).any(axis=-1))[..., None]
