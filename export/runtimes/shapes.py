"""Clips (N, C, T, V, M) for a file that takes another shape: a fixed number of clips, or four axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Run = Callable[[np.ndarray], list[np.ndarray]]


def fitted(run: Run, shape: Sequence[int | str | None]) -> Run:
    """`run` for any number of clips (N, C, T, V, M).

    Args:
        run: a file's outputs for an input of exactly its shape.
        shape: of the file's input. Four axes are (N, C, T, V * M), the same numbers in the same
            order; a number in place of N is the batch that the file takes. Anything else is left to
            the runtime, which says what it expected.
    """
    batch = shape[0] if shape and isinstance(shape[0], int) and shape[0] > 0 else None

    def any_clips(x: np.ndarray) -> list[np.ndarray]:
        clips = x
        if len(shape) == 4 and x.ndim == 5:
            N, C, T, V, M = x.shape
            if list(shape[1:]) == [C, T, V * M]:
                clips = x.reshape(N, C, T, V * M)
        if batch is None or len(clips) == batch:
            return run(clips)
        return _in_batches(run, clips, batch)

    return any_clips


def _in_batches(run: Run, clips: np.ndarray, batch: int) -> list[np.ndarray]:
    parts = []
    for start in range(0, len(clips), batch):
        part = clips[start : start + batch]
        # Clips of nobody fill the last batch up; clips of a batch do not see one another.
        missing = np.zeros((batch - len(part), *part.shape[1:]), part.dtype)
        outputs = run(np.concatenate([part, missing]) if len(missing) else part)
        parts.append([output[: len(part)] for output in outputs])
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]
