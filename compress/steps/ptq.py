"""Quantise the student after training: int8 weights and activations, ranges from training clips,
nothing trained.

The network itself stays as it is; what changes is the file that is exported. Paddle folders keep
activations in float32, for Paddle's integer predictors return wrong logits for these networks.
"""

from __future__ import annotations

from dataclasses import dataclass

from compress.steps import quantising
from compress.steps.work import Outcome, State, Work
from export.flat.flatten import flatten
from export.quantize.bias_correction import corrected_biases, mean_inputs, mean_logits
from export.quantize.bits import Overrides, make_plan
from export.quantize.quantized import Quantized, centred, ranges_of
from teachers.networks import Spec


@dataclass(frozen=True)
class Config(quantising.Calibration):
    """Keys of a `ptq` step, beside those of `compress.steps.quantising.Calibration`.

    Attributes:
        bias_correction: put what rounding the weights shifts the channels' means by into the
            biases, and what rounding the activations shifts the logits' means by into the
            classifier's.
        auto: points of top-1 that may be lost on the validation split; activations of the layers
            that harm most stay float32 until no more are.
    """

    bias_correction: bool = True
    auto: float | None = None


def title(config: Config) -> str:
    """What the step does, in words."""
    how = f"{config.method} on {config.clips} training clips"
    if config.bias_correction:
        how += ", biases corrected"
    if config.auto is not None:
        how += f", at most {config.auto:g} points lost"
    return f"quantise to int8 ({how}{quantising.described(config)})"


def spec_after(spec: Spec, config: Config) -> Spec:
    """The student's spec after the step: the same.

    Raises:
        RecipeError: a layer name that the network does not have, or a network that cannot be
            quantised.
    """
    quantising.check_names(spec, config, "ptq")
    return spec


def apply(state: State, config: Config, work: Work, number: int) -> Outcome:
    """The same student with a plan for its files."""
    network = state.student.network
    clips = quantising.clips_of(state, work, config.clips)
    flat, ranges = ranges_of(network, clips, config.method)
    by_recipe = quantising.overrides(config)
    # Measured once: however many layers `auto` keeps precise, those of the float network are the
    # same
    if config.bias_correction:
        inputs = mean_inputs(flatten(network), clips)
        logits = mean_logits(flatten(network), clips)

    def quantised(more: Overrides) -> Quantized:
        plan = make_plan(flat, "int8", ranges, by_recipe | more)
        if not config.bias_correction:
            return Quantized(plan, {})
        rounded = Quantized(plan, corrected_biases(flatten(network), plan, inputs))
        return centred(rounded, network, clips, logits)

    # `auto` gives back float32 to activations alone: weights in eight bits keep the file small.
    return quantising.outcome(config.auto, quantised, "int8_weights", state, work, lambda: clips)
