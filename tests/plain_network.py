"""A network in one file, as `docs/add-a-network.md` has it: a graph convolution with a learned
graph, a temporal convolution, a residual. The sweep of `test_plain_network.py` registers it."""

from __future__ import annotations

from dataclasses import dataclass

import paddle
from paddle import nn
from paddle.nn import functional as F

from teachers import stages
from teachers.skeleton import Skeleton


@dataclass(frozen=True)
class Config:
    """Recipe keys: `width`, the channels of the first block."""

    width: int = 16

    def __post_init__(self):
        if self.width < 1:
            raise ValueError(f"width: must be at least 1, got {self.width}")


@dataclass(frozen=True)
class Spec(stages.Spec):
    """Everything that rebuilds the network. Input (N, channels, frames, V, persons)."""

    network: str = "plain"


def default_spec(
    classes: int,
    skeleton: Skeleton,
    frames: int,
    persons: int,
    channels: int = 3,
    config: Config | None = None,
) -> Spec:
    """Three blocks, the second one twice as wide at half the frames."""
    plan = stages.Config((config or Config()).width, stages=3, inflate=(2,), down=(2,))
    return Spec(stages.plan(channels, plan), classes, skeleton, frames, persons, channels)


drop_blocks = stages.drop_blocks


class Unit(nn.Layer):
    """ReLU(temporal(ReLU(graph(x))) + residual(x)): x (B, Cin, T, V) -> (B, C, T / stride, V)."""

    def __init__(self, block: stages.Block, joints: int):
        super().__init__()
        self.graph = self.create_parameter(
            [joints, joints], default_initializer=nn.initializer.Assign(paddle.eye(joints))
        )
        self.spatial = nn.Conv2D(block.in_channels, block.out_channels, 1)
        self.spatial_bn = nn.BatchNorm2D(block.out_channels)
        self.temporal = nn.Conv2D(
            block.out_channels, block.out_channels, (3, 1), (block.stride, 1), (1, 0)
        )
        self.temporal_bn = nn.BatchNorm2D(block.out_channels)
        self.residual = None
        if block.projects:
            self.residual = nn.Sequential(
                nn.Conv2D(block.in_channels, block.out_channels, 1, (block.stride, 1)),
                nn.BatchNorm2D(block.out_channels),
            )
        self.adds_input = block.residual

    def forward(self, x):
        y = paddle.einsum("nctv,vw->nctw", x, self.graph)
        y = F.relu(self.spatial_bn(self.spatial(y)))
        y = self.temporal_bn(self.temporal(y))
        if self.adds_input:
            y = y + (x if self.residual is None else self.residual(x))
        return F.relu(y)


class Plain(nn.Layer):
    """x (N, C, T, V, M) float32 -> logits (N, K)."""

    def __init__(self, spec: Spec):
        super().__init__()
        self.spec = spec
        C, _, V, _ = spec.input_shape
        self.data_bn = nn.BatchNorm1D(C * V)
        # Under their ids: weights, reports and recipes then name a block alike
        for block in spec.blocks:
            self.add_sublayer(block.id, Unit(block, V))
        self.fc = nn.Linear(spec.blocks[-1].out_channels, spec.classes)

    def forward(self, x):
        C, T, V, M = self.spec.input_shape
        # Persons become part of the batch
        x = x.transpose([0, 4, 1, 3, 2]).reshape([-1, C * V, T])
        x = self.data_bn(x).reshape([-1, C, V, T]).transpose([0, 1, 3, 2])
        for block in self.spec.blocks:
            x = getattr(self, block.id)(x)
        return self.fc(x.mean([2, 3]).reshape([-1, M, x.shape[1]]).mean(1))


def build(spec: Spec) -> Plain:
    """A freshly initialised network of this spec."""
    return Plain(spec)
