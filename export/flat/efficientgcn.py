"""The flat inference network of EfficientGCN: one `nn.Sequential` of plain layers, every BatchNorm
and edge weight folded.

Folded exactly, beyond the BatchNorms: adjacency * edge is one constant matrix for all hops; where
the graph comes first, the residual projection is a fourth hop (the identity); a Basic layer's
residual is its kernel's centre; two 1x1 convs with nothing between them are one, unless that would
cost more; attention's BatchNorm and skip are inside its outer product.
"""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from export.flat.layers import Affine, FlatLayer, FoldedConv, array, fold
from export.flat.persons import Entry, Head
from teachers.efficientgcn.layers import (
    HOPS,
    ConvNorm,
    JointAttention,
    SpatialGraph,
    Stem,
    Temporal,
    Unit,
)
from teachers.efficientgcn.network import EfficientGCN
from teachers.layers import BatchNorm


def flatten(network: EfficientGCN) -> nn.Sequential:
    """The same function as `network` in evaluation mode: (N, C, T, V, M) -> logits (N, K)."""
    spec = network.spec
    layers: list[nn.Layer] = [Branches(network)]
    layers += [
        unit(block.id, "", getattr(network, block.id), last=block is spec.blocks[-1])
        for block in spec.blocks
        if not block.branched
    ]
    flat = nn.Sequential(*layers, Head(network, spec.features))
    flat.eval()
    return flat


class Branches(Entry):
    """Persons to the batch, every branch by itself, channels concatenated: (N, C, T, V, M) -> (N *
    M, C', V, T)."""

    def __init__(self, network: EfficientGCN):
        super().__init__("branches")
        spec = network.spec
        self.shape = spec.input_shape[:3]
        self.branches = nn.LayerList()
        for number in range(spec.branches):
            units = [
                unit(block.id, f"{number}.", getattr(network, block.id)[number])
                for block in spec.blocks
                if block.branched
            ]
            self.branches.append(nn.Sequential(stem(f"{number}.", network.stem[number]), *units))

    def rows(self, x):
        C, T, V = self.shape
        return x.transpose([0, 4, 1, 3, 2]).reshape([-1, C, V, T])

    def behind(self, rows):
        if len(self.branches) == 1:
            return self.branches[0](rows)
        each = paddle.split(rows, len(self.branches), axis=1)
        return self.point(
            "out",
            paddle.concat(
                [branch(one) for branch, one in zip(self.branches, each, strict=True)], axis=1
            ),
        )


def stem(prefix: str, layer: Stem) -> nn.Sequential:
    """The beginning of one branch, its first BatchNorm inside the graph convolution."""
    return nn.Sequential(
        graph("stem", f"{prefix}graph", layer.graph, layer.bn),
        TemporalLayer("stem", f"{prefix}temporal", layer.temporal),
    )


def unit(block: str, prefix: str, layer: Unit, last: bool = False) -> nn.Sequential:
    """One block: graph convolution, temporal layers, attention; `last`: what it gives is pooled."""
    temporal = [
        TemporalLayer(block, f"{prefix}temporal.{number}", one)
        for number, one in enumerate(layer.temporal)
    ]
    return nn.Sequential(
        graph(block, f"{prefix}graph", layer.graph),
        *temporal,
        Attention(block, f"{prefix}attention", layer.attention, last),
    )


def graph(block: str, name: str, layer: SpatialGraph, before: BatchNorm | None = None) -> FlatLayer:
    """The graph convolution in the order of the trained network; `before`, a BatchNorm of its
    input, needs the graph first."""
    return (
        GraphFirst(block, name, layer, before)
        if layer.graph_first or before is not None
        else GraphLast(block, name, layer)
    )


def _hop_weights(layer: SpatialGraph) -> np.ndarray:
    """(HOPS, C, Cin) float64."""
    weight, C = array(layer.values.weight), layer.channels
    if layer.graph_first:
        return weight.reshape(C, -1, HOPS).transpose(2, 0, 1)
    return weight.reshape(C, HOPS, -1).transpose(1, 0, 2)


def _normalised(layer: SpatialGraph) -> tuple[np.ndarray, np.ndarray]:
    """(topology (HOPS, v, w) with a largest column sum of 1 in every hop, those sums (HOPS, 1, 1)):
    eight bits suit all hops then."""
    topology = array(layer.topology())
    sizes = np.abs(topology).sum(1).max(1).reshape(-1, 1, 1)
    # A hop that no two joints of a small skeleton are apart has an empty matrix
    sizes = np.where(sizes == 0, 1.0, sizes)
    return topology / sizes, sizes


