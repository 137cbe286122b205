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
        unusable: windows, or frames, that were passed over: with no number or nobody in them, or
            whose scores are not finite.
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
        rows = iter(self._scores([views for views in windows if views is not None]))
        scores = [None if views is None else next(rows) for views in windows]
        self.unusable += sum(each is None for each in scores)
        return scores

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

    def _scores(self, windows: Sequence[np.ndarray]) -> list[np.ndarray | None]:
        """Of each window; None where they are not finite, which is no fault of the others."""
        if not windows:
            return []
        logits, _ = self._served.run(np.concatenate(windows))
        logits = np.asarray(logits)
        count = self._description.views
        finite = serving.finite_rows(logits, count * len(windows), self._description, "live poses")
        # As `predict` scores a clip, so that thresholds mean the same in both.
        temperature = self._description.temperature
        views = [slice(row, row + count) for row in range(0, len(logits), count)]
        return [
            serving.scores_of(logits[rows], temperature) if finite[rows].all() else None
            for rows in views
        ]
