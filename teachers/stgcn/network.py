"""ST-GCN (Yan et al., AAAI 2018, arXiv 1801.07455) as PYSKL (arXiv 2205.09443) and mmaction2 define
it today.

Graph first, then one conv: the products of all three partitions with x are one batched matmul (Cin
channels), and the published 1x1 conv into three times as many channels becomes one over the three
products, the same sum in another order. The bias of that conv passes through the graph, so it stays
a parameter: a constant for each channel and joint. The graph convolution and the network around the
blocks also serve STGCN++ (`teachers/stgcnpp/network.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.nn.initializer import Constant, Normal, Uniform

from teachers import stages
from teachers.layers import BatchNorm, Conv, ConvBN, Residual
from teachers.skeleton import Skeleton, column_normalise
from teachers.stages import Block, Config, graph_of, plan

# The joint itself, and its neighbours on either side.
SUBSETS = 3

# See `teachers.networks.NetworkModule`; STGCN++ has the same, without the importance.
AXES = {
    # All persons share their statistics, so that no tensor knows how many there are.
    "data_bn.*": (("joint", "channel"),),
    "*.graph.adjacency": ((), ("joint",), ("joint",)),
    "*.graph.importance": ((), ("joint",), ("joint",)),
    "fc.weight": ((), ("class",)),
    "fc.bias": (("class",),),
}


@dataclass(frozen=True)
class Spec(stages.Spec):
    """Everything that rebuilds the network; a student is a smaller one. Input (N, channels, frames,
    V, persons)."""

    network: str = "stgcn"


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
    return Spec(plan(channels, config), classes, graph_of(skeleton), frames, persons, channels)


drop_blocks = stages.drop_blocks


def partition(skeleton: Skeleton) -> np.ndarray:
    """A (3, V, V) float32, `stgcn_spatial`: the joint itself, neighbours no nearer to the centre,
    neighbours nearer to it.

    A[k, v, w] weighs joint v in the sum of joint w; a column's weights over all three sum to one.
    Distances to the centre count as published: 0, 1, or infinite, so that away from the centre
    every neighbour is in the second part.
    """
    hops = skeleton.hops()
    centre = skeleton.centre - 1
    # Normalised before it is split: the three parts of a column sum to one together.
    weights = column_normalise((hops <= 1).astype("float64"))
    # Not the true distance: the published code knows only hops up to one, and weights were trained
    # on what it makes of that.
    distance = np.where(hops[:, centre] <= 1, hops[:, centre], np.inf)
    nearer = distance[:, None] < distance[None, :]
    return np.stack(
        [weights * (hops == 0), weights * ((hops == 1) & ~nearer), weights * ((hops == 1) & nearer)]
    ).astype("float32")


class GraphConv(nn.Layer):
    """y[w] = sum over k and v of A[k, v, w] (W_k x[v] + b_k): x (B, Cin, V, T) and A (3, V, V) ->
    (B, C, V, T)."""

    def __init__(self, block: Block):
        super().__init__()
        Cin = block.in_channels
        C = block.out_channels
        self.in_channels = Cin
        self.channels = C
        # Of the published conv, which has Cin inputs and three times as many outputs.
        bound = _published(Cin)
        # Inputs ordered (Cin, subset): what the product with the graph leaves, without a transpose.
        self.weight = self.create_parameter([C, Cin * SUBSETS, 1, 1], default_initializer=bound)
        self.bias = self.create_parameter([C, SUBSETS], default_initializer=bound)

    def forward(self, x, A):
        V = x.shape[2]
        T = x.shape[3]
        # (B, Cin, 3V, T)
        products = paddle.matmul(A.transpose([0, 2, 1]).reshape([SUBSETS * V, V]), x)
        y = F.conv2d(products.reshape([-1, self.in_channels * SUBSETS, V, T]), self.weight)
        # Not just the sum of the biases: columns of a learned graph sum to anything.
        constant = paddle.matmul(self.bias, A.sum(1)).reshape([self.channels * V, 1])
        # At rank 3, broadcast over the last axis only: on CPU a rank-4 add is many times slower
        # (3.4 against 0.5 ms on (2, 64, 25, 64), Paddle 2.6.2, benchmarks/LOG.md).
        return (y.reshape([-1, self.channels * V, T]) + constant).reshape([-1, self.channels, V, T])


class GraphUnit(nn.Layer):
    """ReLU(BN(graph convolution)); the fixed partition is weighed entry by entry with the learned
    importance."""

    def __init__(self, block: Block, skeleton: Skeleton):
        super().__init__()
        A = partition(skeleton)
        self.conv = GraphConv(block)
        # Persistable, for published weights come with graphs of their own.
        self.register_buffer("adjacency", paddle.to_tensor(A))
        # Ones: training starts from the skeleton's own graph.
        self.importance = self.create_parameter(list(A.shape), default_initializer=Constant(1.0))
        self.bn = BatchNorm(block.out_channels)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x, self.adjacency * self.importance)))


class Temporal(nn.Layer):
    """A convolution over nine frames and BatchNorm: x (B, C, V, T) -> (B, C, V, T / stride)."""

    def __init__(self, block: Block):
        super().__init__()
        self.conv = Conv(block.out_channels, block.out_channels, kernel=9, stride=block.stride)
        self.bn = BatchNorm(block.out_channels)

    def forward(self, x):
        return self.bn(self.conv(x))


class Unit(Residual):
    """ReLU(temporal(graph(x)) + residual(x))."""

    def __init__(self, block: Block, graph: nn.Layer, temporal: nn.Layer):
        super().__init__()
        self.graph = graph
        self.temporal = temporal
        self.has_residual = block.residual
        self.residual = (
            ConvBN(block.in_channels, block.out_channels, block.stride) if block.projects else None
        )

    def forward(self, x):
        y = self.temporal(self.graph(x))
        if self.has_residual:
            y = self.added(y) + (x if self.residual is None else self.residual(x))
        return F.relu(y)


class STGCN(nn.Layer):
    """x (N, C, T, V, M) float32 -> logits (N, K). `unit(block, skeleton)` makes a block's layer."""

    # Any block: STGCN++ has its own class of blocks, and hands over the function that takes them.
    def __init__(self, spec: stages.Spec, unit: Callable[[Any, Skeleton], nn.Layer]):
        super().__init__()
        self.spec = spec
        C, _, V, _ = spec.input_shape
        # All persons share their statistics: `data_bn_type: VC` in PYSKL.
        self.data_bn = BatchNorm(V * C)
        for block in spec.blocks:
            self.add_sublayer(block.id, unit(block, spec.skeleton))
        # The published code initialises no conv, so its convs keep torch's default; `Conv` starts
        # as CTR-GCN's do.
        for layer in self.sublayers():
            if isinstance(layer, Conv):
                _published(int(np.prod(layer.weight.shape[1:])))(layer.weight)
        # std 0.01 as PYSKL has it, where CTR-GCN takes sqrt(2 / K).
        self.fc = nn.Linear(
            spec.blocks[-1].out_channels,
            spec.classes,
            weight_attr=paddle.ParamAttr(initializer=Normal(0.0, 0.01)),
            bias_attr=paddle.ParamAttr(initializer=Constant(0.0)),
        )

    def forward(self, x):
        C, T, V, M = x.shape[1:]
        x = self.data_bn(x.transpose([0, 4, 3, 1, 2]).reshape([-1, V * C, T]))
        x = x.reshape([-1, V, C, T]).transpose([0, 2, 1, 3])
        for block in self.spec.blocks:
            x = getattr(self, block.id)(x)
        # Channels by the spec: reshape can leave one axis open, and that is the batch.
        return self.fc(x.mean([2, 3]).reshape([-1, M, self.spec.blocks[-1].out_channels]).mean(1))


def build(spec: Spec) -> STGCN:
    """A freshly initialised network of this spec."""
    return STGCN(
        spec, lambda block, skeleton: Unit(block, GraphUnit(block, skeleton), Temporal(block))
    )


def _published(fan_in: int) -> Uniform:
    """How the published code leaves its convs: uniform within 1 / sqrt(fan in), torch's default."""
    return Uniform(-1 / math.sqrt(fan_in), 1 / math.sqrt(fan_in))
