"""Clips as arrays: `.npy`, and `.npz` with an array of points, perhaps one of scores beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from compress.data import arrays
from compress.data.poses.contract import FIX, MOST_PERSONS, Poses, Wanted, check_size, float32
from teachers.errors import DataError

# What arrays of scores are called beside key points: PYSKL, mmpose, people.
SCORES = ("keypoint_score", "keypoint_scores", "scores", "score", "confidence", "visibility")
# What PYSKL calls key points, which are (M, T, V, C) there.
PYSKL = "keypoint"
# CTR-GCN's sets of many clips.
_SET = ("x_train", "x_test")


def read_npy(path: Path, wanted: Wanted) -> Poses:
    """The clip of a `.npy` file.

    Raises:
        DataError: damaged, or of another shape.
    """
    return from_array(arrays.open_npy(path), str(path), wanted)


def read_npz(path: Path, wanted: Wanted) -> Poses:
    """The clip of a `.npz` file: its one array, or its one array beside scores (`SCORES`). One of
    four axes called `PYSKL` is (M, T, V, C).

    Raises:
        DataError: damaged, of several arrays, or of another shape.
    """
    found = arrays.open_npz(path, ("",))
    scores = [name for name in SCORES if name in found and found[name].ndim > 1]
    # Single numbers and lists of them are labels, sizes of images, frame rates.
    points = [name for name, values in found.items() if values.ndim > 1 and name not in scores]
    if len(points) != 1 or len(scores) > 1:
        raise DataError(
            f"{path}: holds {', '.join(found) or 'nothing'}; expected one array of points, and if"
            f" need be one of scores ({', '.join(SCORES[:3])}, ...); save a clip a file"
        )
    values = found[points[0]]
    C = wanted.numbers
    if scores:
        values = _beside(values, found[scores[0]], str(path))
        C = wanted.coordinates + 1
    if points[0] == PYSKL and _is_pyskl(values, str(path), wanted.joints, C):
        return _poses(values, str(path), wanted)
    return from_array(values, str(path), wanted, C)


def is_set(path: Path) -> bool:
    """Whether a `.npz` file is CTR-GCN's form of a set of clips."""
    return bool(arrays.open_npz(path, _SET))


def is_pose_array(path: Path, wanted: Wanted) -> bool:
    """Whether a `.npy` file is a clip of these forms, and not (C, T, V, M) or (N, C, T, V, M),
    which it means elsewhere."""
    C = wanted.numbers
    V = wanted.joints
    shape = arrays.open_npy(path).shape
    if len(shape) in (2, 3):
        return True
    # Its score has to be split off.
    if len(shape) == 4 and wanted.score_columns and (shape[0], shape[2]) == (C, V):
        return True
    return len(shape) == 4 and shape[2:] == (V, C) and (shape[0], shape[2]) != (C, V)


def from_array(values: np.ndarray, where: str, wanted: Wanted, numbers: int | None = None) -> Poses:
    """The clip of an array (T, V, C), (C, T, V, M), (T, M, V, C) or (T, M * V * C), whichever fits
    the joints and numbers.

    Args:
        numbers: of a joint in the array. Default: as wanted.
    """
    V = wanted.joints
    C = numbers or wanted.numbers
    fitting = _fitting(values, V, C, wanted.persons)
    problem = f"{where}: has shape {values.shape} of {values.dtype}"
    if len(fitting) > 1:
        raise DataError(
            f"{problem}, which could be {' or '.join(fitting)}; save it with another number of"
            " frames, or as .json"
        )
    if not fitting or values.dtype.kind not in "fiu" or 0 in values.shape:
        raise DataError(
            f"{problem}, expected numbers as (T, V, C), (C, T, V, M) or (T, M, V, C) with V = {V}"
            f" joints and C = {wanted.described}, or flat, (T, M * V * C);"
            f" {_fix(values.shape, wanted, C)}"
        )
    (clip,) = fitting.values()
    return _poses(clip, where, wanted)


