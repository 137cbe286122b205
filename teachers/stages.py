"""The stage plan of the graph networks as data: blocks, spec, layer pruning, and the recipe keys
that ST-GCN and STGCN++ (PYSKL, arXiv 2205.09443) have for it; CTR-GCN and its light versions take
the width alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, overload

from teachers.errors import RecipeError
from teachers.skeleton import NTU_25, NTU_25_PYSKL, Skeleton


@dataclass(frozen=True)
class Block:
    """One stage: a graph unit, a temporal unit and a residual. `residual` is false only for the
    network's first block."""

    id: str
    in_channels: int
    out_channels: int
    stride: int
    residual: bool

    @property
    def projects(self) -> bool:
        """Whether the block residual is a 1x1 conv + BatchNorm instead of the identity."""
        # A stride alone needs a projection too: the identity has more frames than it is added to.
        return self.residual and (self.in_channels != self.out_channels or self.stride != 1)


class Inside(Protocol):
    """What the widths inside a block of any network say.

    Attributes:
        graph: channels behind the graph unit.
        down, projection: the residual of the graph unit, and of the block, is a conv even where
            both of its ends are as wide.
    """

    @property
    def graph(self) -> int: ...
    @property
    def down(self) -> bool: ...
    @property
    def projection(self) -> bool: ...


@dataclass(frozen=True)
class Sized(Block):
    """A block that tells in `inside` how wide its parts are."""

    @property
    def inside(self) -> Inside:
        """The widths inside it, published or pruned."""
        raise NotImplementedError

    @property
    def graph_projects(self) -> bool:
        """Whether the residual inside the graph unit is a 1x1 conv + BatchNorm instead of the
        identity."""
        # The stride plays no part: frames are halved behind the graph, in the temporal unit.
        return self.in_channels != self.inside.graph or self.inside.down

    @property
    def projects(self) -> bool:
        """Whether the block residual is a 1x1 conv + BatchNorm instead of the identity."""
        # Channel pruning can leave a projection between ends that are equally wide by chance; its
        # weights are no identity, so it stays.
        return super().projects or (self.residual and self.inside.projection)


@dataclass(frozen=True)
class Spec:
    """Everything that rebuilds a network; each names itself. Input (N, channels, frames, V,
    persons)."""

    blocks: tuple[Block, ...]
    classes: int
    skeleton: Skeleton
    frames: int
    persons: int
    channels: int = 3
    network: str = ""

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """(C, T, V, M) of one clip."""
        return self.channels, self.frames, self.skeleton.joints, self.persons


@dataclass(frozen=True)
class Config:
    """Recipe keys of the stage plan; stages count from 1, numbers beyond the last stage say
    nothing.

    Attributes:
        width: channels of the first stage.
        ratio: how many times wider a stage of `inflate` is than the one before it.
        stages: number of blocks.
        inflate, down: the stages that widen, and those that halve the frames.
    """

    width: int = 64
    ratio: float = 2.0
    stages: int = 10
    inflate: tuple[int, ...] = (5, 8)
    down: tuple[int, ...] = (5, 8)

    def __post_init__(self):
        for name in ("width", "stages"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1, got {getattr(self, name)}")
        for name in ("inflate", "down"):
            if any(stage < 2 for stage in getattr(self, name)):
                raise ValueError(
                    f"{name}: the first stage keeps its width and its frames; name stages from 2 on"
                )
        # Checked last: without stages `narrowest` would take the minimum of nothing.
        if self.ratio <= 0 or self.narrowest() < 1:
            raise ValueError(f"ratio: {self.ratio} leaves a stage without channels")

    def narrowest(self) -> int:
        """Channels of the narrowest stage."""
        return min(block.out_channels for block in plan(1, self))


AnyBlock = TypeVar("AnyBlock", bound=Block)


@overload
def plan(channels: int, config: Config) -> tuple[Block, ...]: ...
@overload
def plan(
    channels: int, config: Config, block: Callable[[str, int, int, int, bool], AnyBlock]
) -> tuple[AnyBlock, ...]: ...
def plan(channels: int, config: Config, block: Callable[..., Block] = Block) -> tuple[Block, ...]:
    """The blocks l1, l2, ... of a stage plan, for an input of `channels` channels; `block` makes
    one of its five fields."""
    blocks = []
    last = channels
    widened = 0
    for number in range(1, config.stages + 1):
        if number in config.inflate:
            widened += 1
        # The published rounding: 1e-4 makes up for powers of a ratio that a float cannot hold.
        out = int(config.width * config.ratio**widened + 1e-4)
        stride = 2 if number in config.down else 1
        # As published, the first block has no residual.
        blocks.append(block(f"l{number}", last, out, stride, number > 1))
        last = out
    return tuple(blocks)


def graph_of(skeleton: Skeleton) -> Skeleton:
    """The skeleton with the edges these networks were published with: other ones for the hands of
    NTU-25."""
    # Bone streams use the pairs of the literature all the same: `stream_bones` has them.
    return NTU_25_PYSKL if skeleton == NTU_25 else skeleton


def drop_blocks(spec: Spec, ids: tuple[str, ...]) -> Spec:
    """The spec without the named blocks. The next block takes over a dropped block's input width
    and stride.

    Raises:
        RecipeError: an id the network does not have, or no block left.
    """
    check_dropped(spec, ids)
    blocks: list[Block] = []
    last = spec.channels
    stride = 1
    for block in spec.blocks:
        # Strides of dropped blocks add up, so that the blocks behind see as many frames as before.
        stride *= block.stride
        if block.id in ids:
            continue
        # Ids stay (l1, l3, ...): weights are copied by them.
        blocks.append(replace(block, in_channels=last, stride=stride, residual=bool(blocks)))
        last = block.out_channels
        stride = 1
    return replace(spec, blocks=tuple(blocks))


def check_dropped(spec, ids: tuple[str, ...]) -> None:
    """
    Raises:
        RecipeError: an id the network does not have, or no block left.
    """
    known = [block.id for block in spec.blocks]
    # A mistyped id would otherwise drop nothing, and nobody would notice.
    unknown = [name for name in ids if name not in known]
    if unknown:
        raise RecipeError(
            f"prune_layers.drop: {spec.network} has no block {unknown[0]!r} (it has"
            f" {', '.join(known)})"
        )
    # As sets: a recipe may name a block twice, or out of order.
    if set(ids) == set(known):
        raise RecipeError("prune_layers.drop: names every block; at least one must stay")
