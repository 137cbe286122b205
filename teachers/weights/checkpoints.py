"""Weights files as people have them, recognised by content: ours (.npz), Paddle (.pdparams), torch
(.pt, .pth).

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
from teachers.errors import CheckpointError
from teachers.networks import from_json
from teachers.storage.bounded import read_bytes
from teachers.weights import kinds, safe_pickle, torch_legacy, torch_zip, values
from teachers.weights.published import NO_HINTS, Hints

# Bytes: with the state of an optimiser, a checkpoint of the largest network here has a tenth.
LARGEST_FILE = 2_000_000_000
_WRAPPERS = ("state_dict", "model_state_dict", "model", "weights", "net")
_PREFIXES = ("module.", "backbone.", "head.", "model.", "cls_head.")
# Of a checkpoint that PaddleVideo's distillation saved.
_PARTS = ("Student", "Teacher")
_TORCH_TO_PADDLE = {"running_mean": "_mean", "running_var": "_variance"}
_READERS: dict[str, Callable[[Path, bytes], object]] = {
    kinds.TORCH: torch_zip.read,
    kinds.TORCH_BEFORE_1_6: torch_legacy.read,
    kinds.PADDLE: lambda path, data: safe_pickle.load(data, str(path)),
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
            checkpoint, whose student is taken otherwise.
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
    kind = kinds.format_of(path, data)
    if kind == kinds.OURS:
        return _read_ours(path, data)
    arrays = _flat(_READERS[kind](path, data), path)
    if kind != kinds.PADDLE:
        arrays = {name: _paddle_layout(name, value) for name, value in arrays.items()}
    return (*_understand(_part(arrays, part, path), path, hints), {})


def layouts() -> dict[str, tuple[str, ...]]:
    """The checkpoint layouts each network is read from, in words."""
    return {name: networks.keys(name).READS for name in networks.names()}


def file_and_part(path: Path | str) -> tuple[Path, str | None]:
    """(file, part) of `FILE#Teacher`; a file whose own name ends so is itself, part None."""
    file, separator, part = str(path).rpartition("#")
    # A file whose own name has a # in it is that file.
    if separator and part in _PARTS and not Path(path).is_file():
        return Path(file), part
    return Path(path), None


def _part(arrays: dict[str, np.ndarray], part: str | None, path: Path) -> dict[str, np.ndarray]:
    """One network of a distillation checkpoint, whose keys start with `Student.` or `Teacher.`; or
    all there is."""
    present = [each for each in _PARTS if any(name.startswith(f"{each}.") for name in arrays)]
    if part is not None and part not in present:
        raise CheckpointError(
            f"{path}: has no part {part!r} (it holds {', '.join(present) or 'one network'})"
        )
    if not present:
        return arrays
    # Without `#PART` the student, the first of _PARTS: it is what a distillation is for.
    chosen = f"{part or present[0]}."
    return {
        name.removeprefix(chosen): value
        for name, value in arrays.items()
        if name.startswith(chosen)
    }


def _understand(
    arrays: dict[str, np.ndarray], path: Path, hints: Hints
) -> tuple[Any, dict[str, np.ndarray]]:
    # torch's BatchNorm counts batches for a momentum of None, which no network here uses.
    arrays = {
        _plain_name(name): value
        for name, value in arrays.items()
        if not name.endswith("num_batches_tracked")
    }
    # Before they are put together into our tensors, while they have the names of their file.
    values.require_usable(arrays, str(path))
    # The first that knows the names decides: its error is reported, and no other is tried.
    for name in networks.names():
        if networks.keys(name).is_published(arrays):
            try:
                return networks.keys(name).from_published(arrays, hints)
            except CheckpointError as error:
                raise CheckpointError(f"{path}: as {name}: {error}") from error
            # The right names, but not the shapes of one network: NumPy's own errors.
            except (KeyError, ValueError, IndexError, TypeError) as error:
                raise CheckpointError(
                    f"{path}: as {name}: a tensor is missing, or shapes do not go together"
                    f" ({type(error).__name__}: {error}); the file is damaged or holds another"
                    " network"
                ) from error
    known = "; ".join(
        f"{name} from {', '.join(reads)}" for name, reads in layouts().items() if reads
    )
    raise CheckpointError(
        f"{path}: an unknown layout; its keys start with {', '.join(list(arrays)[:4])}. Known:"
        f" files of this project; {known}"
    )


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


def _flat(data: object, path: Path) -> dict[str, np.ndarray]:
    """The dict of named arrays inside whatever the file wraps it in. Paddle 2.0 to 2.2 saved (name,
    array) pairs."""
    # Bounded, for a dict in a torch file may hold itself.
    for _ in range(3):
        if not isinstance(data, dict):
            break
        inner = [data[name] for name in _WRAPPERS if isinstance(data.get(name), dict)]
        if not inner:
            pairs = {
                name: value[1] if isinstance(value, tuple) and len(value) == 2 else value
                for name, value in data.items()
            }
            arrays = {
                str(name): value for name, value in pairs.items() if isinstance(value, np.ndarray)
            }
            if arrays:
                return arrays
            break
        data = inner[0]
    raise CheckpointError(f"{path}: holds no named weights; save the network's state dict")


def _plain_name(name: str) -> str:
    """The published name, without wrappers' prefixes, in Paddle's spelling."""
    # Wrappers nest: data-parallel training puts `module.` before `backbone.`.
    while name.startswith(_PREFIXES):
        name = name.split(".", 1)[1]
    stem, _, last = name.rpartition(".")
    return f"{stem}.{_TORCH_TO_PADDLE.get(last, last)}" if stem else name


def _paddle_layout(name: str, value: np.ndarray) -> np.ndarray:
    """Linear weights are (out, in) in torch and (in, out) in Paddle."""
    # By rank: of the tensors here only those of linear layers have two axes and this name.
    return value.T if name.endswith(".weight") and value.ndim == 2 else value
