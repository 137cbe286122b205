"""Paddle static export with weights in int8, int4 (two in a byte) or float16, made float32 again
inside the graph.

It computes in float32, in the plain predictor: Paddle 2.6.2's integer predictors return wrong
logits for these networks. What of the plan speaks of activations does not reach this format.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import paddle
from paddle import nn

from export.flat.layers import duplicate
from export.formats import paddle_absent, paddle_model
from export.quantize import bits
from export.quantize.bits import Plan, Weight


def save(
    flat: nn.Sequential, spec, folder: Path, plan: Plan, skip_absent: bool = False
) -> list[Path]:
    """Write `model.pdmodel` and `model.pdiparams` of a flat network in the form for Paddle, which
    stays as it is.

    Args:
        skip_absent: persons who are not in a clip are not computed.
    """
    rounded = bits.quantize_weights(duplicate(flat), plan)
    # Made before the weights are taken apart: it computes with them.
    whole = paddle_absent.skipping(rounded, spec) if skip_absent else rounded
    return paddle_model.save(Stored(rounded, plan, whole), spec, folder)


class Stored(nn.Layer):
    """A flat network that makes its weights from what is stored: (N, C, T, V, M) -> logits (N, K).

    All int4 levels are one constant, unpacked once: every operator of the graph costs as much room
    as a few hundred weights.
    """

    def __init__(self, flat: nn.Sequential, plan: Plan, whole: nn.Layer | None = None):
        """
        Args:
            whole: what runs, `flat` itself or a layer around it.
        """
        super().__init__()
        self.flat = flat if whole is None else whole
        self.stored: list[
            tuple
        ] = []  # (layer, its attributes, kind, shape, axis, shape of the scales)
        nibbles: list[np.ndarray] = []
        halves: list[np.ndarray] = []
        for one in bits.weights(flat):
            kind, weight = plan.precision[one.layer], one.parameter.numpy()
            # What turns a small weight back costs more bytes than its bits save
            if weight.size >= bits.SMALL and not bits.stays(weight, kind):
                self._store(one, weight, kind, plan.group, nibbles, halves)
        for one in bits.others(flat):
            if bits.stays(one.numpy(), plan.others):
                continue
            owner, attribute = next(
                (owner, attribute)
                for owner in flat.sublayers()
                for attribute, own in owner._parameters.items()
                if own is one
            )
            self._store(
                Weight("", owner, attribute, 0),
                one.numpy(),
                plan.others,
                plan.group,
                nibbles,
                halves,
            )
        if nibbles:
            self._keep("nibbles", pack(np.concatenate(nibbles)), "int4.w")
            self._keep("halves", np.concatenate(halves).astype("float16"), "int4.s")
        self.eval()

    def _store(
        self, one: Weight, weight: np.ndarray, kind: str, group: int, nibbles: list, halves: list
    ) -> None:
        number, name, scales = len(self.stored), one.name, np.zeros(0)
        if kind == "float16":
            self._keep(f"q{number}", weight.astype("float16"), name)
        else:
            found, scales = bits.stored(weight, name, one.axis, kind, group)
            if kind == "int4_weights":
                nibbles.append(found.reshape(-1))
                # float16: `bits.levels` has already chosen scales that are exact in it
                halves.append(scales.reshape(-1))
            else:
                shape = [1] * weight.ndim
                shape[one.axis] = len(scales)
                rows = found.reshape([weight.shape[one.axis], *np.delete(weight.shape, one.axis)])
                self._keep(f"q{number}", np.moveaxis(rows, 0, one.axis), name)
                self._keep(f"s{number}", scales.reshape(shape), f"{name}s")
        parameters, parameter = one.owner._parameters, one.parameter
        attributes = [attribute for attribute, own in parameters.items() if own is parameter]
        # Under each name: a layer knows the same parameter by two
        for attribute in attributes:
            del parameters[attribute]  # what `forward` makes of it takes its place
        self.stored.append(
            (one.owner, attributes, kind, list(weight.shape), one.axis, list(scales.shape))
        )

    def _keep(self, attribute: str, array: np.ndarray, name: str) -> None:
        tensor = paddle.to_tensor(np.ascontiguousarray(array))
        tensor.name = name
        self.register_buffer(attribute, tensor)

    def forward(self, x):
        small = [one for one in self.stored if one[2] == "int4_weights"]
        parts = iter(
            self.unpacked([one[3] for one in small], [one[5] for one in small]) if small else ()
        )
        for number, (owner, attributes, kind, shape, axis, _) in enumerate(self.stored):
            if kind == "int4_weights":
                weight = placed(*next(parts), shape, axis)
            elif kind == "float16":
                weight = getattr(self, f"q{number}").astype("float32")
            else:
                weight = getattr(self, f"q{number}").astype("float32") * getattr(self, f"s{number}")
            for attribute in attributes:
                # Past Layer.__setattr__, which would register the tensor as a buffer of the layer
                object.__setattr__(owner, attribute, weight)
        return self.flat(x)

    def unpacked(self, shapes: list, scales: list) -> list[tuple]:
        """(levels, flat; scales (channels, groups, 1)) of every int4 weight."""
        both = self.nibbles.astype("float32")
        high = paddle.floor(both * 0.0625)
        levels = paddle.concat([both - high * 16.0, high]) - 8.0
        sizes, counts = (
            [int(np.prod(shape)) for shape in shapes],
            [int(np.prod(shape)) for shape in scales],
        )
        # An odd number of levels leaves half a byte
        spare = levels.shape[0] - sum(sizes)
        each = (
            paddle.split(levels, sizes + [spare] * (spare > 0))
            if len(sizes) + spare > 1
            else [levels]
        )
        steps = self.halves.astype("float32")
        each_step = paddle.split(steps, counts) if len(counts) > 1 else [steps]
        parts = zip(each[: len(sizes)], each_step, strict=True)
        return [(part, step.reshape([-1, 1])) for part, step in parts]


def pack(levels: np.ndarray) -> np.ndarray:
    """Levels -7 to 7, flat -> bytes: the first half of all levels in the low four bits, the second
    in the high."""
    # Offset by 8: bytes have no sign to keep
    flat = (levels + 8).astype("uint8")
    low, high = np.split(np.append(flat, np.full(len(flat) % 2, 8, "uint8")), 2)
    return low | high << 4


def placed(levels, scales, shape: list[int], axis: int):
    """Flat levels times scales (groups, 1) -> the weight of this shape, whose output channels are
    on `axis`."""
    rows = levels.reshape([scales.shape[0], -1]) * scales
    weight = rows.reshape([shape[axis], *np.delete(shape, axis).tolist()])
    return (
        weight.transpose(np.argsort([axis, *np.delete(np.arange(len(shape)), axis)]).tolist())
        if axis
        else weight
    )
