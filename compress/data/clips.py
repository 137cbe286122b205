"""One file -> its clips, for programs that classify rather than train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from compress.data import arrays, nw_ucla, own, poses
from compress.data.ntu import skeleton_text
from compress.data.ntu.clean import efficientgcn_raw
from compress.data.ntu.layout import NTU, Layout, as_clip
from compress.data.poses import Wanted
from export.preprocess import repair
from teachers.errors import DataError
from teachers.storage.bounded import read_bytes

KINDS = (
    ".skeleton (NTU RGB+D as recorded), .json (NW-UCLA, pose estimators or own), a folder with a"
    " .json a frame, .csv (own), .npy ((C, T, V, M), (N, C, T, V, M) or own) or .npz (CTR-GCN's"
    " x_train, x_test, or own)"
)


def read_clip(
    path: Path | str, recorded: dict | None = None, note: Callable[[str], None] | None = None
) -> list[tuple[str, np.ndarray]]:
    """The clips of one file as (name, raw (C, T, V, M) float32), C = 3 or, in `.npy` files, 2.

    Missing joints, or frames with NaN or infinity, are mended as they were in training
    (`export.preprocess.repair`). Of a recording, the two persons of most
    energy (`compress.data.ntu.clean.efficientgcn_raw`) where the camera saw them.

    Args:
        recorded: what files of poses (`compress.data.poses`) hold, as `deployed.json` says it:
            channels, joints, persons, perhaps names of joints. Without it their formats are not
            read.
        note: is told what was taken for granted, of the notes of `compress.data.poses.Poses`.
    Raises:
        DataError: not such a file, or a clip without people; the file, the place in it and the fix
            are named.
    """
    path = Path(path)
    wanted = None if recorded is None else poses.of_recording(recorded)
    # A clip may be a folder with a file a frame.
    if not path.is_file() and not (wanted is not None and poses.is_clip_folder(path)):
        raise DataError(f"{path}: no such file; give a clip: {KINDS}")
    kind = path.suffix.lower()
    if wanted is not None and poses.is_pose_file(path, wanted):
        read = poses.read(path, wanted)
        if note is not None:
            for remark in read.notes:
                note(remark)
        name = path.stem if path.is_file() else path.name
        return [(name, _own(read.values, wanted, recorded or {}, str(path)))]
    if kind == ".json":
        clip, _ = nw_ucla.parse(read_bytes(path, nw_ucla.LARGEST_FILE), str(path))
        return [(path.stem, _checked(clip, str(path), recorded))]
    if kind == ".skeleton":
        # As recorded: what a network was trained on, CTR-GCN's actors or not, is in its steps.
        clip = efficientgcn_raw(skeleton_text.read(path))
        return [(path.stem, _checked(clip, str(path), recorded))]
    if kind == ".npy":
        return _from_npy(path, recorded)
    if kind == ".npz":
        return _from_npz(path, wanted, recorded)
    raise DataError(f"{path}: unknown kind of clip {path.suffix or path.name!r}; known: {KINDS}")


def _own(persons: np.ndarray, wanted: Wanted, recorded: dict, where: str) -> np.ndarray:
    """The clip of a file of own recordings, as it was made in training."""
    if recorded.get("repair_bones") is None:
        # Networks of before the key were trained on clips mended frame by frame.
        clip = own.of_persons(persons, wanted.persons, wanted.coordinates)
    else:
        clip = own.prepared(persons, wanted).clip
    return _checked(clip, where)


def _from_npy(path: Path, recorded: dict | None) -> list[tuple[str, np.ndarray]]:
    values = arrays.open_npy(path)
    # (C, T, V, M) is one clip, one axis more are several.
    if values.ndim == 4:
        return [(path.stem, _checked(values, str(path), recorded))]
    if values.ndim != 5 or not len(values):
        raise DataError(
            f"{path}: has shape {values.shape}, expected (C, T, V, M) or (N, C, T, V, M)"
        )
    return [
        (f"{path.stem}[{index}]", _checked(clip, f"{path}: clip {index}", recorded))
        for index, clip in enumerate(values)
    ]


def _from_npz(
    path: Path, wanted: Wanted | None, recorded: dict | None
) -> list[tuple[str, np.ndarray]]:
    clips = []
    layout = NTU
    if wanted is not None:
        layout = Layout(wanted.joints, wanted.persons, wanted.coordinates + wanted.keep_score)
    for key, values in arrays.open_npz(path, ("x_train", "x_test")).items():
        # A single number in place of an array cannot be gone through.
        if not values.ndim:
            continue
        for index, raw in enumerate(values):
            where = f"{path}: {key}[{index}]"
            clip = _checked(as_clip(raw, where, layout), where, recorded)
            clips.append((f"{path.stem} {key}[{index}]", clip))
    if not clips:
        raise DataError(
            f"{path}: holds no clip in x_train or x_test; give a file as CTR-GCN prepares them"
        )
    return clips


def _checked(clip: np.ndarray, where: str, recorded: dict | None = None) -> np.ndarray:
    if clip.ndim != 4 or clip.shape[0] not in (2, 3) or 0 in clip.shape:
        raise DataError(
            f"{where}: has shape {clip.shape}, expected (3, T, V, M) or (2, T, V, M): coordinates,"
            " frames, joints, persons"
        )
    if clip.dtype.kind not in "fiu":
        raise DataError(f"{where}: holds {clip.dtype}, expected numbers (float32)")
    # Beyond float32 is infinity, and so mended.
    with np.errstate(over="ignore"):
        mended = _mended(np.array(clip, dtype=np.float32), recorded or {})
    if mended is None:
        raise DataError(
            f"{where}: every frame holds NaN or infinity; record or export the clip again"
        )
    # A network would name some class for an empty clip too.
    if not mended.any():
        raise DataError(
            f"{where}: nobody is in it, every coordinate is zero; give a clip with at least one"
            " person"
        )
    return mended


def _mended(clip: np.ndarray, recorded: dict) -> np.ndarray | None:
    """The clip mended as those that the network was trained on; None for one without a number to
    mend it by."""
    bones = recorded.get("repair_bones")
    # Clips of other joints are refused where the network's are known by name.
    if bones is None or clip.shape[2] != recorded["joints"]:
        return repair.mended(clip, None, None)
    return repair.mended(clip, bones, recorded.get("coordinates"))
