"""Every network by the name in its spec and in recipes, and what each offers.

A new network is a module and a row of NETWORKS. The table is text alone and Paddle is loaded late,
so that a recipe's names are checked without it.
"""

from __future__ import annotations

import dataclasses
import importlib
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from teachers.errors import CheckpointError
from teachers.skeleton import Skeleton

if typing.TYPE_CHECKING:
    from paddle import nn


class Block(typing.Protocol):
    """A block of a spec. What else it has is its network's own business."""

    @property
    def id(self) -> str:
        """The name that recipes and weights use, `l1` for example."""


class Spec(typing.Protocol):
    """All that decides a network's layout, a frozen dataclass of plain values: what every network's
    spec has."""

    @property
    def network(self) -> str:
        """The network's name in `NETWORKS`."""

    @property
    def classes(self) -> int:
        """K, the number of logits."""

    @property
    def channels(self) -> int:
        """C of the input."""

    @property
    def skeleton(self) -> Skeleton:
        """The graph."""

    @property
    def blocks(self) -> Sequence[Block]:
        """The blocks in order."""

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """(C, T, V, M) of one clip."""


@dataclass(frozen=True)
class Family:
    """Dotted paths of a network's modules; None: it has no such module.

    Attributes:
        network: `Config` (its keys in a recipe), `Spec`, `default_spec`, `drop_blocks`, `build`.
        cost: `parameters` and `macs` of a spec, counted on the published form.
        keys: reads and writes published checkpoints.
        prune: which channels can be removed together, and how.
        published: the network as its authors write it, where ours is another form.
    """

    network: str
    cost: str
    keys: str
    prune: str | None = None
    published: str | None = None


NETWORKS = {
    "ctrgcn": Family(
        "teachers.ctrgcn",
        "teachers.ctrgcn.cost",
        "teachers.ctrgcn.keys",
        prune="teachers.ctrgcn.prune",
        published="teachers.ctrgcn.published",
    ),
    "ctrgcn_light_v1": Family(
        "teachers.ctrgcn_light.v1", "teachers.ctrgcn_light.v1_cost", "teachers.ctrgcn_light.v1_keys"
    ),
    "ctrgcn_light_v2": Family(
        "teachers.ctrgcn_light.v2", "teachers.ctrgcn_light.v2_cost", "teachers.ctrgcn_light.v2_keys"
    ),
    "efficientgcn": Family(
        "teachers.efficientgcn", "teachers.efficientgcn.cost", "teachers.efficientgcn.keys"
    ),
    "stgcn": Family("teachers.stgcn", "teachers.stgcn.cost", "teachers.stgcn.keys"),
    "stgcnpp": Family(
        "teachers.stgcnpp",
        "teachers.stgcnpp.cost",
        "teachers.stgcnpp.keys",
        prune="teachers.stgcnpp.prune",
    ),
}


def names() -> list[str]:
    """The networks at hand."""
    return sorted(NETWORKS)


def module(network: str):
    """The module of a network, by name."""
    return importlib.import_module(NETWORKS[network].network)


def keys(network: str):
    """The module that reads a network's published checkpoints."""
    return importlib.import_module(NETWORKS[network].keys)


def published(network: nn.Layer) -> nn.Layer:
    """The network as its authors write it, with these weights; itself where ours is no other form."""
    spec = network.spec
    path = NETWORKS[spec.network].published
    if path is None:
        return network
    form = importlib.import_module(path)
    return form.published(spec, keys(spec.network).to_published(spec, state_of(network)))


def build(spec) -> nn.Layer:
    """A freshly initialised network; it carries its spec as `network.spec`."""
    return module(spec.network).build(spec)


def parameters(spec) -> int:
    """Trainable parameters, counted on the published form."""
    return importlib.import_module(NETWORKS[spec.network].cost).parameters(spec)


def macs(spec) -> int:
    """Multiply-accumulates of one clip, counted on the published form."""
    return importlib.import_module(NETWORKS[spec.network].cost).macs(spec)


def state_of(network: nn.Layer) -> dict[str, np.ndarray]:
    """Copies of all weights and BatchNorm statistics, on the host."""
    return {name: np.array(value.numpy()) for name, value in network.state_dict().items()}


def load_state(network: nn.Layer, state: dict[str, np.ndarray], where: str) -> None:
    """Copy `state` into the network; every name and shape must match.

    Raises:
        CheckpointError: names both sides of what does not fit.
    """
    import paddle  # late: the table above is read without it

    own = network.state_dict()
    missing, extra = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or extra:
        raise CheckpointError(
            f"{where}: does not fit {network.spec.network}: the network also has {_some(missing)}; "
            f"the file also has {_some(extra)}"
        )
    for name, value in own.items():
        if tuple(state[name].shape) != tuple(value.shape):
            raise CheckpointError(
                f"{where}: {name}: the file has shape {tuple(state[name].shape)}, "
                f"the network {tuple(value.shape)}"
            )
    for name, value in own.items():
        value.set_value(paddle.to_tensor(np.ascontiguousarray(state[name]), dtype=value.dtype))


def _some(names_: list[str]) -> str:
    return (
        ", ".join(names_[:3]) + (f" and {len(names_) - 3} more" if len(names_) > 3 else "")
        if names_
        else "nothing"
    )


def from_json(cls: type, data: dict):
    """The frozen dataclass that `dataclasses.asdict` turned into `data`; nested dataclasses and
    tuples included.

    Raises:
        TypeError, KeyError: `data` does not describe a `cls`.
    """
    hints = typing.get_type_hints(cls)
    unknown = set(data) - set(hints)
    if unknown:
        raise TypeError(f"{cls.__name__} has no {', '.join(sorted(unknown))}")
    return cls(**{name: _value(hints[name], value) for name, value in data.items()})


def _value(hint, value):
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _value(next(one for one in arguments if one is not type(None)), value)
    if origin is tuple:
        hints = arguments[:1] * len(value) if arguments[1:] == (...,) else arguments
        return tuple(_value(one, item) for one, item in zip(hints, value, strict=True))
    return from_json(hint, value) if dataclasses.is_dataclass(hint) else value
