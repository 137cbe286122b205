"""Annotation pickles of PYSKL (arXiv 2205.09443) and mmaction2, read as they are and checked.

Either one file, {"split": {name: [frame_dir]}, "annotations": [annotation]}, or the older form, a
folder with a list of annotations for each split: train.pkl and val.pkl. An annotation is
{"frame_dir", "label", "total_frames", "keypoint" (M, T, V, C)}, with "keypoint_score" (M, T, V) and
"img_shape" (height, width) where key points are of images.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from teachers.errors import DataError
from teachers.weights import safe_pickle

NEEDED = ("frame_dir", "label", "keypoint")
MOST_CLASSES = 100_000  # a larger label is a mistake, and would make as many names


@dataclass(frozen=True)
class Annotation:
    """One clip as it lies in the file.

    Attributes:
        where: file, number and name, for messages.
        keypoint: (M, T, V, C) numbers, mostly float16; C = 3 for x y z, 2 for pixels.
        score: (M, T, V), of pixels whose scores are wanted.
        image: (width, height) of the clip's images, of pixels where the file says so.
        miscounted: whether the file says another total_frames than T.
    """

    where: str
    name: str
    label: int
    keypoint: np.ndarray
    score: np.ndarray | None
    image: tuple[int, int] | None
    miscounted: bool


@dataclass(frozen=True)
class Part:
    """One split: its name, its annotations in the order of the file, and how often it names one
    again."""

    name: str
    annotations: tuple[Annotation, ...]
    repeated: int = 0


def read(root: Path, benchmark: str | None, scores: bool) -> tuple[Part, Part, int]:
    """(the training part, the test part, how many annotations are in neither).

    Args:
        benchmark: which splits, see `pair`.
        scores: whether key points of images must have scores.
    Raises:
        DataError: nothing to read at `root`, a damaged file, or content that does not go together;
            file, annotation and fix are named.
    """
    if root.is_dir():
        files = {path.stem: path for path in sorted(root.glob("*.pkl"))}
        parts = tuple(
            _from_list(files[name], name, scores)
            for name in pair(benchmark, files, f"{root}: holds the .pkl files")
        )
        unused = 0
    elif root.is_file():
        *parts, unused = _from_file(root, benchmark, scores)
    else:
        raise DataError(
            f"{root}: no such file; give data.root a .pkl file with splits, or a folder with"
            " train.pkl and val.pkl"
        )
    _check_alike([one for part in parts for one in part.annotations])
    return *parts, unused


def pair(benchmark: str | None, names: Iterable[str], where: str) -> tuple[str, str]:
    """The two splits of a benchmark: "xsub" -> xsub_train and xsub_val; "train" -> train and val;
    "train1" -> train1 and val1. Without a val split, test takes its place. None: the only two there
    are.

    Raises:
        DataError: no such splits, or more than one choice; `where` and what there is are named.
    """
    names, found = sorted(names), {}
    for name in names:
        others = [name.replace("train", other) for other in ("val", "test") if "train" in name]
        if test := next((other for other in others if other in names), None):
            found[name.removesuffix("_train")] = (name, test)
    there = f"{where} {', '.join(names) or '(none)'}"
    if not found:
        raise DataError(
            f"{there}, but not one to train on and its test, such as xsub_train and xsub_val, or"
            " train and val; name them so, or give data.root a .pkl file that has splits"
        )
    if benchmark is None and len(found) > 1:
        raise DataError(f"{there}; choose with data.benchmark: {', '.join(found)}")
    if benchmark is not None and benchmark not in found:
        raise DataError(
            f"{there}, nothing for benchmark {benchmark!r}; data.benchmark can be"
            f" {', '.join(found)}"
        )
    return next(iter(found.values())) if benchmark is None else found[benchmark]


def _from_file(path: Path, benchmark: str | None, scores: bool) -> tuple[Part, Part, int]:
    content = _load(path)
    if isinstance(content, list):
        raise DataError(
            f"{path}: a list of annotations, without splits; give data.root a folder with one such"
            " file for each split, train.pkl and val.pkl"
        )
    splits, annotations = (
        (content.get(key) for key in ("split", "annotations"))
        if isinstance(content, dict)
        else (None, None)
    )
    if not isinstance(splits, dict) or not isinstance(annotations, list):
        raise DataError(
            f"{path}: expected a mapping with 'split' (a mapping) and 'annotations' (a list), got"
            f" {_told(content)}; give a file of PYSKL or mmaction2"
        )
    splits = {str(name): names for name, names in splits.items()}
    chosen = pair(benchmark, splits, f"{path}: has splits")
    entries = _named(annotations, path)
    parts = tuple(_chosen(entries, name, splits[name], path, scores) for name in chosen)
    used = {one.name for part in parts for one in part.annotations}
    return *parts, len(entries) - len(used)


def _chosen(
    entries: dict[str, tuple[int, dict]], split: str, names: object, path: Path, scores: bool
) -> Part:
    """The annotations that a split names."""
    if not isinstance(names, (list, tuple, set, np.ndarray)) or not len(names):
        raise DataError(
            f"{path}: split {split!r} is no list of names, or empty; both splits need a clip"
        )
    counted = Counter(map(str, names))
    missing = [name for name in counted if name not in entries]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(
            f"{path}: split {split!r} names {missing[0]!r}{more}, which no annotation has; copy the"
            " file again, or take the names out"
        )
    made = tuple(
        _annotation(entry, f"{path}: annotation {index} ({name!r})", scores)
        for name, (index, entry) in entries.items()
        if name in counted
    )
    return Part(split, made, counted.total() - len(counted))


def _from_list(path: Path, name: str, scores: bool) -> Part:
    content = _load(path)
    if not isinstance(content, list) or not content:
        raise DataError(
            f"{path}: expected a list of annotations, got {_told(content)}; a file with splits in"
            " it is data.root itself"
        )
    return Part(
        name,
        tuple(
            _annotation(entry, f"{path}: annotation {index} ({one!r})", scores)
            for one, (index, entry) in _named(content, path).items()
        ),
    )


def _load(path: Path) -> object:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); check its permissions or copy it again"
        ) from error
    return safe_pickle.load(data, str(path), DataError)


def _named(annotations: list, path: Path) -> dict[str, tuple[int, dict]]:
    """{frame_dir: (number, annotation)} in the order of the file."""
    found: dict[str, tuple[int, dict]] = {}
    for index, entry in enumerate(annotations):
        if not isinstance(entry, dict) or not isinstance(entry.get("frame_dir"), str):
            raise DataError(
                f"{path}: annotation {index} is {_told(entry)}, expected a mapping with"
                f" {', '.join(NEEDED)}, of which frame_dir is text; give a file of PYSKL or"
                " mmaction2"
            )
        if entry["frame_dir"] in found:
            raise DataError(
                f"{path}: annotations {found[entry['frame_dir']][0]} and {index} are both"
                f" {entry['frame_dir']!r}; a name stands for one clip, rename or remove one of them"
            )
        found[entry["frame_dir"]] = (index, entry)
    return found


def _annotation(entry: dict, where: str, scores: bool) -> Annotation:
    missing = [key for key in NEEDED if key not in entry]
    if missing:
        raise DataError(f"{where}: has no {missing[0]!r}; an annotation needs {', '.join(NEEDED)}")
    label, keypoint = entry["label"], entry["keypoint"]
    if (
        not isinstance(label, (int, np.integer))
        or isinstance(label, bool)
        or not 0 <= label < MOST_CLASSES
    ):
        raise DataError(
            f"{where}: its label is {label!r}, expected a whole number from 0 to"
            f" {MOST_CLASSES - 1}; correct it, or take the clip out of the split"
        )
    if not _is_array(keypoint, 4) or keypoint.shape[3] not in (2, 3) or 0 in keypoint.shape[1:]:
        raise DataError(
            f"{where}: its keypoint is {_told(keypoint)}, expected an array of numbers (persons,"
            " frames, joints, 2 or 3); correct it, or take the clip out of the split"
        )
    flat, score = keypoint.shape[3] == 2, None
    if flat and scores:
        score = entry.get("keypoint_score")
        if not _is_array(score, 3) or score.shape != keypoint.shape[:3]:
            raise DataError(
                f"{where}: its keypoint_score is {_told(score)}, expected an array of numbers"
                f" {keypoint.shape[:3]}; set data.scores to false to use x and y only"
            )
    image = _image(entry.get("img_shape"), where) if flat else None
    miscounted = not np.array_equal(entry.get("total_frames", keypoint.shape[1]), keypoint.shape[1])
    return Annotation(where, entry["frame_dir"], int(label), keypoint, score, image, miscounted)


def _image(shape: object, where: str) -> tuple[int, int] | None:
    """(width, height) of an img_shape, which is (height, width)."""
    if shape is None:
        return None
    values = np.asarray(shape) if isinstance(shape, (tuple, list, np.ndarray)) else np.zeros(0)
    if values.shape != (2,) or values.dtype.kind not in "iu" or values.min() < 1:
        raise DataError(
            f"{where}: its img_shape is {shape!r}, expected (height, width) in pixels; correct it"
        )
    return int(values[1]), int(values[0])


def _check_alike(annotations: list[Annotation]) -> None:
    first = annotations[0]
    for one in annotations:
        if one.keypoint.shape[2:] != first.keypoint.shape[2:]:
            V, C = one.keypoint.shape[2:]
            raise DataError(
                f"{one.where}: has {V} joints of {C} coordinates, the first annotation"
                f" {first.keypoint.shape[2]} of {first.keypoint.shape[3]}; all must be of one"
                " skeleton"
            )
        if (one.image is None) != (first.image is None):
            bare, other = (one, first) if one.image is None else (first, one)
            raise DataError(
                f"{bare.where}: has no img_shape, but {other.name!r} has one; give all of them one,"
                " or none"
            )


def _is_array(value: object, dimensions: int) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == dimensions and value.dtype.kind in "fiu"


def _told(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    if isinstance(value, dict):
        return f"a mapping with {', '.join(map(repr, list(value)[:6])) or 'nothing'}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    return "missing" if value is None else repr(value)[:60]
