"""A shard of prepared clips: what one worker makes of a few hundred recordings.

A shard is one `.npz` file: `frames`, the clips (3, T, 25, 2) float32 one behind the other, is
memory-mapped where it lies.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from compress.data.ntu import clean, naming, skeleton_text
from compress.data.ntu.recordings import SUFFIX
from teachers import storage
from teachers.errors import DataError, StorageError
from teachers.storage import archives

NO_BODY = "no body"
NO_NUMBERS = "no finite coordinates"
# Values of one frame: 3 coordinates of 25 joints of two persons.
FRAME_SIZE = 3 * 25 * 2


def make(task: dict[str, Any]) -> dict[str, Any]:
    """Prepare one shard: {root, files, preparation, target} -> `summary` of the file it wrote.

    Raises:
        StorageError: it cannot be written.
    """
    clips: list[np.ndarray] = []
    names: list[str] = []
    lengths: list[int] = []
    skipped: list[list[str]] = []
    repaired: list[list[str]] = []
    for file in task["files"]:
        path = Path(task["root"]) / file
        try:
            recording = skeleton_text.read(path)
        # One bad file among 114,000 is reported; the others are prepared all the same.
        except DataError as error:
            details = str(error).removeprefix(f"{path}: ")
            skipped.append([file, skeleton_text.kind_of(error), details])
            continue
        clip, repairs = clean.prepare(recording, task["preparation"])
        if clip is None:
            skipped.append([file, *_why_empty(recording)])
            continue
        clips.append(clip.ravel())
        names.append(os.path.basename(file)[: -len(SUFFIX)])
        lengths.append(clip.shape[1])
        if repairs:
            repaired.append([file, "; ".join(repairs)])
    frames = np.concatenate(clips) if clips else np.zeros(0, np.float32)
    arrays = {
        "names": np.array(names, f"S{naming.LENGTH}"),
        "lengths": np.array(lengths, np.int64),
        "frames": frames,
    }
    meta = {
        "skipped": skipped,
        "repaired": repaired,
        # The fingerprint of the whole set is made of these, so that opening it reads no frame.
        "digest": hashlib.sha256(frames.data).hexdigest(),
        "files": len(task["files"]),
    }
    target = Path(task["target"])
    storage.write_arrays(target, arrays, meta)
    # Read back, so that a resumed run and this one pass on the same.
    written = summary(target)
    if written is None:
        raise StorageError(f"{target}: was written but cannot be read; check the disk")
    return written


def _why_empty(recording: skeleton_text.Recording) -> tuple[str, str]:
    """(reason, details) of a recording without a clip."""
    # Nobody at all passes too, as all() of nothing is true: such a recording lacks people, not
    # numbers.
    if all(np.isfinite(body.joints).all() for body in recording.bodies.values()):
        return NO_BODY, "nobody is in any frame"
    return NO_NUMBERS, "every frame holds NaN"


def summary(path: Path) -> dict[str, Any] | None:
    """All of a shard but its frames, as JSON, with the size of the file; None where there is no
    whole one."""
    try:
        # np.load reads a member when it is asked for; the frames are not.
        with np.load(path, allow_pickle=False) as archive:
            archives.check(archive.zip.infolist(), path.stat().st_size)
            meta = json.loads(archive[storage.META].tobytes().decode())
            named = {
                "names": [name.decode() for name in archive["names"].tolist()],
                "lengths": archive["lengths"].tolist(),
            }
        return {**meta, **named, "size": path.stat().st_size}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
