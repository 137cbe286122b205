"""The layers of EfficientGCN (Song et al., TPAMI 2022, arXiv 2106.15125), and the blocks they make
up.

A temporal layer is data: `temporal_steps` lists its convolutions, and the network, its cost, its
checkpoint names and its inference form all read that list. Maps are (B, C, V, T). Biases that a
BatchNorm cancels are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.nn.initializer import Constant

from teachers.layers import BatchNorm, Conv, Residual
from teachers.skeleton import Skeleton, column_normalise

# Subsets of the graph: joints 0, 1 and 2 bones apart.
HOPS = 3
# Frames.
KERNEL = 5
LAYERS = ("sg", "epsep", "sep", "basic", "bottleneck")
# Swish comes after the residual in these; the others end linearly, as published.
ACT_ON_SUM = ("basic", "bottleneck")


@dataclass(frozen=True)
class Block:
    """Graph convolution, `depth` temporal layers of which the first takes the stride, attention.

    Attributes:
        layer: the kind of temporal layer.
        hidden: channels inside a temporal layer; 0 where it has none.
        attention: channels inside the attention.
        branched: whether every input branch has such a block, rather than the main stream.
    """

    id: str
    in_channels: int
    out_channels: int
    stride: int
    depth: int
    layer: str
    hidden: int
    attention: int
    branched: bool


@dataclass(frozen=True)
class Step:
    """A convolution and its BatchNorm, then Swish if `act`."""

    name: str
    in_channels: int
    out_channels: int
    kernel: int = 1
    stride: int = 1
    act: bool = False
    depthwise: bool = False

    @property
    def groups(self) -> int:
        return self.out_channels if self.depthwise else 1


def temporal_steps(layer: str, channels: int, hidden: int, stride: int) -> tuple[Step, ...]:
    """The convolutions of one temporal layer in order, without its residual; names as published.

    Args:
        layer: one of `LAYERS`.
        channels: C, in and out.
        hidden: channels in between; `basic` and `sep` have none.
    """
    C = channels
    H = hidden
    if layer == "basic":
        return (Step("conv", C, C, KERNEL, stride),)
    if layer == "bottleneck":
        return (
            Step("reduct_conv", C, H, act=True),
            Step("conv", H, H, KERNEL, stride, act=True),
            Step("expand_conv", H, C),
        )
    if layer == "sg":
        return (
            Step("depth_conv1", C, C, KERNEL, act=True, depthwise=True),
            Step("point_conv1", C, H),
            Step("point_conv2", H, C, act=True),
            Step("depth_conv2", C, C, KERNEL, stride, depthwise=True),
        )
    wide = H if layer == "epsep" else C
    expand = (Step("expand_conv", C, wide, act=True),) if layer == "epsep" else ()
    return (
        *expand,
        Step("depth_conv", wide, wide, KERNEL, stride, act=True, depthwise=True),
        Step("point_conv", wide, C),
    )


def hop_adjacency(skeleton: Skeleton, max_hop: int) -> np.ndarray:
    """A (3, V, V) float32: pairs 0, 1 and 2 bones apart; columns normalised over all pairs up to
    `max_hop` bones apart."""
    hops = skeleton.hops()
    near = column_normalise((hops <= max_hop).astype("float64"))
    return np.stack([np.where(hops == hop, near, 0.0) for hop in range(HOPS)]).astype("float32")


class ConvNorm(nn.Layer):
    """One `Step` without its activation: x (B, Cin, V, T) -> (B, C, V, T / stride)."""

    def __init__(self, step: Step):
        super().__init__()
        # fan_out * groups: published initialisation does not see that a convolution is depthwise.
        self.conv = Conv(
            step.in_channels,
            step.out_channels,
            step.kernel,
            step.stride,
            groups=step.groups,
            fan_out=step.out_channels * step.groups,
        )
        self.bn = BatchNorm(step.out_channels)

    def forward(self, x):
        return self.bn(self.conv(x))


class SpatialGraph(nn.Layer):
    """Swish(BN(sum_k (W_k x + b_k) (A_k * edge_k)) + residual(x)): x (B, Cin, V, T) -> (B, C, V,
    T).

    Whichever side is narrower meets the graph: `values` comes first with output channels ordered
    (C, hop), or, for fewer input than output channels, the graph does and `values` has input
    channels ordered (Cin, hop).
    """

    def __init__(
        self, in_channels: int, channels: int, skeleton: Skeleton, max_hop: int, edge: bool
    ):
        super().__init__()
        self.in_channels = in_channels
        self.channels = channels
        self.joints = skeleton.joints
        # The graph's product costs as many multiplications a channel as there are joints, so it
        # goes where there are fewer channels.
        self.graph_first = in_channels < channels
        if self.graph_first:
            self.values = Conv(HOPS * in_channels, channels, fan_out=HOPS * channels)
        else:
            self.values = Conv(in_channels, HOPS * channels)
        self.values_bias = self.create_parameter([channels, HOPS], is_bias=True)
        # [hop, v, w]: how much of joint v reaches joint w. Stored, for published weights come with
        # graphs of their own.
        self.register_buffer("adjacency", paddle.to_tensor(hop_adjacency(skeleton, max_hop)))
        self.edge = (
            self.create_parameter(
                [HOPS, self.joints, self.joints], default_initializer=Constant(1.0)
            )
            if edge
            else None
        )
        self.bn = BatchNorm(channels)
        self.residual = (
            ConvNorm(Step("residual", in_channels, channels)) if in_channels != channels else None
        )

    def topology(self):
        """(3, V, V) adjacency times edge weights."""
        return self.adjacency if self.edge is None else self.adjacency * self.edge

    def forward(self, x):
        C = self.channels
        V = self.joints
        T = x.shape[3]
        topology = self.topology()
        if self.graph_first:
            left = topology.transpose([0, 2, 1]).reshape([HOPS * V, V])
            y = self.values(paddle.matmul(left, x).reshape([0, HOPS * self.in_channels, V, T]))
        else:
            left = topology.transpose([2, 0, 1]).reshape([V, HOPS * V])
            # Through rank 5: oneDNN's fusion of conv2d with a rank-4 matmul returns wrong numbers
            # (2.6.2)
            y = paddle.matmul(
                left, self.values(x).reshape([0, C, HOPS, V, T]).reshape([0, C, HOPS * V, T])
            )
        # What of b_k reaches each joint.
        bias = paddle.matmul(self.values_bias, topology.sum(1)).reshape([C * V, 1])
        # At rank 3: on CPU a rank-4 add is five times slower and more (Paddle 2.6.2,
        # benchmarks/LOG.md).
        y = (y.reshape([0, C * V, T]) + bias).reshape([0, C, V, T])
        return F.swish(self.bn(y) + (x if self.residual is None else self.residual(x)))


class Temporal(Residual):
    """One temporal layer with its residual: x (B, C, V, T) -> (B, C, V, T / stride)."""

    def __init__(self, layer: str, channels: int, hidden: int, stride: int):
        super().__init__()
        self.steps = temporal_steps(layer, channels, hidden, stride)
        self.act_on_sum = layer in ACT_ON_SUM
        for step in self.steps:
            self.add_sublayer(step.name, ConvNorm(step))
        self.residual = (
            ConvNorm(Step("residual", channels, channels, stride=stride)) if stride != 1 else None
        )

    def forward(self, x):
        y = x
        for step in self.steps:
            y = getattr(self, step.name)(y)
            y = F.swish(y) if step.act else y
        y = self.added(y) + (x if self.residual is None else self.residual(x))
        return F.swish(y) if self.act_on_sum else y


class JointAttention(nn.Layer):
    """ST-JointAtt, section 4.4: Swish(BN(x * attention(x)) + x), attention the outer product of one
    of frames and one of joints."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.reduce = ConvNorm(Step("reduce", channels, hidden))
        self.joint = Conv(hidden, channels)
        self.frame = Conv(hidden, channels)
        # `Conv` has no bias; here a sigmoid follows and no BatchNorm that would cancel it.
        self.joint_bias = self.create_parameter([channels, 1], is_bias=True)
        self.frame_bias = self.create_parameter([channels, 1], is_bias=True)
        self.bn = BatchNorm(channels)

    def forward(self, x):
        # Below, a 0 in `reshape` keeps the batch as it is, so nothing depends on its size.
        C, V, T = x.shape[1:]
        # (B, C, 1, V + T): joints and frames share one conv and one BatchNorm, as published.
        pooled = paddle.concat([x.mean(3), x.mean(2)], axis=2).unsqueeze(2)
        # HardSwish here and Swish everywhere else, as published.
        joint, frame = paddle.split(F.hardswish(self.reduce(pooled)), [V, T], axis=3)
        joint = F.sigmoid(self.joint(joint).reshape([0, C, V]) + self.joint_bias).unsqueeze(3)
        frame = F.sigmoid(self.frame(frame).reshape([0, C, T]) + self.frame_bias).unsqueeze(2)
        # A product with one inner term is an outer product, many times faster than a broadcast one
        # on CPU
        return F.swish(self.bn(x * paddle.matmul(joint, frame)) + x)


