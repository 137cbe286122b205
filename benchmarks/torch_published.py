"""The published form of CTR-GCN in PyTorch, for its training step: what a person has who trains with
the public code.

`teachers.ctrgcn.published` line by line, with the same key names; torch is imported only here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from teachers.ctrgcn.network import SUBSETS, Block, Spec

# Paddle's names of BatchNorm statistics -> torch's.
STATISTICS = {"_mean": "running_mean", "_variance": "running_var"}


class PublishedCTRGCN(nn.Module):
    """x (N, C, T, V, M) -> logits (N, K)."""

    def __init__(self, spec: Spec):
        super().__init__()
        C, _, V, M = spec.input_shape
        self.ids = [block.id for block in spec.blocks]
        self.data_bn = nn.BatchNorm1d(M * V * C)
        for block in spec.blocks:
            self.add_module(block.id, _Unit(block, V))
        self.fc = nn.Linear(spec.blocks[-1].out_channels, spec.classes)

    def forward(self, x):
        N, C, T, V, M = x.shape
        x = self.data_bn(x.permute(0, 4, 3, 1, 2).reshape(N, M * V * C, T))
        x = x.view(N, M, V, C, T).permute(0, 1, 3, 4, 2).reshape(N * M, C, T, V)
        for name in self.ids:
            x = getattr(self, name)(x)
        return self.fc(x.reshape(N, M, x.shape[1], -1).mean(3).mean(1))


class _Refinement(nn.Module):
    def __init__(self, block: Block):
        super().__init__()
        Cin, C, R = block.in_channels, block.inside.graph, block.relation_channels
        self.conv1 = nn.Conv2d(Cin, R, 1)
        self.conv2 = nn.Conv2d(Cin, R, 1)
        self.conv3 = nn.Conv2d(Cin, C, 1)
        self.conv4 = nn.Conv2d(R, C, 1)

    def forward(self, x, topology, alpha):
        source = self.conv1(x).mean(-2)
        target = self.conv2(x).mean(-2)
        relation = torch.tanh(source.unsqueeze(-1) - target.unsqueeze(-2))
        refined = self.conv4(relation) * alpha + topology[None, None]
        # The sum over v of refined (N, C, U, V) with values (N, C, T, V), written as the public
        # code writes it.
        return torch.einsum("ncuv,nctv->nctu", refined, self.conv3(x))


class _Graph(nn.Module):
    def __init__(self, block: Block, joints: int):
        super().__init__()
        Cin, C = block.in_channels, block.inside.graph
        self.convs = nn.ModuleList(_Refinement(block) for _ in range(SUBSETS))
        self.PA = nn.Parameter(torch.zeros(SUBSETS, joints, joints))
        self.alpha = nn.Parameter(torch.zeros(1))
        self.bn = nn.BatchNorm2d(C)
        self.down = (
            nn.Sequential(nn.Conv2d(Cin, C, 1), nn.BatchNorm2d(C)) if block.graph_projects else None
        )

    def forward(self, x):
        y = None
        for index, conv in enumerate(self.convs):
            z = conv(x, self.PA[index], self.alpha)
            y = z if y is None else y + z
        return F.relu(self.bn(y) + (x if self.down is None else self.down(x)))


class _TimeConv(nn.Module):
    def __init__(self, Cin: int, C: int, kernel: int, stride: int, dilation: int = 1):
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.conv = nn.Conv2d(
            Cin, C, (kernel, 1), stride=(stride, 1), padding=(padding, 0), dilation=(dilation, 1)
        )
        self.bn = nn.BatchNorm2d(C)

    def forward(self, x):
        return self.bn(self.conv(x))


class _Temporal(nn.Module):
    def __init__(self, block: Block):
        super().__init__()
        C, stride = block.inside.graph, block.stride
        near, far, pooled, plain = block.inside.branches
        branches = [
            nn.Sequential(
                nn.Conv2d(C, inside, 1),
                nn.BatchNorm2d(inside),
                nn.ReLU(),
                _TimeConv(inside, width, 5, stride, dilation),
            )
            for dilation, inside, width in zip((1, 2), block.inside.inner, (near, far), strict=True)
        ]
        branches.append(
            nn.Sequential(
                nn.Conv2d(C, pooled, 1),
                nn.BatchNorm2d(pooled),
                nn.ReLU(),
                nn.MaxPool2d((3, 1), stride=(stride, 1), padding=(1, 0)),
                nn.BatchNorm2d(pooled),
            )
        )
        branches.append(
            nn.Sequential(nn.Conv2d(C, plain, 1, stride=(stride, 1)), nn.BatchNorm2d(plain))
        )
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.branches], 1)


class _Unit(nn.Module):
    def __init__(self, block: Block, joints: int):
        super().__init__()
        self.adds = block.residual
        self.gcn1 = _Graph(block, joints)
        self.tcn1 = _Temporal(block)
        self.residual = (
            _TimeConv(block.in_channels, block.out_channels, 1, block.stride)
            if block.projects
            else None
        )

    def forward(self, x):
        y = self.tcn1(self.gcn1(x))
        if self.adds:
            y = y + (x if self.residual is None else self.residual(x))
        return F.relu(y)


def build(spec: Spec, state: dict[str, np.ndarray]) -> PublishedCTRGCN:
    """The network with these weights, which have the published names in Paddle's spelling."""
    network = PublishedCTRGCN(spec)
    weights: dict[str, Any] = {}
    for name, value in state.items():
        owner, _, last = name.rpartition(".")
        # Paddle's Linear is (in, out).
        value = value.T if name == "fc.weight" else value
        weights[f"{owner}.{STATISTICS.get(last, last)}"] = torch.from_numpy(np.array(value))
    missing, left = network.load_state_dict(weights, strict=False)
    # Torch counts the batches that a BatchNorm has seen; nothing else may be left out.
    assert not left and all(name.endswith("num_batches_tracked") for name in missing), (
        missing,
        left,
    )
    return network
