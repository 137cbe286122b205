"""CTR-GCN (Chen et al., ICCV 2021, arXiv 2107.12213), exactly as published, written for a fast
training step.

A graph unit pools its features before the relation convs, which are one conv for all three subsets,
takes their outer difference as a product with a constant matrix, and refines each subset's topology
Q (B, C, V, V) with one conv whose weights carry alpha, the bias of conv4 and the learnable topology
too; conv3's bias is added once, after the products. `teachers/ctrgcn/published.py` is the published
form; `benchmarks/train_step.py` compares the two.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.nn.initializer import Assign, Constant, Normal

from teachers import stages
from teachers.layers import BatchNorm, Conv, ConvBN, Residual
from teachers.skeleton import Skeleton

# Identity, inward, outward.
SUBSETS = 3

# See `teachers.networks.NetworkModule`.
AXES = {
    # Person slowest, then joint, then coordinate: the published order.
    "data_bn.*": (("person", "joint", "channel"),),
    "*.graph.topology": ((), ("joint",), ("joint",)),
    "fc.weight": ((), ("class",)),
    "fc.bias": (("class",),),
}


@dataclass(frozen=True)
class Widths:
    """Channels inside one unit.

    Attributes:
        graph: output of the graph unit.
        relations: R of each subset.
        inner: inputs of the two temporal convs, near and far.
        branches: outputs of the four temporal branches (near, far, pooled, plain), which make up
            the block's.
        down, projection: the residual of the graph unit, and of the block, is a conv even where
            both of its ends are as wide.
    """

    graph: int
    relations: int
    inner: tuple[int, int]
    branches: tuple[int, int, int, int]
    down: bool = False
    projection: bool = False


@dataclass(frozen=True)
class Block(stages.Sized):
    """One TCN-GCN unit; `widths`: None as published."""

    # No part of `repr`, by which trained teachers are kept: those of before channel pruning stay.
    widths: Widths | None = field(default=None, kw_only=True, repr=False)

    @property
    def relation_channels(self) -> int:
        if self.widths is not None:
            return self.widths.relations
        # The published code says 8 for 3 and 9 coordinates, else an eighth. Below 8 channels an
        # eighth would be none.
        if self.in_channels in (3, 9) or self.in_channels < 8:
            return 8
        return self.in_channels // 8

    @property
    def inside(self) -> Widths:
        """The unit's widths, given or published."""
        if self.widths is not None:
            return self.widths
        width = self.out_channels // 4
        # The last branch takes what division leaves over, as published for 62 channels.
        return Widths(
            self.out_channels,
            self.relation_channels,
            (width, width),
            (width, width, width, self.out_channels - 3 * width),
        )


@dataclass(frozen=True)
class Spec(stages.Spec):
    """Everything that rebuilds the network; a student is a smaller one. Input (N, channels, frames,
    V, persons)."""

    blocks: tuple[Block, ...]
    network: str = "ctrgcn"


@dataclass(frozen=True)
class Config:
    """Recipe keys: `width`, the channels of l1 (64 as published), a multiple of 8."""

    width: int = 64

    def __post_init__(self):
        # Relations are an eighth of the width and branches a quarter: both come out whole.
        if self.width < 8 or self.width % 8:
            raise ValueError(f"width: CTR-GCN needs a multiple of 8 channels, got {self.width}")


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


