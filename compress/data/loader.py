"""Batches prepared by background threads, in order, the same whatever the number of threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from compress.data.dataset import Split
from teachers.errors import DataError, FeatherboneError

# Batches in preparation while one is used. One clip that takes long to read must not stall the
# network; more would only hold memory.
AHEAD = 4

Arrays = np.ndarray | tuple[np.ndarray, ...]
Prepare = Callable[[np.ndarray, np.random.Generator], Arrays]
# Clips and, anew at every call, the generator of each.
Generators = Callable[[], list[np.random.Generator]]
PrepareBatch = Callable[[list[np.ndarray], Generators], Arrays]


def sample_rng(key: tuple[int, ...], index: int) -> np.random.Generator:
    """The generator of one sample: a function of (key, index) alone, so that a resumed run sees the
    same batches."""
    # One generator for all samples would make them depend on the order in which threads reach it.
    # Philox is cheap to seed, unlike a Mersenne twister, whose state has 2.5 kB.
    entropy: list[int] | np.ndarray = [*key, index]
    # The same words, which numpy need not gather number by number: twice as fast.
    if all(0 <= number < 2**32 for number in entropy):
        entropy = np.array(entropy, dtype=np.uint32)
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


def sample_rngs(key: tuple[int, ...], indices: np.ndarray) -> list[np.random.Generator]:
    """The generators of several samples."""
    return [sample_rng(key, int(index)) for index in indices]


def cut(order: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Batches along `order`; the last one is as small as it is."""
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def batches(
    split: Split,
    prepare: Prepare,
    chunks: Sequence[np.ndarray],
    rng_key: tuple[int, ...] = (0,),
    workers: int = 2,
    whole: PrepareBatch | None = None,
) -> Iterator[tuple[Arrays, np.ndarray]]:
    """Yields (x (N, C, T, V, M) float32, y (N,) int64) of each chunk, in order.

    Args:
        prepare: (raw clip, generator of this sample) -> (C, T, V, M), or a tuple of several views;
            then x is a tuple too.
        chunks: indices into the split, a batch each.
        rng_key: what the generators depend on beside the index, such as (seed, epoch).
        whole: the same for all clips of a batch at once, with the same numbers, but faster.

    Raises:
        DataError: preparing a clip failed; the message names the clip.
    """

    def load(indices: np.ndarray) -> tuple[Arrays, np.ndarray]:
        return _load(split, prepare, whole, indices, rng_key), split.labels[indices]

    # Threads, not processes: numpy lets go of the interpreter's lock while it computes, and a
    # process would have to copy every batch.
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="loader") as pool:
        waiting: deque[Future] = deque()
        try:
            for chunk in chunks:
                # Batches leave in the order they were asked for, whichever thread is first.
                waiting.append(pool.submit(load, chunk))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # Whoever stops early must not wait for batches that nobody wants.
            for future in waiting:
                future.cancel()


def _load(
    split: Split,
    prepare: Prepare,
    whole: PrepareBatch | None,
    indices: np.ndarray,
    rng_key: tuple[int, ...],
) -> Arrays:
    problem: Exception | None = None
    if whole is not None and len(indices):
        try:
            clips = [split.clips[int(index)] for index in indices]
            return whole(clips, lambda: sample_rngs(rng_key, indices))
        # Whatever it was, clip by clip finds the clip it was in.
        except Exception as error:  # noqa: BLE001
            problem = error
    prepared = [_prepared(split, prepare, int(index), rng_key) for index in indices]
    views = tuple(_stack(split, indices, clips) for clips in zip(*prepared, strict=True))
    if problem is not None:
        raise problem
    return views[0] if len(views) == 1 else views


def _stack(split: Split, indices: np.ndarray, clips: tuple[np.ndarray, ...]) -> np.ndarray:
    for index, clip in zip(indices, clips, strict=True):
        # np.stack would refuse it too, but without the name of the clip.
        if clip.shape != clips[0].shape:
            raise DataError(
                f"clip {split.names[index]!r}: has shape {clip.shape} after preparation, the"
                f" batch's first {clips[0].shape}; all must be alike"
            )
    return np.stack(clips)


def _prepared(
    split: Split, prepare: Prepare, index: int, rng_key: tuple[int, ...]
) -> tuple[np.ndarray, ...]:
    """The views of one clip."""
    try:
        views = prepare(split.clips[index], sample_rng(rng_key, index))
        if not isinstance(views, tuple):
            views = (views,)
        return tuple(np.ascontiguousarray(view, dtype=np.float32) for view in views)
    except FeatherboneError as error:
        raise DataError(f"clip {split.names[index]!r}: {error}") from error
    # Whatever a clip can break: in a thread the traceback alone would not say which clip it was.
    except Exception as error:
        raise DataError(
            f"clip {split.names[index]!r}: cannot be prepared ({type(error).__name__}: {error})"
        ) from error
