"""Layers without the costs that CPU training pays for nothing.

A conv bias in front of BatchNorm changes nothing but costs a broadcast add larger than the conv
itself (Paddle 2.6.2, CPU), so no layer here has one; the `keys.py` files absorb published biases
into the BatchNorm mean. Feature maps are (B, C, V, T), B = N * M: joints before frames, so that the
graph product is one batched matmul.
"""

from __future__ import annotations

import math

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.nn.initializer import Constant, Normal


class BatchNorm(nn.Layer):
    """BatchNorm over axis 1, momentum 0.9, epsilon 1e-5; the statistics move only in `train()`."""

    def __init__(self, channels: int, weight_init: nn.initializer.Initializer | None = None):
        super().__init__()
        self.weight = self.create_parameter(
            [channels], default_initializer=weight_init or Constant(1.0)
        )
        self.bias = self.create_parameter([channels], is_bias=True)
        # Paddle's names, so that the keys of a checkpoint are those of nn.BatchNorm2D. Not that
        # layer itself: it checks its input's rank, and maps here have three axes or four.
        self.register_buffer("_mean", paddle.zeros([channels]))
        self.register_buffer("_variance", paddle.ones([channels]))

    def forward(self, x):
        # Paddle's defaults are the published ones: its momentum of 0.9 is torch's 0.1.
        return F.batch_norm(
            x, self._mean, self._variance, self.weight, self.bias, training=self.training
        )

    def scale_and_shift(self) -> tuple[np.ndarray, np.ndarray]:
        """The evaluation-mode BatchNorm as x * scale + shift, both (C,) float64."""
        # float64: folded weights are rounded to float32 once, at the end, and not at every step.
        weight = self.weight.numpy().astype("float64")
        bias = self.bias.numpy().astype("float64")
        mean = self._mean.numpy().astype("float64")
        variance = self._variance.numpy().astype("float64")
        # The default epsilon of F.batch_norm: another one, and a folded network would differ.
        scale = weight / np.sqrt(variance + 1e-5)
        return scale, bias - mean * scale


class Residual(nn.Layer):
    """A layer that adds what it computes to its input, or to a projection of it.

    Attributes:
        drop_path: the probability of a sample to pass in training without what is computed
            (stochastic depth, Huang et al., arXiv 1603.09382); set by the training.
    """

    drop_path = 0.0

    def added(self, y):
        """What is computed, (B, C, V, T), as it is added to the residual."""
        if not self.training or self.drop_path == 0.0:
            return y
        keep = 1.0 - self.drop_path
        kept = paddle.bernoulli(paddle.full([y.shape[0], 1, 1, 1], keep))
        # Divided here, so that nothing has to be scaled in evaluation.
        return y * (kept / keep)


class Conv(nn.Layer):
    """A convolution over frames, (1, kernel), no bias; the same padding at both ends. `groups` =
    channels: depthwise."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        fan_out: int | None = None,
        groups: int = 1,
    ):
        super().__init__()
        # Kaiming normal over the fan out, as published. `fan_out` says it where a conv here is
        # several of the published ones in one.
        std = math.sqrt(2.0 * groups / ((fan_out or out_channels) * kernel))
        self.weight = self.create_parameter(
            [out_channels, in_channels // groups, 1, kernel], default_initializer=Normal(0.0, std)
        )
        self.stride = stride
        self.dilation = dilation
        self.groups = groups
        # Kernels are odd: as many frames come out as go in, or half.
        self.padding = dilation * (kernel - 1) // 2

    def forward(self, x):
        return F.conv2d(
            x,
            self.weight,
            stride=[1, self.stride],
            padding=[0, self.padding],
            dilation=[1, self.dilation],
            groups=self.groups,
        )


class ConvBN(nn.Layer):
    """1x1 convolution and BatchNorm: the projections of a residual path."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.conv = Conv(in_channels, out_channels, stride=stride)
        self.bn = BatchNorm(out_channels)

    def forward(self, x):
        return self.bn(self.conv(x))


class AsWritten(nn.Layer):
    """A network whose `forward` is traced as Python runs it: the same program in a fifth of the
    time. Rewriting source code, as Paddle does otherwise, is for networks that depend on data or on
    the batch size, and none here does.
    """

    def __init__(self, network: nn.Layer):
        super().__init__()
        self.network = network
        self.training = network.training

    @paddle.jit.not_to_static
    def forward(self, clip):
        return self.network(clip)
