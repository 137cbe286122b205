"""The export of a network that has yet to be trained: what its files will weigh, and whether the place
they go to will take them.

The exporter writes the same network with other weights: neither sizes nor operators depend on what
the weights are, but for layers that training leaves beyond float16 (`export/quantize/halves.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from paddle import nn

from compress.plan import Plan
from compress.recipe.types import QUANTISING, Recipe, Step
from compress.steps import quantising, weight_only
from compress.task import Task
from export import deployed, package
from export.flat.flatten import flatten
from export.flat.layers import prepared
from export.formats.options import Options
from export.quantize.bits import make_plan
from export.quantize.quantized import Quantized, ranges_of
from teachers import networks, storage
from teachers.networks import Spec


def check_place(planned: Plan) -> None:
    """Find out before hours of training whether the student can go where `export:` sends it.

    Takes seconds, and nothing where the recipe leaves the place at ONNX Runtime, which reads all that
    the exporter writes.

    Raises:
        RecipeError: the graph would break rules of the profile; see `export.formats.onnx_rules`.
    """
    export = planned.recipe.export
    usual = Options()
    asked = (export.options.profile, export.options.opset, export.options.batch)
    if "onnx" not in export.formats or asked == (usual.profile, usual.opset, usual.batch):
        return
    with storage.scratch() as folder:
        write(planned.recipe, planned.final_spec, planned.student.task, folder)


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
    """The plan of the step that quantises, with ranges of noise: as large as the real one."""
    step = next((one for one in steps if one.enabled and one.kind in QUANTISING), None)
    if step is None:
        return None
    config: Any = step.config
    if step.kind in ("ptq", "qat"):
        shape = (1, *network.spec.input_shape)
        noise = np.random.default_rng(0).normal(size=shape).astype("float32")
        flat, ranges = ranges_of(network, noise, "min_max")
        return Quantized(make_plan(flat, "int8", ranges, quantising.overrides(config)))
    kind = weight_only.KINDS[config.kind]
    overrides = quantising.overrides(config)
    flat = prepared(flatten(network))
    return Quantized(make_plan(flat, kind, overrides=overrides, group=config.group))
