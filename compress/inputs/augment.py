"""Training augmentation of clips (C, T, V, M) as pure functions of a clip and a generator."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Clips that are turned at a time: as many as a core's cache holds, with all that is made of them.
IN_CACHE = 4


def random_crop(
    valid: int,
    rng: np.random.Generator,
    low: float = 0.5,
    high: float = 1.0,
    shortest: int = 64,
) -> tuple[int, int]:
    """(start, length) of CTR-GCN's training crop of a clip with so many valid frames: ratio ~ U(low,
    high), but `shortest` frames or more if there are as many."""
    # The published floor of 64 frames: a shorter cut would be stretched over the whole input.
    length = min(max(int(np.floor(valid * rng.uniform(low, high))), shortest), valid)
    # The upper end is excluded: without + 1, a cut of the whole clip would have no start at all.
    return int(rng.integers(valid - length + 1)), length


def turn_and_resize(
    clips: Sequence[np.ndarray],
    crops: Sequence[tuple[int, int]],
    matrices: np.ndarray,
    frames: int,
) -> np.ndarray:
    """Clips (C, T, V, M) turned by their matrices (N, C, C), cut and resized in time, as
    `export.preprocess.ops.rotate` and `resize` do one of them: (N, C, frames, V, M) float32."""
    C, _, V, M = clips[0].shape
    made = np.empty((len(clips), C, frames, V, M), np.float32)
    starts, lengths = np.array(crops).T[:, :, None]
    # As in `resize`: pixel centres aligned, edges repeated.
    centres = (np.arange(frames) + 0.5) * lengths / frames - 0.5
    position = np.clip(centres, 0, lengths - 1)
    left = np.floor(position).astype(int)
    weight = (position - left).astype(np.float32)
    neighbours = np.stack([left, np.minimum(left + 1, lengths - 1)]) + starts
    for start in range(0, len(clips), IN_CACHE):
        block = slice(start, start + IN_CACHE)
        _turn_block(clips[block], neighbours[:, block], weight[block], matrices[block], made[block])
    return made


def _turn_block(
    clips: Sequence[np.ndarray],
    neighbours: np.ndarray,
    weight: np.ndarray,
    matrices: np.ndarray,
    made: np.ndarray,
) -> None:
    """Into `made` (n, C, F, V, M), clips whose frames are between two `neighbours` (2, n, F), by
    `weight` (n, F)."""
    n, C, F, V, M = made.shape
    taken = np.empty((2, n, C, F, V, M), np.float32)
    for side in (0, 1):
        for clip, indices, target in zip(clips, neighbours[side], taken[side], strict=True):
            # `clip`: the indices are right, and "raise" would copy once more.
            np.take(clip, indices, axis=1, out=target, mode="clip")
    # Both neighbours are turned, not what lies between them: that would change last digits.
    taken = taken.reshape(2, n, C, -1)
    turned = np.empty_like(taken)
    term = np.empty_like(taken[:, :, 0])
    factors = matrices.astype(np.float32)[..., None]
    for row in range(C):
        total = turned[:, :, row]
        np.multiply(factors[:, row, 0], taken[:, :, 0], out=total)
        # Coordinate by coordinate, the order in which `rotate` adds.
        for column in range(1, C):
            np.multiply(factors[:, row, column], taken[:, :, column], out=term)
            total += term
    # Repeated, for numpy is slow where the inner axis has one weight.
    spread = np.repeat(weight, V * M, axis=1)[:, None]
    turned[1] *= spread
    turned[0] *= 1 - spread
    np.add(turned[0], turned[1], out=made.reshape(n, C, -1))


def rotations(angles: np.ndarray) -> np.ndarray:
    """(N, 3, 3) of angles (N, 3), each as `export.preprocess.ops.rotation` makes it."""
    cx, cy, cz = np.cos(angles).T
    sx, sy, sz = np.sin(angles).T
    x, y, z = np.zeros((3, len(angles), 3, 3))
    x[:, 0, 0] = y[:, 1, 1] = z[:, 2, 2] = 1
    x[:, 1, 1] = x[:, 2, 2] = cx
    x[:, 2, 1] = sx
    x[:, 1, 2] = -sx
    y[:, 0, 0] = y[:, 2, 2] = cy
    y[:, 0, 2] = sy
    y[:, 2, 0] = -sy
    z[:, 0, 0] = z[:, 1, 1] = cz
    z[:, 1, 0] = sz
    z[:, 0, 1] = -sz
    return z @ y @ x


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


def mirror(
    clip: np.ndarray,
    swapped: Sequence[int],
    coordinates: int = 3,
    middle: float | None = None,
) -> np.ndarray:
    """Left and right changed over: joint i is what joint `swapped[i]` was, with x on the other side
    of `middle`, by default the middle of all that is there. Missing joints (all zero) stay zero."""
    swapped_clip = np.array(clip[:, :, list(swapped)], dtype=np.float32)
    present = (swapped_clip[:coordinates] != 0).any(axis=0)
    x = swapped_clip[0]
    if not present.any():
        return swapped_clip
    if middle is None:
        middle = float(x[present].min() + x[present].max()) / 2
    swapped_clip[0] = np.where(present, 2 * middle - x, 0)
    return swapped_clip


def joint_jitter(
    clip: np.ndarray,
    rng: np.random.Generator,
    deviation: float,
    bones: Sequence[Sequence[int]],
    coordinates: int = 3,
) -> np.ndarray:
    """Normal noise on every coordinate of every joint that is there, its standard deviation in mean
    lengths of the clip's `bones` (child, parent; counted from 1)."""
    noisy = np.array(clip, dtype=np.float32)
    points = noisy[:coordinates]
    present = (points != 0).any(axis=0)  # (T, V, M)
    child, parent = np.array(bones, dtype=int).reshape(-1, 2).T - 1
    lengths = np.linalg.norm(points[:, :, child] - points[:, :, parent], axis=0)
    # A bone to a missing joint would reach to the origin.
    known = lengths[present[:, child] & present[:, parent]]
    if known.size == 0:
        return noisy
    noise = rng.normal(0, deviation * float(known.mean()), size=points.shape)
    noisy[:coordinates] += np.where(present, noise, 0).astype(np.float32)
    return noisy