class GraphUnit(nn.Layer):
    """Channel-wise topology refinement, eq. 1-6 of the paper: x (B, Cin, V, T) -> (B, C, V, T).

    Args:
        groups: 3, each subset has relations of its own; 1, the three share one.
    """

    def __init__(self, block: Block, skeleton: Skeleton, groups: int = SUBSETS):
        super().__init__()
        V = skeleton.joints
        C = block.inside.graph
        Cin = block.in_channels
        R = block.relation_channels
        # Output channels of `relation` are ordered (group, R, [conv1, conv2]), those of `values`
        # (C, subset).
        self.relation_weight = self.create_parameter(
            [2 * groups * R, Cin, 1], default_initializer=_normal(R)
        )
        self.relation_bias = self.create_parameter([2 * groups * R], is_bias=True)
        self.values = Conv(Cin, SUBSETS * C, fan_out=C)
        self.values_bias = self.create_parameter([C, SUBSETS], is_bias=True)
        self.refine_weight = self.create_parameter([C, SUBSETS, R], default_initializer=_normal(C))
        self.refine_bias = self.create_parameter([C, SUBSETS], is_bias=True)
        self.topology = self.create_parameter(
            [SUBSETS, V, V], default_initializer=Assign(skeleton.adjacency())
        )
        # Zero and 1e-6 as published: training starts from the fixed skeleton, and the unit from
        # nearly its residual alone.
        self.alpha = self.create_parameter([1], default_initializer=Constant(0.0))
        self.bn = BatchNorm(C, Constant(1e-6))
        self.down = ConvBN(Cin, C) if block.graph_projects else None
        self.channels = C
        self.relations = R
        self.groups = groups
        # Not persistable: it follows from V, and a checkpoint holds only what was learned.
        self.register_buffer(
            "difference",
            paddle.to_tensor(outer_difference(V), dtype=paddle.get_default_dtype()),
            persistable=False,
        )

    def mixing(self):
        """(C, 3, R + 2): how a channel's topology of each subset mixes [R relations, the constant
        one, the shared topology]."""
        # alpha scales the small weights here instead of the large maps (B, C, V, V), and conv4's
        # bias and the shared topology are two more relations of one conv: no add of their own.
        ones = paddle.ones([self.channels, SUBSETS, 1], dtype=self.refine_weight.dtype)
        bias = (self.refine_bias * self.alpha).unsqueeze(-1)
        return paddle.concat([self.refine_weight * self.alpha, bias, ones], axis=2)

    def relations_of(self, x):
        """(B, 3, R + 2, V * V), the last axis ordered (source joint v, target joint u); rows as
        `mixing` takes them."""
        B = x.shape[0]
        V = x.shape[2]
        R = self.relations
        # (B, 2 * groups * R, V). Published: conv, then the mean over frames. Both are linear, so
        # pooling first gives the same with a T-th of the work.
        pooled = F.conv1d(x.mean(-1), self.relation_weight, self.relation_bias)
        relation = paddle.tanh(
            paddle.matmul(pooled.reshape([B, self.groups, R, 2 * V]), self.difference)
        )
        if self.groups != SUBSETS:
            relation = relation.expand([B, SUBSETS, R, V * V])
        # [target u, source v] as published; here the source comes first, as x does in the product.
        shared = self.topology.transpose([0, 2, 1]).reshape([1, SUBSETS, 1, V * V])
        constant = paddle.concat(
            [paddle.ones([1, SUBSETS, 1, V * V], dtype=shared.dtype), shared], axis=2
        )
        return paddle.concat(
            [relation, constant.expand([B, SUBSETS, 2, V * V]).astype(relation.dtype)], axis=2
        )

    def forward(self, x):
        B, Cin, V, _ = x.shape
        C = self.channels
        rows = self.relations + 2
        mixing = self.mixing()
        relations = self.relations_of(x)
        # conv3's bias b reaches target u as b * sum_v Q[v, u]: summed before the mixing, V times
        # cheaper.
        bias_mixing = (mixing * self.values_bias.unsqueeze(-1)).reshape([C, SUBSETS * rows, 1])
        summed = relations.reshape([B, SUBSETS * rows, V, V]).sum(2)
        # (B, C, V, 1)
        y = F.conv1d(summed, bias_mixing).unsqueeze(-1)
        values = self.values.weight.reshape([C, SUBSETS, Cin, 1, 1]).unbind(1)
        # Subset by subset: against all three in one batched product 14 % faster at 16 frames, 4 %
        # at 32, and 3 % slower at 52 (benchmarks/LOG.md).
        # zip without `strict`: Paddle 2.6.2 traces it as a function of its own that has none.
        for mix, relation, weight in zip(mixing.unbind(1), relations.unbind(1), values):  # noqa: B905
            Q = F.conv2d(relation.unsqueeze(-1), mix.reshape([C, rows, 1, 1])).reshape([B, C, V, V])
            y = paddle.matmul(Q, F.conv2d(x, weight), transpose_x=True) + y  # (B, C, V, T)
        return F.relu(self.bn(y) + (x if self.down is None else self.down(x)))


