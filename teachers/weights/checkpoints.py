"""Weights files as people have them, recognised by content: ours (.npz), Paddle (.pdparams), torch
(.pt, .pth), safetensors.

Nothing in a file is executed, and every key must be explained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from paddle import nn

from teachers import networks, storage
from teachers.errors import CheckpointError, quoted
from teachers.networks import from_json
from teachers.storage.bounded import read_bytes
from teachers.weights import (
    bfloat16,
    kinds,
    naming,
    safe_pickle,
    safetensors_file,
    torch_legacy,
    torch_zip,
    unknown_networks,
    values,
)
from teachers.weights.published import NO_HINTS, Hints

# Bytes: with the state of an optimiser, a checkpoint of the largest network here has a tenth.
LARGEST_FILE = 2_000_000_000
_READERS: dict[str, Callable[[Path, bytes], object]] = {
    kinds.TORCH: torch_zip.read,
    kinds.TORCH_BEFORE_1_6: torch_legacy.read,
    kinds.SAFETENSORS: safetensors_file.read,
    kinds.PADDLE: lambda path, data: safe_pickle.load(
        data, str(path), unpickler=safe_pickle.WeightsUnpickler
    ),
}


def save(path: Path, network: nn.Layer, about: dict | None = None) -> None:
    """Write weights and spec as one `.npz`; `about` (JSON) travels along, for example what it was
    trained on."""
    save_state(path, network.spec, networks.state_of(network), about)


def save_state(path: Path, spec, state: dict[str, np.ndarray], about: dict | None = None) -> None:
    """Write a spec and its weights as one `.npz`, atomically."""
    meta = {
        "format": "featherbone-network",
        "version": 1,
        "spec": dataclasses.asdict(spec),
        "about": about or {},
    }
    storage.write_arrays(path, state, meta)


def load(path: Path | str, hints: Hints = NO_HINTS) -> nn.Layer:
    """The network a weights file holds, in evaluation mode.

    Args:
        path: ours, Paddle's or torch's format. `FILE#Teacher` takes the teacher of a distillation
            checkpoint, whose student is taken otherwise, `FILE#ema` averaged weights.
        hints: what published checkpoints do not say.
    Raises:
        CheckpointError: what is wrong with the file, and where.
    """
    return load_with_about(path, hints)[0]


def load_with_about(
    path: Path | str, hints: Hints = NO_HINTS, data: bytes | None = None
) -> tuple[nn.Layer, dict]:
    """(network, about) of a weights file, in one reading; see `load` and `read`."""
    spec, state, about = read(path, hints, data)
    return network_of(spec, state, str(path)), about


def network_of(spec: Any, state: dict[str, np.ndarray], where: str) -> nn.Layer:
    """The network of what `read` returned, in evaluation mode.

    Args:
        where: the file, for messages.
    """
    network = networks.build(spec)
    # Strictly, key by key and shape by shape: Paddle's own set_state_dict only warns.
    networks.load_state(network, state, where)
    network.eval()
    return network


def content(path: Path | str) -> bytes:
    """The bytes of a weights file, for those who hash it as well as read it.

    Args:
        path: as in `load`, with or without `#Teacher`.
    Raises:
        CheckpointError: no such file, or none that may be read.
    """
    path, _ = file_and_part(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; check the path of the weights")
    return read_bytes(path, LARGEST_FILE, CheckpointError)


# Any spec, as of every network there is: they share no class (EfficientGCN has one of its own).
def read(
    path: Path | str, hints: Hints = NO_HINTS, data: bytes | None = None
) -> tuple[Any, dict[str, np.ndarray], dict]:
    """(spec, state in our names, about) of a weights file; see `load`.

    Args:
        data: the file's `content`, where it was read already.
    """
    # Read whole and once: the formats are told apart by content, and a file that another process
    # replaces meanwhile must not be half the old and half the new one.
    data = content(path) if data is None else data
    path, part = file_and_part(path)
    if kinds.format_of(path, data) == kinds.OURS:
        return _read_ours(path, data)
    arrays = arrays_in(path, data, part)
    network = None if part == naming.AVERAGED else part
    return (*_understand(arrays, network, path, hints), {})


def arrays_in(path: Path, data: bytes, part: str | None) -> dict[str, np.ndarray]:
    """The named arrays of a file that is not this project's, in Paddle's layout.

    Args:
        data: the file's content.
        part: as of `file_and_part`.
    Raises:
        CheckpointError: damaged, or holding none.
    """
    kind = kinds.format_of(path, data)
    if kind not in _READERS:
        raise CheckpointError(f"{path}: is {kind} format, which names its network")
    arrays = naming.arrays_of(_READERS[kind](path, data), part == naming.AVERAGED, path)
    layout = _from_paddle if kind == kinds.PADDLE else _paddle_layout
    return {name: layout(name, value) for name, value in arrays.items()}


def layouts() -> dict[str, tuple[str, ...]]:
    """The checkpoint layouts each network is read from, in words."""
    return {name: networks.keys(name).READS for name in networks.names()}


def file_and_part(path: Path | str) -> tuple[Path, str | None]:
    """(file, part) of `FILE#Teacher`, `FILE#Student` or `FILE#ema`; a file whose own name ends so is itself, part None."""
    file, separator, part = str(path).rpartition("#")
    # A file whose own name has a # in it is that file.
    if separator and part in (*naming.PARTS, naming.AVERAGED) and not Path(path).is_file():
        return Path(file), part
    return Path(path), None


def _understand(
    arrays: dict[str, np.ndarray], part: str | None, path: Path, hints: Hints
) -> tuple[Any, dict[str, np.ndarray]]:
    first: dict[str, np.ndarray] | None = None
    for plain in naming.variants(arrays, part, path):
        first = plain if first is None else first
        other = unknown_networks.named(plain)
        if other is not None:
            break
        # The first that knows the names decides: its error is reported, and no other is tried.
        for name in networks.names():
            if networks.keys(name).is_published(plain):
                return _published(name, plain, path, hints)
    known = "; ".join(
        f"{name} from {', '.join(reads)}" for name, reads in layouts().items() if reads
    )
    if other is not None:
        raise CheckpointError(
            f"{path}: holds {other[0]} (told by its {quoted(other[1])}), a network that is not among"
            f" those here. Known: files of this project; {known}; docs/add-a-network.md says how to"
            " add one"
        )
    raise CheckpointError(
        f"{path}: an unknown layout; its keys start with"
        f" {', '.join(name[:80] for name in list(first or ())[:4])}. Known: files of this project;"
        f" {known}"
    )


def _published(
    name: str, arrays: dict[str, np.ndarray], path: Path, hints: Hints
) -> tuple[Any, dict[str, np.ndarray]]:
    # Before they are put together into our tensors, while they have the names of their file.
    values.require_usable(arrays, str(path))
    try:
        return networks.keys(name).from_published(arrays, hints)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: as {name}: {error}") from error
    # The right names, but not the shapes of one network: NumPy's own errors.
    except (KeyError, ValueError, IndexError, TypeError) as error:
        raise CheckpointError(
            f"{path}: as {name}: a tensor is missing, or shapes do not go together"
            f" ({type(error).__name__}: {error}); the file is damaged or holds another network"
        ) from error


def _read_ours(path: Path, data: bytes) -> tuple[Any, dict[str, np.ndarray], dict]:
    arrays, meta = storage.read_arrays(path, data)
    if meta.get("format") != "featherbone-network" or meta.get("version") != 1:
        raise CheckpointError(
            f"{path}: is a {meta.get('format', 'file')} of version {meta.get('version')}, not a"
            " network; give the weights file of a run, `weights/student.npz`"
        )
    try:
        spec = from_json(networks.module(meta["spec"]["network"]).Spec, meta["spec"])
    except (KeyError, TypeError, ValueError, ImportError) as error:
        raise CheckpointError(
            f"{path}: its network description cannot be read ({error})"
        ) from error
    values.require_usable(arrays, str(path))
    return spec, arrays, meta["about"]


def _paddle_layout(name: str, value: np.ndarray) -> np.ndarray:
    """Linear weights are (out, in) in torch and (in, out) in Paddle."""
    # By rank: of the tensors here only those of linear layers have two axes and this name.
    return value.T if name.endswith(".weight") and value.ndim == 2 else value


def _from_paddle(_name: str, value: np.ndarray) -> np.ndarray:
    # Paddle has no uint16 of its own: it hands out the bits of bfloat16 as such.
    return bfloat16.to_float32(value) if value.dtype == np.uint16 else value