def drop_frames(clip: np.ndarray, rng: np.random.Generator, most: float) -> np.ndarray:
    """The clip without a share ~ U(0, most) of its frames, drawn one by one; one in which somebody
    is there always stays."""
    T = clip.shape[1]
    kept = rng.random(T) >= rng.uniform(0, most)
    present = _present_frames(clip)
    kept[rng.choice(present) if present.size else 0] = True
    return clip[:, kept]


def drop_axis(clip: np.ndarray, rng: np.random.Generator, coordinates: int = 3) -> np.ndarray:
    """The clip with one of its coordinates zero everywhere; a score behind them stays."""
    dropped = np.array(clip, dtype=np.float32)
    dropped[rng.integers(coordinates)] = 0
    return dropped


def drop_joint(
    clip: np.ndarray,
    rng: np.random.Generator,
    joints: tuple[float, float],
    frames: tuple[float, float],
) -> np.ndarray:
    """The clip with some joints zero in some frames, the same joints in each of them; a score of
    theirs is zero, too.

    Args:
        joints, frames: the smallest and the largest share, of all joints and of the frames in which
            somebody is there.
    """
    present = _present_frames(clip)
    if present.size == 0:
        return clip
    lost = rng.choice(clip.shape[2], _number(rng, joints, clip.shape[2]), replace=False)
    when = rng.choice(present, _number(rng, frames, present.size), replace=False)
    dropped = np.array(clip, dtype=np.float32)
    dropped[:, when[:, None], lost] = 0
    return dropped


def _present_frames(clip: np.ndarray) -> np.ndarray:
    return np.flatnonzero((clip != 0).any(axis=(0, 2, 3)))


def _number(rng: np.random.Generator, shares: tuple[float, float], total: int) -> int:
    """A number between two shares of a total, both included; 1 at least."""
    fewest = max(1, round(shares[0] * total))
    most = max(fewest, round(shares[1] * total))
    return int(rng.integers(fewest, most + 1))
