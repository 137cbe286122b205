"""Late fusion of streams inside one network (2s-AGCN, arXiv 1805.07694; CTR-GCN, arXiv 2107.12213,
fuses four): it is fed joints, computes bones and motions of them, runs a narrow network on each
stream, and classifies all their features together.

A weighted sum of the members' logits is one classifier on their features side by side, whose weights
are theirs times the shares. So the shares are part of `fc`, and training goes on with them.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn.initializer import Constant, Normal

from teachers import networks
from teachers.ensemble.streams import STREAMS, parents, stream
from teachers.errors import RecipeError
from teachers.skeleton import Skeleton

# Networks that are fed joints as they are, and end in the classifier `fc` on a clip's features.
MEMBERS = ("ctrgcn", "ctrgcn_light_v1", "ctrgcn_light_v2")

# The members', behind their names; see `teachers.networks.NetworkModule`.
AXES = {
    "*.data_bn.*": (("person", "joint", "channel"),),
    "*.graph.topology": ((), ("joint",), ("joint",)),
    "fc.weight": ((), ("class",)),
    "fc.bias": (("class",),),
}


@dataclass(frozen=True)
class Branch:
    """A member: `id` is the stream that it sees, `blocks` are those of `network`."""

    id: str
    network: str
    blocks: tuple[Any, ...]

    def __post_init__(self):
        # JSON has mappings: what they are follows from the network's name.
        if any(isinstance(block, dict) for block in self.blocks):
            hint = typing.get_type_hints(networks.module(self.network).Spec)["blocks"]
            block_type = typing.get_args(hint)[0]
            read = tuple(networks.from_json(block_type, block) for block in self.blocks)
            object.__setattr__(self, "blocks", read)


@dataclass(frozen=True)
class Spec:
    """Everything that rebuilds the network; `blocks` are its members. Input (N, channels, frames, V,
    persons) of joints."""

    blocks: tuple[Branch, ...]
    classes: int
    skeleton: Skeleton
    frames: int
    persons: int
    channels: int = 3
    network: str = "ensemble"

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """(C, T, V, M) of one clip."""
        return self.channels, self.frames, self.skeleton.joints, self.persons

    def member(self, branch: Branch) -> Any:
        """The spec of a member by itself."""
        return networks.module(branch.network).Spec(
            branch.blocks, self.classes, self.skeleton, self.frames, self.persons, self.channels
        )


@dataclass(frozen=True)
class Config:
    """Recipe keys.

    Attributes:
        streams: that it is made of.
        member: the network of each.
        width: of a member, as its own key.
        drop: blocks that no member has.
    """

    streams: tuple[str, ...] = STREAMS
    member: str = "ctrgcn"
    width: int = 24
    drop: tuple[str, ...] = ()

    def __post_init__(self):
        if self.member not in MEMBERS:
            raise ValueError(f"member: must be one of {', '.join(MEMBERS)}, is {self.member!r}")
        unknown = [name for name in self.streams if name not in STREAMS]
        if unknown or not self.streams or len(set(self.streams)) < len(self.streams):
            raise ValueError(f"streams: must be some of {', '.join(STREAMS)}, each once")
        # Raises about `width`, in the member's own words.
        networks.module(self.member).Config(self.width)


def default_spec(
    classes: int,
    skeleton: Skeleton,
    frames: int,
    persons: int,
    channels: int = 3,
    config: Config | None = None,
) -> Spec:
    """A member for each stream."""
    config = config or Config()
    module = networks.module(config.member)
    spec = module.default_spec(
        classes, skeleton, frames, persons, channels, module.Config(config.width)
    )
    if config.drop:
        spec = module.drop_blocks(spec, config.drop)
    branches = tuple(Branch(name, config.member, spec.blocks) for name in config.streams)
    # The member's, which may have other edges than the data's.
    return Spec(branches, classes, spec.skeleton, frames, persons, channels)


def drop_blocks(spec: Spec, ids: tuple[str, ...]) -> Spec:
    """The spec without the named members, and without the named blocks of those that have them.

    Raises:
        RecipeError: a name that is neither, or nothing left.
    """
    members = [branch.id for branch in spec.blocks]
    inner = {block.id for branch in spec.blocks for block in branch.blocks}
    for name in ids:
        if name not in members and name not in inner:
            raise RecipeError(
                f"prune_layers.drop: {spec.network} has no block {name!r} (it has"
                f" {', '.join(members)}, and of each {', '.join(sorted(inner))})"
            )
    kept = []
    for branch in spec.blocks:
        if branch.id in ids:
            continue
        own = tuple(block.id for block in branch.blocks if block.id in ids)
        if own:
            smaller = networks.module(branch.network).drop_blocks(spec.member(branch), own)
            branch = replace(branch, blocks=smaller.blocks)
        kept.append(branch)
    if not kept:
        raise RecipeError("prune_layers.drop: names every stream; at least one must stay")
    return replace(spec, blocks=tuple(kept))


class Ensemble(nn.Layer):
    """x (N, C, T, V, M) float32 of joints -> logits (N, K)."""

    def __init__(self, spec: Spec):
        super().__init__()
        self.spec = spec
        self.widths = []
        for branch in spec.blocks:
            member = networks.build(spec.member(branch))
            self.widths.append(member.fc.weight.shape[0])
            # What is left of a member ends in the features of a clip.
            member.fc = nn.Identity()
            self.add_sublayer(branch.id, member)
        # As wide as the mean of the members' own classifiers, of which it is the sum.
        deviation = math.sqrt(2.0 / spec.classes) / len(self.widths)
        self.fc = nn.Linear(
            sum(self.widths),
            spec.classes,
            weight_attr=paddle.ParamAttr(initializer=Normal(0.0, deviation)),
            bias_attr=paddle.ParamAttr(initializer=Constant(0.0)),
        )
        # Not persistable: it follows from the skeleton.
        self.register_buffer("parents", paddle.to_tensor(parents(spec.skeleton)), persistable=False)

    def forward(self, x):
        features = [
            getattr(self, branch.id)(stream(x, branch.id, self.parents, joints=3, frames=2))
            for branch in self.spec.blocks
        ]
        return self.fc(paddle.concat(features, axis=1))


def build(spec: Spec) -> Ensemble:
    """A freshly initialised network of this spec."""
    return Ensemble(spec)


def member_states(network: Ensemble) -> list[dict[str, np.ndarray]]:
    """The weights of each member by itself, its classifier that part of the network's own; the bias
    is in the first."""
    state = networks.state_of(network)
    ends = np.cumsum(network.widths)[:-1]
    found = []
    for number, part in enumerate(np.split(state["fc.weight"], ends)):
        prefix = f"{network.spec.blocks[number].id}."
        own = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }
        bias = state["fc.bias"] if number == 0 else np.zeros_like(state["fc.bias"])
        found.append(own | {"fc.weight": part, "fc.bias": bias})
    return found


def spec_of(members: Sequence[tuple[str, Any]]) -> Spec:
    """The spec of one network of these members, each (stream, spec).

    Raises:
        RecipeError: they differ in what they are fed or in their classes, or cannot be members.
    """
    first = members[0][1]
    for _, each in members:
        if each.network not in MEMBERS:
            raise RecipeError(
                f"student.from: ensemble: {each.network} cannot be a part of one network (of these:"
                f" {', '.join(MEMBERS)})"
            )
        if (each.classes, each.skeleton, each.input_shape) != (
            first.classes,
            first.skeleton,
            first.input_shape,
        ):
            raise RecipeError(
                "student.from: ensemble: the teacher's networks differ in classes, skeleton or"
                " input; give them the same ones"
            )
    branches = tuple(Branch(name, each.network, each.blocks) for name, each in members)
    return Spec(
        branches, first.classes, first.skeleton, first.frames, first.persons, first.channels
    )


def joined(members: Sequence[tuple[str, nn.Layer, float]]) -> Ensemble:
    """One network that computes the weighted mean of the members' logits, each (stream, network,
    weight), in evaluation mode.

    Raises:
        RecipeError: as `spec_of`.
    """
    network = build(spec_of([(name, each.spec) for name, each, _ in members]))
    total = sum(weight for _, _, weight in members)
    state: dict[str, np.ndarray] = {}
    weights, biases = [], []
    for name, each, weight in members:
        own = networks.state_of(each)
        share = np.float32(weight / total)
        weights.append(own.pop("fc.weight") * share)
        biases.append(own.pop("fc.bias") * share)
        state |= {f"{name}.{key}": value for key, value in own.items()}
    state |= {"fc.weight": np.concatenate(weights), "fc.bias": sum(biases[1:], biases[0])}
    networks.load_state(network, state, "the members of an ensemble")
    network.eval()
    return network
