"""What is kept in how many bits: a plan for a flat network, weights rounded by it, and the network
that computes as it is deployed.

Weights are symmetric: int8 (-127 to 127) with one scale for each output channel, int4 (-7 to 7)
with one for each group of inputs of a channel. Activations are 0 to 255 with a zero point. Rounded
weights tell their scale: `levels` of them is exact. For the largest weight of a channel or group
has the largest level, but for channels of integer layers whose scale the pair rule
(`export/quantize/saturation.py`) has raised; their largest level is found by trial.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np
import paddle
from paddle import nn

from export.flat.layers import Affine, FlatLayer, duplicate
from export.quantize import halves, saturation
from export.quantize.calibrate import Range, observe, scale_and_zero
from teachers.errors import ExportMismatch, RecipeError

Overrides = dict[str, str]

# From precise to coarse; int8: activations too
KINDS = ("float32", "float16", "int8_weights", "int4_weights", "int8")
LIMIT = {"int8": 127, "int8_weights": 127, "int4_weights": 7}
# What every channel of a block is multiplied by; four bits would be too few for it
FINE = "topology"
# A zero scale would divide by zero when levels are taken: channels of zeros have that of such a
# weight, fine enough for the bias of an integer layer.
ZEROS = 1e-6
# Below it weights become zeros: times the step of an input at rest a smaller scale is no normal
# float32.
SMALLEST = 1e-20
LATTICE = 1e-4  # of a level, what rounded weights may be off a whole one; float32 is exact to 3e-5
GROUP = 32  # inputs of a channel that share a scale in int4, where nothing else is asked for
SMALL = 64  # weights smaller than this stay as they are
# What int4 takes in a file beyond int8 for the operators that turn a weight back: measured 115 to 139
# bytes in ONNX, 186 to 364 in Paddle.
MORE_OPERATORS = 110
SMALL_OTHER = (
    512  # the same for other constants: what turns one back to float32 costs as many bytes
)


@dataclass(frozen=True)
class Plan:
    """Precision by layer, ranges by point.

    Attributes:
        precision: layer (`l1.values`) -> one of KINDS; every layer of the network is in it.
        ranges: point -> (lowest, highest), of those that are kept in eight bits.
        group: inputs of a channel that share a scale in int4.
        others: what constants are kept in that belong to no layer (biases, graphs): float32 or
            float16.
    """

    precision: dict[str, str]
    ranges: dict[str, Range] = field(default_factory=dict)
    group: int = GROUP
    others: str = "float32"

    def to_json(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_json(data: dict) -> Plan:
        return Plan(
            dict(data["precision"]),
            {name: tuple(ends) for name, ends in data["ranges"].items()},
            data["group"],
            data.get("others", "float32"),
        )


@dataclass(frozen=True)
class Weight:
    """One constant of a flat network that a plan speaks of: an attribute of its layer, the axis of
    its output channels."""

    layer: str
    owner: FlatLayer
    attribute: str
    axis: int

    @property
    def parameter(self):
        return getattr(self.owner, self.attribute)

    @property
    def name(self) -> str:
        """On disk."""
        return self.parameter.name


def weights(flat: nn.Layer) -> list[Weight]:
    """Every weight that may be quantised, in the form the network has."""
    return [
        Weight(layer, owner, attribute, axis)
        for owner in flat.sublayers()
        if isinstance(owner, FlatLayer)
        for attribute, (layer, axis) in owner.weights.items()
        if attribute in owner._parameters
    ]


def others(flat: nn.Layer) -> list:
    """Every parameter that is no weight and large enough to be stored in fewer bits."""
    mine = {id(one.parameter) for one in weights(flat)}
    return [one for one in flat.parameters() if id(one) not in mine and one.size >= SMALL_OTHER]


def layers(flat: nn.Layer) -> list[str]:
    """The layers a plan speaks of, the same in every form of a network."""
    names = [
        name
        for owner in flat.sublayers()
        if isinstance(owner, FlatLayer)
        for name in (
            *(layer for layer, _ in owner.weights.values()),
            *([owner.layer] if isinstance(owner, Affine) else []),
        )
    ]
    return list(dict.fromkeys(names))


def stays(weight: np.ndarray, kind: str) -> bool:
    """Whether a weight of this kind is kept in float32 all the same; none is in integer layers."""
    if kind == "float16" and not halves.hold(weight):
        return True
    return kind == "float32" or (kind != "int8" and weight.size < SMALL)


def stored_bytes(size: int, channels: int, kind: str, group: int) -> int:
    """Bytes of the levels and scales of a weight of so many numbers, in int4 or int8."""
    if kind != "int4_weights":
        return size + 4 * channels
    inputs = size // channels
    return (size + 1) // 2 + 2 * channels * (inputs // group_size(inputs, group))


def smaller_in_int8(flat: nn.Layer, group: int = GROUP) -> set[str]:
    """Layers that are so small that int8 takes fewer bytes of them than int4 does."""
    more: dict[str, int] = {}
    for one in weights(flat):
        size = one.parameter.size
        if size < SMALL:
            continue
        channels = one.parameter.shape[one.axis]
        four = stored_bytes(size, channels, "int4_weights", group)
        eight = stored_bytes(size, channels, "int8_weights", group)
        # Operators once a layer: the form for ONNX may hold it in parts, with some for each, but that
        # for Paddle holds it whole.
        more[one.layer] = more.get(one.layer, -MORE_OPERATORS) + eight - four
    return {layer for layer, more_bytes in more.items() if more_bytes < 0}


def in_more_bits(flat: nn.Layer, precision: dict[str, str]) -> dict[str, str]:
    """Layer -> the next kind that holds its weights, of those that float16 numbers or scales do not:
    a BatchNorm that is nearly zero, or one that divides by nearly nothing, is folded into them."""
    values: dict[str, list[np.ndarray]] = {}
    for one in weights(flat):
        values.setdefault(one.layer, []).append(one.parameter.numpy().reshape(-1))
    found = {}
    for layer, parts in values.items():
        weight = np.concatenate(parts)
        kind = precision[layer]
        if kind == "float16" and not halves.hold(weight):
            found[layer] = "float32"
        if kind == "int4_weights" and not halves.hold(weight / LIMIT[kind]):
            found[layer] = "int8_weights"
    return found


def make_plan(
    flat: nn.Sequential,
    kind: str,
    ranges: dict[str, Range] | None = None,
    overrides: dict[str, str] | None = None,
    group: int = 32,
) -> Plan:
    """Everything as `kind`, but for `overrides`: a block, layer or point -> its kind (a point:
    float32 or int8). int4 leaves layers in int8 that need it or take fewer bytes there, unless
    `overrides` names them. Layers whose weights a kind cannot hold are kept in the next that can.

    Raises:
        RecipeError: an unknown kind, or a name that the network does not have.
    """
    overrides, ranges = overrides or {}, ranges or {}
    known = layers(flat)
    for given in (kind, *overrides.values()):
        if given not in KINDS:
            raise RecipeError(f"precision {given!r}: unknown (one of {', '.join(KINDS)})")
    if kind == "int8" and not ranges:
        raise RecipeError(
            "precision int8: needs the ranges of a calibration; calibrate first, or take"
            " int8_weights"
        )
    for name in overrides:
        # A misspelt name would otherwise change nothing, and nobody would notice
        if not any(_within(one, name) for one in (*known, *ranges)):
            raise RecipeError(
                f"precision: the network has no layer {name!r} (it has {', '.join(known[:6])}, ...;"
                " a block's name means all of it)"
            )
    precision = {layer: _chosen(layer, overrides, kind) for layer in known}
    small = smaller_in_int8(flat, group) if "int4_weights" in precision.values() else set()
    precision |= {
        layer: "int8_weights"
        for layer in known
        if (layer.endswith(FINE) or layer in small)
        and layer not in overrides
        and precision[layer] == "int4_weights"
    }
    precision |= in_more_bits(flat, precision)
    return Plan(
        precision,
        {
            point: ends
            for point, ends in ranges.items()
            if _chosen(point, overrides, kind) == "int8"
        },
        group,
        "float16" if kind == "float16" else "float32",
    )


def _within(name: str, whole: str) -> bool:
    return name == whole or name.startswith(f"{whole}.")


def _chosen(name: str, overrides: dict[str, str], kind: str) -> str:
    """The kind by the longest name that `name` is within."""
    found = [one for one in overrides if _within(name, one)]
    # The longest name is the closest: `l1.values` overrules `l1`
    return overrides[max(found, key=len)] if found else kind


def group_size(inputs: int, group: int) -> int:
    """Inputs that share a scale in int4: the largest divisor up to `group`, or all if that is too
    small to be worth a scale."""
    size = next(one for one in range(min(group, inputs), 0, -1) if inputs % one == 0)
    return size if size > group // 4 else inputs


def levels(
    weight: np.ndarray, axis: int, kind: str, group: int = 32
) -> tuple[np.ndarray, np.ndarray]:
    """(levels (channels, groups, inputs of a group) int8, scales (channels, groups, 1) float32),
    output channels first.

    int8 has one group; where integers are computed (kind "int8") scales obey the pair rule. Scales
    of int4 are float16 numbers.
    """
    limit, rows = (
        LIMIT[kind],
        np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1).astype("float64"),
    )
    size = group_size(rows.shape[1], group) if kind == "int4_weights" else rows.shape[1]
    parts = rows.reshape(len(rows), -1, size)
    if kind == "int4_weights":
        # As they are stored, so that levels are chosen for the scale a reader will see
        scales = halves.scales(parts, limit)
    else:
        largest = np.abs(parts).max(axis=2, keepdims=True)
        scales = np.where(largest == 0, ZEROS, np.maximum(largest, SMALLEST)) / limit
    neighbours = saturation.multiplied(weight.astype("float64"), axis) if kind == "int8" else None
    if neighbours is not None:
        # Larger levels would be cut off in 16 bits by CPUs without VNNI
        scales = paired_scales(neighbours, scales[:, 0, 0])[:, None, None]
    scales = scales.astype("float32")
    return np.clip(np.round(parts / scales), -limit, limit).astype("int8"), scales


def paired_scales(rows: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Scales (C,) of int8 weights that obey the pair rule.

    Args:
        rows: the weights (C, inputs), neighbours side by side (`saturation.multiplied`).
        scales: (C,) what puts the largest weight of a channel at the largest level.
    """
    largest = np.abs(rows).max(1)
    least = saturation.largest_pairs(rows) / saturation.BEFORE_ROUNDING
    # Rounded neighbours may add up to 128, more than before rounding: the rule again would raise
    # their scale, and round a second time. What is rounded already keeps its scale instead. One of
    # two neighbours that the rule bounds is at level 63.7 at least, and so is the largest weight.
    # Of a channel below SMALLEST that scale does not tell: it may lie on the rule's, just above it.
    tiny = (largest > 0) & (largest < SMALLEST) & ~_rounded_to(rows, scales)
    unknown = np.flatnonzero((least > scales) | tiny)
    scales = np.maximum(scales, least)
    for level in range(LIMIT["int8"], 63, -1):
        tried = largest[unknown] / level
        found = _rounded_to(rows[unknown], tried)
        scales[unknown[found]] = tried[found]
        unknown = unknown[~found]
    return scales


