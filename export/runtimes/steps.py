"""ONNX Runtime on the CPU, a few frames of a stream a call: `model_continual.onnx`
(`export.formats.onnx_continual`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from export.runtimes import onnx_graph, ort
from export.runtimes.contract import Predict, PredictFeatures, PredictOutputs
from export.runtimes.loading import running
from teachers.errors import ExportMismatch

INPUTS = ("frames", "seen", "state")
OUTPUTS = ("logits", "next_state")
# What a stranger's file may claim, for it becomes memory and time of whoever serves it.
MOST_FRAMES = 10_000
MOST_NUMBERS = 100_000_000


class Steps:
    """A continual network.

    Attributes:
        clip: (C, chunk, V, M) of a call's frames.
        chunk: frames of a call.
        size: numbers of a state; zeros begin a stream.
        delay: how many frames the logits are late: of so many the newest have no part in them yet.
        pooled: the logits are those of a mean over `pooled` moments, a chunk apart.
    """

    def __init__(self, model: Path, threads: int = 1, optimised: bool = True):
        """Raises ExportMismatch: the file cannot be loaded, or is no continual network."""
        onnx_graph.check(model)
        session = ort.opened(model, str(model), threads, optimised)
        shapes = {each.name: each.shape[1:] for each in session.get_inputs()}
        numbers = session.get_modelmeta().custom_metadata_map
        try:
            frames, (chunk,), (size,) = (shapes[name] for name in INPUTS)
            _, T, _, _ = frames
            self.delay = int(numbers["delay"])
            self.pooled = int(numbers["pooled"])
            known = {type(each) for each in (*frames, chunk, size)} == {int} and chunk == T
            small = max(chunk, self.delay, self.pooled) <= MOST_FRAMES and size <= MOST_NUMBERS
            good = known and small and min(*frames, size, self.delay + 1, self.pooled) >= 1
        except (KeyError, TypeError, ValueError):
            good = False
        if not good or len(shapes) != len(INPUTS):
            raise ExportMismatch(
                f"{model}: is no continual network (inputs frames, seen and state; delay and pooled"
                " in its metadata); export it again"
            )
        self.clip: tuple[int, ...] = tuple(frames)
        self.chunk: int = chunk
        self.size: int = size
        self._model = model
        self._session = session

    @property
    def span(self) -> int:
        """Frames that the logits are the mean of."""
        return self.pooled * self.chunk

    def __call__(
        self, frames: np.ndarray, seen: np.ndarray, state: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The next frames of streams -> logits (N, K) and the next states (N, size).

        Args:
            frames: (N, C, chunk, V, M).
            seen: (N, chunk), 0 for a frame that is not there, such as those behind a clip.
            state: (N, size).
        Raises:
            ExportMismatch: the file cannot be run on that.
        """

        def run(x: np.ndarray) -> Any:
            given = (np.ascontiguousarray(each, np.float32) for each in (x, seen, state))
            return self._session.run(OUTPUTS, dict(zip(INPUTS, given, strict=True)))

        logits, following = running(self._model, run)(frames)
        return np.asarray(logits), np.asarray(following)

    def whole(self, clips: np.ndarray) -> np.ndarray:
        """Logits (N, K) of whole clips (N, C, T, V, M): the trained network's, its zero padding at
        both ends included, after as many frames that are not there as the logits are late."""
        N, T = len(clips), clips.shape[2]
        steps = -(-T // self.chunk) + self.delay // self.chunk
        missing = steps * self.chunk - T
        frames = np.pad(clips, ((0, 0), (0, 0), (0, missing), (0, 0), (0, 0)))
        seen = np.zeros((N, steps * self.chunk), np.float32)
        seen[:, :T] = 1
        state = np.zeros((N, self.size), np.float32)
        logits = np.zeros((N, 0), np.float32)
        for start in range(0, steps * self.chunk, self.chunk):
            end = start + self.chunk
            logits, state = self(frames[:, :, start:end], seen[:, start:end], state)
        return logits


def load_steps(files: Sequence[Path], threads: int = 1) -> Steps:
    """A continual network, to follow streams by.

    Raises:
        ExportMismatch: see `Steps`.
    """
    (model,) = files
    return Steps(model, threads)


def load(files: Sequence[Path], threads: int = 1, optimised: bool = True) -> Predict:
    """See `export.runtimes.contract.Runtime`: of whole clips, so that the file is held against the
    trained network like any other."""
    (model,) = files
    return Steps(model, threads, optimised).whole


def load_outputs(files: Sequence[Path], threads: int = 1) -> PredictOutputs:
    """See `export.runtimes.contract.Runtime`."""
    predict = load(files, threads)
    return lambda x: [predict(x)]


def load_with_features(files: Sequence[Path], threads: int = 1) -> PredictFeatures:
    """See `export.runtimes.contract.Runtime`.

    Raises:
        ExportMismatch: always; the features of a clip are in no one call.
    """
    (model,) = files
    raise ExportMismatch(
        f"{model}: follows streams, and has no embeddings of clips; export the format onnx as well"
    )
