"""NTU RGB+D as EfficientGCN (arXiv 2106.15125) prepares it: folders `original` and `transformed`,
read as they are.

`original/BENCHMARK/{train,eval}_data.npy` (N, 3, 300, 25, 2) with `{train,eval}_label.pkl` =
(paths, labels, lengths): camera coordinates, zeros behind. `transformed/...` has gone through the
view transform (looped over the padding, every frame centred on the spine, spine and shoulders
turned to z and x): it is not done again on the clips, but is the first step of a deployed network,
which is fed recordings. The published X-Sub weights expect `original`; the X-View weights
`transformed`, or `original` with `input: {view_transform: true}`, which is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from compress.data import ntu
from compress.data.dataset import Callback, Dataset, Unread
from compress.data.ntu import array_files, prepared_files
from teachers.errors import DataError
from teachers.skeleton import NTU_25

INPUT = "branches"
PREPARED = tuple(array_files.STEPS)
# The published program's configurations say ntu-xsub; people also name folders as benchmarks are.
FOLDERS = {
    "xsub": ("xsub", "ntu-xsub"),
    "xview": ("xview", "ntu-xview"),
    "xset": ("xset", "xset120", "ntu-xset120"),
    "xsub120": ("xsub120", "ntu-xsub120"),
}


@dataclass(frozen=True)
class Config:
    """Recipe keys.

    Attributes:
        root: the folder with `original` or `transformed` in it, or one of the two.
        benchmark: xsub and xview of NTU 60, xset and xsub120 of NTU 120.
        prepared: "original" or "transformed"; null: the only one there is.
        skip_bad: leave out clips that cannot be used.
    """

    root: str
    benchmark: Literal["xsub", "xview", "xset", "xsub120"] = "xsub"
    prepared: Literal["original", "transformed"] | None = None
    skip_bad: bool = False

    def __post_init__(self):
        if self.benchmark not in FOLDERS:
            raise ValueError(f"benchmark: must be one of {', '.join(FOLDERS)}")
        if self.prepared not in (None, *PREPARED):
            raise ValueError(f"prepared: must be one of {', '.join(PREPARED)}")


def load(config: Config, seed: int, callback: Callback | None = None) -> Dataset:
    """Find the folder, look at every clip once, leave them on disk.

    Raises:
        DataError: nothing or more than one thing to read, or content that cannot be used; file,
            place and fix are named.
    """
    prepared, folder = find(Path(config.root).expanduser(), config.benchmark, config.prepared)
    # This pickle has three entries, where PaddleVideo's has two.
    train = prepared_files.from_folder(folder, "train", lengths=True)
    val = prepared_files.from_folder(folder, "eval", lengths=True)
    classes = ntu.classes_of(train, val)
    # The lengths in the pickle are not used: zeros behind a clip say the same, and cannot disagree.
    inspection = ntu.inspect(train, val, classes, config.skip_bad, callback)
    notes = (
        *inspection.notes,
        *ntu.overlap(train, val),
        *ntu.class_notes(train, val, classes),
    )
    if prepared == "original" and config.benchmark == "xview":
        notes += (
            "clips as recorded; the published X-View weights expect input.view_transform: true",
        )
    return Dataset(
        "efficientgcn",
        inspection.train,
        inspection.val,
        classes,
        NTU_25,
        persons=2,
        channels=3,
        fingerprint=inspection.fingerprint,
        notes=notes,
        input=INPUT,
        base_ops=_base_ops(prepared),
        as_recorded=prepared == "original",
        skipped=inspection.skipped,
    )


def unread(config: Config, classes: int) -> Unread:
    """What is known before anything is read: NTU's names, and the transform that was asked for."""
    # Without a choice the files decide, and the clips that a camera records are not transformed.
    prepared = config.prepared or "original"
    names = ntu.unread(ntu.Config(config.root), classes).classes
    return Unread(names, _base_ops(prepared), prepared == "original")


def _base_ops(prepared: str) -> tuple[dict, ...]:
    if prepared == "original":
        return ()
    # A deployed network is fed recordings, which must go through what the files have behind them;
    # `once` makes that harmless for the clips of the files.
    padded, turned = array_files.STEPS["transformed"]
    return padded, {**turned, "once": True}


def find(root: Path, benchmark: str, prepared: str | None) -> tuple[str, Path]:
    """("original" or "transformed", the folder of the benchmark's files).

    Raises:
        DataError: there is none, or a choice.
    """
    candidates = []
    for name in PREPARED:
        if prepared not in (None, name):
            continue
        # resolve(): root may be "." inside the folder `original`.
        folders = [root, root / name] if root.resolve().name == name else [root / name]
        for folder in folders:
            candidates += [(name, folder / subfolder) for subfolder in FOLDERS[benchmark]]
    found = [(name, folder) for name, folder in candidates if (folder / "train_data.npy").is_file()]
    expected = (
        f"{prepared or 'original'}/{benchmark}/train_data.npy, train_label.pkl, eval_data.npy and"
        " eval_label.pkl"
    )
    if not found:
        raise DataError(
            f"{root}: holds no {benchmark} preparation of EfficientGCN; give data.root the folder"
            f" that holds {expected}"
        )
    if len(found) > 1:
        folders_found = ", ".join(str(folder.relative_to(root)) for _, folder in found)
        raise DataError(
            f"{root}: holds more than one {benchmark} preparation ({folders_found}); "
            "choose with data.prepared, or remove one"
        )
    return found[0]
