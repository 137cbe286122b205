"""What a point costs, before anything is trained: its bytes, its multiply-accumulates, and its
latency on this machine.

Bytes are those of files that the exporter writes of the same network with fresh weights: no size
depends on what the weights are. Latency comes from a line through a dozen such files that were
timed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from paddle import nn

from compress.recipe.search import Bits
from compress.recipe.types import Recipe, Step
from compress.search.space import Shape
from compress.steps import quantising, weight_only
from compress.task import Task
from export import deployed, package
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.quantize.bits import make_plan
from export.quantize.quantized import Quantized, ranges_of
from teachers import networks
from teachers.networks import Spec

# The published count has BatchNorm's scales and shifts, which are folded when a network is
# deployed; the rest of a file only adds to it.
FOLDED = 0.85
BITS = {"float32": 32, "float16": 16, "int8": 8, "int4": 4}
# Networks are fitted apart by what their files compute in.
INTEGERS = ("int8",)


def least_bytes(spec: Spec, bits: str) -> int:
    """What the weights alone come to, so that nothing is exported that surely does not fit."""
    return int(networks.parameters(spec) * BITS[bits] / 8 * FOLDED)


def write(recipe: Recipe, spec: Spec, task: Task, folder: Path) -> int:
    """Export a network of this layout with fresh weights as the recipe says; returns the bytes of
    the folder."""
    network = stand_in(spec)
    description = package.save(
        network,
        folder,
        recipe.export.formats,
        task.about(),
        _rounding(network, recipe.steps),
        recipe.export.options,
    )
    deployed.write(folder, description)
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def stand_in(spec: Spec) -> nn.Layer:
    """A network with some weights. Fresh ones will not do: a BatchNorm that begins with a scale of
    almost 0 folds into weights that no eight bits can tell apart."""
    generator = np.random.default_rng(0)
    network = networks.build(spec)
    state = {}
    for name, value in networks.state_of(network).items():
        if name.endswith("_variance"):
            drawn = generator.uniform(0.5, 2.0, value.shape)
        else:
            # Far from 0: a single factor that happens to be small makes all weights behind it round
            # to the same, and equal weights are stored once.
            drawn = generator.uniform(0.1, 0.5, value.shape)
            drawn *= generator.choice((-1.0, 1.0), value.shape)
        state[name] = drawn.astype(value.dtype)
    networks.load_state(network, state, "weights to weigh a network with")
    network.eval()
    return network


def _rounding(network: nn.Layer, steps: Sequence[Step]) -> Quantized | None:
    """The plan of the last step with ranges of noise: as large as the real one."""
    step = steps[-1]
    config: Any = step.config
    if step.kind == "ptq":
        shape = (1, *network.spec.input_shape)
        noise = np.random.default_rng(0).normal(size=shape).astype("float32")
        flat, ranges = ranges_of(network, noise, "min_max")
        return Quantized(make_plan(flat, "int8", ranges, quantising.overrides(config)))
    if step.kind == "weight_only":
        kind = weight_only.KINDS[config.kind]
        overrides = quantising.overrides(config)
        flat = prepared(flatten(network))
        return Quantized(make_plan(flat, kind, overrides=overrides, group=config.group))
    return None


@dataclass(frozen=True)
class Timed:
    """A file that was timed.

    Attributes:
        ms: of one clip, see `compress.evaluation.latency.undisturbed`.
    """

    shape: Shape
    bits: Bits
    size_bytes: int
    macs: int
    blocks: int
    ms: float


@dataclass(frozen=True)
class LatencyModel:
    """Milliseconds of a clip = a call + multiply-accumulates + work that grows with blocks and
    frames alone.

    Attributes:
        weights: of these three, by what files compute in.
        error: median of |predicted / timed - 1|, each file predicted from the others.
        largest: the largest of them.
    """

    weights: dict[str, tuple[float, ...]]
    error: float
    largest: float

    def predict(self, bits: str, macs: int, blocks: int, frames: int) -> float:
        """Milliseconds of one clip."""
        return float(_features(macs, blocks, frames) @ np.array(self.weights[kind_of(bits)]))


def kind_of(bits: str) -> str:
    """What files compute in."""
    return "integers" if bits in INTEGERS else "floats"


def fit(rows: Sequence[Timed]) -> LatencyModel:
    """The model of timed files, by least squares of the relative error; no part of it is
    negative."""
    weights: dict[str, tuple[float, ...]] = {}
    errors: list[float] = []
    for kind in sorted({kind_of(row.bits) for row in rows}):
        own = [row for row in rows if kind_of(row.bits) == kind]
        x = np.stack([_features(row.macs, row.blocks, row.shape.frames) for row in own])
        y = np.array([row.ms for row in own])
        weights[kind] = tuple(_non_negative(x, y).tolist())
        for left_out in range(len(own)):
            others = np.arange(len(own)) != left_out
            if others.any():
                predicted = x[left_out] @ _non_negative(x[others], y[others])
                errors.append(abs(float(predicted) / float(y[left_out]) - 1))
    median = float(np.median(errors)) if errors else 1.0
    return LatencyModel(weights, median, max(errors, default=1.0))


def _features(macs: int, blocks: int, frames: int) -> np.ndarray:
    return np.array([1.0, macs / 1e9, blocks * frames / 1e3])


def _non_negative(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Least squares of x @ w / y against 1 with w >= 0: the best of all choices of columns."""
    # Three columns, so that all seven choices are tried: no solver is needed.
    best = np.array([float(np.median(y)), 0.0, 0.0])
    least = float(np.square(x @ best / y - 1).sum())
    for choice in range(1, 2 ** x.shape[1]):
        columns = [column for column in range(x.shape[1]) if choice >> column & 1]
        some, *_ = np.linalg.lstsq(x[:, columns] / y[:, None], np.ones(len(y)), rcond=None)
        if (some < 0).any():
            continue
        weights = np.zeros(x.shape[1])
        weights[columns] = some
        error = float(np.square(x @ weights / y - 1).sum())
        if error < least - 1e-12:
            best, least = weights, error
    return best
