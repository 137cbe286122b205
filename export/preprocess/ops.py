"""Preprocessing of clips (C, T, V, M): evaluation steps as data, training augmentation as pure
functions.

Evaluation steps are plain JSON dicts, `{"op": name, ...}`; the same list is written into a deployed
folder, so a program elsewhere can feed the network. `apply` runs them in order. More steps are in
`joints.py`, `normalise.py`, `streams.py` and
`windows.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from export.preprocess import limits
from export.preprocess.joints import map_joints
from export.preprocess.normalise import normalise_2d, normalise_3d, view_transform
from export.preprocess.streams import branches, stream
from export.preprocess.windows import valid_length, window
from teachers.errors import DataError, quoted


def apply(clip: np.ndarray, ops: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """A raw clip (C, T, V, M) through a list of steps; float32.

    Raises:
        DataError: a step that is not known, one that cannot be done with its parameters, or one that
            would make more than `limits.MOST_NUMBERS` numbers.
    """
    # Once for all steps: float16 files would lose digits in every difference.
    clip = np.asarray(clip, dtype=np.float32)
    for place, op in enumerate(ops):
        parameters = {key: value for key, value in op.items() if key != "op"}
        if op.get("op") not in STEPS:
            raise DataError(
                f"preprocessing: unknown step {quoted(op.get('op'))} (known: {', '.join(STEPS)}); use the"
                " version of the project that wrote it"
            )
        try:
            limits.require(clip.shape, op["op"], parameters, f"preprocessing[{place}]")
            clip = STEPS[op["op"]](clip, **parameters)
        # Parameters of another type or size than a step expects fail in any of these ways.
        except (
            TypeError,
            ValueError,
            LookupError,
            AttributeError,
            ArithmeticError,
            MemoryError,
        ) as error:
            raise DataError(
                f"preprocessing: {quoted(dict(op))} does not fit a clip of shape {clip.shape}"
                f" (C, T, V, M): {error}"
            ) from error
    return np.ascontiguousarray(clip, dtype=np.float32)


def numbered(
    ops: Sequence[Mapping[str, Any]], number: int, clips: int
) -> tuple[Mapping[str, Any], ...]:
    """The steps that make view `number` of `clips` of a clip (N-clip testing); steps without a key
    `clips` are in every view."""
    return tuple({**op, "clip": number, "clips": clips} if "clips" in op else op for op in ops)


def centre(clip: np.ndarray, joint: int, frame: int = 0, person: int = 0) -> np.ndarray:
    """Subtract one joint's position in one frame (all 0-based) from every point that is not missing
    (all zero)."""
    origin = clip[:, frame, joint, person].reshape(-1, 1, 1, 1)
    # (1, T, 1, M): a person absent from a frame stays zero.
    missing = (clip == 0).all(axis=(0, 2), keepdims=True)
    return np.where(missing, clip, clip - origin)


def centre_seen(clip: np.ndarray, joint: int, coordinates: int = 3) -> np.ndarray:
    """Subtract one joint (0-based), where it is seen first, from every joint that is seen; of
    persons in that frame, the first's.

    A missing joint (all zero) stays zero, and channels behind `coordinates`, a score, stay as they
    are. Unlike `centre`, for recordings in which the first frame may show nobody, or not that
    joint.
    """
    points = clip[:coordinates]
    seen = (points != 0).any(axis=0)  # (T, V, M)
    # A joint at (0, 0, 0) among the others of its person is the origin already, not missing: clips
    # that come centred must not be moved by their next frame. Of people elsewhere, zero lies more
    # than half a body away.
    low = np.where(seen, points, np.inf).min(axis=2)  # (C, T, M)
    high = np.where(seen, points, -np.inf).max(axis=2)
    near = (high - low).max(axis=0) / 2
    around = ((low <= near) & (high >= -near)).all(axis=0)
    frames, persons = np.nonzero(seen[:, joint] | around)
    if not frames.size:
        return clip
    origin = points[:, frames[0], joint, persons[0]].reshape(-1, 1, 1, 1)
    return np.concatenate([np.where(seen, points - origin, 0), clip[coordinates:]])


def trim(clip: np.ndarray) -> np.ndarray:
    """Drop the all-zero frames at the end; a clip of nothing but zeros keeps one frame."""
    return clip[:, : valid_length(clip)]


def drop_empty(clip: np.ndarray) -> np.ndarray:
    """Drop every all-zero frame; a clip of nothing but zeros keeps one frame."""
    present = (clip != 0).any(axis=(0, 2, 3))
    return clip[:, present] if present.any() else clip[:, :1]


def min_max(clip: np.ndarray, low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """Scale each axis to [low, high] over the whole clip; a flat axis goes to `low`."""
    smallest = clip.min(axis=(1, 2, 3), keepdims=True)
    largest = clip.max(axis=(1, 2, 3), keepdims=True)
    # A flat axis divides by 1, not by 0.
    extent = np.where(largest > smallest, largest - smallest, 1)
    return (clip - smallest) / extent * (high - low) + low


def sample(clip: np.ndarray, frames: int) -> np.ndarray:
    """`frames` frames evenly from first to last, indices rounded down as the public NW-UCLA
    pipeline does."""
    return clip[:, np.linspace(0, clip.shape[1] - 1, frames).astype(int)]


def crop_resize(clip: np.ndarray, ratio: float, frames: int) -> np.ndarray:
    """CTR-GCN's test crop: the valid frames less (1 - ratio) / 2 of them at either end, rounded
    down; resized."""
    valid = valid_length(clip)
    cut = int((1 - ratio) * valid / 2)
    return resize(clip[:, cut : valid - cut], frames)


def loop(clip: np.ndarray, frames: int) -> np.ndarray:
    """The clip again and again until `frames` are full; a longer one is cut."""
    return clip[:, np.arange(frames) % clip.shape[1]]


def fit(clip: np.ndarray, frames: int) -> np.ndarray:
    """The first `frames` frames, with zeros behind where there are fewer."""
    return np.pad(clip[:, :frames], ((0, 0), (0, max(0, frames - clip.shape[1])), (0, 0), (0, 0)))


def uniform(raw: np.ndarray, frames: int, clip: int = 0, clips: int = 1) -> np.ndarray:
    """View `clip` of `clips`: of each of `frames` equal segments the frame at (clip + 1/2) / clips
    of its length.

    A clip with fewer frames goes round; view i starts i / clips of the way through it.
    """
    T = raw.shape[1]
    if frames > T:
        # With more views than frames, every frame is a start once before one is again.
        start = clip if clips > T else clip * T // clips
        return raw[:, (start + np.arange(frames)) % T]
    # (segment + (clip + 1/2) / clips) * T / frames in whole numbers: by floats, rounding could take
    # a frame of the neighbouring segment.
    return raw[:, (2 * (np.arange(frames) * clips + clip) + 1) * T // (2 * clips * frames)]


# The functions' names are the names in deployed.json: a function that is renamed breaks files that
# were written long ago.
STEPS = {
    function.__name__: function
    for function in (
        centre,
        centre_seen,
        trim,
        drop_empty,
        min_max,
        sample,
        crop_resize,
        loop,
        fit,
        uniform,
        normalise_3d,
        normalise_2d,
        view_transform,
        stream,
        branches,
        map_joints,
        window,
    )
}


def resize(clip: np.ndarray, frames: int) -> np.ndarray:
    """Linear resize in time, pixel centres aligned (`align_corners=False`), edges repeated."""
    T = clip.shape[1]
    # As PyTorch's interpolate(mode="bilinear"), which the published pipeline calls.
    position = np.clip((np.arange(frames) + 0.5) * T / frames - 0.5, 0, T - 1)
    left = np.floor(position).astype(int)
    weight = (position - left).astype(np.float32).reshape(1, -1, 1, 1)
    return clip[:, left] * (1 - weight) + clip[:, np.minimum(left + 1, T - 1)] * weight


def rotate(clip: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Rotate all points by a (C, C) matrix."""
    return np.einsum("dc,ctvm->dtvm", matrix.astype(np.float32), clip)


def rotation(x: float, y: float, z: float) -> np.ndarray:
    """(3, 3) rotation by the angles (radians) around x, then y, then z: Rz @ Ry @ Rx."""
    cx, cy, cz = np.cos([x, y, z])
    sx, sy, sz = np.sin([x, y, z])
    around_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    around_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    around_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return around_z @ around_y @ around_x