def _rounded_to(rows: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Which rows (C, inputs) are whole levels of their scales (C,), and within the pair rule."""
    exact = rows / scales[:, None]
    whole = np.round(exact)
    rounded_already = np.abs(exact - whole).max(1) <= LATTICE
    return rounded_already & (saturation.largest_pairs(whole) <= saturation.LEVELS)


def values(found: np.ndarray, scales: np.ndarray, shape: tuple[int, ...], axis: int) -> np.ndarray:
    """The weight of this shape that `levels` stand for, float32."""
    return np.moveaxis(
        (found.astype("float32") * scales).reshape([shape[axis], *np.delete(shape, axis)]), 0, axis
    )


def rounded(weight: np.ndarray, axis: int, kind: str, group: int = 32) -> np.ndarray:
    """A weight as it is after storage in this kind."""
    if stays(weight, kind):
        return weight
    if kind == "float16":
        return weight.astype("float16").astype("float32")
    return values(*levels(weight, axis, kind, group), weight.shape, axis)


def quantize_weights(flat: nn.Sequential, plan: Plan) -> nn.Sequential:
    """Round the weights of a flat network by a plan, in place; returns it.

    Raises:
        RecipeError: the plan is of another network.
    """
    for one in weights(flat):
        if one.layer not in plan.precision:
            raise RecipeError(
                f"plan: has no layer {one.layer!r}; it was made for another network, make a new one"
            )
        kind, weight = plan.precision[one.layer], one.parameter.numpy()
        if kind == "int4_weights" and not halves.reach(weight / LIMIT[kind]):
            raise RecipeError(
                f"{one.name}: has weights up to {np.abs(weight).max():g}, and int4 reaches"
                f" {LIMIT[kind] * halves.LARGEST:g}; keep the layer in more bits"
                f" (precision: [[{one.layer}, int8_weights]])"
            )
        one.parameter.set_value(rounded(weight, one.axis, kind, plan.group))
    for one in others(flat):
        one.set_value(rounded(one.numpy(), 0, plan.others))
    return flat


def fake_quantized(flat: nn.Sequential, plan: Plan) -> nn.Sequential:
    """A copy that computes in float32 what the deployed file computes: weights rounded, points at
    their levels.

    Gradients pass the rounding of points as if it were not there, and stop where a value is cut
    off.
    """
    twin = quantize_weights(duplicate(flat), plan)
    observe(twin, rounding(plan.ranges))
    return twin


def rounding(ranges: dict[str, Range]):
    """An observer that rounds points to the levels of their ranges; points without a range pass."""
    known = {name: scale_and_zero(*ends) for name, ends in ranges.items()}

    def observer(name: str, value):
        if name not in known:
            return value
        scale, zero = known[name]
        # In place from here on: activations are the largest tensors of a step
        levels = paddle.round(value.detach() / scale).clip_(-zero, 255 - zero).scale_(scale)
        # Calibration and evaluation need no second tensor for the gradient
        if value.stop_gradient or not paddle.is_grad_enabled():
            return levels
        inside = value.clip(-zero * scale, (255 - zero) * scale)
        return inside + levels.subtract_(inside.detach())

    return observer


def stored(
    weight: np.ndarray, name: str, axis: int, kind: str, group: int
) -> tuple[np.ndarray, np.ndarray]:
    """`levels` of a weight that is rounded already.

    Raises:
        ExportMismatch: it is not.
    """
    found, scales = levels(weight, axis, kind, group)
    off = np.abs(values(found, scales, weight.shape, axis) - weight)
    # Each by its own scale: that of one huge channel would excuse whatever the others hold
    allowed = values(np.ones_like(found), 1e-3 * scales, weight.shape, axis)
    # Rounding again would hide that the file differs from what was simulated
    if (off > allowed).any():
        raise ExportMismatch(
            f"{name}: is not rounded to {kind}; round the weights by the plan before they are"
            " stored"
        )
    return found, scales
