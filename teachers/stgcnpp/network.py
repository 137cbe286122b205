"""STGCN++ (Duan et al., PYSKL, 2022, arXiv 2205.09443), exactly as published, written for a fast
training step.

ST-GCN's stage plan with a learned graph, a residual inside the graph unit and six temporal
branches; their six leading 1x1 convs are one conv, and so are the BatchNorms behind them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.nn.initializer import Assign

from teachers import stages
from teachers.layers import BatchNorm, Conv, ConvBN
from teachers.skeleton import Skeleton
from teachers.stages import graph_of, plan
from teachers.stgcn.network import STGCN, GraphConv, Unit

DILATIONS = (1, 2, 3, 4)
# And a max pooling and a plain one.
BRANCHES = len(DILATIONS) + 2


@dataclass(frozen=True)
class Widths:
    """Channels inside one unit.

    Attributes:
        graph: output of the graph unit.
        inner: inputs of the four dilated convs.
        branches: outputs of the six branches.
        down, projection: the residual of the graph unit, and of the block, is a conv even where
            both of its ends are as wide.
    """

    graph: int
    inner: tuple[int, ...]
    branches: tuple[int, ...]
    down: bool = False
    projection: bool = False


@dataclass(frozen=True)
class Block(stages.Sized):
    """One stage; `widths`: None as published."""

    # No part of `repr`, by which trained teachers are kept: those of before channel pruning stay.
    widths: Widths | None = field(default=None, kw_only=True, repr=False)

    @property
    def inside(self) -> Widths:
        """The stage's widths, given or published."""
        branches = branch_widths(self.out_channels)
        return self.widths or Widths(self.out_channels, branches[: len(DILATIONS)], branches)

    def graph(self) -> stages.Block:
        """The graph convolution as a block of its own: as wide as its output."""
        return stages.Block(self.id, self.in_channels, self.inside.graph, 1, False)


@dataclass(frozen=True)
class Spec(stages.Spec):
    """Everything that rebuilds the network; a student is a smaller one. Input (N, channels, frames,
    V, persons)."""

    blocks: tuple[Block, ...]
    network: str = "stgcnpp"


@dataclass(frozen=True)
class Config(stages.Config):
    """Recipe keys of the stage plan, those of ST-GCN."""

    def __post_init__(self):
        super().__post_init__()
        if self.narrowest() < BRANCHES:
            raise ValueError(
                f"width: STGCN++ needs {BRANCHES} channels or more in every stage, one for each"
                " temporal branch"
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
    """The published network, ten blocks by default."""
    return Spec(
        plan(channels, config, Block), classes, graph_of(skeleton), frames, persons, channels
    )


drop_blocks = stages.drop_blocks


def branch_widths(channels: int) -> tuple[int, ...]:
    """Channels of the six branches, the first with the remainder: 128 -> 23, 21, 21, 21, 21, 21."""
    # PYSKL gives the remainder to the first branch, CTR-GCN to the last.
    width = channels // BRANCHES
    return (channels - (BRANCHES - 1) * width, *[width] * (BRANCHES - 1))


class GraphUnit(nn.Layer):
    """ReLU(BN(graph convolution over the learned graph) + x), with a 1x1 conv + BatchNorm on x when
    the width changes."""

    def __init__(self, block: Block, skeleton: Skeleton):
        super().__init__()
        A = skeleton.adjacency()
        self.conv = GraphConv(block.graph())
        # A parameter, where ST-GCN has a buffer and an importance: here the graph itself learns.
        self.adjacency = self.create_parameter(list(A.shape), default_initializer=Assign(A))
        self.bn = BatchNorm(block.inside.graph)
        self.down = ConvBN(block.in_channels, block.inside.graph) if block.graph_projects else None

    def forward(self, x):
        return F.relu(
            self.bn(self.conv(x, self.adjacency)) + (x if self.down is None else self.down(x))
        )


class Temporal(nn.Layer):
    """Six branches over frames, then BN, ReLU, 1x1 conv, BN: x (B, C, V, T) -> (B, C, V, T /
    stride).

    Branches: four convs over three frames, dilated 1 to 4, and max pooling over three, each behind
    1x1 conv, BN and ReLU; and a 1x1 conv alone.
    """

    def __init__(self, block: Block):
        super().__init__()
        inside = block.inside
        C = block.out_channels
        self.stride = block.stride
        self.branch_widths = inside.branches
        # What the leading convs compute for each branch. The pooled and the plain branch have no
        # conv behind, so they are as wide there as at their end.
        self.widths = (*inside.inner, *inside.branches[-2:])
        self.reduce = Conv(inside.graph, sum(self.widths))
        # Of all but the plain branch, which has no BatchNorm or ReLU of its own as published.
        self.reduce_bn = BatchNorm(sum(self.widths[:-1]))
        self.branches = nn.LayerList(
            [
                Conv(before, width, kernel=3, stride=block.stride, dilation=dilation)
                for before, width, dilation in zip(
                    inside.inner, inside.branches[: len(DILATIONS)], DILATIONS, strict=True
                )
            ]
        )
        self.bn = BatchNorm(sum(inside.branches))
        self.mix = Conv(sum(inside.branches), C)
        self.mix_bn = BatchNorm(C)

    def forward(self, x):
        *widths, last = self.widths
        reduced, plain = paddle.split(self.reduce(x), [sum(widths), last], axis=1)
        *parts, pooled = paddle.split(F.relu(self.reduce_bn(reduced)), widths, axis=1)
        # The published conv has the stride itself; here it is one operator with five that have
        # none.
        if self.stride > 1:
            plain = plain[:, :, :, :: self.stride]
        pooled = F.max_pool2d(pooled, (1, 3), stride=(1, self.stride), padding=(0, 1))
        # zip without `strict`: Paddle 2.6.2 traces it as a function of its own that has none.
        dilated = [conv(part) for conv, part in zip(self.branches, parts)]  # noqa: B905
        y = paddle.concat([*dilated, pooled, plain], axis=1)
        return self.mix_bn(self.mix(F.relu(self.bn(y))))


def build(spec: Spec) -> STGCN:
    """A freshly initialised network of this spec."""
    return STGCN(
        spec, lambda block, skeleton: Unit(block, GraphUnit(block, skeleton), Temporal(block))
    )
