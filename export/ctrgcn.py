"""The flat inference network of CTR-GCN: one `nn.Sequential` of plain layers, every BatchNorm folded that can be."""
from __future__ import annotations

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from export.fold import Affine, FoldedConv, Plain, array, fold
from teachers.ctrgcn import CTRGCN, SUBSETS, GraphUnit, TemporalUnit, Unit


def flatten(network: CTRGCN) -> nn.Sequential:
    """The same function as `network` in evaluation mode: (N, C, T, V, M) -> logits (N, K)."""
    layers = [Input(network)]
    for block in network.spec.blocks:
        layers.append(Block(block.id, getattr(network, block.id)))
    flat = nn.Sequential(*layers, Head(network))
    flat.eval()
    return flat


class Input(Plain):
    """data_bn as a scale and a shift, then persons to the batch: (N, C, T, V, M) -> (N * M, C, V, T)."""

    def __init__(self, network: CTRGCN):
        super().__init__("data_bn")
        C, _, V, M = self.shape = network.spec.input_shape
        scale, shift = (value.reshape(M, V, C).transpose(0, 2, 1).reshape(1, M, C, V, 1)
                        for value in network.data_bn.scale_and_shift())
        self.scale, self.shift = self.constant("scale", scale), self.constant("shift", shift)

    def forward(self, x):
        C, T, V, M = self.shape
        return (x.transpose([0, 4, 1, 3, 2]) * self.scale + self.shift).reshape([-1, C, V, T])


class Block(nn.Layer):
    """ReLU(temporal(graph(x)) + residual(x))."""

    def __init__(self, name: str, unit: Unit):
        super().__init__()
        self.graph = None if unit.graph is None else Graph(name, unit.graph)
        self.temporal = Temporal(name, unit.temporal)
        self.has_residual = unit.has_residual
        self.residual = None if unit.residual is None else FoldedConv(
            name, "residual", *fold(array(unit.residual.conv.weight), unit.residual.bn), like=unit.residual.conv)

    def forward(self, x):
        y = self.temporal(x if self.graph is None else self.graph(x))
        if self.has_residual:
            y = y + (x if self.residual is None else self.residual(x))
        return F.relu(y)


class Graph(Plain):
    """The graph unit with alpha, its BatchNorm and the three subsets folded: two convs, one batched matmul."""

    def __init__(self, name: str, unit: GraphUnit):
        super().__init__(name)
        C, R = self.channels, self.relations = unit.channels, unit.relations
        scale, shift = unit.bn.scale_and_shift()
        order = np.arange(unit.groups * R * 2).reshape(-1, 2).T.reshape(-1)  # (group, R, role) -> (role, group, R)
        self.relation = self.constant("relation.w", array(unit.relation_weight)[order, :, 0])
        self.relation_bias = self.constant("relation.b", array(unit.relation_bias)[order].reshape(-1, 1))
        alpha = array(unit.alpha)
        refine = (array(unit.refine_weight) * alpha).transpose(1, 0, 2).reshape(SUBSETS * C, R, 1, 1)
        self.refine = FoldedConv(name, "refine", refine, (array(unit.refine_bias) * alpha).T, groups=unit.groups)
        V = unit.topology.shape[-1]
        self.topology = self.constant("topology", array(unit.topology).transpose(1, 0, 2).reshape(V, SUBSETS * V))
        values = array(unit.values.weight).reshape(C, SUBSETS, -1) * scale.reshape(C, 1, 1)
        self.values = FoldedConv(name, "values", values.reshape(SUBSETS * C, -1, 1, 1),
                                 (array(unit.values_bias) * scale.reshape(C, 1)).reshape(-1))
        self.down = None
        if unit.down is not None:
            weight, bias = fold(array(unit.down.conv.weight), unit.down.bn)
            self.down = FoldedConv(name, "down", weight, bias + shift)
        else:
            self.shift = Affine(name, "graph", None, shift)

    def forward(self, x):
        V, T, C = x.shape[2], x.shape[3], self.channels
        pooled = paddle.matmul(self.relation, x.mean(-1)) + self.relation_bias  # (B, 2 * groups * R, V)
        target, source = paddle.split(pooled, 2, axis=1)
        relation = paddle.tanh(target.unsqueeze(-1) - source.unsqueeze(-2))  # (B, groups * R, V, V)
        # Through rank 5 on the way to the matmul: oneDNN's fusion of conv2d with a rank-4 matmul returns wrong numbers (2.6.2)
        Q = self.refine(relation).reshape([-1, SUBSETS, C, V, V]).transpose([0, 2, 3, 1, 4])
        Q = Q.reshape([-1, C, V, SUBSETS * V]) + self.topology
        X = self.values(x).reshape([-1, C, SUBSETS * V, T])
        y = paddle.matmul(Q, X)
        return F.relu(y + self.down(x) if self.down is not None else self.shift(y) + x)


class Temporal(Plain):
    """The four branches; the pooled one keeps its BatchNorm as scale and shift, for pooling commutes with no negative scale."""

    def __init__(self, name: str, unit: TemporalUnit):
        super().__init__(name)
        width = self.width = unit.width
        scale, shift = unit.bn.scale_and_shift()
        ends = [0, width, 2 * width, 3 * width, len(scale)]
        parts = [(scale[start:end], shift[start:end]) for start, end in zip(ends, ends[1:])]
        reduce = array(unit.reduce.weight)
        self.reduce = FoldedConv(name, "reduce", *fold(reduce[:3 * width], unit.reduce_bn))
        self.near = FoldedConv(name, "near", *fold(array(unit.near.weight), parts[0]), like=unit.near)
        self.far = FoldedConv(name, "far", *fold(array(unit.far.weight), parts[1]), like=unit.far)
        self.pool = Affine(name, "pool", *parts[2])
        self.plain = FoldedConv(name, "plain", *fold(reduce[3 * width:], parts[3]))
        self.plain.stride = self.stride = unit.stride

    def forward(self, x):
        near, far, pooled = paddle.split(F.relu(self.reduce(x)), 3, axis=1)
        pooled = F.max_pool2d(pooled, (1, 3), stride=(1, self.stride), padding=(0, 1))
        return paddle.concat([self.near(near), self.far(far), self.pool(pooled), self.plain(x)], axis=1)


class Head(Plain):
    """Mean over joints and frames, then persons, then the classifier."""

    def __init__(self, network: CTRGCN):
        super().__init__("fc")
        self.persons = network.spec.persons
        self.channels = network.spec.blocks[-1].out_channels
        self.weight_ = self.constant("w", array(network.fc.weight))
        self.bias_ = self.constant("b", array(network.fc.bias))

    def forward(self, x):
        pooled = x.mean([2, 3]).reshape([-1, self.persons, self.channels]).mean(1)
        return paddle.matmul(pooled, self.weight_) + self.bias_
