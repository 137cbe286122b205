"""The continual form of ST-GCN and STGCN++: a few new frames a call, and a state that holds what the
temporal convolutions still need of earlier ones.

After "Continual Spatio-Temporal Graph Convolutional Networks" (Hedegaard et al., arXiv 2203.11009).
Every layer gives the numbers that the trained network gives for the same frame, later: a convolution
that looks p frames ahead answers p frames late, and what runs beside it waits as long. So

- after the T frames of a clip and `delay` frames that are not there, the logits are those of the
  trained network for the clip, its zero padding at both ends included;
- in a stream, the logits are those of the mean over the newest T' frames that have been computed,
  each as the trained network computes it with real frames on both sides.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from export.flat.frames_first import Entry, FrameGraph, TimeConv
from export.flat.layers import FoldedConv, array, duplicate
from export.flat.stgcn import Block
from export.flat.stgcnpp import Temporal
from teachers.stages import Spec
from teachers.stgcnpp.network import DILATIONS

# Frames that the temporal unit of a block looks ahead, in either network: nine frames in all.
REACH = max(DILATIONS)


class Clock:
    """Where a layer is in time: its frames are every `rate`-th of the network's, and come `delay` of
    its own late."""

    def __init__(self) -> None:
        self.rate = 1
        self.delay = 0

    @property
    def late(self) -> int:
        """The delay in frames of the network's."""
        return self.delay * self.rate

    def wait(self, reach: int, stride: int) -> int:
        """Go through a convolution that looks `reach` frames ahead; how many frames it waits."""
        # The frames that a stride keeps must be the first of a call, or a call would end between.
        waits = reach + -(self.delay + reach) % stride
        self.delay = (self.delay + waits) // stride
        self.rate *= stride
        return waits


def delay_of(spec: Spec) -> int:
    """The delay of a network's continual form, in frames."""
    clock = Clock()
    for block in spec.blocks:
        clock.wait(REACH, block.stride)
    return clock.late


class Whole(nn.Layer):
    """The temporal convolution of ST-GCN over the frames that it reads."""

    def __init__(self, conv: FoldedConv):
        super().__init__()
        self.conv = TimeConv(conv)
        self.reach = self.conv.reach
        self.channels = self.conv.weight_.shape[1]

    def narrow(self, y):
        """What is kept of frames, of the graph unit's output (B, C, n, V)."""
        return y

    def forward(self, z):
        return self.conv(z)


class Branches(nn.Layer):
    """The six branches of STGCN++ over the frames that they read."""

    def __init__(self, temporal: Temporal):
        super().__init__()
        self.branches = nn.LayerList([TimeConv(conv) for conv in temporal.branches])
        self.pool = temporal.pool
        self.mix = temporal.mix
        self.stride = temporal.stride
        # Pooling looks one frame ahead.
        self.reach = max(*(conv.reach for conv in self.branches), 1)
        self.widths = [*temporal.widths[:-1], temporal.plain.weight_.shape[0]]
        self.channels = sum(self.widths)
        # As one: all that stands behind the plain branch is a ReLU, which it may have at once.
        convs = (temporal.reduce, temporal.plain)
        self.reduce = FoldedConv(
            temporal.block,
            "reduce",
            np.concatenate([array(conv.weight_) for conv in convs]),
            np.concatenate([array(conv.bias_).reshape(-1) for conv in convs]),
        )

    def narrow(self, y):
        """See `Whole`."""
        return F.relu(self.reduce(y))

    def forward(self, z):
        *parts, pooled, plain = paddle.split(z, self.widths, axis=1)
        ends = [
            conv(self._within(part, conv.reach))
            for conv, part in zip(self.branches, parts, strict=True)
        ]
        pooled = F.max_pool2d(self._within(pooled, 1), (3, 1), stride=(self.stride, 1))
        plain = self._within(plain, 0)[:, :, :: self.stride]
        return self.mix(F.relu(paddle.concat([*ends, self.pool(pooled), plain], axis=1)))

    def _within(self, z, reach: int):
        """The frames that a branch reads which looks `reach` ahead and back."""
        less = self.reach - reach
        return z[:, :, less : z.shape[2] - less]


