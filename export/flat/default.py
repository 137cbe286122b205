"""The flat form of a network that has no module of its own here: BatchNorms folded where one run of
the network shows that nothing else would notice, convolutions and classifiers as layers that a
quantised file can store in fewer bits.

All else (graphs, products, pooling, activations) runs as the network's own `forward` has it. A
module written for the network can do more: share products, reorder them, keep more values in eight
bits.
"""

from __future__ import annotations

import copy

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from export.flat.layers import FlatLayer, FoldedConv, array, fold
from teachers.layers import BatchNorm, Conv

NORMS = (BatchNorm, nn.BatchNorm1D, nn.BatchNorm2D)
# Float32 alone moves logits by 1e-6; a BatchNorm in the wrong convolution moves them by a tenth
SAME = 1e-4


def flatten(network: nn.Layer) -> nn.Sequential:
    """The same function as `network` in evaluation mode: (N, C, T, V, M) -> logits (N, K). The
    network stays as it is."""
    twin = copy.deepcopy(network)
    twin.eval()
    pairs = foldable(network)
    for path, layer in list(twin.named_sublayers()):
        if isinstance(layer, NORMS) and path not in pairs.values():
            _replace(twin, path, Scaled(path, *scale_and_shift(layer)))
        elif is_convolution(layer):
            norm = _at(twin, pairs[path]) if path in pairs else None
            _replace(twin, path, convolution(path, layer, norm))
            if norm is not None:
                _replace(twin, pairs[path], Passed(pairs[path]))
        elif isinstance(layer, nn.Linear):
            _replace(twin, path, Linear(path, layer))
    flat = nn.Sequential(Whole(twin))
    flat.eval()
    return flat


def foldable(network: nn.Layer) -> dict[str, str]:
    """Path of a convolution -> path of the BatchNorm that can go into it.

    The structure is observed on a copy with random weights. A fresh network would prove nothing:
    its BatchNorms are the identity, and a residual that starts at zero hides what is behind it.
    """
    probe = copy.deepcopy(network)
    probe.eval()
    generator = np.random.default_rng(0)
    for name, value in probe.state_dict().items():
        if not paddle.is_floating_point(value):
            continue
        old = value.numpy()
        if name.endswith("_variance"):
            new = generator.uniform(0.5, 2.0, old.shape)
        else:
            new = old + generator.normal(0.0, 0.1, old.shape)
        value.set_value(new.astype(old.dtype))
    shape = (1, *network.spec.input_shape)
    clip = paddle.to_tensor(generator.standard_normal(shape).astype("float32"))
    pairs, expected = _seen(probe, clip)
    for convolution_path, norm_path in pairs.items():
        norm = _at(probe, norm_path)
        _replace(probe, convolution_path, convolution("", _at(probe, convolution_path), norm))
        _replace(probe, norm_path, Passed(""))
    with paddle.no_grad():
        difference = float((probe(clip) - expected).abs().max() / expected.abs().max())
    # A convolution's output may also be read by something else than its BatchNorm, which no hook
    # sees; then nothing is folded, and each BatchNorm stays a scale and a shift.
    return pairs if difference <= SAME else {}


def _seen(network: nn.Layer, clip) -> tuple[dict[str, str], paddle.Tensor]:
    """(convolution -> BatchNorm that was handed its very output; logits) of one run."""
    made: dict[int, str] = {}
    # Outputs are kept: the id of a tensor that is gone may be given to another one
    kept = []
    calls: dict[str, int] = {}
    pairs: dict[str, str] = {}

    def hook(path: str):
        def see(layer, inputs, output):
            calls[path] = calls.get(path, 0) + 1
            kept.append(output)
            if is_convolution(layer):
                made[id(output)] = path
            elif id(inputs[0]) in made:
                pairs[made[id(inputs[0])]] = path

        return see

    hooks = [
        layer.register_forward_post_hook(hook(path))
        for path, layer in network.named_sublayers()
        if isinstance(layer, NORMS) or is_convolution(layer)
    ]
    with paddle.no_grad():
        logits = network(clip)
    for registered in hooks:
        registered.remove()
    # A layer that runs twice has two places in the network, and can be folded into neither alone
    once = {
        convolution: norm
        for convolution, norm in pairs.items()
        if calls[convolution] == 1 and calls[norm] == 1
    }
    return once, logits


def is_convolution(layer: nn.Layer) -> bool:
    """Whether `convolution` can take this layer's place."""
    if isinstance(layer, Conv):
        return True
    if not isinstance(layer, (nn.Conv1D, nn.Conv2D)):
        return False
    channels_first = layer._data_format in ("NCHW", "NCL")
    return channels_first and layer._padding_mode == "zeros" and not isinstance(layer._padding, str)


def scale_and_shift(norm: nn.Layer) -> tuple[np.ndarray, np.ndarray]:
    """BN(x) = x * scale + shift in evaluation mode, float64."""
    if isinstance(norm, BatchNorm):
        return norm.scale_and_shift()
    deviation = np.sqrt(array(norm._variance) + norm._epsilon)
    gain = np.ones_like(deviation) if norm.weight is None else array(norm.weight)
    offset = np.zeros_like(deviation) if norm.bias is None else array(norm.bias)
    scale = gain / deviation
    return scale, offset - array(norm._mean) * scale


