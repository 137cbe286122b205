"""What annotations do not say of themselves: whether a third number is a score, in what unit key
points are, from what number labels count, which skeleton they are of.

Each is settled by a rule over all clips of both splits, and said in a note.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from compress.data import skeletons
from compress.data.ntu.naming import NTU_120
from compress.data.pyskl.files import Annotation, image_size
from teachers.errors import DataError
from teachers.skeleton import Skeleton

# Metres around a camera stay well below, pixels do not: a person is a hundred pixels tall.
PIXELS = 10
# Estimators place joints a little outside of the image.
OUTSIDE = 0.5
# Only the start must fit: what may stand behind the action does not change the class.
_NTU_NAME = re.compile(r"S\d{3}C\d{3}P\d{3}R\d{3}A(\d{3})")


@dataclass(frozen=True)
class Settled:
    """Annotations of both splits after the rules.

    Attributes:
        first: the number that the file's labels count from.
        notes: what was taken for granted, in words.
    """

    train: tuple[Annotation, ...]
    test: tuple[Annotation, ...]
    skeleton: Skeleton
    first: int
    notes: tuple[str, ...]

    @property
    def both(self) -> tuple[Annotation, ...]:
        return (*self.train, *self.test)


def settle(
    train: tuple[Annotation, ...],
    test: tuple[Annotation, ...],
    scores: bool,
    named: bool,
    other_labels: tuple[int, ...] = (),
) -> Settled:
    """The annotations as they are meant.

    Args:
        scores: whether key points of images have their score behind them.
        named: whether the recipe names the classes, so that labels mean places in its list.
        other_labels: of annotations that cannot be used.
    Raises:
        DataError: an img_shape beside scores that is no size.
    """
    everything = (*train, *test)
    notes: list[str] = []

    def change(changed: Callable[[Annotation], Annotation]) -> None:
        nonlocal train, test
        train = tuple(map(changed, train))
        test = tuple(map(changed, test))

    if _third_is_score(everything):
        change(lambda annotation: _apart(annotation, scores))
        notes.append(
            "keypoint is x, y and a score from 0 to 1, for there is img_shape and x, y are pixels:"
            f" read as two coordinates {'with' if scores else 'without'} their score"
        )
    unit = _unit((*train, *test))
    if unit is not None:
        image, note = unit
        change(lambda annotation: replace(annotation, image=image))
        notes.append(note)
    first = 0
    # NTU's clips carry their class in their name, so a subset without A001 is seen to be one.
    labels = [*other_labels, *(annotation.label for annotation in everything)]
    if not named and min(labels) == 1 and not is_ntu(everything):
        first = 1
        change(lambda annotation: replace(annotation, label=annotation.label - 1))
        notes.append(
            f"labels count from 1 (to {max(labels)}), none is 0: read so,"
            " without a class 0 that no clip is of; name all classes in data.classes if there is one"
        )
    skeleton, guess = _skeleton((*train, *test))
    return Settled(train, test, skeleton, first, (*notes, *guess))


def is_ntu(annotations: Iterable[Annotation]) -> bool:
    """Whether every clip is named like one of NTU and has its label."""
    # Name and label: files of other data sets keep NTU's names for clips that they label anew.
    for annotation in annotations:
        action = _NTU_NAME.match(annotation.name)
        if action is None or int(action[1]) != annotation.label + 1:
            return False
    return True


def classes(
    settled: Settled, names: tuple[str, ...] | None, other_labels: tuple[int, ...] = ()
) -> tuple[str, ...]:
    """The names given, else NTU's where the clips are NTU's, else numbers as the file has them.

    Args:
        other_labels: of annotations that cannot be used, as the file has them: their classes stay,
            so that a network does not depend on which clips are damaged.
    """
    largest = max(settled.both, key=lambda annotation: annotation.label)
    if names is not None:
        if largest.label >= len(names):
            raise DataError(
                f"{largest.where}: its label is {largest.label}, but data.classes names"
                f" {len(names)} classes; labels count from 0, name all of them"
            )
        return names
    count = max([largest.label, *(label - settled.first for label in other_labels)]) + 1
    if count <= len(NTU_120) and is_ntu(settled.both):
        # Never as many as occur: published weights have a classifier of 60 or of 120.
        return NTU_120[: 60 if count <= 60 else 120]
    return tuple(f"class {index + settled.first}" for index in range(count))


def _third_is_score(annotations: tuple[Annotation, ...]) -> bool:
    # All or none: NTU's x y z have stray sizes of images beside some clips.
    if any(a.keypoint.shape[3] != 3 or a.shape is None for a in annotations):
        return False
    thirds = _range(a.keypoint[..., 2] for a in annotations)
    flat = _range(a.keypoint[..., :2] for a in annotations)
    return thirds[0] >= 0 and 0 < thirds[1] <= 1 and flat[1] > PIXELS


def _apart(annotation: Annotation, scores: bool) -> Annotation:
    return replace(
        annotation,
        keypoint=annotation.keypoint[..., :2],
        score=annotation.keypoint[..., 2] if scores else None,
        image=image_size(annotation.shape, annotation.where),
    )


def _unit(annotations: tuple[Annotation, ...]) -> tuple[tuple[int, int] | None, str] | None:
    """(what images' sizes are in the unit of the key points, the note); None: pixels, or no
    sizes."""
    if annotations[0].image is None:
        return None
    low, high = _range(annotation.keypoint for annotation in annotations)
    # Nobody in any clip, or pixels.
    if high == low or high > 1 + OUTSIDE:
        return None
    if low >= -OUTSIDE:
        return (1, 1), (
            f"key points lie between {low:.3g} and {high:.3g}: fractions of their image, not pixels;"
            " normalised as such, and img_shape is not used"
        )
    return None, (
        f"key points lie between {low:.3g} and {high:.3g}: normalised already, not pixels; every"
        " clip is scaled by its own extent, and img_shape is not used"
    )


def _range(arrays: Iterable[np.ndarray]) -> tuple[float, float]:
    """The lowest and the highest finite number."""
    low = np.inf
    high = -np.inf
    for values in arrays:
        finite = values[np.isfinite(values)]
        if finite.size:
            low = min(low, float(finite.min()))
            high = max(high, float(finite.max()))
    return (low, high) if low <= high else (0.0, 0.0)


def _skeleton(annotations: tuple[Annotation, ...]) -> tuple[Skeleton, list[str]]:
    """The skeleton, and the note where it is a guess; without bones where even a guess is none."""
    V, coordinates = annotations[0].keypoint.shape[2:]
    known = skeletons.usual(V, coordinates)
    if known is None:
        # It can still be trained on where the recipe describes it.
        return Skeleton(f"joints_{V}", V, (), centre=1), []
    # Clips of NTU, which PYSKL's own files are of, say by their names what they are.
    if all(_NTU_NAME.match(annotation.name) for annotation in annotations):
        return known, []
    note = (
        f"{V} joints of {coordinates} coordinates are taken for {known.name}, as PYSKL's and"
        " mmaction2's files have them; the file does not say so: describe `skeleton` in the recipe"
        " if they are others"
    )
    return known, [note]
