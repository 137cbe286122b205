"""A flat network that learns while it is rounded: quantisation-aware training (Jacob et al., CVPR
2018, arXiv 1712.05877).

BatchNorm is folded from the first step on, so its statistics are frozen throughout. What learns are
the constants of the form for Paddle; the form for ONNX is made of them afterwards.
"""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn

from export.flat.layers import FlatLayer
from export.quantize import bits, saturation
from export.quantize.bits import Plan
from export.quantize.calibrate import observe


class Trainable(nn.Layer):
    """(N, C, T, V, M) -> logits (N, K) with int8 weights and points rounded by a plan; gradients
    pass the rounding.

    Layers in float16 learn as they are: what their rounding adds is too small to matter.

    Args:
        flat: in the form for Paddle; it is taken over.
        plan: without int4_weights.
        spec: of the network that `flat` is of.
    """

    def __init__(self, flat: nn.Sequential, plan: Plan, spec):
        super().__init__()
        self.spec = spec
        # (name here, its layer, that layer's names for it, axis of the output channels, kind)
        self.rounded: list[tuple[str, FlatLayer, list[str], int, str]] = []
        self.names: dict[str, str] = {}  # ours -> on disk
        for one in bits.weights(flat):
            kind = plan.precision[one.layer]
            if kind in ("int8", "int8_weights") and not bits.stays(one.parameter.numpy(), kind):
                self.rounded.append(
                    (
                        self._take(one.owner, one.parameter),
                        one.owner,
                        self._attributes(one),
                        one.axis,
                        kind,
                    )
                )
        for owner in flat.sublayers():
            for parameter in list(owner._parameters.values()):
                if parameter is not None and parameter.name not in self.names.values():
                    self._take(owner, parameter)
        observe(flat, bits.rounding(plan.ranges))
        # A sublayer would list every parameter twice to the optimiser
        object.__setattr__(self, "flat", flat)  # its parameters are ours already

    def _take(self, owner, parameter) -> str:
        name = f"c{len(self.names)}"
        # Constants of a flat network are frozen; here they learn
        parameter.stop_gradient = False
        parameter.trainable = True
        self.names[name] = parameter.name
        self.add_parameter(name, parameter)
        return name

    def _attributes(self, one) -> list[str]:
        """The names by which a layer knows a weight, given up for what `forward` puts there."""
        found = [
            attribute for attribute, own in one.owner._parameters.items() if own is one.parameter
        ]
        for attribute in found:
            del one.owner._parameters[attribute]
        return found

    def forward(self, x):
        for name, owner, attributes, axis, kind in self.rounded:
            weight = straight_through(getattr(self, name), axis, kind)
            for attribute in attributes:
                object.__setattr__(owner, attribute, weight)
        return self.flat(x)

    def constants(self) -> dict[str, np.ndarray]:
        """Name on disk -> what was learnt, not rounded."""
        return {
            self.names[name]: np.array(value.numpy()) for name, value in self.named_parameters()
        }


def straight_through(weight, axis: int, kind: str):
    """An int8 weight as `export.quantize.bits.rounded` gives it, its gradient that of the weight
    itself."""
    # The scale has no gradient: it follows its largest weight by itself
    fixed = weight.detach()
    others = [one for one in range(len(weight.shape)) if one != axis]
    largest = fixed.abs().max(axis=others, keepdim=True).clip(min=bits.SMALLEST)
    scale = largest / bits.LIMIT[kind]
    neighbours = multiplied(fixed, axis) if kind == "int8" else None
    if neighbours is not None:
        least = largest_pairs(neighbours) / saturation.BEFORE_ROUNDING
        scale = paddle.maximum(scale, least.reshape(scale.shape))
    return weight + (paddle.round(weight / scale) * scale - weight).detach()


def multiplied(weight, axis: int):
    """`export.quantize.saturation.multiplied` in Paddle."""
    if len(weight.shape) == 4 and axis == 0 and weight.shape[1] > 1:
        return weight.transpose([0, 2, 3, 1]).reshape([weight.shape[0], -1])
    return weight.t() if len(weight.shape) == 2 and axis == 1 else None


def largest_pairs(rows):
    """`export.quantize.saturation.largest_pairs` in Paddle."""
    # As the kernel pads them
    if rows.shape[1] % 2:
        rows = paddle.concat([rows, paddle.zeros_like(rows[:, :1])], axis=1)
    pairs = rows.reshape([rows.shape[0], -1, 2])
    return paddle.maximum(pairs.clip(min=0).sum(2), (-pairs).clip(min=0).sum(2)).max(1)
