"""Exact folding of evaluation-mode BatchNorm into the weights in front of it, in float64, and the plain layers that result."""
from __future__ import annotations

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.nn.initializer import Assign

from teachers.layers import BatchNorm, Conv


def fold(weight: np.ndarray, norm: BatchNorm | tuple[np.ndarray, np.ndarray], bias: np.ndarray | float = 0.0):
    """BN(conv(x) + bias) as one conv: (weight * scale, bias * scale + shift), output channels on axis 0, float64."""
    scale, shift = norm.scale_and_shift() if isinstance(norm, BatchNorm) else norm
    return weight.astype("float64") * scale.reshape(-1, *[1] * (weight.ndim - 1)), bias * scale + shift


def array(parameter) -> np.ndarray:
    """A parameter as float64 on the host."""
    return parameter.numpy().astype("float64")


class Plain(nn.Layer):
    """A layer of an inference network: its constants carry the names they get on disk, `<block>.<name>`."""

    def __init__(self, block: str):
        super().__init__()
        self.block = block

    def constant(self, name: str, value: np.ndarray):
        """A float32 weight that the export stores as `<block>.<name>`."""
        attr = paddle.ParamAttr(initializer=Assign(np.asarray(value, dtype="float32")), trainable=False)
        parameter = self.create_parameter(list(np.shape(value)), attr=attr)
        parameter.name = f"{self.block}.{name}"  # afterwards: a name given at creation must be new in the whole process
        self.add_parameter(name.replace(".", "_"), parameter)
        return parameter


class FoldedConv(Plain):
    """Convolution with bias, optionally ReLU: x (B, Cin, V, T) -> (B, C, V, T / stride)."""

    def __init__(self, block: str, name: str, weight: np.ndarray, bias: np.ndarray, like: Conv | None = None, groups: int = 1):
        super().__init__(block)
        self.name = name
        self.weight_ = self.constant(f"{name}.w", weight)
        self.bias_ = self.constant(f"{name}.b", np.reshape(bias, [-1, 1]))
        self.stride = like.stride if like else 1
        self.padding = like.padding if like else 0
        self.dilation = like.dilation if like else 1
        self.groups = groups

    def forward(self, x):
        y = F.conv2d(x, self.weight_, stride=[1, self.stride], padding=[0, self.padding], dilation=[1, self.dilation],
                     groups=self.groups)
        return y + self.bias_ if len(self.bias_.shape) == 3 else add_channels(y, self.bias_)

    def for_onnx(self) -> None:
        """Add the bias at rank 4 from now on, which `export.to_onnx` moves into the Conv node."""
        self.bias_ = self.constant(f"{self.name}.b", array(self.bias_).reshape(-1, 1, 1))


class Affine(Plain):
    """x (B, C, V, T) * scale + shift by channel, what is left of a BatchNorm without a conv in front of it; scale may be None."""

    def __init__(self, block: str, name: str, scale: np.ndarray | None, shift: np.ndarray):
        super().__init__(block)
        self.name = name
        self.scale = None if scale is None else self.constant(f"{name}.scale", np.reshape(scale, [-1, 1]))
        self.shift = self.constant(f"{name}.shift", np.reshape(shift, [-1, 1]))

    def forward(self, x):
        y = x if len(self.shift.shape) == 3 else x.flatten(2)  # rank 3 in Paddle, see `add_channels`
        y = (y if self.scale is None else y * self.scale) + self.shift
        return y if len(self.shift.shape) == 3 else y.reshape([0, 0, x.shape[2], x.shape[3]])

    def for_onnx(self) -> None:
        """Work at rank 4 from now on: ONNX Runtime broadcasts that as fast, and needs no reshape."""
        self.shift = self.constant(f"{self.name}.shift", array(self.shift).reshape(-1, 1, 1))
        if self.scale is not None:
            self.scale = self.constant(f"{self.name}.scale", array(self.scale).reshape(-1, 1, 1))


def add_channels(x, bias):
    """x (B, C, V, T) + bias (C, 1). On rank 3: Paddle 2.6.2 broadcasts a rank-4 channel bias seven times slower on CPU."""
    return (x.flatten(2) + bias).reshape([0, 0, x.shape[2], x.shape[3]])
