"""Annotation pickles of PYSKL (arXiv 2205.09443) and mmaction2, read as they are and checked.

Either one file, {"split": {name: [frame_dir]}, "annotations": [annotation]}, or the older form, a
folder with a list of annotations for each split: train.pkl and val.pkl. An annotation is
{"frame_dir", "label", "total_frames", "keypoint" (M, T, V, C)}, with "keypoint_score" (M, T, V) and
"img_shape" (height, width) where key points are of images.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compress.data import split_names
from compress.data.bad_clips import BadClips
from compress.data.clutter import is_clutter
from teachers.errors import DataError
from teachers.storage.bounded import read_bytes
from teachers.weights import safe_pickle

# Not total_frames: T of the array says the same, and files exist in which the two disagree.
NEEDED = ("frame_dir", "label", "keypoint")
# A larger label is a mistake, and would make as many names.
MOST_CLASSES = 100_000
# Bytes: the largest public file, NTU120 in 3D, has a fifth.
LARGEST_FILE = 16_000_000_000


@dataclass(frozen=True)
class Annotation:
    """One clip as it lies in the file.

    Attributes:
        where: file, number and name, for messages.
        keypoint: (M, T, V, C) numbers, mostly float16; C = 3 for x y z, 2 for pixels.
        score: (M, T, V), of pixels whose scores are wanted.
        image: (width, height) of the clip's images, of pixels where the file says so.
        miscounted: whether the file says another total_frames than T.
        shape: img_shape beside x y z, unchecked.
    """

    where: str
    name: str
    label: int
    keypoint: np.ndarray
    score: np.ndarray | None
    image: tuple[int, int] | None
    miscounted: bool
    shape: object = None


@dataclass(frozen=True)
class Part:
    """One split: its name, its annotations in the order of the file, how often it names one again,
    and how many clips it names, bad ones included."""

    name: str
    annotations: tuple[Annotation, ...]
    repeated: int = 0
    clips: int = 0


def read(root: Path, benchmark: str | None, scores: bool, bad: BadClips) -> tuple[Part, Part, int]:
    """(the training part, the test part, how many annotations are in neither).

    Args:
        benchmark: which splits, see `pair`.
        scores: whether key points of images must have scores.
        bad: where annotations that cannot be used go.
    Raises:
        DataError: nothing to read at `root`, a damaged file, or content that does not go together;
            file, annotation and fix are named.
    """
    if root.is_dir():
        # In the older form the split is the name of its file.
        files = {
            path.stem: path
            for path in sorted(root.iterdir())
            if path.suffix.lower() == ".pkl" and not is_clutter(path.name)
        }
        first, second = pair(benchmark, files, f"{root}: holds the .pkl files")
        train = _from_list(files[first], first, scores, bad)
        test = _from_list(files[second], second, scores, bad)
        unused = 0
    elif root.is_file():
        train, test, unused = _from_file(root, benchmark, scores, bad)
    else:
        raise DataError(
            f"{root}: no such file; give data.root a .pkl file with splits, or a folder with"
            " train.pkl and val.pkl"
        )
    # Both splits at once: a test clip of another skeleton would be noticed only after training.
    unlike = _unlike([*train.annotations, *test.annotations])
    for annotation, problem in unlike.values():
        bad.add(annotation.name, problem, annotation.label)
    return _without(train, unlike), _without(test, unlike), unused


def pair(benchmark: str | None, names: Iterable[str], where: str) -> tuple[str, str]:
    """The two splits of a benchmark: "xsub" -> xsub_train and xsub_val; "train" -> train and val;
    "train1" -> train1 and val1. Without a val split, test takes its place. None: the only two there
    are.

    Raises:
        DataError: no such splits, or more than one choice; `where` and what there is are named.
    """
    names = sorted(names)
    pairs: dict[str, tuple[str, str]] = {}
    meanings = {name: split_names.parted(name) for name in names}
    for name in names:
        meaning = meanings[name]
        if meaning is None or meaning[0] != split_names.TRAIN:
            continue
        # val first: where a file has both, PYSKL and mmaction2 report accuracy on val.
        for other in (split_names.VAL, split_names.TEST):
            partners = [name for name in names if meanings[name] == (other, meaning[1])]
            if partners:
                # "xsub_train" is chosen as xsub; a bare "train" has nothing to cut and is chosen as
                # train.
                benchmark_name = re.sub(r"_train(ing)?$", "", name, flags=re.IGNORECASE)
                pairs[benchmark_name] = (name, partners[0])
                break
    present = f"{where} {', '.join(names) or '(none)'}"
    if not pairs:
        raise DataError(
            f"{present}, but not one to train on and its test, such as xsub_train and xsub_val, or"
            " train and val; name them so, or give data.root a .pkl file that has splits"
        )
    if benchmark is None and len(pairs) > 1:
        raise DataError(f"{present}; choose with data.benchmark: {', '.join(pairs)}")
    if benchmark is None:
        return next(iter(pairs.values()))
    if benchmark not in pairs:
        raise DataError(
            f"{present}, nothing for benchmark {benchmark!r}; data.benchmark can be"
            f" {', '.join(pairs)}"
        )
    return pairs[benchmark]


def _without(part: Part, unlike: Mapping[str, object]) -> Part:
    kept = tuple(a for a in part.annotations if a.where not in unlike)
    return replace(part, annotations=kept)


def _from_file(
    path: Path, benchmark: str | None, scores: bool, bad: BadClips
) -> tuple[Part, Part, int]:
    content = load(path)
    # The older form, but one file: its other half is missing.
    if isinstance(content, list):
        raise DataError(
            f"{path}: a list of annotations, without splits; give data.root a folder with one such"
            " file for each split, train.pkl and val.pkl"
        )
    mapping = content if isinstance(content, dict) else {}
    splits = mapping.get("split")
    annotations = mapping.get("annotations")
    if not isinstance(splits, dict) or not isinstance(annotations, list):
        raise DataError(
            f"{path}: expected a mapping with 'split' (a mapping) and 'annotations' (a list), got"
            f" {_described(content)}; give a file of PYSKL or mmaction2"
        )
    # Splits are matched and printed as text, but a pickle may key them by anything.
    splits = {str(name): names for name, names in splits.items()}
    first, second = pair(benchmark, splits, f"{path}: has splits")
    entries = by_name(annotations, path)
    train, train_names = _part(entries, first, splits[first], path, scores, bad)
    test, test_names = _part(entries, second, splits[second], path, scores, bad)
    return train, test, len(entries.keys() - train_names - test_names)


def _part(
    entries: dict[str, tuple[int, dict]],
    split: str,
    names: object,
    path: Path,
    scores: bool,
    bad: BadClips,
) -> tuple[Part, set[str]]:
    """(the annotations that a split names, all that it names)."""
    if not isinstance(names, (list, tuple, set, np.ndarray)) or not len(names):
        raise DataError(
            f"{path}: split {split!r} is no list of names, or empty; both splits need a clip"
        )
    # As text: lists of an array are numpy's own kind of text.
    counted = Counter(map(str, names))
    # Not left out in silence: the published accuracy is of all clips of the split.
    for name in counted:
        if name not in entries:
            bad.add(
                name,
                f"{path}: split {split!r} names {name!r}, which no annotation has; copy the file"
                " again, or take the name out",
            )
    # In the order of the annotations, as a split may be a set, which has none.
    chosen = {name: entry for name, entry in entries.items() if name in counted}
    annotations = _annotations(chosen, path, scores, bad)
    # A repeated name counts once: twice in training it would weigh double.
    part = Part(split, annotations, counted.total() - len(counted), len(counted))
    return part, set(counted)


def _from_list(path: Path, name: str, scores: bool, bad: BadClips) -> Part:
    content = load(path)
    if not isinstance(content, list) or not content:
        raise DataError(
            f"{path}: expected a list of annotations, got {_described(content)}; a file with"
            " splits in it is data.root itself"
        )
    annotations = _annotations(by_name(content, path), path, scores, bad)
    return Part(name, annotations, clips=len(content))


def _annotations(
    entries: dict[str, tuple[int, dict]], path: Path, scores: bool, bad: BadClips
) -> tuple[Annotation, ...]:
    """Those of the entries that can be used."""
    good = []
    for name, (index, entry) in entries.items():
        where = f"{path}: annotation {index} ({name!r})"
        label = entry.get("label")
        annotation = bad.attempt(
            name, partial(checked, entry, where, scores), label if _is_label(label) else None
        )
        if annotation is not None:
            good.append(annotation)
    return tuple(good)


def load(path: Path) -> object:
    """What a .pkl holds, unchecked.

    Raises:
        DataError: it is damaged, or refers to anything but arrays and plain values.
    """
    data = read_bytes(path, LARGEST_FILE)
    # Not pickle.load, which runs whatever a downloaded file says.
    return safe_pickle.load(data, str(path), DataError)


def by_name(annotations: list, path: Path) -> dict[str, tuple[int, dict]]:
    """{frame_dir: (number, annotation)} in the order of the file.

    Raises:
        DataError: an annotation without a name, or two of one name.
    """
    by_name: dict[str, tuple[int, dict]] = {}
    for index, entry in enumerate(annotations):
        if not isinstance(entry, dict) or not isinstance(entry.get("frame_dir"), str):
            raise DataError(
                f"{path}: annotation {index} is {_described(entry)}, expected a mapping with"
                f" {', '.join(NEEDED)}, of which frame_dir is text; give a file of PYSKL or"
                " mmaction2"
            )
        name = entry["frame_dir"]
        # Splits refer to clips by frame_dir alone, so a repeated one could mean either clip.
        if name in by_name:
            raise DataError(
                f"{path}: annotations {by_name[name][0]} and {index} are both {name!r}; a name"
                " stands for one clip, rename or remove one of them"
            )
        by_name[name] = (index, entry)
    return by_name


def checked(entry: dict, where: str, scores: bool) -> Annotation:
    """An entry of the file as an `Annotation`; `scores` as in `read`.

    Raises:
        DataError: a key is missing or of another kind; `where` and the fix are named.
    """
    missing = [key for key in NEEDED if key not in entry]
    if missing:
        raise DataError(f"{where}: has no {missing[0]!r}; an annotation needs {', '.join(NEEDED)}")
    label = entry["label"]
    keypoint = entry["keypoint"]
    if not _is_label(label):
        raise DataError(
            f"{where}: its label is {label!r}, expected a whole number from 0 to"
            f" {MOST_CLASSES - 1}; correct it, or take the clip out of the split"
        )
    # M may be 0: a clip in which nobody was detected is a clip of zeros.
    if not _is_array(keypoint, 4) or keypoint.shape[3] not in (2, 3) or 0 in keypoint.shape[1:]:
        raise DataError(
            f"{where}: its keypoint is {_described(keypoint)}, expected an array of numbers"
            " (persons, frames, joints, 2 or 3); correct it, or take the clip out of the split"
        )
    persons, frames = keypoint.shape[:2]
    total = entry.get("total_frames", frames)
    # array_equal, since a pickle may hold anything here, an array too.
    miscounted = not np.array_equal(total, frames)
    if miscounted and np.array_equal(total, persons):
        raise DataError(
            f"{where}: its keypoint has shape {keypoint.shape} and total_frames is {persons}, so"
            " frames come first; transpose it to (persons, frames, joints, 2 or 3), or correct"
            " total_frames"
        )
    # Scores and images belong to key points of images; NTU's x y z may have stray ones beside them.
    flat = keypoint.shape[3] == 2
    score = None
    if flat and scores:
        score = entry.get("keypoint_score")
        if score is None or not _is_array(score, 3) or score.shape != keypoint.shape[:3]:
            raise DataError(
                f"{where}: its keypoint_score is {_described(score)}, expected an array of numbers"
                f" {keypoint.shape[:3]}; set data.scores to false to use x and y only"
            )
    shape = entry.get("img_shape")
    image = image_size(shape, where) if flat else None
    return Annotation(
        where, entry["frame_dir"], int(label), keypoint, score, image, miscounted, shape
    )


def _is_label(label: Any) -> bool:
    # A bool is an int to Python, and never meant as a class.
    whole = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
    return whole and 0 <= label < MOST_CLASSES


def image_size(shape: object, where: str) -> tuple[int, int] | None:
    """(width, height) of an img_shape, which is (height, width).

    Raises:
        DataError: it is no size.
    """
    if shape is None:
        return None
    values = np.asarray(shape) if isinstance(shape, (tuple, list, np.ndarray)) else np.zeros(0)
    # Whole numbers only: NaN is not below 1 either, and would spread to every key point.
    if values.shape != (2,) or values.dtype.kind not in "iu" or values.min() < 1:
        raise DataError(
            f"{where}: its img_shape is {shape!r}, expected (height, width) in pixels; correct it"
        )
    # Turned round: coordinates are x, y.
    return int(values[1]), int(values[0])


def _unlike(annotations: list[Annotation]) -> dict[str, tuple[Annotation, str]]:
    """{where: (annotation, problem)} of those that are not like most: batches are arrays, so that
    all clips need as many joints and coordinates."""
    unlike: dict[str, tuple[Annotation, str]] = {}
    shapes = Counter(annotation.keypoint.shape[2:] for annotation in annotations)
    if not shapes:
        return unlike
    # Of equally common ones the first: `max` keeps the order in which they were counted.
    V, C = max(shapes, key=lambda shape: shapes[shape])
    alike = []
    for annotation in annotations:
        joints, coordinates = annotation.keypoint.shape[2:]
        if (joints, coordinates) == (V, C):
            alike.append(annotation)
            continue
        unlike[annotation.where] = (
            annotation,
            (
                f"{annotation.where}: has {joints} joints of {coordinates} coordinates, most"
                f" annotations {V} of {C}; all must be of one skeleton"
            ),
        )
    # Some clips divided by their image and others by their extent would be two data sets.
    sized = [annotation for annotation in alike if annotation.image is not None]
    for annotation in alike if sized else ():
        if annotation.image is None:
            unlike[annotation.where] = (
                annotation,
                (
                    f"{annotation.where}: has no img_shape, but {sized[0].name!r} has one; give all"
                    " of them one, or none"
                ),
            )
    return unlike


def _is_array(value: object, dimensions: int) -> bool:
    # By kind: complex numbers, text and objects come as arrays too, and would fail far from here.
    return isinstance(value, np.ndarray) and value.ndim == dimensions and value.dtype.kind in "fiu"


def _described(value: object) -> str:
    # Types and shapes, not contents: one clip's numbers would fill the screen.
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    if isinstance(value, dict):
        return f"a mapping with {', '.join(map(repr, list(value)[:6])) or 'nothing'}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    return "missing" if value is None else repr(value)[:60]
