"""CTRGCN_light V2 (PaddleVideo): a CTR-GCN (arXiv 2107.12213) of width 62 whose three subsets share
one relation.

Where a block halves the frames, its graph unit keeps the input's width and the temporal unit
widens. The maths of every unit is that of `teachers/ctrgcn/network.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from teachers import ctrgcn, stages
from teachers.ctrgcn.network import CTRGCN, GraphUnit, TemporalUnit, Unit
from teachers.skeleton import Skeleton


@dataclass(frozen=True)
class Block(ctrgcn.Block):
    """One unit: a graph unit, then a temporal unit."""

    @property
    def graph_channels(self) -> int:
        """Channels between the graph unit and the temporal unit."""
        return self.in_channels if self.stride > 1 else self.out_channels


@dataclass(frozen=True)
class Spec(ctrgcn.Spec):
    """Everything that rebuilds the network; a student is a smaller one. Input (N, channels, frames,
    V, persons)."""

    blocks: tuple[Block, ...]
    network: str = "ctrgcn_light_v2"


@dataclass(frozen=True)
class Config:
    """Recipe keys: `width`, the channels of l1 (62 as published)."""

    # Not a multiple of 4: the last temporal branch takes what remains.
    width: int = 62

    def __post_init__(self):
        if self.width < 8:
            raise ValueError(f"width: CTRGCN_light V2 needs 8 channels or more, got {self.width}")


PUBLISHED = Config()


def default_spec(
    classes: int,
    skeleton: Skeleton,
    frames: int,
    persons: int,
    channels: int = 3,
    config: Config = PUBLISHED,
) -> Spec:
    """The published ten blocks."""
    return Spec(
        stages.plan(channels, stages.Config(config.width), Block),
        classes,
        skeleton,
        frames,
        persons,
        channels,
    )


drop_blocks = stages.drop_blocks
# Every unit keeps the names of CTR-GCN's.
AXES = ctrgcn.AXES


def build(spec: Spec) -> CTRGCN:
    """A freshly initialised network of this spec."""
    return CTRGCN(spec, unit)


def unit(block: Block, skeleton: Skeleton) -> Unit:
    """The unit of one block."""
    return Unit(
        block,
        # The graph unit reads its width off the block, and it is narrower where the stride is.
        GraphUnit(replace(block, out_channels=block.graph_channels), skeleton, groups=1),
        TemporalUnit(block, block.graph_channels),
    )
