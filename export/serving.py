"""From a clip as it was recorded to the classes of a deployed network: preprocessing, views,
scores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from export.deployed.record import Description
from export.preprocess import ops, windows
from export.runtimes.contract import Predict
from teachers import storage
from teachers.errors import DataError, ExportMismatch
from teachers.storage import typed_json

# Behind the name of a clip: what to say of logits that are not finite.
NOT_FINITE = "the model answers with numbers that are not finite; check the clip's coordinates"


def prepare(raw: np.ndarray, description: Description, name: str, number: int = 0) -> np.ndarray:
    """View `number` of a raw clip (C, T, V, M) after the folder's preprocessing; persons are cut or
    padded with zeros to the network's M. C and V of a recording are not always the network's:
    streams and branches are made on the way.

    Raises:
        DataError: another skeleton than the network's.
    """
    C, T, V, M = description.input.clip
    recorded = description.recording
    if (raw.shape[0], raw.shape[2]) != (recorded.channels, recorded.joints):
        raise DataError(
            f"{name}: has {raw.shape[0]} coordinates of {raw.shape[2]} joints; this network needs"
            f" {recorded.channels} of {recorded.joints} ({description.skeleton.name})"
        )
    persons = raw[..., :M]
    padded = np.concatenate(
        [persons, np.zeros((*persons.shape[:3], M - persons.shape[3]), persons.dtype)], axis=3
    )
    x = ops.apply(padded, ops.numbered(description.preprocessing, number, description.views))
    if x.shape != (C, T, V, M):
        raise DataError(
            f"{name}: has {x.shape[1]} frames of {x.shape[0]} channels after preprocessing, the"
            f" network needs {T} of {C}; the folder's deployed.json does not say how to get there"
            " (it was exported from a checkpoint without data)"
        )
    return x


def too_short(raw: np.ndarray, description: Description) -> str | None:
    """The note on a raw clip (C, T, V, M) with fewer frames than the windows that its network was
    trained on; None where it has enough, or nobody knows."""
    trained = windows.trained(description.preprocessing)
    frames = windows.valid_length(raw)
    if trained is None or frames >= trained[0]:
        return None
    return (
        f"a clip of {frames} frames, fewer than the {trained[0]} that the network was trained on"
        " (input.window): its answer is a guess"
    )


def recording(description: Description) -> dict[str, Any]:
    """What a clip is as it was recorded, as `compress.data.clips` takes it: coordinates, joints,
    persons, perhaps names of joints."""
    return asdict(description.recording)


def image_of(description: Description) -> tuple[int, int] | None:
    """(width, height) of the images that key points are divided by."""
    for step in description.preprocessing:
        size: Any = step.get("image")
        if size:
            return int(size[0]), int(size[1])
    return None


def answer(predict: Predict, clips: np.ndarray, description: Description, name: str) -> np.ndarray:
    """(K,) scores of one clip, of its views (n, C, T, V, M).

    Raises:
        ExportMismatch: the model does not return one finite number for each class that its
            description names.
    """
    logits = np.asarray(predict(clips))
    check_logits(logits, len(clips), description, name)
    return scores_of(logits, description.temperature)


def check_logits(logits: np.ndarray, clips: int, description: Description, name: str) -> None:
    """Raises ExportMismatch, as `answer` does, where logits are none of so many clips or views."""
    if not finite_rows(logits, clips, description, name).all():
        raise ExportMismatch(f"{name}: {NOT_FINITE}")


def finite_rows(logits: np.ndarray, clips: int, description: Description, name: str) -> np.ndarray:
    """(clips,) whether all logits of a clip or view are finite. In a batch those that are not say
    something of their own clip alone: its coordinates may be too large for float32.

    Raises:
        ExportMismatch: logits are none of so many.
    """
    expected = (clips, len(description.classes))
    if logits.shape != expected or logits.dtype.kind != "f":
        raise ExportMismatch(
            f"{name}: the model returns {logits.dtype} of shape {logits.shape}, expected floats of"
            f" shape {expected}, one for each class; export it again"
        )
    return np.isfinite(logits).all(axis=1)


def scores_of(logits: np.ndarray, temperature: float | None = None) -> np.ndarray:
    """Logits (n, K) of the views of one clip -> (K,) softmax, averaged over them. With a temperature T
    the mean to the power of 1 / T, normalised; of one view that is the softmax of logits / T."""
    if temperature is not None:
        # A score that is 0 in float32 would stay 0, however hot it gets.
        logits = logits.astype(np.float64)
    # Shifted by the largest: float32 overflows above 88
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores = (powers / powers.sum(axis=1, keepdims=True)).mean(axis=0)
    if temperature is None:
        return scores
    # Behind the mean, as it was fitted: validation averages views first, too.
    tempered = scores ** (1 / temperature)
    return (tempered / tempered.sum()).astype(np.float32)


def top_classes(scores: np.ndarray, classes: Sequence[str], count: int = 5) -> list[dict]:
    """The best classes of one clip with their scores (K,); `id` counts the classes from 0."""
    return [
        {
            "class": classes[index],
            "id": int(index),
            "score": round(float(scores[index]), 4),
        }
        # Stable, so that ties come in the order of the classes on every machine
        for index in np.argsort(-scores, kind="stable")[:count]
    ]


def save_answers(path: Path, columns: Mapping[str, Any], description: Description) -> None:
    """Write what was answered, a row a clip, with the classes' names: `.json` as text, else `.npz`.

    Args:
        columns: `clips` (names) and `scores` (n, K) or `embeddings` (n, D).
    Raises:
        StorageError: the file cannot be written.
    """
    content = {**columns, "classes": description.classes}
    if path.suffix == ".json":
        storage.write_text(path, json.dumps(typed_json.encode(content)))
        return
    arrays = {key: np.asarray(value) for key, value in content.items()}
    storage.write_arrays(path, arrays, {"network": description.network})