class Swished(FlatLayer):
    """A layer that ends in Swish."""

    def swish(self, name: str, x):
        """x * sigmoid(x); in eight bits the two factors and the product are each a point."""
        if not self.integers:
            return self.point(f"{name}.swish", F.swish(self.point(name, x)))
        x = self.point(name, x)
        return self.point(f"{name}.swish", x * self.point(f"{name}.gate", F.sigmoid(x)))


class GraphFirst(Swished):
    """One product with all hops and the identity, one 1x1 conv with input channels ordered (Cin,
    hop): (B, Cin, V, T) -> (B, C, V, T)."""

    def __init__(self, block: str, name: str, layer: SpatialGraph, before: BatchNorm | None):
        super().__init__(block)
        self.name = name
        C, Cin, V = layer.channels, layer.in_channels, layer.joints
        self.channels, self.in_channels, self.joints = C, Cin, V
        scale, shift = layer.bn.scale_and_shift()
        if layer.residual is not None:
            skip, skip_bias = fold(array(layer.residual.conv.weight)[:, :, 0, 0], layer.residual.bn)
        else:
            # The identity as a hop of its own, so that the sum is part of the product
            skip, skip_bias = np.eye(C), np.zeros(C)
        weight = np.concatenate(
            [_hop_weights(layer) * scale.reshape(C, 1), skip[None]]
        )  # (HOPS + 1, C, Cin)
        hops, sizes = _normalised(layer)
        # What the topology was divided by
        weight[:HOPS] *= sizes
        topology = np.concatenate([hops, np.eye(V)[None]])  # (HOPS + 1, v, w)
        bias = np.concatenate(
            [
                array(layer.values_bias) * scale.reshape(C, 1) * sizes.reshape(-1),
                (skip_bias + shift).reshape(C, 1),
            ],
            1,
        )
        self.in_scale = self.scale = None
        if before is not None:
            self.in_scale, in_shift = before.scale_and_shift()
            bias = bias + (weight @ in_shift).T
            weight = weight * self.in_scale
        self.left = self.constant(f"{name}.topology", topology.transpose(0, 2, 1).reshape(-1, V))
        self.weight = self.constant(
            f"{name}.values.w", weight.transpose(1, 2, 0).reshape(C, -1, 1, 1), axis=0
        )
        self.bias = self.constant(f"{name}.b", (bias @ topology.sum(1)).reshape(C * V, 1))

    def forward(self, x):
        C, V, T = self.channels, self.joints, x.shape[3]
        if self.scale is not None:
            x = self.point(f"{self.name}.in", x * self.scale)
        x = paddle.matmul(self.point(f"{self.name}.topology", self.left), x)
        x = self.point(f"{self.name}.product", x)
        if self.integers:
            return self.in_integers(x)
        x = x.reshape([0, (HOPS + 1) * self.in_channels, V, T])
        y = (
            self.point(f"{self.name}.values", F.conv2d(x, self.weight)).reshape([0, C * V, T])
            + self.bias
        )
        return self.swish(self.name, y.reshape([0, C, V, T]))

    def in_integers(self, rows):
        """The rest, of all rows (B, Cin, (HOPS + 1) * V, T), with a point behind every operator."""
        y = F.conv2d(rows, self.weight, dilation=[self.joints, 1]) + self.bias
        y = self.point(f"{self.name}.biased", y) + self.point(f"{self.name}.rest", self.rest)
        return self.swish(self.name, y)

    def for_onnx(self) -> None:
        """In eight bits the sum over hops is a convolution over the product's rows, V apart, and
        the input's BatchNorm keeps its scale: one range would not do for coordinates and
        velocities."""
        if not self.integers:
            return
        if self.in_scale is not None:
            self.scale = self.constant(f"{self.name}.scale", self.in_scale.reshape(-1, 1, 1))
            each = np.repeat(np.where(self.in_scale == 0, 1.0, self.in_scale), HOPS + 1).reshape(
                1, -1, 1, 1
            )
            self.weight = self.constant(f"{self.name}.values.w", array(self.weight) / each, axis=0)
        C, V = self.channels, self.joints
        weight = array(self.weight).reshape(C, self.in_channels, HOPS + 1, 1)
        self.weight = self.constant(f"{self.name}.values.w", weight, axis=0)
        # What all joints share is the convolution's bias, which costs nothing.
        bias = array(self.bias).reshape(C, V)
        mean = bias.mean(1, keepdims=True)
        self.bias = self.constant(f"{self.name}.b", mean.reshape(C, 1, 1))
        self.rest = self.constant(f"{self.name}.rest", (bias - mean).reshape(C, V, 1))