def convolution(path: str, layer: nn.Layer, norm: nn.Layer | None) -> nn.Layer:
    """The flat form of a convolution, the BatchNorm behind it folded in."""
    weight = array(layer.weight)
    bias = np.zeros(len(weight))
    if getattr(layer, "bias", None) is not None:
        bias = array(layer.bias)
    if norm is not None:
        weight, bias = fold(weight, scale_and_shift(norm), bias)
    if isinstance(layer, Conv):
        geometry = [[1, layer.stride], [0, layer.padding], [1, layer.dilation]]
        return FlatConv(path, weight, bias, geometry, layer.groups)
    numbers = (layer._stride, layer._padding, layer._dilation)
    if isinstance(layer, nn.Conv1D):
        # As a 2D convolution over a height of one: the pair rule and the kernels for eight bits
        # are made for four-dimensional weights
        stride, padding, dilation = numbers
        geometry = [
            [1, *_numbers(stride, 1)],
            _with_height(_numbers(padding, 1)),
            [1, *_numbers(dilation, 1)],
        ]
        return Lifted(FlatConv(path, weight[:, :, None], bias, geometry, layer._groups))
    geometry = [_numbers(number, 2) for number in numbers]
    return FlatConv(path, weight, bias, geometry, layer._groups)


class FlatConv(FoldedConv):
    """A convolution with bias of any stride and padding, its input and output points:
    (B, Cin, H, W) -> (B, C, H', W')."""

    def __init__(
        self,
        path: str,
        weight: np.ndarray,
        bias: np.ndarray,
        geometry: list[list],
        groups: int,
    ):
        block, _, name = path.rpartition(".")
        super().__init__(block or name, name, weight, bias, groups=groups)
        self.strides, self.paddings, self.dilations = geometry

    def linear(self, x):
        """The convolution without its bias."""
        return F.conv2d(
            x,
            self.weight_,
            stride=self.strides,
            padding=self.paddings,
            dilation=self.dilations,
            groups=self.groups,
        )

    def forward(self, x):
        # Both ends are points: ONNX Runtime computes in integers only between two of them, and
        # what the network's own code does in between is not known here.
        y = super().forward(self.point(f"{self.name}.in", x))
        return self.point(f"{self.name}.out", y)


class Lifted(FlatLayer):
    """A convolution over (B, C, L)."""

    def __init__(self, conv: FlatConv):
        super().__init__(conv.block)
        self.conv = conv

    def forward(self, x):
        return self.conv(x.unsqueeze(2)).squeeze(2)


class Linear(FlatLayer):
    """x (..., Cin) -> (..., C). No points: logits in eight bits would tie classes."""

    def __init__(self, path: str, layer: nn.Linear):
        block, _, name = path.rpartition(".")
        super().__init__(block or name)
        self.weight_ = self.constant(f"{name}.w", array(layer.weight), axis=1)
        self.bias_ = None
        if layer.bias is not None:
            self.bias_ = self.constant(f"{name}.b", array(layer.bias))

    def forward(self, x):
        y = paddle.matmul(x, self.weight_)
        return y if self.bias_ is None else y + self.bias_


class Scaled(FlatLayer):
    """A BatchNorm that could not be folded: x (B, C, ...) * scale + shift."""

    def __init__(self, path: str, scale: np.ndarray, shift: np.ndarray):
        super().__init__(path)
        self.scale = self.constant("scale", np.reshape(scale, [-1, 1]))
        self.shift = self.constant("shift", np.reshape(shift, [-1, 1]))

    def forward(self, x):
        if len(x.shape) <= 2:
            return x * self.scale.squeeze(1) + self.shift.squeeze(1)
        # On rank 3: see `export.flat.layers.add_channels`
        y = x.reshape([0, 0, -1]) * self.scale + self.shift
        return y.reshape([0, 0, *x.shape[2:]])


class Passed(FlatLayer):
    """Where a folded BatchNorm was."""

    def forward(self, x):
        return x


class Whole(FlatLayer):
    """The network with its layers in flat form; parameters of its own keep their structured names
    on disk."""

    def __init__(self, network: nn.Layer):
        super().__init__("network")
        self.network = network
        for name, value in (*network.named_parameters(), *network.named_buffers()):
            if not _is_flat(network, name):
                value.name = name
                value.stop_gradient = True

    def forward(self, x):
        return self.network(x)


def _is_flat(network: nn.Layer, name: str) -> bool:
    """Whether a parameter belongs to a flat layer, which has named it already."""
    path, _, _ = name.rpartition(".")
    return bool(path) and isinstance(_at(network, path), FlatLayer)


def _with_height(padding: list) -> list:
    """The padding of a convolution over (B, C, L) as that of one over (B, C, 1, L)."""
    if len(padding) == 1:
        return [0, *padding]
    # One end may have more than the other, as in a causal convolution: (before, after) of the
    # length, or such a pair for every axis.
    return [0, 0, *padding] if len(padding) == 2 else [*padding[:2], [0, 0], *padding[2:]]


def _numbers(value, count: int) -> list[int]:
    """What Paddle keeps as a number or a list, as a list of `count`."""
    return [value] * count if isinstance(value, int) else list(value)


def _at(network: nn.Layer, path: str) -> nn.Layer:
    for name in path.split("."):
        network = network._sub_layers[name]
    return network


def _replace(network: nn.Layer, path: str, layer: nn.Layer) -> None:
    parent, _, name = path.rpartition(".")
    owner = _at(network, parent) if parent else network
    owner._sub_layers[name] = layer