class Step(nn.Layer):
    """A block, a few frames a call.

    Attributes:
        late: how late its input is, in frames of the network's.
        rate: its input is every `rate`-th frame.
        rings: (channels, frames) of what it keeps.
    """

    def __init__(self, block: Block, clock: Clock):
        super().__init__()
        temporal: Any = block.temporal
        self.late = clock.late
        self.rate = clock.rate
        self.stride = temporal.stride
        self.graph = FrameGraph(block.graph)
        self.temporal = Whole(temporal) if isinstance(temporal, FoldedConv) else Branches(temporal)
        waits = clock.wait(self.temporal.reach, self.stride)
        self.rings = [(self.temporal.channels, waits + self.temporal.reach)]
        self.has_residual = block.has_residual
        self.residual = block.residual
        if self.has_residual:
            self.rings.append((self.graph.inputs, waits))
        if self.residual is not None:
            # Only the frames that a stride keeps get there.
            self.residual.stride = 1

    def forward(self, x, rings, seen):
        """New frames x (B, Cin, n, V) -> y (B, C, n / stride, V), and the new rings.

        Args:
            rings: (B, channels, frames, V) each.
            seen: (B, 1, n, 1), 1 for every new frame, 0 for one that is not there.
        """
        n = x.shape[2]
        # A convolution pads with zeros; what the graph makes of a frame of zeros is something else.
        z = self.temporal.narrow(self.graph(x)) * seen
        z = paddle.concat([rings[0], z], axis=2)
        kept = [z[:, :, n:]]
        y = self.temporal(z[:, :, : n - self.stride + 1 + 2 * self.temporal.reach])
        if self.has_residual:
            x = paddle.concat([rings[1], x], axis=2)
            kept.append(x[:, :, n:])
            x = x[:, :, : n : self.stride]
            y = y + (x if self.residual is None else self.residual(x))
        return F.relu(y), kept


class Continual(nn.Layer):
    """Frames (N, C, chunk, V, M), `seen` (N, chunk) and `state` (N, size) -> logits (N, K) and the
    next state. A state of zeros begins a stream.

    Attributes:
        chunk: frames a call, as many as one frame of the last block stands for.
        delay: frames by which what is pooled is behind the newest frame.
        size: numbers of a state: of a clip's own, or a track's.
    """

    def __init__(self, flat: nn.Sequential, shape: tuple[int, int, int, int]):
        super().__init__()
        # A copy, of which layers are taken over.
        entry, *blocks, self.head = duplicate(flat)
        _C, T, V, M = shape
        self.persons = M
        self.joints = V
        self.chunk = math.prod(stride_of(block) for block in blocks)
        self.entry = Entry(entry)
        clock = Clock()
        self.steps = nn.LayerList([Step(block, clock) for block in blocks])
        self.delay = clock.late
        self.channels = self.head.channels
        # As many as the trained network pools of a clip.
        self.pooled = -(-T // self.chunk)
        self.rings = [ring for step in self.steps for ring in step.rings]
        # Whether frames were there, back to the oldest that is pooled.
        self.flags = self.delay + (self.pooled - 1) * self.chunk
        self.sizes = [
            self.flags,
            self.channels * self.pooled,
            *(M * channels * V * frames for channels, frames in self.rings),
        ]
        self.size = sum(self.sizes)
        self.eval()

    def forward(self, frames, seen, state):
        flags, pooled, *parts = paddle.split(state, self.sizes, axis=1)
        flags = paddle.concat([flags, seen], axis=1)
        rings = [
            part.reshape([-1, channels, length, self.joints])
            for part, (channels, length) in zip(parts, self.rings, strict=True)
        ]
        x = self.entry(frames)
        kept = []
        for step in self.steps:
            count = len(step.rings)
            x, new = step(x, rings[:count], self.seen(flags, step))
            rings = rings[count:]
            kept += new
        # (N, pooled), the oldest first.
        there = flags[:, : self.flags - self.delay + 1 : self.chunk]
        newest = self.head.pooled(x) * there[:, -1:]
        pooled = paddle.concat([pooled[:, self.channels :], newest], axis=1)
        # Where nothing is pooled yet a mean of nothing, and no division by zero.
        count = paddle.clip(there.sum(1, keepdim=True), min=1.0)
        mean = pooled.reshape([-1, self.pooled, self.channels]).sum(1) / count
        flat = [ring.reshape([-1, size]) for ring, size in zip(kept, self.sizes[2:], strict=True)]
        state = paddle.concat([flags[:, self.chunk :], pooled, *flat], axis=1)
        return self.head.classify(mean), state

    def seen(self, flags, step: Step):
        """Which of a block's new frames are there, (N * M, 1, n, 1)."""
        start = self.flags - step.late
        there = flags[:, start : start + self.chunk : step.rate].unsqueeze(1)
        return there.tile([1, self.persons, 1]).reshape([-1, 1, self.chunk // step.rate, 1])


def stride_of(block: Block) -> int:
    """Frames that go into a block for one that comes out."""
    temporal: Any = block.temporal
    return int(temporal.stride)
