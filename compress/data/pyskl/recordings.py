"""The annotations of any PYSKL or mmaction2 file as clips, for programs that classify rather than
train: splits and labels do not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compress.data.pyskl import files
from compress.data.pyskl.load import AnnotationClips
from teachers.errors import DataError

# What reads one clip, when it is its turn: a file of 100,000 is never in memory twice.
Read = Callable[[], np.ndarray]


def recordings(
    path: Path, recorded: dict[str, Any], image: tuple[int, int] | None = None
) -> Iterator[tuple[str, Read]]:
    """(name, what reads its raw clip (C, T, V, M)) of every annotation, in the order of the file.

    Args:
        recorded: channels, joints and persons of the clips, as `deployed.json` has them. Key points
            of images have their scores behind them where that is a channel more.
        image: (width, height) that the network's key points are divided by; those of other images
            are scaled to it.
    Raises:
        DataError: no such file of annotations; when a clip is read, what is wrong with it.
    """
    content = files.load(path)
    entries = content.get("annotations", content) if isinstance(content, dict) else content
    # One clip by itself, as pose estimators hand it over.
    if isinstance(entries, dict) and "keypoint" in entries:
        entries = [{"frame_dir": path.stem} | entries]
    if not isinstance(entries, list) or not entries:
        raise DataError(
            f"{path}: holds no annotations; give a file of PYSKL or mmaction2 with a list of"
            f" {', '.join(files.NEEDED)}"
        )
    for name, (index, entry) in files.by_name(entries, path).items():
        where = f"{path}: annotation {index} ({name!r})"
        yield name, partial(_clip, entry, where, recorded, image)


def _clip(
    entry: dict[str, Any], where: str, recorded: dict[str, Any], image: tuple[int, int] | None
) -> np.ndarray:
    keypoint = entry.get("keypoint")
    coordinates = keypoint.shape[-1] if isinstance(keypoint, np.ndarray) and keypoint.ndim else 0
    # What is to be classified has no label yet.
    scores = recorded["channels"] == coordinates + 1
    annotation = files.checked({"label": 0} | entry, where, scores)
    persons = recorded.get("persons") or max(1, len(annotation.keypoint))
    clip = AnnotationClips([annotation], persons, image).clip(0)
    if not clip.any():
        raise DataError(
            f"{where}: nobody is in it, every coordinate is zero; give a clip with at least one"
            " person"
        )
    return clip
