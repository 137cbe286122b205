"""What every network file offers, reached by the name in its spec: `spec.network` is the file's name.

A network `teachers/NAME.py` has `Config` (its keys in a recipe), `Spec` (blocks as data), `default_spec`, `drop_blocks` and
`build`; `teachers/NAME_cost.py` counts `parameters` and `macs`; `teachers/NAME_keys.py` reads published checkpoints
(`teachers/published.py`). Where our form differs from the published one, `teachers/NAME_published.py` has the latter.
"""
from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from teachers.errors import CheckpointError


def names() -> list[str]:
    """The networks at hand: files of this folder that come with a cost file."""
    return sorted(path.stem.removesuffix("_cost") for path in Path(__file__).parent.glob("*_cost.py"))


def module(network: str):
    """The module of a network, by name."""
    return importlib.import_module(f"teachers.{network}")


def keys(network: str):
    """The module that reads a network's published checkpoints."""
    return importlib.import_module(f"teachers.{network}_keys")


def published(network: nn.Layer) -> nn.Layer:
    """The network as its authors write it, with these weights; itself where ours is no other form."""
    spec = network.spec
    if not Path(__file__).with_name(f"{spec.network}_published.py").is_file():
        return network
    form = importlib.import_module(f"teachers.{spec.network}_published")
    return form.published(spec, keys(spec.network).to_published(spec, state_of(network)))


def build(spec) -> nn.Layer:
    """A freshly initialised network; it carries its spec as `network.spec`."""
    return module(spec.network).build(spec)


def parameters(spec) -> int:
    """Trainable parameters, counted on the published form."""
    return importlib.import_module(f"teachers.{spec.network}_cost").parameters(spec)


def macs(spec) -> int:
    """Multiply-accumulates of one clip, counted on the published form."""
    return importlib.import_module(f"teachers.{spec.network}_cost").macs(spec)


def state_of(network: nn.Layer) -> dict[str, np.ndarray]:
    """Copies of all weights and BatchNorm statistics, on the host."""
    return {name: np.array(value.numpy()) for name, value in network.state_dict().items()}


def load_state(network: nn.Layer, state: dict[str, np.ndarray], where: str) -> None:
    """Copy `state` into the network; every name and shape must match.

    Raises:
        CheckpointError: names both sides of what does not fit.
    """
    own = network.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or extra:
        raise CheckpointError(f"{where}: does not fit {network.spec.network}: the network also has {_some(missing)}; "
                              f"the file also has {_some(extra)}")
    for name, value in own.items():
        if tuple(state[name].shape) != tuple(value.shape):
            raise CheckpointError(f"{where}: {name}: the file has shape {tuple(state[name].shape)}, "
                                  f"the network {tuple(value.shape)}")
    for name, value in own.items():
        value.set_value(paddle.to_tensor(np.ascontiguousarray(state[name]), dtype=value.dtype))


def _some(names_: list[str]) -> str:
    return ", ".join(names_[:3]) + (f" and {len(names_) - 3} more" if len(names_) > 3 else "") if names_ else "nothing"
