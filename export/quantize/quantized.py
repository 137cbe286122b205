"""How a trained network is deployed in fewer bits: a plan, and the constants that took the place of
the folded ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from paddle import nn

from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.quantize import bits
from export.quantize.bias_correction import (
    classifier_bias,
    corrected_biases,
    mean_inputs,
    mean_logits,
)
from export.quantize.bits import Overrides, Plan
from export.quantize.calibrate import calibrate
from teachers import storage
from teachers.errors import CheckpointError, RecipeError
from teachers.weights.values import require_usable

# What a shift's name begins with on disk; no constant's name has a colon.
SHIFT = "shift:"


@dataclass(frozen=True)
class Quantized:
    """A plan with the constants that correction or training changed.

    Attributes:
        constants: name on disk (`l1.values.b`) -> float32 values before rounding, in the form for
            Paddle.
        shift: name on disk -> what is added to that constant in files that round activations, and
            in no others.
    """

    plan: Plan
    constants: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    shift: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def flat(self, network: nn.Layer, activations: bool = True) -> nn.Sequential:
        """The flat network with these constants, not rounded.

        Args:
            activations: False: for a format that rounds weights alone.
        Raises:
            RecipeError: they are of another network.
        """
        flat = flatten(network)
        # By the name on disk: attributes differ between the forms, names do not
        own = {one.name: one for one in flat.parameters()}
        for name, value in (*self.constants.items(), *self.shift.items()):
            if name not in own or list(own[name].shape) != list(value.shape):
                raise RecipeError(
                    f"quantised constants: {network.spec.network} has no {name!r} of shape"
                    f" {value.shape}; they are of another network"
                )
        for name, value in self.constants.items():
            own[name].set_value(value)
        if activations:
            for name, value in self.shift.items():
                own[name].set_value(own[name].numpy() + value)
        return flat

    def for_onnx(self, network: nn.Layer) -> nn.Sequential:
        """The same in the form for ONNX, the one that is quantised there."""
        return prepared(self.flat(network), integers=bool(self.plan.ranges))

    def simulated(self, network: nn.Layer, activations: bool = True) -> nn.Sequential:
        """The network that computes in float32 what a deployed file does.

        Args:
            activations: False: of a format that rounds weights alone, in the form for Paddle.
        """
        if not activations:
            return bits.quantize_weights(self.flat(network, activations=False), self.plan)
        return bits.fake_quantized(self.for_onnx(network), self.plan)

    def symmetric(self) -> Quantized:
        """The same with every range around zero, as TensorRT alone takes it: 255 levels, of which
        what is never negative, behind a ReLU, has half.

        128 of the 256 uint8 levels lie below zero, so the largest magnitude is 127 steps.
        """
        ranges = {}
        for name, (low, high) in self.plan.ranges.items():
            step = max(abs(low), abs(high)) / 127
            ranges[name] = (-128 * step, 127 * step)
        # The shift was measured with the other ranges, and coarser steps shift otherwise.
        return replace(self, plan=replace(self.plan, ranges=ranges), shift={})

    def kinds(self) -> dict[str, int]:
        """How many layers are kept in which kind."""
        return dict(Counter(self.plan.precision.values()).most_common())

    def save(self, path: Path) -> None:
        """Write it as one `.npz`."""
        shift = {f"{SHIFT}{name}": value for name, value in self.shift.items()}
        storage.write_arrays(path, self.constants | shift, {"plan": self.plan.to_json()})

    @staticmethod
    def read(path: Path) -> Quantized:
        """
        Raises:
            CheckpointError: not such a file.
        """
        constants, about = storage.read_arrays(path)
        require_usable(constants, str(path))
        try:
            plan = Plan.from_json(about["plan"])
            # JSON of Python's reads NaN, and a range of it rounds every activation to nothing.
            ranges = {
                f"range of {name}": np.array(ends, "float64") for name, ends in plan.ranges.items()
            }
            require_usable(ranges, str(path))
            shift = {
                name.removeprefix(SHIFT): constants.pop(name)
                for name in list(constants)
                if name.startswith(SHIFT)
            }
            return Quantized(plan, constants, shift)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                f"{path}: has no plan of a quantised network; give the file of a ptq, qat or"
                " weight_only step"
            ) from error


def ranges_of(network, clips: np.ndarray, method: str) -> tuple:
    """(the flat network in the form that is quantised, the ranges of its points)."""
    # Points differ between the forms, and the one for eight bits is what the file is made of
    flat = prepared(flatten(network), integers=True)
    return flat, calibrate(flat, clips, method)


def corrected(network, clips: np.ndarray, method: str, own: Overrides) -> Quantized:
    """Everything in int8 but what `own` says, biases corrected: where `qat` starts, and what `ptq`
    ends with."""
    flat, ranges = ranges_of(network, clips, method)
    # Biases are measured in the form for Paddle: constants are kept in it, and the other is derived
    plan, flat = bits.make_plan(flat, "int8", ranges, own), flatten(network)
    rounded = Quantized(plan, corrected_biases(flat, plan, mean_inputs(flat, clips)))
    return centred(rounded, network, clips, mean_logits(flat, clips))


def centred(
    quantized: Quantized, network: nn.Layer, clips: np.ndarray, expected: np.ndarray
) -> Quantized:
    """The same with the mean of its logits on clips (n, C, T, V, M) moved to the expected one (K,).

    What rounding activations adds to a clip's logits is alike in all clips for the most part: frames
    without anybody, small values that all become zero. The classifier's bias takes it off.
    """
    name = classifier_bias(flatten(network))
    if name is None:
        return quantized
    without = replace(quantized, shift={})
    shift = expected - mean_logits(without.simulated(network), clips)
    return replace(quantized, shift={name: shift.astype("float32")})
