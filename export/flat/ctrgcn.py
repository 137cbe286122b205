"""The flat inference network of CTR-GCN: one `nn.Sequential` of plain layers, every BatchNorm
folded that can be."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from export.flat.layers import Affine, FlatLayer, FoldedConv, array, fold
from export.flat.persons import Entry, Head
from teachers.ctrgcn.network import CTRGCN, SUBSETS, GraphUnit, TemporalUnit, Unit

# Of the topology in eight bits: its weights, which set the scale of the refining conv, are so many
# times smaller
COPIES = 4


def flatten(network: CTRGCN) -> nn.Sequential:
    """The same function as `network` in evaluation mode: (N, C, T, V, M) -> logits (N, K)."""
    layers = [Input(network)]
    for block in network.spec.blocks:
        layers.append(Block(block.id, getattr(network, block.id)))
    flat = nn.Sequential(*layers, Head(network, network.spec.blocks[-1].out_channels))
    flat.eval()
    return flat


class Input(Entry):
    """data_bn as a scale and a shift, then persons to the batch: (N, C, T, V, M) -> (N * M, C, V,
    T)."""

    def __init__(self, network: CTRGCN):
        super().__init__("data_bn")
        C, _, V, M = self.shape = network.spec.input_shape
        scale, shift = (
            value.reshape(M, V, C).transpose(0, 2, 1).reshape(1, M, C, V, 1)
            for value in network.data_bn.scale_and_shift()
        )
        self.scale, self.shift = self.constant("scale", scale), self.constant("shift", shift)

    def rows(self, x):
        C, T, V, _ = self.shape
        return self.point(
            "out", (x.transpose([0, 4, 1, 3, 2]) * self.scale + self.shift).reshape([-1, C, V, T])
        )

    def behind(self, rows):
        # A list of branches from here on, see `Block.branches`
        return [rows] if self.onnx else rows


class Block(FlatLayer):
    """ReLU(temporal(graph(x)) + residual(x)).

    In the form made for ONNX the branches of the temporal unit end by themselves, each with its
    channels of the residual, so that every sum and ReLU is part of a convolution; maps go from
    block to block as a list of their branches' channels.
    """

    def __init__(self, name: str, unit: Unit):
        super().__init__(name)
        self.graph = None if unit.graph is None else Graph(name, unit.graph)
        self.temporal = Temporal(name, unit.temporal)
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
        if self.onnx:
            return self.branches(x)
        y = self.temporal(x if self.graph is None else self.graph(x))
        if self.has_residual:
            y = y + (x if self.residual is None else self.point("residual", self.residual(x)))
        return self.point("out", F.relu(y))

    def branches(self, parts):
        whole = [*parts, *first_channels(parts, self.extra)]
        x = self.point("in", paddle.concat(whole, axis=1)) if len(whole) > 1 else parts[0]
        ends = self.temporal(x if self.graph is None else self.graph(x))
        if self.residual is not None:
            parts = [self.point("residual", one(x)) for one in self.residual]
        elif self.has_residual and [part.shape[1] for part in parts] != self.temporal.outer:
            parts = paddle.split(x, self.temporal.outer, axis=1)
        if self.has_residual:
            ends = [one + part for one, part in zip(ends, parts, strict=True)]
        return [self.point("out", F.relu(one)) for one in ends]

    def for_onnx(self) -> None:
        # Input channels that nobody needs: ONNX Runtime's integer convs are twice as fast on
        # multiples of four
        self.extra = 0
        if self.integers and self.graph is not None and self.graph.down is not None:
            self.extra = -self.graph.down.weight_.shape[1] % 4
            for conv in (self.graph.values, self.graph.down, self.residual):
                if conv is not None:
                    conv.widen(self.extra)
            self.graph.relation = self.graph.constant(
                "relation.w", np.pad(array(self.graph.relation), [(0, 0), (0, self.extra)]), axis=0
            )
        if self.residual is not None:
            self.residual = self.residual.split(self.temporal.outer)


def first_channels(parts: list, count: int) -> list:
    """So many channels of a map that is given as a list of parts, from its first one on; from the
    beginning again where it has fewer."""
    taken: list = []
    while count:
        # Branches of a pruned network may have a single channel
        part = parts[len(taken) % len(parts)]
        # A slice of all there is would be left out by Paddle 3 and kept by Paddle 2.
        part = part if part.shape[1] <= count else part[:, :count]
        taken.append(part)
        count -= part.shape[1]
    return taken


class Graph(FlatLayer):
    """The graph unit with alpha, its BatchNorm and the three subsets folded: two convs, one batched
    matmul.

    In the form made for ONNX the topology enters the refining conv as further input channels.
    """

    def __init__(self, name: str, unit: GraphUnit):
        super().__init__(name)
        C, R = self.channels, self.relations = unit.channels, unit.relations
        self.groups = unit.groups
        scale, shift = unit.bn.scale_and_shift()
        # (group, R, role) -> (role, group, R)
        order = np.arange(unit.groups * R * 2).reshape(-1, 2).T.reshape(-1)
        self.relation = self.constant(
            "relation.w", array(unit.relation_weight)[order, :, 0], axis=0
        )
        self.relation_bias = self.constant(
            "relation.b", array(unit.relation_bias)[order].reshape(-1, 1)
        )
        alpha = array(unit.alpha)
        # alpha goes into the refining conv, which is linear
        refine = (
            (array(unit.refine_weight) * alpha).transpose(1, 0, 2).reshape(SUBSETS * C, R, 1, 1)
        )
        self.refine = FoldedConv(
            name, "refine", refine, (array(unit.refine_bias) * alpha).T, groups=unit.groups
        )
        V = unit.topology.shape[-1]
        self.topology = self.constant(
            "topology", array(unit.topology).transpose(1, 0, 2).reshape(V, SUBSETS * V), axis=0
        )
        values = array(unit.values.weight).reshape(C, SUBSETS, -1) * scale.reshape(C, 1, 1)
        self.values = FoldedConv(
            name,
            "values",
            values.reshape(SUBSETS * C, -1, 1, 1),
            (array(unit.values_bias) * scale.reshape(C, 1)).reshape(-1),
        )
        self.down = None
        if unit.down is not None:
            weight, bias = fold(array(unit.down.conv.weight), unit.down.bn)
            self.down = FoldedConv(name, "down", weight, bias + shift)
        else:
            self.shift = Affine(name, "graph", None, shift)

    def forward(self, x):
        # (B, 2 * groups * R, V)
        pooled = paddle.matmul(self.relation, x.mean(-1)) + self.relation_bias
        target, source = paddle.split(pooled, 2, axis=1)
        relation = paddle.tanh(self.difference(target, source))
        if self.onnx:
            relation = self.with_topology(relation)
        Q = (
            self.by_subset(self.point("relation", relation))
            if self.integers
            else self.together(self.point("relation", relation))
        )
        if not self.onnx:
            Q = Q + self.topology
        y = (
            self.mixed(Q, x)
            if self.onnx or self.observer is not None
            else self.mixed_then_shifted(Q, x)
        )
        return self.point(
            "graph", F.relu(y + (x if self.down is None else self.point("down", self.down(x))))
        )

    def difference(self, target, source):
        """Of every joint and every other, (B, groups * R, V) twice -> (B, groups * R, V, V)."""
        if self.onnx:
            return target.unsqueeze(3) - source.unsqueeze(2)
        # As a product it takes a tenth of the time in Paddle, whose broadcasts are slow (2.6.2)
        ones = paddle.ones_like(target)
        return paddle.matmul(
            paddle.stack([target, ones], axis=3), paddle.stack([ones, -source], axis=2)
        )

    def mixed(self, Q, x):
        """The topologies' product with the values, (B, C, V, T), and the shift where no other
        convolution has it."""
        X = self.point("values", self.values(x)).reshape(
            [0, self.channels, SUBSETS * x.shape[2], x.shape[3]]
        )
        y = self.point("product", paddle.matmul(Q, X))
        return y if self.down is not None else self.point("shift", self.shift(y))

    def mixed_then_shifted(self, Q, x):
        """The same with every constant added behind the product: the values' bias is by then a
        number for each channel and joint."""
        V, T, C = x.shape[2], x.shape[3], self.channels
        y = paddle.matmul(Q, self.values.linear(x).reshape([0, C, SUBSETS * V, T]))
        bias = (
            self.values.bias_.reshape([C, SUBSETS, 1])
            .expand([C, SUBSETS, V])
            .reshape([C, SUBSETS * V, 1])
        )
        constant = paddle.matmul(Q, bias)  # (B, C, V, 1)
        if self.down is None:
            constant = constant.reshape([0, C, V]) + self.shift.shift
        return (y.reshape([-1, T]) + constant.reshape([-1, 1])).reshape([-1, C, V, T])

    def together(self, relation):
        """All subsets' topologies (B, C, V, SUBSETS * V) by one grouped conv."""
        V, C = relation.shape[2], self.channels
        # Through rank 5 on the way to the matmul: oneDNN's fusion of conv2d with a rank-4 matmul
        # returns wrong numbers (2.6.2)
        Q = self.point("refine", self.refine(relation)).reshape([0, SUBSETS, C, V, V])
        return Q.transpose([0, 2, 3, 1, 4]).reshape([0, C, V, SUBSETS * V])

    def by_subset(self, relation):
        """The same by one conv a subset: in eight bits faster than a grouped one."""
        each = [relation] * SUBSETS
        if self.groups == SUBSETS:
            each = [self.point("relation", one) for one in paddle.split(relation, SUBSETS, axis=1)]
        Q = paddle.concat(
            [self.point("refine", conv(one)) for conv, one in zip(self.refine, each, strict=True)],
            axis=3,
        )
        return self.point("refine", Q)

    def with_topology(self, relation):
        """(B, groups * R, V, V) -> (B, groups * (R + COPIES * subsets per group), V, V)."""
        V, G = relation.shape[2], self.groups
        rows = relation.reshape([0, G, self.relations, V * V])
        # A slice of all there is would be left out by Paddle 3 and kept by Paddle 2.
        first = rows if self.relations == 1 else rows[:, :, :1]
        topology = first * 0.0 + self.topology  # has the batch size, which is free
        inputs = G * self.relations + self.copies * SUBSETS
        return paddle.concat([rows] + [topology] * self.copies, axis=2).reshape([0, inputs, V, V])

    def for_onnx(self) -> None:
        V, G, C = self.topology.shape[0], self.groups, self.channels
        # Back from the layout of the product to one matrix for each subset
        topology = array(self.topology).reshape(V, SUBSETS, V).transpose(1, 0, 2)
        self.copies = COPIES if self.integers else 1
        # In eight bits the copies share the range of tanh, all of it
        share = max(float(np.abs(topology).max()), 1e-6) / COPIES if self.integers else 1.0
        self.topology = self.constant(
            "topology", topology.reshape(1, G, SUBSETS // G, V * V) / (share * self.copies), axis=1
        )
        # A group's relation serves all of its subsets, each of which takes its own topology
        # (subset, subset of its group): which topology it takes
        own = np.tile(np.eye(SUBSETS // G), (G, 1))
        more = np.repeat(np.tile(own, (1, self.copies)), C, axis=0)[:, :, None, None] * share
        if self.integers:
            self.refine.weight_ = self.refine.constant(
                "refine.w", np.concatenate([array(self.refine.weight_), more], axis=1), axis=0
            )
            self.refine.groups = 1
            self.refine = self.refine.split([C] * SUBSETS)
        else:
            self.refine.more = self.refine.constant("refine.t", more)


class Temporal(FlatLayer):
    """The four branches; the pooled one keeps its BatchNorm as scale and shift, for pooling
    commutes with no negative scale."""

    def __init__(self, name: str, unit: TemporalUnit):
        super().__init__(name)
        self.inner, self.outer = list(unit.inner), list(unit.branches)
        scale, shift = unit.bn.scale_and_shift()
        ends, reduced = np.cumsum(unit.branches)[:-1], sum(unit.inner)
        parts = list(zip(np.split(scale, ends), np.split(shift, ends), strict=True))
        reduce = array(unit.reduce.weight)
        self.reduce = FoldedConv(name, "reduce", *fold(reduce[:reduced], unit.reduce_bn))
        self.near = FoldedConv(
            name, "near", *fold(array(unit.near.weight), parts[0]), like=unit.near
        )
        self.far = FoldedConv(name, "far", *fold(array(unit.far.weight), parts[1]), like=unit.far)
        self.pool = Affine(name, "pool", *parts[2])
        self.plain = FoldedConv(name, "plain", *fold(reduce[reduced:], parts[3]))
        self.plain.stride = self.stride = unit.stride

    def forward(self, x):
        if self.onnx:
            near, far, pooled = [self.point("reduce", F.relu(one(x))) for one in self.reduce]
        else:
            near, far, pooled = paddle.split(
                self.point("reduce", F.relu(self.reduce(x))), self.inner, axis=1
            )
        pooled = F.max_pool2d(pooled, (1, 3), stride=(1, self.stride), padding=(0, 1))
        if not self.onnx:
            return self.point(
                "ends",
                paddle.concat(
                    [self.near(near), self.far(far), self.pool(pooled), self.plain(x)], axis=1
                ),
            )
        ends = [
            self.near(near),
            self.far(far),
            self.pool(self.point("reduce", pooled)),
            self.plain(x),
        ]
        return [self.point("ends", one) for one in ends]

    def for_onnx(self) -> None:
        self.reduce = self.reduce.split(self.inner)
