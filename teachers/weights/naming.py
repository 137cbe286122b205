"""From whatever a checkpoint wraps its weights in to arrays under the published names.

Wrapped are state dicts (`{"state_dict": ..., "optimizer": ...}`), networks (`module.`, `_orig_mod.`,
`net.`, any first part that all names have in common) and several networks in one file: a distillation's
student and teacher, weights and their moving average.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from teachers.errors import CheckpointError, quoted
from teachers.weights.placeholder import Placeholder

# What can be asked for as `FILE#PART`; of a distillation the first is taken without it.
PARTS = ("Student", "Teacher")
AVERAGED = "ema"
_WRAPPERS = ("state_dict", "model_state_dict", "model", "weights", "net", "network", "module")
_AVERAGED_WRAPPERS = (
    "state_dict_ema",
    "ema_state_dict",
    "model_ema_state_dict",
    "model_ema",
    "ema_model",
    "ema",
)
_PREFIXES = ("module.", "backbone.", "head.", "model.", "cls_head.")
# torch.compile, FSDP and activation checkpointing put these between any two parts of a name.
_BETWEEN = re.compile(r"(^|\.)(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)(?=\.)")
# What no network computes with once it is trained: weights of classes in a loss, FR-Head's heads.
_LOSS = re.compile(r"(^|\.)(loss|criterion)\w*\.|^ren_(low|mid|high|fin)\.")
_TORCH_TO_PADDLE = {"running_mean": "_mean", "running_var": "_variance"}
# Of wrappers in wrappers, and of first parts; bounded, for a dict in a file may hold itself.
DEEPEST = 8


def arrays_of(content: object, averaged: bool, path: Path) -> dict[str, np.ndarray]:
    """The named arrays inside whatever the file wraps them in.

    Args:
        averaged: their moving average.
    Raises:
        CheckpointError: there are none; what is there instead is named.
    """
    arrays = _search(content, averaged, DEEPEST)
    if arrays is None and not averaged:
        # Some save nothing but the average.
        arrays = _search(content, True, DEEPEST)
    if arrays is None:
        raise CheckpointError(f"{path}: {_instead(content, averaged)}")
    return arrays


def variants(arrays: dict[str, np.ndarray], part: str | None, path: Path) -> Iterator[dict]:
    """The arrays under their published names; then without the first part that all of them have in
    common, if there is one, and so on.

    Args:
        part: of PARTS; None: the only one or the first.
    Raises:
        CheckpointError: the part is not there, or two names become one.
    """
    missing = part
    for _ in range(DEEPEST):
        present = {name.partition(".")[0].capitalize() for name in arrays} & set(PARTS)
        # Two networks in one file, or one that is called so.
        if missing is not None and missing in present:
            arrays = _under(arrays, missing)
            missing = None
        elif missing is None and part is None and present:
            arrays = _under(arrays, min(present, key=PARTS.index))
        if missing is None:
            yield _plain(arrays, path)
        first = {name.partition(".")[0] for name in arrays}
        if len(first) != 1 or not all("." in name for name in arrays):
            break
        arrays = {name.partition(".")[2]: value for name, value in arrays.items()}
    if missing is not None:
        inside = ", ".join(sorted(present)) or "one network"
        raise CheckpointError(f"{path}: has no part {missing!r} (it holds {inside})")


def _under(arrays: dict[str, np.ndarray], part: str) -> dict[str, np.ndarray]:
    return {
        name.partition(".")[2]: value
        for name, value in arrays.items()
        if name.partition(".")[0].capitalize() == part
    }


def _plain(arrays: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """Without wrappers' prefixes, in Paddle's spelling; without what is no weight."""
    plain: dict[str, np.ndarray] = {}
    for name, value in arrays.items():
        # Counters of batches, steps and averages. torch's BatchNorm counts for a momentum of None,
        # which no network here uses.
        if name.endswith("num_batches_tracked") or (not value.ndim and value.dtype.kind in "iub"):
            continue
        if _LOSS.search(name):
            continue
        short = _plain_name(name)
        if short in plain:
            raise CheckpointError(
                f"{path}: two of its tensors are {short!r} without their prefixes, one of them"
                f" {quoted(name)}; save the state dict of one network"
            )
        plain[short] = value
    return plain


def _plain_name(name: str) -> str:
    name = _BETWEEN.sub(r"\1", name).lstrip(".").replace("..", ".")
    # Wrappers nest: data-parallel training puts `module.` before `backbone.`.
    while name.startswith(_PREFIXES):
        name = name.split(".", 1)[1]
    stem, _, last = name.rpartition(".")
    return f"{stem}.{_TORCH_TO_PADDLE.get(last, last)}" if stem else name


def _mapping(value: object) -> dict | None:
    """The items of a dict, or of an object of another class that is one."""
    if isinstance(value, Placeholder):
        return value.content
    return value if isinstance(value, dict) else None


def _search(content: object, averaged: bool, depth: int) -> dict[str, np.ndarray] | None:
    items = _mapping(content)
    if items is None or not depth:
        return None
    # mmengine puts the average under `state_dict` when it saves, and the weights beside it.
    if averaged and "message_hub" in items and "ema_state_dict" in items:
        return _search(items.get("state_dict"), False, depth - 1)
    for wrapper in (*(_AVERAGED_WRAPPERS if averaged else ()), *_WRAPPERS):
        # Behind an average's name everything is averaged.
        still = averaged and wrapper not in _AVERAGED_WRAPPERS
        arrays = _search(items.get(wrapper), still, depth - 1)
        if arrays is not None:
            return arrays
    arrays = _named_arrays(items)
    if arrays:
        return _average_of(arrays) if averaged else _without_average(arrays)
    if averaged:
        return None
    # One dict of arrays under a name that nobody knows.
    inner = [
        found for found in map(_named_arrays, filter(None, map(_mapping, items.values()))) if found
    ]
    return _without_average(inner[0]) if len(inner) == 1 else None


def _named_arrays(items: dict) -> dict[str, np.ndarray]:
    """Paddle 2.0 to 2.2 saved (name, array) pairs."""
    arrays = {}
    for name, value in items.items():
        array = value[1] if isinstance(value, tuple) and len(value) == 2 else value
        if isinstance(name, str) and isinstance(array, np.ndarray):
            arrays[name] = array
    return arrays


def _average_of(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """The average in a state dict: mmcv's `ema_backbone_fc_weight` beside `backbone.fc.weight`, or a
    copy of the network under a name of its own."""
    averages = _mmcv_averages(arrays)
    if averages:
        # Statistics of BatchNorm are not averaged, and so are the network's.
        return {
            name: arrays[averages[name]] if name in averages else value
            for name, value in arrays.items()
            if name not in averages.values()
        }
    for wrapper in _AVERAGED_WRAPPERS:
        inside = {
            name.removeprefix(f"{wrapper}."): value
            for name, value in arrays.items()
            if name.startswith(f"{wrapper}.")
        }
        if inside:
            return inside
    return None


def _without_average(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    taken = set(_mmcv_averages(arrays).values())
    copies = tuple(f"{wrapper}." for wrapper in _AVERAGED_WRAPPERS)
    left = {
        name: value
        for name, value in arrays.items()
        if name not in taken and not name.startswith(copies)
    }
    # A file of nothing but the average.
    return left or arrays


def _mmcv_averages(arrays: dict[str, np.ndarray]) -> dict[str, str]:
    """{name: the name of its average}."""
    names = {name: f"ema_{name.replace('.', '_')}" for name in arrays}
    return {name: average for name, average in names.items() if average in arrays}


def _instead(content: object, averaged: bool) -> str:
    """What a file holds that has no named arrays, and the fix."""
    if averaged:
        return f"has no averaged weights ({AVERAGED}); leave out #{AVERAGED}"
    items = _mapping(content) or {}
    candidates = [content, *(items.get(wrapper) for wrapper in (*_WRAPPERS, *_AVERAGED_WRAPPERS))]
    for candidate in candidates:
        if isinstance(candidate, Placeholder) and not candidate.content:
            return (
                f"holds a whole pickled object of class {quoted(candidate.name)}, which only its own"
                " code can open; there, save its weights alone: torch.save(model.state_dict(),"
                " 'weights.pth')"
            )
    several = [
        str(name)[:40] for name, value in items.items() if _named_arrays(_mapping(value) or {})
    ]
    if several:
        return f"holds several networks ({', '.join(several[:6])}); save the state dict of one"
    return "holds no named weights; save the network's state dict"
