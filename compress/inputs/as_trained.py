"""Whether a checkpoint sees clips as it did in training: a difference lowers accuracy and raises no
error."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from compress import registry
from compress.data.dataset import Dataset
from compress.inputs.view import View
from export.preprocess import normalise
from teachers import networks
from teachers.errors import CheckpointError, quoted


def check(
    path: str, spec: Any, about: dict[str, Any], view: View, dataset: Dataset, trains: bool
) -> list[str]:
    """Notes on what is different here.

    Args:
        spec: the checkpoint's.
        about: what the file says beside the weights; a published one says nothing.
        trains: the network is trained on, and so can get used to it.
    Raises:
        CheckpointError: a difference that is known to be wrong, for a network that is taken as it
            is.
    """
    if not trains:
        # Trained on, its classifier follows the names or starts afresh.
        check_classes(path, about.get("classes") or (), dataset)
    if about.get("preprocessing"):
        return _unlike_saved(path, about, view)
    feeding = networks.feeding(spec.network, getattr(spec, "branches", None), None)
    if feeding is None or view.name != feeding.input:
        return []
    notes = []
    frames = registry.INPUTS.load(feeding.input).Config().frames
    if view.shape[1] != frames:
        notes.append(
            f"{path}: {spec.network} is published with {frames} frames, input.frames is"
            f" {view.shape[1]}"
        )
    if normalise.is_ntu(spec.skeleton) and _centred(view):
        moved = (
            f"{path}: {spec.network} is published for clips as the camera saw them"
            f" (data.preparation: {feeding.preparation}), those of {dataset.name!r} are centred"
        )
        if not trains:
            raise CheckpointError(
                f"{moved}, which it takes for other actions; give recordings or EfficientGCN's own"
                " files, input.view_transform: true for weights of X-View, or finetune: true"
            )
        notes.append(moved)
    return notes


def check_classes(where: str, classes: Sequence[str], dataset: Dataset) -> None:
    """
    Args:
        where: what was trained, for the message.
        classes: its names of them, in the order of the logits; none: it does not say.
    Raises:
        CheckpointError: a class has another number in the data.
    """
    here = {name: number for number, name in enumerate(dataset.classes)}
    for number, name in enumerate(classes):
        # A name that the data lack may be another word for the same class.
        if here.get(name, number) != number:
            raise CheckpointError(
                f"{where}: its class {number} is {quoted(name)}, which is class {here[name]} of data"
                f" set {dataset.name!r}: every answer would be read as another class; give data with"
                " the classes in its order, or train it further on these (finetune: true)"
            )


def _unlike_saved(path: str, about: dict[str, Any], view: View) -> list[str]:
    steps = zip_longest(about["preprocessing"], view.eval_ops)
    for number, (there, here) in enumerate(steps, start=1):
        # As text: JSON makes lists of tuples.
        before = json.dumps(there, sort_keys=True)
        now = json.dumps(here, sort_keys=True)
        if before != now:
            note = (
                f"{path}: was trained through another input than it sees here: its step {number} was"
                f" {_short(before)}, and is {_short(now)}"
            )
            return [note]
    return []


def _centred(view: View) -> bool:
    kinds = {step["op"] for step in view.eval_ops}
    # The view transform centres every frame anew, so what was done before does not matter.
    return "centre" in kinds and "view_transform" not in kinds


def _short(step: str) -> str:
    return step if len(step) <= 80 else f"{step[:77]}..."
