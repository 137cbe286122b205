"""What a file holds -> what a clip is to hold: coordinates and scores by the description's keys,
and joints that are missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress.data.poses.contract import Poses, Wanted
from compress.data.skeletons import edges, same_joints
from teachers.errors import DataError
from teachers.skeleton import SKELETONS, Skeleton

DROPPED = (
    "clip whose scores are left out (`score: keep` in dataset.yaml makes them a channel, `min_score`"
    " takes joints below it for missing)"
)
FLATTENED = "clip of three coordinates, of which x and y are used"


def fitted(poses: Poses, wanted: Wanted, where: str) -> Poses:
    """The poses with the channels that are wanted, (M, T, V, C) in `values`: scores are kept as the
    last one or left out; joints that were not seen are NaN.

    Raises:
        DataError: other joints, too few coordinates, or no scores where some are needed.
    """
    _check(poses, wanted, where)
    notes = [*poses.notes, *_contradiction(poses, wanted)]
    values = poses.values
    if values.shape[3] > wanted.coordinates:
        notes.append(FLATTENED)
        values = values[..., : wanted.coordinates]
    if poses.scores is None:
        return replace(poses, values=values, notes=tuple(notes))
    values = _without_missing(values, poses.scores, wanted)
    if wanted.keep_score:
        values = np.concatenate([values, poses.scores[..., None]], axis=3)
    elif not wanted.score_columns and wanted.min_score is None:
        # Nobody said what they are for.
        notes.append(DROPPED)
    return replace(poses, values=values, notes=tuple(notes))


def _check(poses: Poses, wanted: Wanted, where: str) -> None:
    V, C = poses.values.shape[2:]
    if wanted.joints != V:
        implied = f" ({poses.skeleton})" if poses.skeleton else ""
        raise DataError(
            f"{where}: has {V} joints{implied}, expected {wanted.joints}; describe the joints that"
            f" the files have{f' (`skeleton: {poses.skeleton}`)' if poses.skeleton else ''}, or take"
            " others"
        )
    if wanted.coordinates > C:
        raise DataError(
            f"{where}: has {C} coordinates, expected {wanted.coordinates}; write `coordinates: {C}`,"
            " or take files of poses in space"
        )
    if poses.scores is None and (wanted.keep_score or wanted.min_score is not None):
        raise DataError(
            f"{where}: has no scores, and the description needs them (`score: keep`, `repair` or"
            " `min_score`); take that key out, or save the estimator's scores with the key points"
        )


def _contradiction(poses: Poses, wanted: Wanted) -> list[str]:
    """The note on a file that says it is of other joints than are described."""
    implied = SKELETONS.get(poses.skeleton or "")
    if implied is None or not wanted.edges:
        return []
    described = Skeleton("described", wanted.joints, wanted.edges, 1)
    if same_joints(described, implied) or edges(described) == edges(implied):
        return []
    return [
        (
            f"clip of a format whose joints are {implied.name}, while dataset.yaml describes other edges"
            f" (they are used; write `skeleton: {implied.name}` unless they are meant)"
        )
    ]


def _without_missing(values: np.ndarray, scores: np.ndarray, wanted: Wanted) -> np.ndarray:
    """NaN for joints that were not seen, of persons who were."""
    present = values.any(axis=(2, 3), keepdims=True)
    missing = np.zeros(scores.shape, bool)
    if wanted.min_score is not None:
        missing = scores < wanted.min_score
    elif not wanted.keep_score:
        # OpenPose and all who write its form put 0, 0, 0 where they see no joint. With scores as a
        # channel it stays: published networks of Kinetics learnt it so.
        missing = (scores == 0) & ~values.any(axis=3)
    missing = missing[..., None] & present
    # Nothing of such a person is ever to be trusted, so nothing could be mended.
    unseen = (missing | ~present).all(axis=(1, 2), keepdims=True)
    return np.where(unseen, np.float32(0), np.where(missing, np.float32(np.nan), values))
