"""A data set of which nothing is read: what its clips are, for a network that goes from a checkpoint to
a deployed folder without them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compress.data import skeletons
from compress.data.dataset import Dataset, Split, Unread
from teachers.skeleton import Skeleton


def datasets(name: str, unread: Unread, skeleton: Skeleton, persons: int) -> Iterator[Dataset]:
    """The data set `name` without clips, once for each kind of clips that its networks may see: of
    three coordinates, of two, and of two with a score; the likeliest first."""
    kinds = [(3, 3), (2, 2), (3, 2)]
    # Key points of images by convention (COCO, OpenPose), and then the third channel is a score.
    usual = skeletons.usual(skeleton.joints, 2)
    if usual is not None and usual.name == skeleton.name:
        kinds = [(3, 2), (2, 2), (3, 3)]
    for channels, coordinates in kinds:
        yield Dataset(
            name,
            _nothing(),
            _nothing(),
            unread.classes,
            skeleton,
            persons,
            channels,
            fingerprint="",
            base_ops=unread.base_ops,
            coordinates=coordinates,
            as_recorded=unread.as_recorded,
            score_columns=channels > coordinates,
        )


def _nothing() -> Split:
    return Split((), (), np.zeros(0, np.int64))
