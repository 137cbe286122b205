"""CTR-GCN written as the public implementations write it: the reference that ours is compared with.

Three graph modules of four biased convs each, relation convs on unpooled features, one branch after
the other, layout (N*M, C, T, V). It carries the published key names. `benchmarks/train_step.py`
trains it against ours, and the baseline export in every report is an export of this form.
"""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from teachers.ctrgcn.network import SUBSETS, Block, Spec
from teachers.networks import load_state
from teachers.skeleton import Skeleton


class PublishedCTRGCN(nn.Layer):
    """x (N, C, T, V, M) -> logits (N, K); state dict in the published key names."""

    def __init__(self, spec: Spec):
        super().__init__()
        self.spec = spec
        C, _, V, M = spec.input_shape
        self.data_bn = nn.BatchNorm1D(M * V * C)
        for block in spec.blocks:
            self.add_sublayer(block.id, _Unit(block, spec.skeleton))
        self.fc = nn.Linear(spec.blocks[-1].out_channels, spec.classes)

    def forward(self, x):
        C, T, V, M = x.shape[1:]
        x = self.data_bn(x.transpose([0, 4, 3, 1, 2]).reshape([-1, M * V * C, T]))
        x = x.reshape([-1, M, V, C, T]).transpose([0, 1, 3, 4, 2]).reshape([-1, C, T, V])
        for block in self.spec.blocks:
            x = getattr(self, block.id)(x)
        return self.fc(x.reshape([-1, M, x.shape[1], x.shape[2] * x.shape[3]]).mean(3).mean(1))


class _Refinement(nn.Layer):
    def __init__(self, block: Block):
        super().__init__()
        Cin = block.in_channels
        C = block.inside.graph
        R = block.relation_channels
        self.conv1 = nn.Conv2D(Cin, R, 1)
        self.conv2 = nn.Conv2D(Cin, R, 1)
        self.conv3 = nn.Conv2D(Cin, C, 1)
        self.conv4 = nn.Conv2D(R, C, 1)

    def forward(self, x, topology, alpha):
        # Pooled behind the convs as published, though before them it would cost a T-th.
        source = self.conv1(x).mean(-2)
        target = self.conv2(x).mean(-2)
        values = self.conv3(x)
        # (N, R, U, V), by a broadcast as everybody writes it; ours is ten times faster.
        relation = paddle.tanh(source.unsqueeze(-1) - target.unsqueeze(-2))
        # (N, C, U, V)
        refined = self.conv4(relation) * alpha + topology.unsqueeze(0).unsqueeze(0)
        # (N, C, T, U)
        return paddle.matmul(values, refined.transpose([0, 1, 3, 2]))


class _Graph(nn.Layer):
    def __init__(self, block: Block, skeleton: Skeleton):
        super().__init__()
        Cin = block.in_channels
        C = block.inside.graph
        self.convs = nn.LayerList([_Refinement(block) for _ in range(SUBSETS)])
        A = skeleton.adjacency()
        self.PA = self.create_parameter(list(A.shape), default_initializer=nn.initializer.Assign(A))
        self.alpha = self.create_parameter([1], default_initializer=nn.initializer.Constant(0.0))
        self.bn = nn.BatchNorm2D(C)
        self.down = (
            nn.Sequential(nn.Conv2D(Cin, C, 1), nn.BatchNorm2D(C)) if block.graph_projects else None
        )

    def forward(self, x):
        y = None
        # One subset after the other, as public code runs them: fusing is what ours is measured for.
        for index, conv in enumerate(self.convs):
            z = conv(x, self.PA[index], self.alpha)
            y = z if y is None else y + z
        return F.relu(self.bn(y) + (x if self.down is None else self.down(x)))


class _TimeConv(nn.Layer):
    def __init__(self, Cin: int, C: int, kernel: int, stride: int, dilation: int = 1):
        super().__init__()
        # The published formula; for odd kernels it is dilation * (kernel - 1) / 2.
        padding = (kernel + (kernel - 1) * (dilation - 1) - 1) // 2
        self.conv = nn.Conv2D(
            Cin, C, (kernel, 1), stride=(stride, 1), padding=(padding, 0), dilation=(dilation, 1)
        )
        self.bn = nn.BatchNorm2D(C)

    def forward(self, x):
        return self.bn(self.conv(x))


class _Temporal(nn.Layer):
    def __init__(self, block: Block):
        super().__init__()
        C = block.inside.graph
        stride = block.stride
        near, far, pooled, plain = block.inside.branches
        # nn.Sequential numbers its layers, and those numbers are the published key names.
        branches = [
            nn.Sequential(
                nn.Conv2D(C, inside, 1),
                nn.BatchNorm2D(inside),
                nn.ReLU(),
                _TimeConv(inside, width, 5, stride, dilation),
            )
            for dilation, inside, width in zip((1, 2), block.inside.inner, (near, far), strict=True)
        ]
        branches.append(
            nn.Sequential(
                nn.Conv2D(C, pooled, 1),
                nn.BatchNorm2D(pooled),
                nn.ReLU(),
                nn.MaxPool2D((3, 1), stride=(stride, 1), padding=(1, 0)),
                nn.BatchNorm2D(pooled),
            )
        )
        branches.append(
            nn.Sequential(nn.Conv2D(C, plain, 1, stride=(stride, 1)), nn.BatchNorm2D(plain))
        )
        self.branches = nn.LayerList(branches)

    def forward(self, x):
        return paddle.concat([branch(x) for branch in self.branches], axis=1)


class _Unit(nn.Layer):
    def __init__(self, block: Block, skeleton: Skeleton):
        super().__init__()
        self.block = block
        self.gcn1 = _Graph(block, skeleton)
        self.tcn1 = _Temporal(block)
        self.residual = (
            _TimeConv(block.in_channels, block.out_channels, 1, block.stride)
            if block.projects
            else None
        )

    def forward(self, x):
        y = self.tcn1(self.gcn1(x))
        if self.block.residual:
            y = y + (x if self.residual is None else self.residual(x))
        return F.relu(y)


def published(spec: Spec, state: dict[str, np.ndarray]) -> PublishedCTRGCN:
    """The published form with these weights (published names), in evaluation mode."""
    # Strictly: it is the reference of every report, and a key that is not loaded would go unseen.
    network = PublishedCTRGCN(spec)
    load_state(network, state, "the published form")
    network.eval()
    return network
