"""CTRGCN_light V1 (PaddleVideo): a CTR-GCN (arXiv 2107.12213) of width 60 with six graph units
instead of ten.

Blocks without a graph unit are a temporal unit and the block's residual; the temporal unit then
changes the width. The maths of every unit is that of `teachers/ctrgcn/network.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from teachers import ctrgcn, stages
from teachers.ctrgcn.network import CTRGCN, GraphUnit, TemporalUnit, Unit
from teachers.skeleton import Skeleton

# As published; no rule says which.
GRAPH_BLOCKS = ("l1", "l4", "l6", "l7", "l9", "l10")


@dataclass(frozen=True)
class Block(ctrgcn.Block):
    """One unit; `graph`: it has a graph unit in front of its temporal unit."""

    # Follows the keyword-only `widths`, so it is the sixth positional field, as in specs written
    # before there was one.
    graph: bool

    @property
    def graph_channels(self) -> int:
        """Channels that the temporal unit takes."""
        return self.out_channels if self.graph else self.in_channels


@dataclass(frozen=True)
class Spec(ctrgcn.Spec):
    """Everything that rebuilds the network; a student is a smaller one. Input (N, channels, frames,
    V, persons)."""

    blocks: tuple[Block, ...]
    network: str = "ctrgcn_light_v1"


@dataclass(frozen=True)
class Config:
    """Recipe keys: `width`, the channels of l1 (60 as published), a multiple of 4."""

    width: int = 60

    def __post_init__(self):
        # Four temporal branches, equally wide as in the published 60 (15 each).
        if self.width < 8 or self.width % 4:
            raise ValueError(
                "width: CTRGCN_light V1 needs a multiple of 4 channels, 8 or more, got"
                f" {self.width}"
            )


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

    def block(name: str, last: int, out: int, stride: int, residual: bool) -> Block:
        return Block(name, last, out, stride, residual, graph=name in GRAPH_BLOCKS)

    blocks = stages.plan(channels, stages.Config(config.width), block)
    return Spec(blocks, classes, skeleton, frames, persons, channels)


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
        GraphUnit(block, skeleton) if block.graph else None,
        TemporalUnit(block, block.graph_channels),
    )
