"""Every network by the name in its spec and in recipes, and what each offers.

A new network is a module that keeps `NetworkModule` and a row of NETWORKS; all else in a row is
optional, and faster or special. The table is text alone and Paddle is loaded late, so that a
recipe's names are checked without it.
"""

from __future__ import annotations

import dataclasses
import importlib
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from teachers.errors import CheckpointError
from teachers.skeleton import Skeleton
from teachers.weights.values import require_usable

if typing.TYPE_CHECKING:
    from paddle import nn

# Pattern of names -> an axis each -> what its entries stand for.
Axes = dict[str, tuple[tuple[str, ...], ...]]


class NetworkModule(Protocol):
    """What the module of a network has.

    Attributes:
        Config: a frozen dataclass, the network's keys in a recipe. Every field has a default, and
            `__post_init__` raises ValueError("FIELD: what is wrong").
        Spec: a frozen dataclass that rebuilds the network (`teachers.stages.Spec` or alike): JSON
            writes it into weights files.

    It may have `AXES`, which tensors depend on the data, so that its weights can be carried over to
    other data (`teachers.weights.transfer`): by a pattern of names, for each axis of the tensor what
    its entries stand for, slowest first, of "class", "person", "joint" and "channel"; () for an axis
    that data do not decide; or `axes(spec)`, where that depends on the spec. And it may have
    `absent(spec)`, where its published input makes something else than zeros of a person who is not
    there, see `absent` below.
    """

    Config: type
    Spec: type

    def default_spec(
        self,
        classes: int,
        skeleton: Skeleton,
        frames: int,
        persons: int,
        channels: int = 3,
        config: typing.Any = None,
    ) -> typing.Any:
        """The published network for an input (N, channels, frames, joints, persons)."""
        ...

    def drop_blocks(self, spec: typing.Any, ids: tuple[str, ...]) -> typing.Any:
        """The spec without these blocks; see `teachers.stages.drop_blocks`."""
        ...

    def build(self, spec: typing.Any) -> nn.Layer:
        """A freshly initialised network with its spec as `network.spec`: x (N, C, T, V, M) ->
        logits (N, K)."""
        ...


class CostModule(Protocol):
    """What a network's `cost` module has."""

    def parameters(self, spec: typing.Any) -> int:
        """Trainable parameters, counted on the published form."""
        ...

    def macs(self, spec: typing.Any) -> int:
        """Multiply-accumulates of one clip, counted on the published form."""
        ...


class KeysModule(Protocol):
    """What a network's `keys` module has; see `teachers.weights.published`.

    Attributes:
        READS: the checkpoint layouts it knows, in words.
    """

    READS: tuple[str, ...]

    def is_published(self, arrays: dict[str, np.ndarray]) -> bool:
        """Whether the names of a checkpoint are this network's."""
        ...

    def from_published(
        self, arrays: dict[str, np.ndarray], hints: typing.Any
    ) -> tuple[typing.Any, dict[str, np.ndarray]]:
        """(spec, state in our names) of a checkpoint; no key stays unexplained."""
        ...


@dataclass(frozen=True)
class Feeding:
    """How the authors of a network feed it, where data sets do not decide that.

    Attributes:
        input: the input pipeline, by its name in recipes.
        keys: of that pipeline, where they are not its defaults.
        preparation: what they make of NTU's recordings, by its name in recipes.
    """

    # Text, as this package knows nothing of inputs and data sets: a recipe looks the names up.
    input: str
    keys: dict[str, object]
    preparation: str


class FeedingModule(Protocol):
    """What a network's `feeding` module has."""

    def published(self, branches: object, benchmark: object) -> Feeding | None:
        """The published way; None where the data set's usual input feeds the network.

        Args:
            branches: the network's key of that name in the recipe, unchecked; None: not there.
            benchmark: the data set's, unchecked.
        """
        ...


class OwnNames:
    """The keys of a network without a `keys` module: no published checkpoint is its own."""

    READS: tuple[str, ...] = ()

    def is_published(self, arrays: dict[str, np.ndarray]) -> bool:
        return False

    def from_published(
        self, arrays: dict[str, np.ndarray], hints: typing.Any
    ) -> tuple[typing.Any, dict[str, np.ndarray]]:
        raise CheckpointError("published checkpoints of this network have no reader")


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
        network: a `NetworkModule`.
        cost: a `CostModule`, formulas of the published form; without it a built network is counted.
        keys: a `KeysModule`, reads published checkpoints; without it only weights files of this
            project are read.
        prune: which channels can be removed together, and how.
        published: the network as its authors write it, where ours is another form.
        feeding: a `FeedingModule`; without it the data set names the input.
    """

    network: str
    cost: str | None = None
    keys: str | None = None
    prune: str | None = None
    published: str | None = None
    feeding: str | None = None


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
        "teachers.efficientgcn",
        "teachers.efficientgcn.cost",
        "teachers.efficientgcn.keys",
        feeding="teachers.efficientgcn.feeding",
    ),
    "ensemble": Family("teachers.ensemble", "teachers.ensemble.cost"),
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


def module(network: str) -> typing.Any:
    """The module of a network, by name: a `NetworkModule`."""
    return importlib.import_module(NETWORKS[network].network)


def axes(spec: typing.Any) -> Axes:
    """Which tensors of a network depend on the data; see `NetworkModule`. None, where it does not
    say."""
    of = module(spec.network)
    own = getattr(of, "axes", None)
    return typing.cast(Axes, getattr(of, "AXES", {}) if own is None else own(spec))


def keys(network: str) -> KeysModule:
    """What reads a network's published checkpoints."""
    path = NETWORKS[network].keys
    if path is None:
        return OwnNames()
    return typing.cast(KeysModule, importlib.import_module(path))


