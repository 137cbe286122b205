"""Clips (C, T, V, M) brought to one place, direction and size: PYSKL's normalisation and
EfficientGCN's view transform.

`normalise_3d`, `normalise_2d`: arXiv 2205.09443, after 2s-AGCN (arXiv 1805.07694).
`view_transform`: the preparation that EfficientGCN (arXiv 2106.15125) calls transformed. Joints are
0-based here and 1-based in recipes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from teachers.errors import RecipeError
from teachers.skeleton import NTU_25, NTU_25_PYSKL, Skeleton

Pair = tuple[int, int]
# PYSKL's threshold: a joint with this score or less is nowhere.
UNSEEN = 0.01


def is_ntu(skeleton: Skeleton) -> bool:
    """Whether joint numbers mean what they mean in NTU RGB+D, whatever graph connects them."""
    return skeleton.name in (NTU_25.name, NTU_25_PYSKL.name)


def frame_of(skeleton: Skeleton, spine: Pair | None, shoulders: Pair | None) -> dict[str, Any]:
    """What `normalise_3d` and `view_transform` need to know of a skeleton.

    NTU's spine is (1, 2), its right and left shoulder (9, 5), its centre joint 2, all counted from
    1. Another skeleton is centred on its own centre, and turned only as far as the recipe names its
    joints.

    Raises:
        RecipeError: a joint that the skeleton does not have.
    """
    for key, pair in (("spine", spine), ("shoulders", shoulders)):
        if pair is None:
            continue
        # Of one joint alone there is no direction to turn.
        if pair[0] == pair[1] or not all(1 <= joint <= skeleton.joints for joint in pair):
            raise RecipeError(
                f"input.{key}: {list(pair)} are not two joints of {skeleton.name!r}; they count"
                f" from 1 to {skeleton.joints}"
            )
    frame: dict[str, Any] = {"centre": skeleton.centre - 1}
    if is_ntu(skeleton):
        # PYSKL and 2s-AGCN centre on joint 2, whereas graphs of NTU have joint 21 as their centre.
        frame["centre"] = 1
        spine = spine or (1, 2)
        shoulders = shoulders or (9, 5)
    if spine:
        frame["spine"] = [joint - 1 for joint in spine]
    if shoulders:
        frame["shoulders"] = [joint - 1 for joint in shoulders]
    return frame


def normalise_3d(
    clip: np.ndarray,
    centre: int,
    spine: Sequence[int] | None = None,
    shoulders: Sequence[int] | None = None,
) -> np.ndarray:
    """PYSKL's PreNormalize3D: only the frames of whoever is there longest, and that person first;
    one joint of the first frame at the origin (missing joints, all zero, stay zero); turned as
    `align` does."""
    clip = np.asarray(clip, dtype=np.float32)
    present = (clip != 0).any(axis=(0, 2))  # (T, M)
    first = int(present.sum(axis=0).argmax())
    if not present[:, first].any():
        return clip[:, :1]
    order = [first, *(person for person in range(clip.shape[3]) if person != first)]
    clip = clip[:, present[:, first]][..., order]
    return align(_moved(clip, clip[:, :1, centre : centre + 1, :1]), spine, shoulders)


def normalise_2d(
    clip: np.ndarray, image: Sequence[int] | None = None, threshold: float | None = None
) -> np.ndarray:
    """PYSKL's PreNormalize2D: pixels -> x and y from -1 to 1 over an image of (width, height);
    other channels as they are.

    Without `image`: over the smallest box around everything that is not missing, one scale for both
    axes. A person missing from a frame stays zero. With `threshold` the last channel is a score,
    and joints that have so much or less are missing too: their x and y become zero.
    """
    # A copy, of which x and y are replaced: the caller's clip is not touched.
    clip = np.array(clip, dtype=np.float32)
    xy = clip[:2]
    # By person and frame, not by joint: an estimator may put a joint at 0 on one axis.
    present = (xy != 0).any(axis=(0, 2), keepdims=True)  # (1, T, 1, M)
    trusted = np.ones_like(clip[:1], dtype=bool)
    if threshold is not None:
        trusted = clip[-1:] > threshold
    middle: np.ndarray
    half: np.ndarray | float
    if image is not None:
        middle = np.array(image, np.float32).reshape(2, 1, 1, 1) / 2
        half = middle
    else:
        # A joint that is missing stands at (0, 0), and would stretch the box to the corner.
        seen = np.broadcast_to((xy != 0).any(axis=0) & trusted, xy.shape)
        low = xy.min(axis=(1, 2, 3), keepdims=True, where=seen, initial=np.inf)
        high = xy.max(axis=(1, 2, 3), keepdims=True, where=seen, initial=-np.inf)
        if not seen.any():
            clip[:2] = 0
            return clip
        middle = (low + high) / 2
        # One scale, or a lying person would look like a standing one; not zero for a single joint.
        half = max(float((high - low).max()) / 2, 1e-6)
    clip[:2] = np.where(present & trusted, (xy - middle) / half, 0)
    return clip


def view_transform(
    clip: np.ndarray,
    centre: int,
    spine: Sequence[int] | None = None,
    shoulders: Sequence[int] | None = None,
    once: bool = False,
) -> np.ndarray:
    """Every person repeated over the padding behind them, the first one's centre joint at the
    origin of every frame, turned as `align` does. Who is missing at first starts with their first
    frame, without gaps.

    `once`: a clip with that joint at the origin of every frame has been through this and stays as
    it is. (Turning the shoulders moves the spine off its axis again, so a second time would turn it
    further.)
    """
    if once and not clip[:, :, centre, 0].any():
        return clip
    clip = np.stack([_looped(clip[..., person]) for person in range(clip.shape[3])], axis=-1)
    return align(_moved(clip, clip[:, :, centre : centre + 1, :1]), spine, shoulders)


def align(
    clip: np.ndarray, spine: Sequence[int] | None, shoulders: Sequence[int] | None
) -> np.ndarray:
    """Turn everything, about the origin, so that in the first person's first frame the spine
    (bottom, top) points along z; then so that the shoulders (right, left) point, from left to
    right, along x."""
    if spine:
        bottom, top = spine
        clip = _turned(clip, bottom, top, (0, 0, 1))
    # After the spine, and by the smallest angle: the spine leaves its axis again, as published.
    if shoulders:
        right, left = shoulders
        clip = _turned(clip, left, right, (1, 0, 0))
    return clip


def _turned(clip: np.ndarray, start: int, end: int, axis: tuple[int, int, int]) -> np.ndarray:
    """Everything turned so that the first person's first bone from `start` to `end` is along an
    axis."""
    # In float64: the angle of two near directions is lost in float32.
    bone = clip[:, 0, end, 0].astype(float) - clip[:, 0, start, 0]
    matrix = onto(bone, np.array(axis, dtype=float))
    return np.einsum("dc,ctvm->dtvm", matrix.astype(np.float32), clip)


def onto(vector: np.ndarray, axis: np.ndarray) -> np.ndarray:
    """(3, 3) rotation by the smallest angle that takes a vector to the direction of a unit vector
    (Rodrigues); the identity where there is no such angle: for a vector of length zero, and for one
    that points the opposite way.
    """
    normal = np.cross(vector, axis)
    length = np.linalg.norm(vector)
    # The published thresholds. Opposite vectors have no smallest rotation, and are left alone there
    # too, although half a turn would be meant.
    if length < 1e-6 or np.abs(normal).sum() < 1e-6:
        return np.eye(3)
    sine = np.linalg.norm(normal) / length
    cosine = float(vector @ axis) / length
    x, y, z = normal / np.linalg.norm(normal)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + sine * cross + (1 - cosine) * cross @ cross


def _moved(clip: np.ndarray, origin: np.ndarray) -> np.ndarray:
    # All-zero joints are missing ones, and must stay recognisable.
    return np.where((clip != 0).any(axis=0, keepdims=True), clip - origin, np.float32(0))


def _looped(person: np.ndarray) -> np.ndarray:
    """(C, T, V): the frames of one person, repeated to fill T."""
    present = (person != 0).any(axis=(0, 2))
    T = person.shape[1]
    if not present.any():
        return person
    # As published: gaps are closed only for a person who is missing at first.
    if not present[0]:
        person = person[:, present]
        length = person.shape[1]
    else:
        length = int(np.flatnonzero(present)[-1]) + 1
    return person[:, np.arange(T) % length]
