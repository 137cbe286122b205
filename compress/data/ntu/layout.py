"""How clips lie in arrays of ST-GCN's form, (N, C, T, V, M), or CTR-GCN's, (N, T, M * V * C): of
NTU's joints, and of any others that people have prepared that way (Kinetics-Skeleton, figure
skating, PP-Human)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from compress.data import skeletons
from teachers.errors import DataError
from teachers.skeleton import NTU_25, OPENPOSE_18, Skeleton

# Far above any skeleton and crowd; what is larger is another order of axes.
MOST_JOINTS = 1000
MOST_PERSONS = 16
# Clips that are looked at for what holds for all or for none.
MOST_LOOKED_AT = 256


@dataclass(frozen=True)
class Layout:
    """Joints V, persons M and numbers of a joint C of every clip."""

    joints: int = 25
    persons: int = 2
    numbers: int = 3

    @property
    def width(self) -> int:
        """Numbers of a flat frame."""
        return self.persons * self.joints * self.numbers


NTU = Layout()


@dataclass(frozen=True)
class Meaning:
    """What the numbers of a layout are: the skeleton (without bones where it is not known), 2
    coordinates where the third is a score, and notes on what was taken for granted."""

    skeleton: Skeleton
    coordinates: int
    notes: tuple[str, ...] = ()


def of_array(shape: Sequence[int]) -> Layout | None:
    """The layout of an array (N, C, T, V, M); None for another."""
    if len(shape) != 5:
        return None
    _, C, _, V, M = shape
    fits = C in (2, 3) and 1 < V <= MOST_JOINTS and 1 <= M <= MOST_PERSONS
    return Layout(V, M, C) if fits else None


def of_width(width: int, joints: int | None) -> Layout | None:
    """The layout of flat frames of so many numbers; None where it cannot be known.

    Args:
        joints: as the user gave them. Default: NTU's, where the width is theirs.
    """
    if joints is None:
        return NTU if width == NTU.width else None
    # Three numbers a joint before two: 102 are two persons of 17 joints in space rather than three
    # in the plane.
    for C in (3, 2):
        persons, rest = divmod(width, joints * C)
        if not rest and 1 <= persons <= MOST_PERSONS:
            return Layout(joints, persons, C)
    return None


def as_clip(raw: np.ndarray, where: str, layout: Layout = NTU) -> np.ndarray:
    """One clip as stored, (T, M * V * C) or (C, T, V, M) -> (C, T, V, M), of M persons or fewer, in
    the file's own precision.

    Raises:
        DataError: it is of another shape.
    """
    V = layout.joints
    M = layout.persons
    C = layout.numbers
    # CTR-GCN flattens a frame as person, joint, coordinate.
    if raw.ndim == 2 and raw.shape[1] == layout.width:
        return raw.reshape(-1, M, V, C).transpose(3, 0, 2, 1)
    if raw.ndim == 4 and (raw.shape[0], raw.shape[2]) == (C, V) and 1 <= raw.shape[3] <= M:
        return raw
    raise DataError(
        f"{where}: a clip has shape {raw.shape}, expected (frames, {layout.width}) or ({C}, frames,"
        f" {V}, {M})"
    )


def meaning(layout: Layout, parts: Sequence[np.ndarray]) -> Meaning:
    """What the numbers of arrays of one layout are.

    Args:
        parts: arrays of clips, (N, C, T, V, M) or (N, T, M * V * C).
    """
    V = layout.joints
    coordinates = layout.numbers
    notes = []
    if coordinates == 3 and _third_is_score(layout, parts):
        coordinates = 2
        notes.append(
            "the third number of every joint lies between 0 and 1 while x and y do not: read as a"
            " score behind two coordinates"
        )
    # NTU's own files, which are most, need no note.
    if layout == NTU and coordinates == 3:
        return Meaning(NTU_25, 3)
    known = skeletons.usual(V, coordinates)
    if known is None and OPENPOSE_18.joints == V:
        # ST-GCN's form has 18 joints for Kinetics-Skeleton alone.
        known = OPENPOSE_18
    if known is None:
        # It can still be trained on where the recipe describes it.
        return Meaning(Skeleton(f"joints_{V}", V, (), centre=1), coordinates, tuple(notes))
    notes.append(
        f"{V} joints of {coordinates} coordinates are taken for {known.name}, as arrays of this form"
        " have them; the file does not say so: describe `skeleton` in the recipe if they are others"
    )
    return Meaning(known, coordinates, tuple(notes))


def _third_is_score(layout: Layout, parts: Sequence[np.ndarray]) -> bool:
    low = np.full(3, np.inf)
    high = np.full(3, -np.inf)
    for raw in _looked_at(parts):
        clip = as_clip(raw, "", layout).reshape(3, -1)
        finite = clip[:, np.isfinite(clip).all(axis=0)]
        if finite.size:
            low = np.minimum(low, finite.min(axis=1))
            high = np.maximum(high, finite.max(axis=1))
    # Depth is metres from a camera, or around a centre: beyond 1, or below 0.
    bounded = 0 <= low[2] <= high[2] <= 1 and high[2] > 0
    return bool(bounded and (low[:2].min() < 0 or high[:2].max() > 1))


def _looked_at(parts: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    for part in parts:
        count = min(len(part), MOST_LOOKED_AT)
        # From all over: files are often sorted by class or person.
        for index in np.linspace(0, len(part) - 1, count).astype(int):
            yield part[index]
