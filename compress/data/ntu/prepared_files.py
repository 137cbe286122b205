"""NTU RGB+D 60/120 as prepared files: CTR-GCN's `.npz` and PaddleVideo's `.npy` + `.pkl`, read as
they are; and files of other joints in these forms."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compress.data.arrays import open_npy, open_npz
from compress.data.clutter import is_clutter
from compress.data.ntu import layout as layouts
from compress.data.ntu.layout import NTU, Layout
from teachers.errors import DataError
from teachers.storage.bounded import read_bytes
from teachers.weights import safe_pickle

# The names that CTR-GCN's scripts write. X-View exists for NTU 60 alone, X-Set for 120.
NPZ = {
    "xsub": ("NTU60_CS.npz", "NTU120_CSub.npz"),
    "xview": ("NTU60_CV.npz",),
    "xset": ("NTU120_CSet.npz",),
}
# The class in a name, wherever it stands: PaddleVideo has S001C001P001R001A001 with an ending.
ACTION = re.compile(r"A(\d{3})")
# Bytes; the label files of 114,000 clips have four million.
LARGEST_LABELS = 200_000_000
# Of files that are not NTU's, which have 120.
MOST_CLASSES = 10_000


@dataclass(frozen=True)
class Part:
    """One split as it lies on disk.

    Attributes:
        where: file and array, for messages.
        data: (N, T, 150) or (N, 3, T, 25, 2), mostly memory-mapped; of other joints and persons
            where the layout says so.
        labels: (N,) int64.
        classes: how many where the file says so (one-hot labels), else None.
    """

    where: str
    data: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    classes: int | None
    layout: Layout = NTU


def read(root: Path, benchmark: str, joints: int | None = None) -> tuple[Part, Part]:
    """The training and the test part of a benchmark, both of one layout.

    Args:
        joints: of flat files whose width is not NTU's.

    Raises:
        DataError: nothing or more than one thing to read below `root`, a damaged file, data and
            labels that differ.
    """
    place = find(root, benchmark)
    if place.suffix == ".npz":
        arrays = open_npz(place, ("x_", "y_"))
        train = _from_npz(place, arrays, "train", joints)
        test = _from_npz(place, arrays, "test", joints)
    else:
        train = from_folder(place, "train", layout=None)
        test = from_folder(place, "val", layout=None)
    if train.layout != test.layout:
        raise DataError(
            f"{train.where} has {train.layout.joints} joints of {train.layout.numbers} numbers and"
            f" {train.layout.persons} persons, {test.where} {test.layout.joints} of"
            f" {test.layout.numbers} and {test.layout.persons}; they must come from the same"
            " preparation"
        )
    return train, test


def find(root: Path, benchmark: str) -> Path:
    """The one `.npz` file or PaddleVideo folder of the benchmark at or below `root`."""
    if root.is_file():
        others = [name for key, names in NPZ.items() if key != benchmark for name in names]
        if root.suffix != ".npz" or root.name in others:
            raise DataError(
                f"{root}: is not the {benchmark} preparation; expected"
                f" {' or '.join(NPZ[benchmark])}, or set data.benchmark to what the file is"
            )
        return root
    if not root.is_dir():
        raise DataError(
            f"{root}: no such folder; give data.root the folder that holds"
            f" {' or '.join(NPZ[benchmark])}, or {benchmark}/train_data.npy and its neighbours"
        )
    # More than one is refused, not ranked: NTU 60 and 120 differ in classes, and the folders of one
    # benchmark in their preparation.
    found = [root / name for name in NPZ[benchmark] if (root / name).is_file()]
    found += [
        folder
        for folder in (root / benchmark, root)
        # A folder called xview is not taken for xsub although its files have the same names.
        if (folder / "train_data.npy").is_file()
        and (folder != root or root.name not in NPZ or root.name == benchmark)
    ]
    if len(found) > 1:
        raise DataError(
            f"{root}: holds more than one {benchmark} preparation "
            f"({', '.join(path.name for path in found)}); give data.root the one to use"
        )
    if not found:
        found = _only_npz(root)
    if not found:
        raise DataError(
            f"{root}: holds no {benchmark} preparation; expected {' or '.join(NPZ[benchmark])}"
            f" (CTR-GCN), or {benchmark}/train_data.npy, train_label.pkl, val_data.npy and"
            " val_label.pkl (PaddleVideo)"
        )
    return found[0]


def _only_npz(root: Path) -> list[Path]:
    """The one `.npz` of a folder, if it has another name than those of the benchmarks."""
    known = {name for names in NPZ.values() for name in names}
    paths = sorted(path for path in root.glob("*.npz") if not is_clutter(path.name))
    return paths if len(paths) == 1 and paths[0].name not in known else []


def _from_npz(path: Path, arrays: dict[str, np.ndarray], split: str, joints: int | None) -> Part:
    missing = [name for name in (f"x_{split}", f"y_{split}") if name not in arrays]
    if missing:
        raise DataError(
            f"{path}: has no array {missing[0]}; prepare it with CTR-GCN's scripts, or copy it"
            " again"
        )
    data = arrays[f"x_{split}"]
    one_hot = arrays[f"y_{split}"]
    where = f"{path}: x_{split}"
    # (N, T, 150): T is padded to the longest clip of the set, zeros behind.
    # Shapes first: everything below counts on them, and a slice of a wrong one is no error.
    layout = layouts.of_array(data.shape)
    if data.ndim == 3:
        layout = layouts.of_width(data.shape[2], joints)
    fix = "" if layout or data.ndim != 3 else "; set data.joints if it is of others"
    _check_data(data, where, "(N, frames, 150)", layout is not None, fix)
    if one_hot.ndim != 2 or not 2 <= one_hot.shape[1] <= MOST_CLASSES:
        raise DataError(
            f"{path}: y_{split} has shape {one_hot.shape}, expected one-hot labels (N, classes)"
        )
    _check_count(len(data), len(one_hot), where, f"y_{split}")
    # argmax alone would make class 0 of a row without a mark.
    marked = np.asarray(one_hot > 0).sum(axis=1)
    wrong = np.flatnonzero(marked != 1)
    if wrong.size:
        raise DataError(
            f"{path}: y_{split}[{wrong[0]}] marks {marked[wrong[0]]} classes, expected one; prepare"
            " the file again"
        )
    # The file does not keep the recordings' names.
    names = tuple(f"x_{split}[{index}]" for index in range(len(data)))
    labels = np.asarray(one_hot).argmax(axis=1).astype(np.int64)
    return Part(where, data, labels, names, one_hot.shape[1], layout or NTU)


def from_folder(
    folder: Path, split: str, lengths: bool = False, layout: Layout | None = NTU
) -> Part:
    """One split of a folder: `SPLIT_data.npy` (N, 3, T, 25, 2), memory-mapped, and
    `SPLIT_label.pkl`, [names, labels]; or `SPLIT_label.npy`, the labels alone.

    Of names that are paths the last part counts.

    Args:
        lengths: whether the pickle may have the clips' lengths as third entry; they are not looked
            at.
        layout: what the clips must be; None: any.
    Raises:
        DataError: damaged files, or two that do not belong together.
    """
    path = folder / f"{split}_label.pkl"
    data = open_npy(folder / f"{split}_data.npy")
    where = str(folder / f"{split}_data.npy")
    found = layouts.of_array(data.shape)
    expected = "(N, 2 or 3, frames, joints, persons)"
    if layout is not None:
        expected = f"(N, {layout.numbers}, frames, {layout.joints}, {layout.persons})"
    _check_data(data, where, expected, found is not None and layout in (None, found))
    names, labels = _labels(path, lengths)
    _check_count(len(data), len(labels), where, path.name)
    most = 120 if found == NTU else MOST_CLASSES
    wrong = np.flatnonzero((labels < 0) | (labels >= most))
    if wrong.size:
        raise DataError(
            f"{path}: label {labels[wrong[0]]} of {names[wrong[0]]!r} (entry {wrong[0]}) is outside"
            f" 0-{most - 1}; labels count from 0"
        )
    # Names and labels that were sorted apart would train on noise without an error.
    for index, (name, label) in enumerate(zip(names, labels, strict=True)):
        action = ACTION.search(name)
        if action and int(action[1]) != label + 1:
            raise DataError(
                f"{path}: entry {index}, {name!r}, has label {label}, but its name says "
                f"{int(action[1]) - 1}; names or labels were reordered, copy the file again"
            )
    # A clip twice in training weighs twice; a clip twice in the test flatters or harms.
    if len(set(names)) < len(names):
        twice, _ = Counter(names).most_common(1)[0]
        raise DataError(f"{path}: names {twice!r} twice; every clip may be in a split once")
    return Part(where, data, labels, names, None, found or NTU)


def _labels(path: Path, lengths: bool) -> tuple[tuple[str, ...], np.ndarray]:
    """[names, labels] of a label pickle, or of the labels alone in a `.npy` beside it."""
    plain = path.with_suffix(".npy")
    if not path.is_file() and plain.is_file():
        numbers = open_npy(plain)
        # PaddleVideo's figure skating has no names.
        names = [f"{path.stem.removesuffix('_label')}[{index}]" for index in range(numbers.size)]
        return names_and_labels([names, numbers], str(plain))
    if not path.is_file():
        raise DataError(
            f"{path}: cannot be read (No such file or directory); it belongs beside its data file"
        )
    # Not pickle.load, which runs whatever a downloaded file says.
    content = safe_pickle.load(read_bytes(path, LARGEST_LABELS), str(path), DataError)
    return names_and_labels(content, str(path), lengths)


def names_and_labels(
    content: Any, where: str, lengths: bool = False
) -> tuple[tuple[str, ...], np.ndarray]:
    """([n names], (n,) int64) of a pickle's content; names may be bytes or paths, labels a list or
    an array.

    Raises:
        DataError: it is nothing of the kind.
    """
    try:
        if lengths and isinstance(content, (list, tuple)) and len(content) == 3:
            content = content[:2]
        entries, numbers = content
        # Paths of the machine that prepared the file, which may have been a Windows one.
        names = tuple(name_text(entry).replace("\\", "/").rpartition("/")[2] for entry in entries)
        labels = np.asarray(numbers)
        if labels.dtype.kind not in "iu" or labels.shape != (len(names),):
            raise ValueError(f"{len(names)} names, labels {labels.dtype} of shape {labels.shape}")
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(
            f"{where}: expected [names, labels] with one whole number for each name ({error})"
        ) from error
    return names, labels.astype(np.int64)


def name_text(name: object) -> str:
    """A name as a pickle of Python 2 or 3 has it: the former's text is bytes to the latter.

    Raises:
        TypeError: it is neither text nor bytes.
    """
    if not isinstance(name, (str, bytes)):
        raise TypeError(f"a name is a {type(name).__name__}")
    if isinstance(name, bytes):
        return name.decode("utf-8", "replace")
    return name


def _check_data(data: np.ndarray, where: str, expected: str, fits: bool, fix: str = "") -> None:
    if not fits or 0 in data.shape or data.dtype.kind != "f":
        raise DataError(
            f"{where} has shape {data.shape} of {data.dtype}, expected {expected} of floats, at"
            f" least one clip{fix}"
        )


def _check_count(clips: int, labels: int, where: str, label_place: str) -> None:
    if clips != labels:
        raise DataError(
            f"{where} has {clips} clips, but {label_place} has {labels} labels; they must come from"
            " the same preparation"
        )
