"""What the steps ptq, qat and weight_only share: calibration clips, checks of layer names, and
layers that stay precise by themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from compress.evaluation import accuracy
from compress.evaluation.evaluate import training_clips
from compress.process import console
from compress.steps.work import Outcome, State, Work
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.quantize import bits
from export.quantize.bits import Overrides
from export.quantize.calibrate import calibrate
from export.quantize.quantized import Quantized
from export.runtimes import in_process
from teachers import networks
from teachers.errors import RecipeError

# How many training clips rank the layers, evenly spread: they run once for each layer
HARM_CLIPS = 8
MOST = 0.5  # share of the layers that `auto` keeps precise at most


@dataclass(frozen=True)
class Calibration:
    """Keys of steps that quantise activations.

    Attributes:
        method: how ranges of activations are found.
        clips: number of training clips, spread over the split, that they are found on.
        skip: blocks, layers or values (`l1`, `l1.values`) that stay float32.
        precision: pairs of such a name and the kind it is kept in.
    """

    # percentile: CTR-GCN on NW-UCLA reached 89.22 % with it, 87.50 to 88.58 % with the others
    # (benchmarks/LOG.md).
    method: Literal["percentile", "mse", "entropy", "min_max", "gradient"] = "percentile"
    clips: int = 128
    skip: tuple[str, ...] = ()
    precision: tuple[
        tuple[str, Literal["float32", "float16", "int8_weights", "int4_weights", "int8"]], ...
    ] = ()

    def __post_init__(self):
        if self.clips < 1:
            raise ValueError(f"clips: ranges need at least one training clip, got {self.clips}")
        check_overrides(self)


def check_overrides(config) -> None:
    """
    Raises:
        ValueError: a name twice in `skip` and `precision`, or an impossible `auto`.
    """
    allowed = getattr(config, "auto", None)
    if allowed is not None and not 0 <= allowed <= 100:
        raise ValueError("auto: must be from 0 to 100 points (null: every layer is treated alike)")
    names = [*config.skip, *(name for name, _ in config.precision)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"skip, precision: {twice!r} is named twice")


def overrides(config) -> Overrides:
    """What `skip` and `precision` say, name -> kind."""
    return dict(config.precision) | dict.fromkeys(config.skip, "float32")


def described(config) -> str:
    """What `skip` and `precision` say, in words."""
    kept = [f"{name} {kind}" for name, kind in overrides(config).items()]
    return f"; {', '.join(kept)}" if kept else ""


def check_names(spec, config, step: str) -> None:
    """Find a name that the network does not have before hours of training.

    Raises:
        RecipeError: such a name, or activations that no file format of ours can quantise.
    """
    # Names are those of the flat network, so one is built; its weights do not matter, and zeros do
    # for ranges
    integers = step != "weight_only"
    flat = prepared(flatten(networks.build(spec)), integers=integers)
    ranges = None
    try:
        if integers:
            zeros = np.zeros((1, *spec.input_shape), "float32")
            ranges = calibrate(flat, zeros, "min_max")
        bits.make_plan(flat, "int8" if integers else "int8_weights", ranges, overrides(config))
    except RecipeError as problem:
        raise RecipeError(f"{step}: {problem}") from None


def clips_of(state: State, work: Work, count: int) -> np.ndarray:
    """(n, C, T, V, M): `count` training clips spread over the split, as the student sees them in
    validation."""
    # Of the training split: ranges found on the clips that judge would flatter the result.
    return np.concatenate(
        list(training_clips(work.dataset.train, state.student.view, count).batches(64))
    )


@dataclass(frozen=True)
class Result:
    """What `keep_precise` chose: the network, its top-1 in percent, the names it keeps precise, whether
    the drop is allowed."""

    quantized: Quantized
    top1: float
    kept: tuple[str, ...]
    met: bool


def keep_precise(
    allowed: float,
    quantised: Callable[[Overrides], Quantized],
    higher: str,
    state: State,
    work: Work,
    clips: np.ndarray,
) -> Result:
    """Keep the most harmful layers in a higher precision, ever more of them, until top-1 on the
    validation split drops no more than allowed; the best there is if half of the layers are not
    enough.

    Args:
        allowed: points of top-1 below the float network.
        quantised: makes the network with these names in other precisions.
        higher: the precision they are kept in.
        clips: (n, C, T, V, M) of the training split, to rank the layers on.
    """
    evaluation = work.selection(state.student.view, state.student.view.clips)

    def top1(title: str, network) -> float:
        return accuracy.score(title, in_process(network), evaluation)[0].top1

    wanted = top1("float", state.student.network) - allowed
    order: list[str] = []
    best: Result | None = None
    count = 0
    while best is None or count <= int(MOST * len(order)):
        kept = tuple(order[:count])
        candidate = quantised(dict.fromkeys(kept, higher))
        title = f"{len(kept)} names in {higher}" if kept else "all quantised"
        reached = top1(title, candidate.simulated(state.student.network))
        if best is None or reached > best.top1:
            # Percentages are quotients: a drop of exactly what is allowed must not fail by rounding
            best = Result(candidate, reached, kept, reached >= wanted - 1e-9)
        if best.met:
            break
        # Ranked only where it is needed, for that runs the network once for each layer
        order = order or [
            name for name in harmful(candidate, state, clips) if _gains(name, higher, candidate)
        ]
        count = _next_count(count, int(MOST * len(order)))
    return best


def _gains(name: str, higher: str, candidate: Quantized) -> bool:
    """Whether `higher` keeps a layer or point more precisely than it is kept now."""
    # A recipe may keep a layer in float16 already, which eight bits would make coarser
    kind = candidate.plan.precision.get(name, "int8")
    return bits.KINDS.index(kind) > bits.KINDS.index(higher)


def _next_count(count: int, most: int) -> int:
    """How many names are kept precise next: 0, 1, 2, 4, ... and `most` at the end; `most` + 1 after
    that."""
    # Doubled: every try is an evaluation of the whole validation split
    if count == 0:
        return 1
    return min(2 * count, most) if count < most else most + 1


def harmful(quantized: Quantized, state: State, clips: np.ndarray) -> list[str]:
    """Names of layers and values, the one whose rounding alone changes the logits most first."""
    flat = quantized.for_onnx(state.student.network)
    x = clips[np.linspace(0, len(clips) - 1, min(HARM_CLIPS, len(clips))).astype(int)]
    plan, exact = quantized.plan, in_process(flat)(x)
    names = list(
        dict.fromkeys(
            [*(layer for layer, kind in plan.precision.items() if kind != "float32"), *plan.ranges]
        )
    )
    noise: dict[str, float] = {}
    with console.bar("what each layer's rounding changes", len(names), "layers") as advance:
        for name in names:
            precision = {
                layer: kind if layer == name else "float32"
                for layer, kind in plan.precision.items()
            }
            alone = bits.Plan(
                precision,
                {point: ends for point, ends in plan.ranges.items() if point == name},
                plan.group,
            )
            # Of the logits, not of top-1: on eight clips one layer hardly ever changes a class.
            noise[name] = float(
                np.square(in_process(bits.fake_quantized(flat, alone))(x) - exact).sum()
            )
            advance(1)
    return sorted(names, key=lambda name: -noise[name])


def notes(quantized: Quantized) -> str:
    """How many layers are kept in what, in words."""
    return ", ".join(f"{count} layers {kind}" for kind, count in quantized.kinds().items())


def outcome(
    allowed: float | None,
    quantised: Callable[[Overrides], Quantized],
    higher: str,
    state: State,
    work: Work,
    clips: Callable[[], np.ndarray],
) -> Outcome:
    """What a step that trains nothing hands on: everything quantised, or with `allowed` what
    `keep_precise` chooses."""
    if allowed is None:
        quantized = quantised({})
        return Outcome(replace(state, quantized=quantized), notes=(notes(quantized),))
    # Clips are made only here: without `auto`, `weight_only` never looks at one.
    result = keep_precise(allowed, quantised, higher, state, work, clips())
    remarks = (notes(result.quantized), *outcome_notes(result, allowed))
    return Outcome(replace(state, quantized=result.quantized), notes=remarks)


def outcome_notes(result: Result, allowed: float) -> tuple[str, ...]:
    """What `auto` came to."""
    reached = f"auto: {result.top1:.2f} % with {', '.join(result.kept) or 'nothing'} kept precise"
    if result.met:
        return (reached,)
    reached += (
        f"; more than the allowed {allowed:g} points are lost with every choice tried: this is the"
        " best of them"
    )
    return (reached,)
