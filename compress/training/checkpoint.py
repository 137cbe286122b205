"""State of a training in progress, written atomically each epoch, so that a killed run resumes
bit for bit.

One `.npz`: weights of every network, the optimiser's state, the average of the weights, the best
weights so far, and a JSON with epoch, history and the settings it belongs to. Random numbers need
no state: every batch, augmentation and mixup draw is a function of (seed, epoch, index), and
Paddle's generator is reseeded each epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from paddle import nn

from compress.process import ranks
from compress.training import optimizer as optimizers
from teachers import networks, storage
from teachers.errors import CheckpointError
from teachers.weights.identity import Identity

VERSION = 2


@dataclass
class Progress:
    """Where a training stands. `best` holds the weights of the best epoch, by the names of
    `networks.state_of`; `start` is the top-1 in percent before the first epoch, where that counts.
    `runtime` computed the frozen teacher and `note` says why (`compress.training.frozen`); None
    before the first epoch.
    """

    epoch: int = 0
    history: list[dict] = field(default_factory=list)
    best_epoch: int = 0
    best: dict[str, np.ndarray] = field(default_factory=dict)
    start: float | None = None
    runtime: str | None = None
    note: str = ""


def save(
    path: Path,
    progress: Progress,
    nets: dict[str, nn.Layer],
    optimizer,
    scaler,
    settings: Identity,
) -> None:
    """Write everything `restore` needs.

    Raises:
        StorageError: the disk is full or not writable; the checkpoint of the epoch before stays.
    """
    arrays = {}
    for role, network in nets.items():
        for name, value in networks.state_of(network).items():
            arrays[f"{role}/{name}"] = value
    arrays |= optimizers.state_of(optimizer, _named_parameters(nets))
    arrays |= {f"best/{name}": value for name, value in progress.best.items()}
    meta = {
        "format": "featherbone-training",
        "version": VERSION,
        "settings": settings.key,
        "epoch": progress.epoch,
        "history": progress.history,
        "best_epoch": progress.best_epoch,
        "start": progress.start,
        "frozen_runtime": progress.runtime,
        "frozen_note": progress.note,
        "scaler": _scaler_state(scaler),
        "processes": ranks.count(),
    }
    storage.write_arrays(path, arrays, meta)


def restore(
    path: Path, nets: dict[str, nn.Layer], optimizer, scaler, settings: Identity
) -> Progress:
    """Put networks and optimiser back to where `save` found them; a fresh Progress if there is no
    file.

    Raises:
        CheckpointError: damaged, or written under other settings.
    """
    # One process reads, as it alone writes.
    content = ranks.from_first(lambda: storage.read_arrays(path) if path.exists() else None)
    if content is None:
        return Progress()
    arrays, meta = content
    known = meta.get("format") == "featherbone-training" and meta.get("version") == VERSION
    # A refusal, not a fresh start: the file may hold days of training.
    if not known or not settings.accepts(meta.get("settings")):
        raise CheckpointError(
            f"{path}: was written under other settings (recipe, data, seed, weights or release);"
            " resume with the same ones, or start anew with another --output"
        )
    for role, network in nets.items():
        networks.load_state(network, _part(arrays, role), f"{path}: {role}")
    optimizers.load_state(optimizer, _named_parameters(nets), arrays, path)
    if scaler and meta["scaler"]:
        state = dict(meta["scaler"])
        # Paddle has the scale as an array of one, and reads it as one; the rest are plain numbers.
        state["scale"] = np.array([state["scale"]], dtype="float32")
        scaler.load_state_dict(state)
    return Progress(
        meta["epoch"],
        meta["history"],
        meta["best_epoch"],
        _part(arrays, "best"),
        meta["start"],
        # Releases without the keys had Paddle alone.
        meta.get("frozen_runtime", "paddle"),
        meta.get("frozen_note", ""),
    )


def _scaler_state(scaler) -> dict[str, float | int | bool] | None:
    """A gradient scaler's state as JSON; None: there is no scaler."""
    if not scaler:
        return None
    return {
        key: np.asarray(value).reshape(-1)[0].item() for key, value in scaler.state_dict().items()
    }


def _named_parameters(nets: dict[str, nn.Layer]) -> dict:
    """{`role/name`: parameter} of all networks."""
    parameters = {}
    for role, network in nets.items():
        for name, parameter in network.named_parameters():
            parameters[f"{role}/{name}"] = parameter
    return parameters


def _part(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {
        name[len(prefix) + 1 :]: value
        for name, value in arrays.items()
        if name.startswith(f"{prefix}/")
    }