class GraphLast(Swished):
    """One 1x1 conv with output channels ordered (C, hop), one product with all hops: (B, Cin, V, T)
    -> (B, C, V, T).

    Biases stay with the convs, where ONNX Runtime adds them at no cost.
    """

    def __init__(self, block: str, name: str, layer: SpatialGraph):
        super().__init__(block)
        self.name = name
        C, V = self.channels, self.joints = layer.channels, layer.joints
        scale, shift = layer.bn.scale_and_shift()
        topology, sizes = _normalised(layer)
        weight = _hop_weights(layer) * scale.reshape(C, 1) * sizes
        self.values = FoldedConv(
            block,
            f"{name}.values",
            weight.transpose(1, 0, 2).reshape(HOPS * C, -1, 1, 1),
            (array(layer.values_bias) * scale.reshape(C, 1) * sizes.reshape(-1)).reshape(-1),
        )
        self.left = self.constant(f"{name}.topology", topology.transpose(2, 0, 1).reshape(V, -1))
        if layer.residual is None:
            self.skip: FlatLayer = Affine(block, f"{name}.residual", None, shift)
        else:
            skip, skip_bias = _folded(layer.residual)
            self.skip = FoldedConv(block, f"{name}.residual", skip, skip_bias + shift)

    def for_onnx(self) -> None:
        """In eight bits a convolution for each hop: their results one after the other are rows."""
        if self.integers:
            self.values = self.values.every(HOPS)

    def forward(self, x):
        if self.integers:
            hops = [self.point(f"{self.name}.values", conv(x)) for conv in self.values]
            values = self.point(f"{self.name}.values", paddle.concat(hops, axis=2))
        else:
            values = self.point(f"{self.name}.values", self.values(x)).reshape(
                [0, self.channels, HOPS * self.joints, x.shape[3]]
            )
        y = paddle.matmul(self.point(f"{self.name}.topology", self.left), values)
        return self.swish(
            self.name,
            self.point(f"{self.name}.product", y)
            + self.point(f"{self.name}.residual", self.skip(x)),
        )


class TemporalLayer(Swished):
    """One temporal layer: x (B, C, V, T) -> (B, C, V, T / stride)."""

    def __init__(self, block: str, name: str, layer: Temporal):
        super().__init__(block)
        self.name = name
        folded = [
            (step, getattr(layer, step.name), *_folded(getattr(layer, step.name)))
            for step in layer.steps
        ]
        skip = None if layer.residual is None else _folded(layer.residual)
        self.adds_input = True
        if (
            len(folded) == 1
        ):  # Basic: what is added is a 1x1 kernel at the centre of the layer's own
            step, like, weight, bias = folded[0]
            centre, centre_bias = skip or (np.eye(len(bias)).reshape(len(bias), -1, 1, 1), 0.0)
            # Padding is half the kernel, so this tap is the frame itself
            weight[:, :, :, like.conv.padding] += centre[:, :, :, 0]
            folded, skip, self.adds_input = [(step, like, weight, bias + centre_bias)], None, False
        self.steps, self.acts = nn.LayerList(), []
        for step, like, weight, bias in _merged(folded):
            self.steps.append(
                FoldedConv(
                    block, f"{name}.{step.name}", weight, bias, like=like.conv, groups=step.groups
                )
            )
            self.acts.append(step.act)
        # Where the sum is inside the kernel, its Swish is the last step's
        self.acts[-1] = layer.act_on_sum and not self.adds_input
        self.skip: FoldedConv | None = None
        if skip is not None and layer.residual is not None:
            self.skip = FoldedConv(block, f"{name}.residual", *skip, like=layer.residual.conv)
        self.act_on_sum = layer.act_on_sum

    def forward(self, x):
        y = x
        for step, act in zip(self.steps, self.acts, strict=True):
            y = self.swish(step.name, step(y)) if act else self.point(step.name, step(y))
        if not self.adds_input:
            return y
        y = y + (x if self.skip is None else self.point(f"{self.name}.residual", self.skip(x)))
        return self.swish(self.name, y) if self.act_on_sum else self.point(self.name, y)