class TemporalUnit(nn.Layer):
    """Four temporal branches: kernel 5 at dilation 1 and 2, max pooling 3, and 1x1. x (B, Cin, V,
    T) -> (B, C, V, T / stride).

    As published every branch is a quarter of C, and the last one takes what remains: 62 -> 15, 15,
    15, 17. The four leading 1x1 convs are one conv, the BatchNorms behind the branches are one
    BatchNorm over the concatenation.
    """

    def __init__(self, block: Block, in_channels: int):
        super().__init__()
        near_in, far_in = block.inside.inner
        near, far, pooled, last = block.inside.branches
        # Pooling keeps its channels, so the pooled branch is as wide in front of it as behind it.
        self.inner = (near_in, far_in, pooled)
        self.branches = block.inside.branches
        self.last = last
        self.stride = block.stride
        stride = block.stride
        # fan_out of one published conv, not of the four in one.
        self.reduce = Conv(in_channels, sum(self.inner) + last, fan_out=block.out_channels // 4)
        self.reduce_bn = BatchNorm(sum(self.inner), Normal(1.0, 0.02))
        self.near = Conv(near_in, near, kernel=5, stride=stride)
        self.far = Conv(far_in, far, kernel=5, stride=stride, dilation=2)
        self.bn = BatchNorm(block.out_channels, Normal(1.0, 0.02))

    def forward(self, x):
        reduced, plain = paddle.split(self.reduce(x), [sum(self.inner), self.last], axis=1)
        near, far, pooled = paddle.split(F.relu(self.reduce_bn(reduced)), list(self.inner), axis=1)
        # The plain branch takes its stride here: its conv is one operator with three that have
        # none.
        if self.stride > 1:
            plain = plain[:, :, :, :: self.stride]
        pooled = F.max_pool2d(pooled, (1, 3), stride=(1, self.stride), padding=(0, 1))
        return self.bn(paddle.concat([self.near(near), self.far(far), pooled, plain], axis=1))


class Unit(Residual):
    """ReLU(temporal(graph(x)) + residual(x)); without a graph unit, ReLU(temporal(x) +
    residual(x))."""

    def __init__(self, block: Block, graph: GraphUnit | None, temporal: TemporalUnit):
        super().__init__()
        self.graph = graph
        self.temporal = temporal
        self.has_residual = block.residual
        self.residual = (
            ConvBN(block.in_channels, block.out_channels, block.stride) if block.projects else None
        )

    def forward(self, x):
        y = self.temporal(x if self.graph is None else self.graph(x))
        if self.has_residual:
            y = self.added(y) + (x if self.residual is None else self.residual(x))
        return F.relu(y)


def unit(block: Block, skeleton: Skeleton) -> Unit:
    """The unit of one block."""
    return Unit(block, GraphUnit(block, skeleton), TemporalUnit(block, block.inside.graph))


class CTRGCN(nn.Layer):
    """x (N, C, T, V, M) float32 -> logits (N, K), of the units that `unit` makes."""

    # Any block: `unit` takes those of the spec's own variant, which has fields of its own.
    def __init__(self, spec: Spec, unit: Callable[[Any, Skeleton], Unit] = unit):
        super().__init__()
        self.spec = spec
        C, _, V, M = spec.input_shape
        # Statistics of each person apart, as published.
        self.data_bn = BatchNorm(M * V * C)
        # By id, not in a list: a student without l4 still calls the next block l5, which is how
        # weights are copied.
        for block in spec.blocks:
            self.add_sublayer(block.id, unit(block, spec.skeleton))
        # N(0, sqrt(2 / K)) as published: over the classes, not over the channels that come in.
        self.fc = nn.Linear(
            spec.blocks[-1].out_channels,
            spec.classes,
            weight_attr=paddle.ParamAttr(initializer=Normal(0.0, math.sqrt(2.0 / spec.classes))),
            bias_attr=paddle.ParamAttr(initializer=Constant(0.0)),
        )

    def forward(self, x):
        N, C, T, V, M = x.shape
        # Person slowest, then joint, then coordinate: the published order of data_bn's channels.
        x = self.data_bn(x.transpose([0, 4, 3, 1, 2]).reshape([N, M * V * C, T]))
        x = x.reshape([N * M, V, C, T]).transpose([0, 2, 1, 3])
        for block in self.spec.blocks:
            x = getattr(self, block.id)(x)
        # As published, a person who is not there counts in the mean like any other.
        return self.fc(x.mean([2, 3]).reshape([N, M, -1]).mean(1))


def build(spec: Spec) -> CTRGCN:
    """A freshly initialised network of this spec."""
    return CTRGCN(spec)


def outer_difference(V: int) -> np.ndarray:
    """(2V, V*V) float32 D with ([a, b] @ D)[v * V + u] = a[u] - b[v]: ten times faster than a
    broadcast subtraction."""
    identity = np.eye(V, dtype="float32")
    # Both (joint, v, u).
    target = np.broadcast_to(identity[:, None, :], (V, V, V))
    source = np.broadcast_to(identity[:, :, None], (V, V, V))
    return np.concatenate([target, -source]).reshape(2 * V, V * V)


def _normal(fan_out: int):
    # Kaiming over the fan out of one published conv; the fused weights here have a larger one.
    return Normal(0.0, math.sqrt(2.0 / fan_out))