class Stem(nn.Layer):
    """How a branch begins: BN, graph convolution, one Basic temporal layer. x (B, Cin, V, T) -> (B,
    C, V, T)."""

    def __init__(
        self, in_channels: int, channels: int, skeleton: Skeleton, max_hop: int, edge: bool
    ):
        super().__init__()
        self.bn = BatchNorm(in_channels)
        self.graph = SpatialGraph(in_channels, channels, skeleton, max_hop, edge)
        self.temporal = Temporal("basic", channels, 0, 1)

    def forward(self, x):
        return self.temporal(self.graph(self.bn(x)))


class Unit(nn.Layer):
    """One block: x (B, Cin, V, T) -> (B, C, V, T / stride)."""

    def __init__(self, block: Block, skeleton: Skeleton, max_hop: int, edge: bool):
        super().__init__()
        C = block.out_channels
        self.graph = SpatialGraph(block.in_channels, C, skeleton, max_hop, edge)
        self.temporal = nn.LayerList(
            [
                Temporal(block.layer, C, block.hidden, 1 if number else block.stride)
                for number in range(block.depth)
            ]
        )
        self.attention = JointAttention(C, block.attention)

    def forward(self, x):
        x = self.graph(x)
        for layer in self.temporal:
            x = layer(x)
        return self.attention(x)
