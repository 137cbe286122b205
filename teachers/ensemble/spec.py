"""The members of an ensemble as data: streams, networks, blocks."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from teachers import networks
from teachers.ensemble.streams import STREAMS
from teachers.errors import RecipeError
from teachers.skeleton import Skeleton

# Networks that are fed joints as they are, and end in the classifier `fc` on a clip's features.
MEMBERS = ("ctrgcn", "ctrgcn_light_v1", "ctrgcn_light_v2", "stgcn", "stgcnpp")
# Keys of a stage plan (`teachers.stages.Config`), which not every member has.
PLAN = ("ratio", "stages", "inflate", "down")


def apart(name: str) -> tuple[str, ...]:
    """The streams that a member of this name sees, in the order of the channels."""
    return tuple(name.split("+"))


@dataclass(frozen=True)
class Branch:
    """A member: `id` is the stream that it sees, or several as channels of one input, joined by
    `+`; `blocks` are those of `network`."""

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

    @property
    def streams(self) -> tuple[str, ...]:
        """What it sees, in the order of the channels."""
        return apart(self.id)


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
        channels = self.channels * len(branch.streams)
        return networks.module(branch.network).Spec(
            branch.blocks, self.classes, self.skeleton, self.frames, self.persons, channels
        )


@dataclass(frozen=True)
class Config:
    """Recipe keys.

    Attributes:
        streams: that it is made of; `joint+bone` is one member that sees both as channels.
        member: the network of each.
        width: of a member, as its own key.
        drop: blocks that no member has.
        ratio, stages, inflate, down: of ST-GCN and STGCN++, as their own keys; None: as published.
    """

    streams: tuple[str, ...] = STREAMS
    member: str = "ctrgcn"
    width: int = 24
    drop: tuple[str, ...] = ()
    ratio: float | None = None
    stages: int | None = None
    inflate: tuple[int, ...] | None = None
    down: tuple[int, ...] | None = None

    def __post_init__(self):
        if self.member not in MEMBERS:
            raise ValueError(f"member: must be one of {', '.join(MEMBERS)}, is {self.member!r}")
        seen = [name for member in self.streams for name in apart(member)]
        unknown = [name for name in seen if name not in STREAMS]
        if unknown or not seen or len(set(seen)) < len(seen):
            raise ValueError(
                f"streams: must be some of {', '.join(STREAMS)}, each once; a+b gives one member both"
            )
        # Raises about its keys, in the member's own words.
        self.of_member()

    def of_member(self) -> Any:
        """The keys of every member.

        Raises:
            ValueError: a key that the member does not have, or what it says of the others.
        """
        config = networks.module(self.member).Config
        known = {each.name for each in fields(config)}
        given = {key: getattr(self, key) for key in PLAN if getattr(self, key) is not None}
        for key in given:
            if key not in known:
                raise ValueError(f"{key}: {self.member} has no such key")
        return config(width=self.width, **given)


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
    branches = []
    for name in config.streams:
        seen = channels * len(apart(name))
        spec = module.default_spec(classes, skeleton, frames, persons, seen, config.of_member())
        if config.drop:
            spec = module.drop_blocks(spec, config.drop)
        branches.append(Branch(name, config.member, spec.blocks))
    # The member's, which may have other edges than the data's.
    return Spec(tuple(branches), classes, spec.skeleton, frames, persons, channels)


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
