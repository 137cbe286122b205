"""Training augmentation of clips (C, T, V, M) as pure functions of a clip and a generator."""

from __future__ import annotations

import numpy as np

from export.preprocess.ops import resize, valid_length


def random_crop_resize(
    clip: np.ndarray,
    rng: np.random.Generator,
    frames: int,
    low: float = 0.5,
    high: float = 1.0,
    shortest: int = 64,
) -> np.ndarray:
    """CTR-GCN's training crop: ratio ~ U(low, high), but `shortest` frames or more if there are as
    many."""
    valid = valid_length(clip)
    # The published floor of 64 frames: a shorter cut would be stretched over the whole input.
    length = min(max(int(np.floor(valid * rng.uniform(low, high))), shortest), valid)
    # The upper end is excluded: without + 1, a cut of the whole clip would have no start at all.
    start = int(rng.integers(valid - length + 1))
    return resize(clip[:, start : start + length], frames)


def random_sample(
    clip: np.ndarray, rng: np.random.Generator, frames: int, repeats: int = 100
) -> np.ndarray:
    """`frames` frames in order, drawn without replacement from `repeats` copies of the clip (public
    NW-UCLA pipeline); from more copies where a clip is so short that these do not hold enough."""
    T = clip.shape[1]
    # The public pipeline fails for clips that 100 copies do not fill.
    repeats = max(repeats, -(-frames // T))
    # Sorted behind the modulo: before it, each copy would start the motion over again.
    return clip[:, np.sort(rng.choice(T * repeats, frames, replace=False) % T)]


def random_uniform(clip: np.ndarray, rng: np.random.Generator, frames: int) -> np.ndarray:
    """PYSKL's training sample: a random frame of each of `frames` segments.

    A clip shorter than that goes round from a random frame on; one shorter than twice that leaves
    out frames at random, at most one between two that are taken.
    """
    T = clip.shape[1]
    if frames > T:
        return clip[:, (rng.integers(T) + np.arange(frames)) % T]
    # Segments of one or two frames hardly vary; PYSKL spreads the frames left out instead.
    if 2 * frames > T:
        left_out = np.zeros(frames + 1, dtype=int)
        left_out[rng.choice(frames + 1, T - frames, replace=False)] = 1
        return clip[:, np.arange(frames) + left_out.cumsum()[:-1]]
    edges = np.arange(frames + 1) * T // frames
    return clip[:, rng.integers(edges[:-1], edges[1:])]
