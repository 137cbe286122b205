"""Weights files as people have them, recognised by content: ours (.npz), Paddle (.pdparams), torch (.pt, .pth).

Nothing in a file is executed, and every key must be explained.
"""
from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
from paddle import nn

from teachers import ctrgcn_keys, networks, safe_pickle, storage, torch_zip
from teachers.errors import CheckpointError

_WRAPPERS = ("state_dict", "model_state_dict", "model", "weights", "net")
_PREFIXES = ("module.", "backbone.", "head.", "model.")
_TORCH_TO_PADDLE = {"running_mean": "_mean", "running_var": "_variance"}


def save(path: Path, network: nn.Layer, about: dict | None = None) -> None:
    """Write weights and spec as one `.npz`; `about` (JSON) travels along, for example what it was trained on."""
    save_state(path, network.spec, networks.state_of(network), about)


def save_state(path: Path, spec, state: dict[str, np.ndarray], about: dict | None = None) -> None:
    """Write a spec and its weights as one `.npz`, atomically."""
    meta = {"format": "featherbone-network", "version": 1, "spec": dataclasses.asdict(spec), "about": about or {}}
    storage.write_arrays(path, state, meta)


def load(path: Path | str, frames: int | None = None) -> nn.Layer:
    """The network a weights file holds, in evaluation mode.

    Args:
        path: ours, Paddle's or torch's format.
        frames: input length T for published checkpoints, which do not say it; the network's published one if None.
    Raises:
        CheckpointError: what is wrong with the file, and where.
    """
    spec, state, _ = read(path, frames)
    network = networks.build(spec)
    networks.load_state(network, state, str(path))
    network.eval()
    return network


def read(path: Path | str, frames: int | None = None) -> tuple[object, dict[str, np.ndarray], dict]:
    """(spec, state in our names, about) of a weights file; see `load`."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; check the path of the weights")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            ours = f"{storage.META}.npy" in archive.namelist()
        if ours:
            return _read_ours(path)
        arrays = _flat(torch_zip.read(path), path)
        arrays = {name: _paddle_layout(name, value) for name, value in arrays.items()}
    else:
        head = path.open("rb").read(2)
        if head == b"PK":
            raise CheckpointError(f"{path}: damaged or truncated (a zip without its directory); copy or download it again")
        arrays = _flat(safe_pickle.load(path.read_bytes(), str(path)), path)
    arrays = {_plain_name(name): value for name, value in arrays.items() if not name.endswith("num_batches_tracked")}
    if not ctrgcn_keys.is_published(arrays):
        raise CheckpointError(f"{path}: an unknown layout; its keys start with {', '.join(list(arrays)[:4])}. Known: CTR-GCN "
                              "as the original repository (torch) and PaddleVideo save it, and files of this project")
    try:
        spec, state = ctrgcn_keys.from_published(arrays, frames)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return spec, state, {}


def _read_ours(path: Path) -> tuple[object, dict[str, np.ndarray], dict]:
    arrays, meta = storage.read_arrays(path)
    if meta.get("format") != "featherbone-network" or meta.get("version") != 1:
        raise CheckpointError(f"{path}: is a {meta.get('format', 'file')} of version {meta.get('version')}, not a network; "
                              "give the weights file of a run, `weights/student.npz`")
    try:
        spec = networks.module(meta["spec"]["network"]).spec_from_json(meta["spec"])
    except (KeyError, TypeError, ImportError) as error:
        raise CheckpointError(f"{path}: its network description cannot be read ({error})") from error
    return spec, arrays, meta["about"]


def _flat(data: object, path: Path) -> dict[str, np.ndarray]:
    """The dict of named arrays inside whatever the file wraps it in."""
    for _ in range(3):
        if not isinstance(data, dict):
            break
        arrays = {str(name): value for name, value in data.items() if isinstance(value, np.ndarray)}
        if arrays:
            return arrays
        inner = [data[name] for name in _WRAPPERS if isinstance(data.get(name), dict)]
        if not inner:
            break
        data = inner[0]
    raise CheckpointError(f"{path}: holds no named weights; save the network's state dict")


def _plain_name(name: str) -> str:
    """The published name, without wrappers' prefixes, in Paddle's spelling."""
    while name.startswith(_PREFIXES):
        name = name.split(".", 1)[1]
    stem, _, last = name.rpartition(".")
    return f"{stem}.{_TORCH_TO_PADDLE.get(last, last)}" if stem else name


def _paddle_layout(name: str, value: np.ndarray) -> np.ndarray:
    """Linear weights are (out, in) in torch and (in, out) in Paddle."""
    return value.T if name.endswith("fc.weight") and value.ndim == 2 else value
