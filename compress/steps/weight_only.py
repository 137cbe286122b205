"""Store the student's weights in fewer bits, int8, int4 in groups or float16; the files compute in
float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from compress.steps import quantising
from compress.steps.work import Outcome, State, Work
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.quantize.bits import Overrides, make_plan
from export.quantize.quantized import Quantized
from teachers.networks import Spec

KINDS = {"int8": "int8_weights", "int4": "int4_weights", "float16": "float16"}
# What the most harmful layers are kept in: the next kind that has more bits
HIGHER = {"int8": "float16", "int4": "int8_weights", "float16": "float32"}
# For ranking only: weights are rounded by their own size, so no ranges are calibrated.
RANKING_CLIPS = 8


@dataclass(frozen=True)
class Config:
    """Keys of a `weight_only` step.

    Attributes:
        kind: what weights are stored as.
        group: inputs of a channel that share a scale in int4.
        skip: blocks or layers (`l1`, `l1.values`) that stay float32.
        precision: pairs of such a name and the kind it is kept in.
        auto: points of top-1 that may be lost on the validation split; the layers that harm most
            are kept in more bits until no more are.
    """

    kind: Literal["int8", "int4", "float16"]
    group: int = 32
    skip: tuple[str, ...] = ()
    precision: tuple[
        tuple[str, Literal["float32", "float16", "int8_weights", "int4_weights"]], ...
    ] = ()
    auto: float | None = None

    def __post_init__(self) -> None:
        # A group of one would store a scale beside every weight, larger than the weight.
        if self.group < 2:
            raise ValueError(f"group: must be at least 2, got {self.group}")
        quantising.check_overrides(self)


def title(config: Config) -> str:
    """What the step does, in words."""
    what = f"store weights in {config.kind}"
    if config.kind == "int4":
        what += f" (groups of {config.group})"
    if config.auto is not None:
        what += f", at most {config.auto:g} points lost"
    return what + quantising.described(config)


def spec_after(spec: Spec, config: Config) -> Spec:
    """The student's spec after the step: the same.

    Raises:
        RecipeError: a layer name that the network does not have.
    """
    quantising.check_names(spec, config, "weight_only")
    return spec


def apply(state: State, config: Config, work: Work, number: int) -> Outcome:
    """The same student with a plan for its files."""
    flat = prepared(flatten(state.student.network))
    by_recipe = quantising.overrides(config)

    def quantised(more: Overrides) -> Quantized:
        return Quantized(
            make_plan(flat, KINDS[config.kind], overrides=by_recipe | more, group=config.group)
        )

    return quantising.outcome(
        config.auto,
        quantised,
        HIGHER[config.kind],
        state,
        work,
        lambda: quantising.clips_of(state, work, RANKING_CLIPS),
    )
