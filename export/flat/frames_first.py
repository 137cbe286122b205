"""Flat layers with frames in front of joints, (B, C, T, V): the new frames of a stream then lie side
by side in memory, and go behind the older ones at a third of the cost."""

from __future__ import annotations

import paddle
from paddle.nn import functional as F

from export.flat.layers import FlatLayer, FoldedConv, array
from export.flat.stgcn import Graph, Input
from teachers.stgcn.network import SUBSETS


class Entry(FlatLayer):
    """`export.flat.stgcn.Input` with frames in front of joints: (N, C, T, V, M) -> (N * M, C, T,
    V)."""

    def __init__(self, entry: Input):
        super().__init__(entry.block)
        self.scale = self.constant("scale", array(entry.scale).transpose(0, 2, 1))
        self.shift = self.constant("shift", array(entry.shift).transpose(0, 2, 1))

    def forward(self, x):
        frames = x.transpose([0, 4, 1, 2, 3]).reshape([-1, *x.shape[1:4]])
        return frames * self.scale + self.shift


class TimeConv(FlatLayer):
    """A temporal convolution without padding: z (B, Cin, T, V) -> (B, C, (T - 2 reach) / stride,
    V)."""

    def __init__(self, conv: FoldedConv):
        super().__init__(conv.block)
        self.weight_ = self.constant(
            f"{conv.name}.w", array(conv.weight_).transpose(0, 1, 3, 2), axis=0, layer=conv.layer
        )
        self.bias_ = self.constant(f"{conv.name}.b", array(conv.bias_).reshape(-1, 1, 1))
        self.stride = conv.stride
        self.dilation = conv.dilation
        self.reach = conv.padding

    def forward(self, z):
        y = F.conv2d(z, self.weight_, stride=[self.stride, 1], dilation=[self.dilation, 1])
        return y + self.bias_


class FrameGraph(FlatLayer):
    """`export.flat.stgcn.Graph` with frames in front of joints: x (B, Cin, T, V) -> (B, C, T, V).
    With few frames one product a subset over all channels is faster than one a channel over all
    subsets."""

    def __init__(self, graph: Graph):
        super().__init__(graph.block)
        C, V = graph.channels, graph.joints
        weight = array(graph.weight_)
        self.inputs = weight.shape[1] // SUBSETS
        # (C, Cin * subset) -> (C, subset * Cin)
        weight = weight.reshape(C, self.inputs, SUBSETS).transpose(0, 2, 1)
        self.weight_ = self.constant("graph.w", weight.reshape(C, -1, 1, 1), axis=0)
        self.constant_ = self.constant("graph.b", array(graph.constant_).reshape(C, 1, V))
        self.inner, self.down = graph.inner, graph.down
        graphs = array(graph.graphs).reshape(SUBSETS, V, V)
        self.graphs = [
            self.constant(f"graph{number}", each.T) for number, each in enumerate(graphs)
        ]

    def forward(self, x):
        products = paddle.concat([paddle.matmul(x, each) for each in self.graphs], axis=1)
        y = F.conv2d(products, self.weight_) + self.constant_
        if self.inner:
            y = y + x
        if self.down is not None:
            y = y + F.conv2d(x, self.down)
        return F.relu(y)
