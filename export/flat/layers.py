"""Exact folding of evaluation-mode BatchNorm into the weights in front of it, in float64, and the
plain layers that result."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.nn.initializer import Assign

from teachers.layers import BatchNorm, Conv


def fold(
    weight: np.ndarray,
    norm: BatchNorm | tuple[np.ndarray, np.ndarray],
    bias: np.ndarray | float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """BN(conv(x) + bias) as one conv: (weight * scale, bias * scale + shift), output channels on
    axis 0, float64."""
    scale, shift = norm.scale_and_shift() if isinstance(norm, BatchNorm) else norm
    return (
        weight.astype("float64") * scale.reshape(-1, *[1] * (weight.ndim - 1)),
        bias * scale + shift,
    )


def array(parameter) -> np.ndarray:
    """A parameter as float64 on the host."""
    return parameter.numpy().astype("float64")


class FlatLayer(nn.Layer):
    """A layer of an inference network: its constants carry the names they get on disk,
    `<block>.<name>`.

    `point` marks the values that a quantised file keeps in eight bits. `observer(name, value)`,
    where there is one, sees each and returns what the layer goes on with
    (`export/quantize/bits.py`).
    """

    observer: Callable[[str, Any], Any] | None = None
    onnx = False  # whether the layer has the form made for ONNX (`export.flat.layers.prepared`)
    integers = False  # whether that form is the one for eight bits

    def __init__(self, block: str):
        super().__init__()
        self.block = block
        self.weights: dict[str, tuple[str, int]] = {}

    def constant(
        self, name: str, value: np.ndarray, axis: int | None = None, layer: str | None = None
    ):
        """A float32 constant that the export stores as `<block>.<name>`.

        Args:
            axis: that of the output channels, for a weight that may be quantised.
            layer: the weight's name in a quantisation plan, `name` without `.w` by default.
        """
        attr = paddle.ParamAttr(
            initializer=Assign(np.asarray(value, dtype="float32")), trainable=False
        )
        parameter = self.create_parameter(list(np.shape(value)), attr=attr)
        # Afterwards: a name given at creation must be new in the whole process
        parameter.name = f"{self.block}.{name}"
        self.add_parameter(name.replace(".", "_"), parameter)
        # What no axis is given for is stored in float32 in every plan
        if axis is not None:
            self.weights[name.replace(".", "_")] = (
                f"{self.block}.{layer or name.removesuffix('.w')}",
                axis,
            )
        return parameter

    def point(self, name: str, value):
        """`value` as it is, or as the observer returns it."""
        return value if self.observer is None else self.observer(f"{self.block}.{name}", value)

    def for_onnx(self) -> None:
        """Take the form that ONNX Runtime runs fastest; the same numbers, slower in Paddle."""


class FoldedConv(FlatLayer):
    """Convolution with bias: x (B, Cin, V, T) -> (B, C, V, T / stride)."""

    def __init__(
        self,
        block: str,
        name: str,
        weight: np.ndarray,
        bias: np.ndarray,
        like: Conv | FoldedConv | None = None,
        groups: int = 1,
        layer: str | None = None,
    ):
        super().__init__(block)
        self.name, self.layer = name, layer or name
        self.weight_ = self.constant(f"{name}.w", weight, axis=0, layer=self.layer)
        self.bias_ = self.constant(f"{name}.b", np.reshape(bias, [-1, 1]))
        self.stride: int = like.stride if like else 1
        self.padding: int = like.padding if like else 0
        self.dilation: int = like.dilation if like else 1
        self.groups = groups
        # Weights of further input channels, (C, inputs, 1, kernel), that no plan speaks of
        self.more = None

    def linear(self, x):
        """The convolution without its bias."""
        weight = (
            self.weight_ if self.more is None else paddle.concat([self.weight_, self.more], axis=1)
        )
        return F.conv2d(
            x,
            weight,
            stride=[1, self.stride],
            padding=[0, self.padding],
            dilation=[1, self.dilation],
            groups=self.groups,
        )

    def forward(self, x):
        y = self.linear(x)
        return y + self.bias_ if len(self.bias_.shape) == 3 else add_channels(y, self.bias_)

    def for_onnx(self) -> None:
        """Add the bias at rank 4 from now on, which `export.formats.onnx_model` moves into the Conv
        node."""
        self.bias_ = self.constant(f"{self.name}.b", array(self.bias_).reshape(-1, 1, 1))

    def widen(self, more: int) -> None:
        """Take so many further input channels, and ignore them."""
        self.weight_ = self.constant(
            f"{self.name}.w",
            np.pad(array(self.weight_), [(0, 0), (0, more), (0, 0), (0, 0)]),
            axis=0,
            layer=self.layer,
        )

    def spread(self, outputs: list[int] | None = None, inputs: list[int] | None = None) -> None:
        """Follow parts of so many output and input channels by zeros, up to multiples of four each:
        ONNX Runtime's integer convs are up to twice as fast on those. None: as they are."""
        weight, bias = array(self.weight_), array(self.bias_)
        if outputs is not None:
            weight, bias = spread(weight, outputs, 0), spread(bias, outputs, 0)
        if inputs is not None:
            weight = spread(weight, inputs, 1)
        self.weight_ = self.constant(f"{self.name}.w", weight, axis=0, layer=self.layer)
        self.bias_ = self.constant(f"{self.name}.b", bias)

    def every(self, step: int) -> nn.LayerList:
        """Convs of the same input, the first of output channels 0, step, ..., the next of those
        behind them; one layer in a plan."""
        order = np.arange(self.weight_.shape[0]).reshape(-1, step).T.reshape(-1)
        shape = self.bias_.shape
        self.weight_.set_value(self.weight_.numpy()[order])
        self.bias_.set_value(self.bias_.numpy().reshape(-1)[order].reshape(shape))
        return self.split([len(order) // step] * step)

    def split(self, widths: list[int]) -> nn.LayerList:
        """Convs of the same input that have so many output channels each, one after the other; one
        layer in a plan."""
        # Under one layer name: whoever writes a recipe knows the conv before it was split
        ends = np.cumsum(widths)[:-1]
        pairs = zip(
            np.split(array(self.weight_), ends),
            np.split(array(self.bias_).reshape(-1), ends),
            strict=True,
        )
        return nn.LayerList(
            [
                FoldedConv(
                    self.block, f"{self.name}{number}", weight, bias, like=self, layer=self.layer
                )
                for number, (weight, bias) in enumerate(pairs)
            ]
        )


class Affine(FlatLayer):
    """x (B, C, V, T) * scale + shift by channel, what is left of a BatchNorm without a conv in
    front of it; scale may be None."""

    def __init__(self, block: str, name: str, scale: np.ndarray | None, shift: np.ndarray):
        super().__init__(block)
        self.name, self.layer = name, f"{block}.{name}"
        self.scale = (
            None if scale is None else self.constant(f"{name}.scale", np.reshape(scale, [-1, 1]))
        )
        self.shift = self.constant(f"{name}.shift", np.reshape(shift, [-1, 1]))

    def spread(self) -> None:
        """Follow the channels by such that answer zero, up to a multiple of four."""
        width = self.shift.shape[0]
        if self.scale is not None:
            self.scale = self.constant(f"{self.name}.scale", spread(array(self.scale), [width], 0))
        self.shift = self.constant(f"{self.name}.shift", spread(array(self.shift), [width], 0))

    def forward(self, x):
        if self.onnx:
            return self.conv(x)
        y = x.flatten(2)  # rank 3 in Paddle, see `add_channels`
        y = (y if self.scale is None else y * self.scale) + self.shift
        return y.reshape([0, 0, x.shape[2], x.shape[3]])

    def for_onnx(self) -> None:
        """Be a convolution of every channel by itself from now on: ONNX Runtime fuses it with the
        sum and the ReLU behind it."""
        shift = array(self.shift).reshape(-1)
        scale = np.ones_like(shift) if self.scale is None else array(self.scale)
        self.conv = FoldedConv(
            self.block, self.name, scale.reshape(-1, 1, 1, 1), shift, groups=len(shift)
        )
        # They would be listed as constants that no file has
        del self.scale, self.shift
        self.conv.for_onnx()
        self.conv.onnx = True


def to_four(width: int) -> int:
    """The next multiple of four."""
    return width + -width % 4


def spread(value: np.ndarray, widths: list[int], axis: int) -> np.ndarray:
    """Parts of so many channels each, followed by zeros up to a multiple of four."""
    parts = np.split(value, np.cumsum(widths)[:-1], axis=axis)
    padding = [(0, 0)] * value.ndim
    filled = []
    for part, width in zip(parts, widths, strict=True):
        padding[axis] = (0, to_four(width) - width)
        filled.append(np.pad(part, padding))
    return np.concatenate(filled, axis=axis)


def add_channels(x, bias):
    """x (B, C, V, T) + bias (C, 1). On rank 3: Paddle 2.6.2 broadcasts a rank-4 channel bias seven
    times slower on CPU."""
    return (x.flatten(2) + bias).reshape([0, 0, x.shape[2], x.shape[3]])


def duplicate(flat: nn.Layer) -> nn.Layer:
    """A deep copy with the same names on disk and no observer."""
    twin = copy.deepcopy(flat)
    # Paddle gives every copied tensor a name that counts up through the process; names are part of
    # the exported files, which must not depend on what was exported before.
    for parameter, copied in zip(flat.parameters(), twin.parameters(), strict=True):
        copied.name = parameter.name
    for buffer, copied in zip(flat.buffers(), twin.buffers(), strict=True):
        copied.name = buffer.name
    for layer in twin.sublayers(include_self=True):
        if isinstance(layer, FlatLayer):
            layer.observer = None
    return twin


def prepared(flat: nn.Layer, integers: bool = False) -> nn.Layer:
    """A copy of a flat network in the form made for ONNX; the network itself stays as it is.

    Args:
        integers: the form that is fastest in eight bits. A layer that has one of the two forms
            already keeps it.
    """
    twin = duplicate(flat)
    _take_form(twin, integers)
    return twin


def _take_form(layer: nn.Layer, integers: bool) -> None:
    if isinstance(layer, FlatLayer) and not layer.onnx:
        layer.onnx = True
        layer.integers = integers
        layer.for_onnx()
    # Children only now: a layer may have replaced them, and new ones need the form, too
    for child in layer.children():
        _take_form(child, integers)
