"""Live poses by a network that takes whole windows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Protocol

import numpy as np

from export import deployed, serving
from export.deployed.live import Live
from export.preprocess import repair
from export.serve.track import Timeline, Track


class Network(Protocol):
    """What `Recogniser` asks a network.

    Attributes:
        unusable: windows, or frames, with no number or nobody in them, which were passed over.
    """

    @property
    def unusable(self) -> int: ...

    def track(self) -> Timeline:
        """A new track."""
        ...

    def answer(self, tracks: Sequence[tuple[Hashable, Any]]) -> list[np.ndarray | None]:
        """Scores (K,) of tracks that are due, in one batch; None where there is nothing to say."""
        ...

    def now(self, name: Hashable, track: Any) -> np.ndarray | None:
        """Scores of the frames of a track so far, due or not; None as in `answer`. Changes nothing."""
        ...


class Windows:
    """See `Network`."""

    def __init__(self, served: deployed.Served, live: Live, shape: tuple[int, int, int]):
        """`shape` of a pose, (P, V, C)."""
        self._served = served
        self._description = served.description
        self._live = live
        self._shape = shape
        self.unusable = 0

    def track(self) -> Track:
        """See `Network`."""
        return Track(self._live, self._shape)

    def answer(self, tracks: Sequence[tuple[Hashable, Track]]) -> list[np.ndarray | None]:
        """See `Network`."""
        # Those that fail or have nothing to say, too: they are asked again a stride later.
        for _, track in tracks:
            track.mark_answered()
        windows = [self._views(name, track) for name, track in tracks]
        self.unusable += sum(views is None for views in windows)
        rows = iter(self._scores([views for views in windows if views is not None]))
        return [None if views is None else next(rows) for views in windows]

    def now(self, name: Hashable, track: Track) -> np.ndarray | None:
        """See `Network`."""
        views = self._views(name, track)
        return None if views is None else self._scores([views])[0]

    def _views(self, name: Hashable, track: Track) -> np.ndarray | None:
        """All views (n, C, T, V, M) of a track's window as the network takes them; None where
        nothing is in it."""
        recorded = self._description.recording
        clip = repair.mended(track.clip(), recorded.repair_bones, recorded.coordinates)
        # A network would name some class for an empty window, too.
        if clip is None or not clip.any():
            return None
        numbers = range(self._description.views)
        return np.stack(
            [serving.prepare(clip, self._description, str(name), number) for number in numbers]
        )

    def _scores(self, windows: Sequence[np.ndarray]) -> list[np.ndarray]:
        if not windows:
            return []
        logits, _ = self._served.run(np.concatenate(windows))
        logits = np.asarray(logits)
        count = self._description.views
        serving.check_logits(logits, count * len(windows), self._description, "live poses")
        rows = range(0, len(logits), count)
        # As `predict` scores a clip, so that thresholds mean the same in both.
        temperature = self._description.temperature
        return [serving.scores_of(logits[row : row + count], temperature) for row in rows]
