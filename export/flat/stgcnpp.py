"""The flat inference network of STGCN++: every BatchNorm folded, but for a scale and a shift behind
the pooled branch."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from export.flat.layers import Affine, FlatLayer, FoldedConv, array, fold, to_four
from export.flat.stgcn import Block, Graph, sequence
from teachers import stgcnpp
from teachers.stgcn.network import STGCN, Unit


def flatten(network: STGCN) -> nn.Sequential:
    """The same function as `network` in evaluation mode: (N, C, T, V, M) -> logits (N, K)."""
    return sequence(network, _block)


class Temporal(FlatLayer):
    """The six branches, then ReLU and a 1x1 conv. Pooling commutes with no negative scale: that
    branch keeps its own."""

    def __init__(self, name: str, unit: stgcnpp.Temporal):
        super().__init__(name)
        self.widths, self.stride = unit.widths, unit.stride
        # One BatchNorm over all six branches in the trained network; each branch takes its part of
        # it
        ends, reduced = np.cumsum(unit.branch_widths)[:-1], sum(unit.widths[:-1])
        *convs, pooled, plain = zip(
            *(np.split(value, ends) for value in unit.bn.scale_and_shift()), strict=True
        )
        weight = array(unit.reduce.weight)
        self.reduce = FoldedConv(name, "reduce", *fold(weight[:reduced], unit.reduce_bn))
        self.plain = FoldedConv(name, "plain", *fold(weight[reduced:], plain))
        # Strided here and not in `reduce`: the other branches still need every frame
        self.plain.stride = unit.stride
        self.branches = nn.LayerList(
            [
                FoldedConv(name, f"branch{number}", *fold(array(conv.weight), norm), like=conv)
                for number, (conv, norm) in enumerate(zip(unit.branches, convs, strict=True))
            ]
        )
        self.pool = Affine(name, "pool", *pooled)
        self.mix = FoldedConv(name, "mix", *fold(array(unit.mix.weight), unit.mix_bn))

    def for_onnx(self) -> None:
        """In eight bits every branch is as wide as ONNX Runtime's kernels like it."""
        if not self.integers:
            return
        reduced = list(self.widths[:-1])
        outer = [conv.weight_.shape[0] for conv in self.branches]
        outer += [self.pool.shift.shape[0], self.plain.weight_.shape[0]]
        self.reduce.spread(reduced)
        for conv, inputs, outputs in zip(self.branches, reduced, outer, strict=False):
            conv.spread([outputs], [inputs])
        self.pool.spread()
        self.plain.spread(outer[-1:])
        # Not its outputs: what is added to them, and what reads them, is as wide as the block.
        self.mix.spread(inputs=outer)
        self.parts = [to_four(width) for width in reduced]

    def forward(self, x):
        if self.integers:
            return self.in_integers(x)
        *parts, pooled = paddle.split(
            self.point("reduce", F.relu(self.reduce(x))), list(self.widths[:-1]), axis=1
        )
        # Before its scale: a negative scale would turn the maximum into a minimum
        pooled = F.max_pool2d(pooled, (1, 3), stride=(1, self.stride), padding=(0, 1))
        y = paddle.concat(
            [
                *[conv(part) for conv, part in zip(self.branches, parts, strict=True)],
                self.pool(pooled),
                self.plain(x),
            ],
            axis=1,
        )
        return self.mix(self.point("branches", F.relu(y)))

    def in_integers(self, x):
        """The same with a point behind every operator. All branches have the range of their concat,
        which then only copies."""
        reduced = self.point("reduce", F.relu(self.reduce(x)))
        *parts, pooled = [
            self.point("reduce", part) for part in paddle.split(reduced, self.parts, axis=1)
        ]
        pooled = F.max_pool2d(pooled, (1, 3), stride=(1, self.stride), padding=(0, 1))
        ends = [conv(part) for conv, part in zip(self.branches, parts, strict=True)]
        ends += [self.pool(self.point("reduce", pooled)), self.plain(x)]
        whole = paddle.concat([self.point("branches", F.relu(one)) for one in ends], axis=1)
        return self.mix(self.point("branches", whole))


def _block(name: str, unit: Unit) -> Block:
    graph = unit.graph
    inner = True if graph.down is None else graph.down
    return Block(
        name,
        unit,
        Graph(name, graph.conv, array(graph.adjacency), graph.bn, inner),
        Temporal(name, unit.temporal),
    )
