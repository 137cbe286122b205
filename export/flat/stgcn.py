"""The flat inference network of ST-GCN, and the parts of it that STGCN++ shares: every BatchNorm
folded."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from export.flat.layers import FlatLayer, FoldedConv, array, fold
from export.flat.persons import Entry, Head
from teachers.layers import BatchNorm, ConvBN
from teachers.stgcn.network import STGCN, SUBSETS, GraphConv, Unit


def flatten(network: STGCN) -> nn.Sequential:
    """The same function as `network` in evaluation mode: (N, C, T, V, M) -> logits (N, K)."""
    return sequence(network, _block)


def sequence(network: STGCN, block) -> nn.Sequential:
    """The flat network; `block(id, unit)` makes a block's layer."""
    # By id: a student keeps its teacher's ids, so their order in the spec is all that counts
    blocks = [block(one.id, getattr(network, one.id)) for one in network.spec.blocks]
    flat = nn.Sequential(
        Input(network), *blocks, Head(network, network.spec.blocks[-1].out_channels)
    )
    flat.eval()
    return flat


class Input(Entry):
    """data_bn as a scale and a shift, then persons to the batch: (N, C, T, V, M) -> (N * M, C, V,
    T)."""

    def __init__(self, network: STGCN):
        super().__init__("data_bn")
        C, _, V, _ = self.shape = network.spec.input_shape
        scale, shift = (
            value.reshape(V, C).T.reshape(C, V, 1) for value in network.data_bn.scale_and_shift()
        )
        self.scale, self.shift = self.constant("scale", scale), self.constant("shift", shift)

    def rows(self, x):
        C, T, V, _ = self.shape
        return self.point(
            "out", x.transpose([0, 4, 1, 3, 2]).reshape([-1, C, V, T]) * self.scale + self.shift
        )


class Block(FlatLayer):
    """ReLU(temporal(graph(x)) + residual(x))."""

    def __init__(self, name: str, unit: Unit, graph: nn.Layer, temporal: nn.Layer):
        super().__init__(name)
        self.graph, self.temporal = graph, temporal
        self.has_residual = unit.has_residual
        self.residual = (
            None
            if unit.residual is None
            else FoldedConv(
                name,
                "residual",
                *fold(array(unit.residual.conv.weight), unit.residual.bn),
                like=unit.residual.conv,
            )
        )

    def forward(self, x):
        y = self.temporal(self.graph(x))
        # Without a sum in between, the one point behind the ReLU is enough.
        if self.has_residual:
            y = self.point("ends", y) + (
                x if self.residual is None else self.point("residual", self.residual(x))
            )
        return self.point("out", F.relu(y))


class Graph(FlatLayer):
    """ReLU(BN(graph convolution) + residual): one product with the stacked graphs, one conv, a
    constant per channel and joint.

    The residual is none, the identity (`inner` = True) or a 1x1 conv + BatchNorm, whose bias goes
    into the constant.
    """

    def __init__(
        self,
        name: str,
        conv: GraphConv,
        A: np.ndarray,
        norm: BatchNorm,
        inner: ConvBN | bool = False,
    ):
        super().__init__(name)
        scale, shift = norm.scale_and_shift()
        C, V = self.channels, self.joints = conv.channels, A.shape[-1]
        # The bias is added before the graph product, so every joint gets it as often as its column
        # of the graph sums to.
        constant = array(conv.bias) @ A.sum(1) * scale[:, None] + shift[:, None]  # (C, V)
        self.inner, self.down = inner is True, None
        if isinstance(inner, ConvBN):
            weight, bias = fold(array(inner.conv.weight), inner.bn)
            self.down, constant = self.constant("down.w", weight, axis=0), constant + bias[:, None]
        # Transposed here once: as an operator of the graph it would cost its time in every call.
        self.graphs = self.constant("graphs", A.transpose(0, 2, 1).reshape(SUBSETS * V, V))
        self.weight_ = self.constant(
            "graph.w", array(conv.weight) * scale.reshape(-1, 1, 1, 1), axis=0
        )
        self.constant_ = self.constant("graph.b", constant.reshape(C * V, 1))

    def for_onnx(self) -> None:
        """In eight bits the sum over subsets is a convolution over the product's rows, V apart: its
        channels then lie side by side wherever it runs channels-last."""
        if not self.integers:
            return
        C, V = self.channels, self.joints
        weight = array(self.weight_)  # input channels ordered (Cin, subset)
        self.weight_ = self.constant(
            "graph.w", weight.reshape(C, weight.shape[1] // SUBSETS, SUBSETS, 1), axis=0
        )
        # What all joints share is the convolution's bias, which costs nothing.
        constant = array(self.constant_).reshape(C, V)
        mean = constant.mean(1, keepdims=True)
        self.bias = self.constant("graph.b", mean.reshape(C, 1, 1))
        self.rest = self.constant("graph.rest", (constant - mean).reshape(C, V, 1))
        del self.constant_

    def forward(self, x):
        if self.integers:
            return self.in_integers(x)
        Cin, V, T = x.shape[1:]
        flat = [
            -1,
            self.channels * V,
            T,
        ]  # rank 3: Paddle 2.6.2 broadcasts constants of rank 4 far slower
        products = self.point(
            "product", paddle.matmul(self.point("graphs", self.graphs), x)
        ).reshape([-1, Cin * SUBSETS, V, T])
        y = self.point("values", F.conv2d(products, self.weight_)).reshape(flat) + self.constant_
        # Added on rank 3 as well, for the same reason as the constant
        if self.inner:
            y = y + x.reshape(flat)
        if self.down is not None:
            y = y + self.point("down", F.conv2d(x, self.down)).reshape(flat)
        return self.point("graph", F.relu(y)).reshape([-1, self.channels, V, T])

    def in_integers(self, x):
        """The same with a point behind every operator."""
        rows = self.point("product", paddle.matmul(self.point("graphs", self.graphs), x))
        y = F.conv2d(rows, self.weight_, dilation=[self.joints, 1]) + self.bias
        # Not `values`, which has no bias yet: a plan's ranges serve both forms by their names.
        y = self.point("biased", y) + self.point("rest", self.rest)
        if self.inner:
            y = self.point("shifted", y) + x
        if self.down is not None:
            y = self.point("shifted", y) + self.point("down", F.conv2d(x, self.down))
        return self.point("graph", F.relu(y))


def _block(name: str, unit: Unit) -> Block:
    graph, temporal = unit.graph, unit.temporal
    # Learned entry by entry, but fixed once training is over
    A = array(graph.adjacency) * array(graph.importance)
    return Block(
        name,
        unit,
        Graph(name, graph.conv, A, graph.bn),
        FoldedConv(
            name, "temporal", *fold(array(temporal.conv.weight), temporal.bn), like=temporal.conv
        ),
    )