def _poses(clip: np.ndarray, where: str, wanted: Wanted) -> Poses:
    """Of an array (M, T, V, C) whose last number may be a score."""
    check_size(where, *clip.shape)
    clip = float32(clip)
    if wanted.coordinates == clip.shape[3]:
        return Poses(clip)
    return Poses(clip[..., :-1], clip[..., -1])


def _is_pyskl(values: np.ndarray, where: str, V: int, C: int) -> bool:
    """Whether an array called as PYSKL's is (M, T, V, C) as there.

    Raises:
        DataError: it could as well be (T, M, V, C).
    """
    if values.ndim != 4 or values.shape[2:] != (V, C) or values.dtype.kind not in "fiu":
        return False
    M, T = values.shape[:2]
    # More persons than frames are hardly a clip.
    if M > T and M <= MOST_PERSONS:
        raise DataError(
            f"{where}: {PYSKL} has shape {values.shape}, which could be (M, T, V, C), as PYSKL has"
            " it under that name, or (T, M, V, C); save it as (T, M, V, C) under the name keypoints"
        )
    return 0 < M <= T


def _fitting(values: np.ndarray, V: int, C: int, persons: int) -> dict[str, np.ndarray]:
    """{what the axes may be: (M, T, V, C)}."""
    fitting = {}
    if values.ndim == 2 and values.shape[1] == V * C:
        fitting["(T, V * C)"] = values.reshape(1, -1, V, C)
    elif values.ndim == 2 and values.shape[1] == persons * V * C:
        # Person, joint, coordinate, as CTR-GCN flattens a frame.
        fitting["(T, M * V * C)"] = values.reshape(-1, persons, V, C).transpose(1, 0, 2, 3)
    if values.ndim == 3 and values.shape[1:] == (V, C):
        fitting["(T, V, C)"] = values[None]
    if values.ndim == 4 and values.shape[0] == C and values.shape[2] == V:
        fitting["(C, T, V, M)"] = values.transpose(3, 1, 2, 0)
    # As many persons are frames: another order of the axes.
    if values.ndim == 4 and values.shape[2:] == (V, C) and values.shape[1] <= MOST_PERSONS:
        fitting["(T, M, V, C)"] = values.transpose(1, 0, 2, 3)
    # A shape such as (3, 9, 3, 2) fits twice; as many persons as are expected decide.
    if len(fitting) == 2:
        expected = {name: clip for name, clip in fitting.items() if len(clip) == persons}
        fitting = expected or fitting
    return fitting


def _beside(values: np.ndarray, scores: np.ndarray, where: str) -> np.ndarray:
    """Points and their scores as one array of one more number a joint."""
    if values.dtype.kind not in "fiu" or scores.dtype.kind not in "fiu":
        raise DataError(
            f"{where}: holds {values.dtype} and {scores.dtype}, expected numbers; {FIX}"
        )
    if scores.shape == values.shape[:-1]:
        return np.concatenate([values, scores[..., None]], axis=-1)
    if scores.shape == values.shape[1:]:
        return np.concatenate([values, scores[None]], axis=0)
    raise DataError(
        f"{where}: has points of shape {values.shape} and scores of shape {scores.shape}, expected"
        f" one score for each joint; {FIX}"
    )


def _fix(shape: tuple[int, ...], wanted: Wanted, C: int) -> str:
    if len(shape) == 4 and shape[2:] == (wanted.joints, C):
        return (
            f"(T, M, V, C) has at most {MOST_PERSONS} persons: transpose (M, T, V, C), PYSKL's order,"
            f" or call it {PYSKL} in a .npz"
        )
    # One number more is most often how sure an estimator was.
    more = wanted.numbers + 1
    flat = len(shape) == 2 and shape[1] == wanted.joints * more
    if not wanted.score_columns and shape and (flat or more in (shape[-1], shape[0])):
        words = "`score: drop` or `repair`"
        if wanted.coordinates == 2:
            words = "`score: keep`, `drop` or `repair`"
        return f"if the last of {more} is a score or visibility, write {words} into dataset.yaml"
    return FIX