def cost(network: str) -> CostModule:
    """What counts a network's parameters and MACs."""
    path = NETWORKS[network].cost or "teachers.weights.counted"
    return typing.cast(CostModule, importlib.import_module(path))


def feeding(network: str, branches: object, benchmark: object) -> Feeding | None:
    """How the authors of a network feed it; see `FeedingModule.published`."""
    family = NETWORKS.get(network)
    if family is None or family.feeding is None:
        return None
    how = typing.cast(FeedingModule, importlib.import_module(family.feeding))
    return how.published(branches, benchmark)


def published(network: nn.Layer) -> nn.Layer:
    """The network as its authors write it, with these weights; a copy where that is ours."""
    spec = network.spec
    path = NETWORKS[spec.network].published
    if path is None:
        # Paddle's tracing leaves its mark on the layers it was given: dygraph took 50 times as long.
        copy = build(spec)
        load_state(copy, state_of(network), "a copy")
        copy.eval()
        return copy
    form = importlib.import_module(path)
    # Any: `to_published` is no part of KeysModule, as only a published form needs it.
    reader: typing.Any = keys(spec.network)
    return form.published(spec, reader.to_published(spec, state_of(network)))


def build(spec) -> nn.Layer:
    """A freshly initialised network; it carries its spec as `network.spec`."""
    return module(spec.network).build(spec)


def parameters(spec) -> int:
    """Trainable parameters, counted on the published form."""
    return cost(spec.network).parameters(spec)


def absent(spec) -> np.ndarray:
    """What the network is given of a person who is not in a clip, alike in every frame and joint:
    (C,) float32."""
    own = getattr(module(spec.network), "absent", None)
    return np.zeros(spec.input_shape[0], "float32") if own is None else own(spec)


def macs(spec) -> int:
    """Multiply-accumulates of one clip, counted on the published form."""
    return cost(spec.network).macs(spec)


def state_of(network: nn.Layer) -> dict[str, np.ndarray]:
    """Copies of all weights and BatchNorm statistics, on the host."""
    return {name: np.array(value.numpy()) for name, value in network.state_dict().items()}


def copy_of(network: nn.Layer) -> nn.Layer:
    """Another network of the same layout and weights, in evaluation mode."""
    copied = build(network.spec)
    load_state(copied, state_of(network), "a copy")
    # A layer of Paddle starts in training mode, in which even an evaluation moves BatchNorm
    # statistics.
    copied.eval()
    return copied


def load_state(network: nn.Layer, state: dict[str, np.ndarray], where: str) -> None:
    """Copy `state` into the network; every name and shape must match, every value be finite.

    Raises:
        CheckpointError: names both sides of what does not fit, or the tensor that no network can
            compute with.
    """
    import paddle  # late: the table above is read without it

    # All names are checked before anything is copied: a half-loaded network would still run
    own = network.state_dict()
    missing = sorted(own.keys() - state.keys())
    extra = sorted(state.keys() - own.keys())
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
    # Here, where every network gets its weights, whatever file they were kept in meanwhile.
    require_usable(state, where)
    for name, value in own.items():
        value.set_value(paddle.to_tensor(np.ascontiguousarray(state[name]), dtype=value.dtype))


def _some(names_: list[str]) -> str:
    if not names_:
        return "nothing"
    # A few are enough: another network lacks hundreds.
    more = f" and {len(names_) - 3} more" if len(names_) > 3 else ""
    return ", ".join(names_[:3]) + more


def from_json(cls: type, data: dict):
    """The frozen dataclass that `dataclasses.asdict` turned into `data`; nested dataclasses and
    tuples included.

    Raises:
        TypeError, KeyError: `data` does not describe a `cls`.
    """
    hints = typing.get_type_hints(cls)
    # A key of a newer version is not dropped silently: it could change what the network computes
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
    # JSON has lists alone; `tuple[X, ...]` says one type for all items, `tuple[X, Y]` one each.
    if origin is tuple:
        hints = arguments[:1] * len(value) if arguments[1:] == (...,) else arguments
        return tuple(_value(one, item) for one, item in zip(hints, value, strict=True))
    return from_json(hint, value) if dataclasses.is_dataclass(hint) else value


def copy_by_name(
    source: dict[str, np.ndarray], student: nn.Layer, dropped: tuple[str, ...]
) -> list[str]:
    """Copy weights by block id and name; what is left over must be exactly the dropped blocks.

    Returns:
        names that stay freshly initialised: new, or of another shape, because the block before them
            is gone.
    Raises:
        CheckpointError: a tensor is left over that belongs to no dropped block.
    """
    initial = state_of(student)
    rewired = {block.id for block in student.spec.blocks}
    left = [name for name in source if name not in initial and name.split(".")[0] not in dropped]
    unexplained = [name for name in left if name.split(".")[0] not in rewired]
    if unexplained:
        raise CheckpointError(
            f"prune_layers: {', '.join(unexplained[:4])} belong to no dropped block"
        )
    # A block that follows a removed one may need another shape, or a projection that it had not
    fresh = [
        name for name in initial if name not in source or source[name].shape != initial[name].shape
    ]
    copied = {name: source[name] for name in initial if name not in fresh}
    load_state(student, initial | copied, "prune_layers")
    return fresh