def _folded(layer: ConvNorm) -> tuple[np.ndarray, np.ndarray]:
    return fold(array(layer.conv.weight), layer.bn)


def _saves(step, first: np.ndarray, second: np.ndarray) -> bool:
    """Whether a convolution, of `step`, and the one behind it may be one and cost no more."""
    if step.act or not first.shape[2:] == second.shape[2:] == (1, 1):
        return False
    # A narrow waist between two wide layers is cheaper as it is
    return len(second) * first.shape[1] <= second.size + first.size


def _merged(steps: list) -> list:
    """The steps with a 1x1 conv and the 1x1 conv behind it, nothing between them, as one where that
    costs no more."""
    merged: list = []
    for step, like, weight, bias in steps:
        if merged and _saves(merged[-1][0], merged[-1][2], weight):
            _, _, first_weight, first_bias = merged[-1]
            first = first_weight[:, :, 0, 0]
            second = weight[:, :, 0, 0]
            merged[-1] = (
                step,
                like,
                (second @ first)[:, :, None, None],
                second @ first_bias + bias,
            )
        else:
            merged.append((step, like, weight, bias))
    return merged


class Attention(Swished):
    """Swish(x * (scale * joint * frame + 1) + shift), the factor one product with two inner terms:
    (B, C, V, T) of the same shape."""

    def __init__(self, block: str, name: str, layer: JointAttention, last: bool):
        super().__init__(block)
        self.name, self.last = name, last
        self.reduce = FoldedConv(block, f"{name}.reduce", *_folded(layer.reduce))
        self.joint = FoldedConv(
            block, f"{name}.joint", array(layer.joint.weight), array(layer.joint_bias)
        )
        self.frame = FoldedConv(
            block, f"{name}.frame", array(layer.frame.weight), array(layer.frame_bias)
        )
        scale, shift = layer.bn.scale_and_shift()
        self.scale, self.shift = (
            self.constant(f"{name}.scale", scale.reshape(-1, 1)),
            Affine(block, name, None, shift),
        )

    def for_onnx(self) -> None:
        if self.integers:
            self.scale = self.constant(f"{self.name}.scale", array(self.scale).reshape(-1, 1, 1))

    def in_integers(self, x):
        """The same with a point behind every operator on a whole map; what is done to the pooled
        ones is little, and stays float32."""
        gates = []
        for axis, conv in ((3, self.joint), (2, self.frame)):
            pooled = self.point(f"{self.name}.pooled", x.mean(axis, keepdim=True))
            gates.append(F.sigmoid(conv(F.hardswish(self.reduce(pooled)))))
        joint = self.point(f"{self.name}.joints", gates[0] * self.scale)  # (B, C, V, 1)
        frame = self.point(f"{self.name}.frames", gates[1])  # (B, C, 1, T)
        weighted = x * self.point(f"{self.name}.factors", joint * frame)
        y = self.point(f"{self.name}.weighted", weighted) + x
        y = self.shift(self.point(f"{self.name}.product", y))
        if self.last:
            # Pooled in float32: most values lie within a step around zero, and rounding moves their
            # mean, in X-Sub's weights by as much as it leaves of the logits (6 dB).
            return F.swish(self.point(self.name, y))
        return self.swish(self.name, y)

    def forward(self, x):
        if self.integers:
            return self.in_integers(x)
        V, T = x.shape[2], x.shape[3]
        # Both poolings go through one convolution, side by side
        pooled = paddle.concat([x.mean(3), x.mean(2)], axis=2).unsqueeze(2)  # (B, C, 1, V + T)
        joint, frame = paddle.split(F.hardswish(self.reduce(pooled)), [V, T], axis=3)
        joint = F.sigmoid(self.joint(joint)).squeeze(2) * self.scale  # (B, C, V)
        frame = F.sigmoid(self.frame(frame))  # (B, C, 1, T)
        # A row of ones beside each factor makes scale * joint * frame + 1 one product
        joint = self.point(
            f"{self.name}.joint", paddle.stack([joint, paddle.ones_like(joint)], axis=3)
        )
        frame = self.point(
            f"{self.name}.frame", paddle.concat([frame, paddle.ones_like(frame)], axis=2)
        )
        factor = self.point(f"{self.name}.factor", paddle.matmul(joint, frame))
        return self.swish(self.name, self.shift(self.point(f"{self.name}.product", x * factor)))
