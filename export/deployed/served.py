"""Whatever answers clips, opened: a deployed folder, one of its model files, or a network in this
process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from export import runtimes
from export.deployed import folder as folders, models
from export.deployed.record import Description
from export.deployed.zoo import place
from export.formats import table
from export.runtimes.steps import Steps
from teachers.errors import CheckpointError, DataError

# (N, C, T, V, M) float32 -> logits (N, K) and, where they were asked for, features (N, D)
Run = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]


@dataclass(frozen=True)
class Served:
    """What answers clips.

    Attributes:
        runtime: the format that is served, or "paddle" for a network in this process.
        steps: what follows streams a few frames a call, where that is what is served.
    """

    description: Description
    runtime: str
    run: Run
    steps: Steps | None = None


def open_deployed(
    target: Path | str,
    kind: str | None = None,
    features: bool = False,
    threads: int = 1,
    on_note: Callable[[str], None] = lambda note: None,
) -> Served:
    """A deployed folder (`zoo:NAME` is one, too), or one of its model files, in one runtime: no file of another format is
    opened. It is tried out first, as it may come from anywhere.

    Args:
        kind: the format; None: that of the file, else ONNX where the folder has it.
        features: whether to return the pooled features, too.
        on_note: gets what a person should know of the folder, before its models are opened.
    Raises:
        CheckpointError, ExportMismatch: it cannot be served. DataError: the folder does not hold
            the format.
    """
    folder = target = place(target)
    if target.suffix in table.model_suffixes() and not target.is_dir():
        folder = target.parent
        kind = _kind_of(target, kind)
    description, chosen = folders.read_for(folder, kind)
    note = folders.unsealed_note(folder, description)
    if note:
        on_note(note)
    # Before this process runs anything: see `export.runtimes.trial`.
    models.try_out(folder, description, (chosen,))
    if features:
        both = models.predictor_with_features(folder, description, chosen, threads)
        return Served(description, chosen, both)
    if chosen == table.CONTINUAL:
        steps = models.continual(folder, description, threads)
        return Served(description, chosen, lambda x: (steps.whole(x), None), steps)
    predict = models.predictors(folder, description, threads, (chosen,))[chosen]
    return Served(description, chosen, lambda x: (predict(x), None))


def follows_by(target: Path | str) -> str | None:
    """The format that live poses are followed by: the continual one where a folder holds it, else
    the usual choice (None).

    Raises:
        CheckpointError: no deployed folder.
    """
    target = place(target)
    # A model file says itself what it is.
    if not target.is_dir():
        return None
    return table.CONTINUAL if table.CONTINUAL in folders.described(target).files else None


def _kind_of(model: Path, kind: str | None) -> str:
    """The format that a model file is of, by the `deployed.json` beside it."""
    if not model.is_file():
        raise CheckpointError(f"{model}: no such file; check the path of the model")
    if not (model.parent / folders.NAME).is_file():
        raise CheckpointError(
            f"{model}: no {folders.NAME} beside it, so nothing says how clips become its input; give"
            " a deployed folder, or the weights file that it was exported from"
        )
    files = folders.described(model.parent).files
    for name, group in files.items():
        if model.name in group:
            if kind not in (None, name):
                raise DataError(f"{model}: is served by {name}; leave --runtime {kind} out")
            return name
    raise CheckpointError(
        f"{model}: is none of the files that {folders.NAME} beside it names; give a file of one"
        " export"
    )


def in_process(network: Any, about: dict[str, Any], source: Path, features: bool = False) -> Served:
    """A network of Paddle in this process, described as its deployed folder would be.

    Args:
        about: as in `describe`.
    """
    description = folders.describe(network.spec, about, {"paddle": [source.name]})
    predict = runtimes.in_process(network)
    if not features:
        return Served(description, "paddle", lambda x: (predict(x), None))
    pooled: list[np.ndarray] = []
    # Every network ends in a linear layer of this name.
    network.fc.register_forward_pre_hook(lambda _, inputs: pooled.append(inputs[0].numpy()))

    def run(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pooled.clear()
        logits = predict(x)
        return logits, pooled[0].reshape(len(x), -1)

    return Served(description, "paddle", run)
