"""`result.pkl`: the scores of a split as PYSKL and mmaction2 write, fuse and judge them.

- PYSKL (`tools/test.py --out`): a list of (K,) arrays in the order of the annotations.
- mmaction2 1.x (`tools/test.py --dump`): a list of dicts in that order, with `pred_score` (K,),
  `pred_label` (1,) and `gt_label` (1,), which are torch tensors: its own tools call `.numpy()` and
  `.cpu()` on them.

Neither names its clips: the order is all that says which is which. Scores are softmax probabilities.
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from compress.evaluation.evaluate import softmax
from compress.evaluation.scores import Scores
from teachers import storage
from teachers.errors import DataError
from teachers.storage.bounded import read_bytes
from teachers.weights import result_pickle

FORMATS = ("pyskl", "mmaction2")
# 50,919 clips of NTU 120 with 120 classes have 30 MB; as tensors, each with a file of its own around
# it, 100 MB.
LARGEST_FILE = 2_000_000_000
# Of a sum of K rounded numbers: float16 scores add up to 1 this well.
SUM_TOLERANCE = 1e-2


class _Tensor:
    """An array that is read as a torch tensor."""

    def __init__(self, array: np.ndarray):
        self.array = array


# Untyped: mypy's stubs name the pickler written in Python, and none of its methods.
_InPython: Any = pickle._Pickler  # type: ignore[attr-defined]


class _Pickler(_InPython):
    """Writes a `_Tensor` as the call `torch.from_numpy(array)`: torch is not needed to write it, and
    every version of it reads it. The pickler in C would look the name up."""

    def save(self, obj: object, save_persistent_id: bool = True) -> None:
        if not isinstance(obj, _Tensor):
            super().save(obj, save_persistent_id)
            return
        self.write(pickle.GLOBAL + b"torch\nfrom_numpy\n")
        super().save((obj.array,))
        self.write(pickle.REDUCE)


def save(path: Path, scores: Scores, form: str) -> None:
    """Write `result.pkl` in the order of the scores, atomically.

    Args:
        form: one of FORMATS.
    Raises:
        StorageError: it cannot be written.
    """
    rows = list(softmax(scores.logits.astype("float32")))
    content: list = rows
    if form == "mmaction2":
        content = [_sample(row, label) for row, label in zip(rows, scores.labels, strict=True)]
    buffer = io.BytesIO()
    # Below protocol 5 arrays are written by the one function that numpy 1 and 2 both read.
    _Pickler(buffer, 4).dump(content)
    storage.write_bytes(path, buffer.getbuffer())


def _sample(row: np.ndarray, label: int) -> dict[str, object]:
    answer = np.array([row.argmax()], np.int64)
    truth = np.array([label], np.int64)
    return {
        "pred_score": _Tensor(row),
        "pred_label": _Tensor(answer),
        "gt_label": _Tensor(truth),
        "num_classes": len(row),
    }


def load(path: Path, names: tuple[str, ...], labels: np.ndarray, classes: int) -> Scores:
    """The scores in a `result.pkl` of either kind, as they are, of the clips `names` in that order.

    Raises:
        DataError: damaged, of another number of clips or classes, or with other labels.
    """
    content = result_pickle.load(read_bytes(path, LARGEST_FILE), str(path))
    if not isinstance(content, list) or not content:
        raise DataError(
            f"{path}: expected a list with the scores of each clip, got a"
            f" {type(content).__name__}; give what PYSKL writes with --out, or mmaction2 with --dump"
        )
    if len(content) != len(names):
        raise DataError(
            f"{path}: has scores of {len(content)} clips, the validation split {len(names)}; give"
            " the recipe the data and the split that it was written for"
        )
    rows = [_row(entry, f"{path}: entry {index}", classes) for index, entry in enumerate(content)]
    for index, entry in enumerate(content):
        _check_label(entry, int(labels[index]), f"{path}: entry {index}")
    return Scores(str(path), names, labels, np.stack(rows))


def _row(entry: object, where: str, classes: int) -> np.ndarray:
    scores = entry
    if isinstance(entry, dict):
        if "pred_score" not in entry:
            raise DataError(
                f"{where}: has no pred_score; write the file with mmaction2 1.x's --dump"
            )
        scores = entry["pred_score"]
    if not isinstance(scores, np.ndarray) or scores.dtype.kind != "f":
        raise DataError(f"{where}: expected an array of scores, got a {type(scores).__name__}")
    # PYSKL keeps an axis of one where clips were not averaged over.
    row = scores.reshape(-1).astype(np.float32)
    if row.size != classes or not np.isfinite(row).all():
        raise DataError(
            f"{where}: has {row.size} scores, or one that is not finite; the data have {classes}"
            " classes"
        )
    return row


def _check_label(entry: object, label: int, where: str) -> None:
    if not isinstance(entry, dict) or "gt_label" not in entry:
        return
    written = np.asarray(entry["gt_label"]).reshape(-1).tolist()
    # The only sign that the file has another order, or is of another split of as many clips.
    if written != [label]:
        raise DataError(
            f"{where}: has label {written}, the validation split {label}; it is of other clips, or"
            " in another order"
        )


def are_probabilities(scores: np.ndarray) -> bool:
    """Whether rows (n, K) are softmax scores, not logits."""
    sums = scores.sum(1)
    return bool((scores >= 0).all() and np.abs(sums - 1).max() < SUM_TOLERANCE)
