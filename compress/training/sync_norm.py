"""BatchNorm whose statistics are those of the whole batch, whatever part of it each process
computes (`sync_bn: true`).

Paddle's own SyncBatchNorm has no CPU kernel, and wants equal parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import paddle
from paddle import nn
from paddle.autograd import PyLayer

from compress.process import ranks
from teachers.layers import BatchNorm

# The layer's own: Paddle's defaults.
MOMENTUM = 0.9
EPSILON = 1e-5


class _Sum(PyLayer):
    """The sum over processes; so is its gradient, for each process's loss depends on all parts."""

    @staticmethod
    def forward(_ctx, x):
        total = paddle.assign(x)
        ranks.add_up(total)
        return total

    @staticmethod
    def backward(_ctx, gradient):
        total = paddle.assign(gradient)
        ranks.add_up(total)
        return total


@contextmanager
def applied(networks: list[nn.Layer]) -> Iterator[None]:
    """Inside the block, the networks' BatchNorms in training mode use the statistics of all
    processes."""
    layers = [
        layer
        for network in networks
        for layer in network.sublayers(include_self=True)
        if isinstance(layer, BatchNorm)
    ]
    if ranks.count() == 1:
        layers = []
    for layer in layers:
        # Of the object: it hides the class's `forward` until it is deleted again.
        layer.__dict__["forward"] = _Synchronised(layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.__dict__["forward"]


class _Synchronised:
    """The forward pass of a BatchNorm over x (N, C, ...)."""

    def __init__(self, layer: BatchNorm):
        self.layer = layer

    def __call__(self, x):
        layer = self.layer
        if not layer.training:
            return BatchNorm.forward(layer, x)
        # In float32 under amp too: sums of many half-precision numbers lose their last digits.
        kind = x.dtype
        x = x.astype("float32")
        mean, variance = _statistics(x)
        with paddle.no_grad():
            _move(layer._mean, mean)
            _move(layer._variance, variance)
        shape = [1, -1] + [1] * (x.ndim - 2)
        scale = (layer.weight / paddle.sqrt(variance + EPSILON)).reshape(shape)
        centred = x - mean.reshape(shape)
        return (centred * scale + layer.bias.reshape(shape)).astype(kind)


def _statistics(x):
    """Mean and biased variance of each channel (C,) over the parts of all processes."""
    axes = [axis for axis in range(x.ndim) if axis != 1]
    mean = x.mean(axes)
    shape = [1, -1] + [1] * (x.ndim - 2)
    variance = paddle.square(x - mean.reshape(shape)).mean(axes)
    count = paddle.full([1], float(x.size // x.shape[1]))
    # A row for each process, not sums of squares: these cancel where the mean is far from zero.
    here = paddle.zeros([ranks.count(), 1])
    here[ranks.index()] = 1.0
    table = _Sum.apply(here * paddle.concat([count, mean, variance]).unsqueeze(0))
    channels = x.shape[1]
    counts = table[:, :1]
    means = table[:, 1 : 1 + channels]
    weights = (counts / counts.sum()).detach()
    whole = (weights * means).sum(0)
    inner = (weights * table[:, 1 + channels :]).sum(0)
    return whole, inner + (weights * paddle.square(means - whole)).sum(0)


def _move(running, new) -> None:
    paddle.assign(running * MOMENTUM + new * (1.0 - MOMENTUM), output=running)
