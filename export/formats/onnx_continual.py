"""The format "continual": `model_continual.onnx`, which takes a few frames of a stream a call
(`export.flat.continual`).

Inputs `frames` (N, C, chunk, V, M), `seen` (N, chunk) and `state` (N, size), outputs `logits` (N, K)
and `next_state` (N, size). How many frames the logits are late stands in the metadata as `delay`, and
as `pooled` of how many they are the mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
import paddle
from paddle import nn

from export.flat.continual import Continual
from export.flat.layers import prepared
from export.formats import onnx_model, onnx_needs, onnx_place
from export.formats.options import USUAL, Options
from export.quantize.bits import Plan
from teachers.errors import RecipeError
from teachers.layers import AsWritten
from teachers.networks import Spec

MODEL = "model_continual.onnx"
ROUNDS_ACTIVATIONS = False


class _AsWritten(AsWritten):
    @paddle.jit.not_to_static
    def forward(self, frames, seen, state):
        return self.network(frames, seen, state)


def save(
    flat: nn.Sequential,
    spec: Spec,
    folder: Path,
    plan: Plan | None = None,
    options: Options = USUAL,
) -> list[Path]:
    """See `export.formats.contract.Format`.

    Raises:
        RecipeError: a network without a continual form, or options that it cannot follow.
    """
    try:
        options.require_continual(spec.network, rounded=plan is not None)
    except ValueError as problem:
        raise RecipeError(f"export: {problem}") from problem
    model = convert(Continual(flat, spec.input_shape), spec)
    onnx_place.fit(model, spec, options)
    return onnx_model.write(model, folder, MODEL)


def convert(network: Continual, spec: Spec) -> onnx.ModelProto:
    """The float32 model of a continual network, which stays as it is."""
    C, _, V, M = spec.input_shape
    chunk = network.chunk
    shapes = {"frames": (C, chunk, V, M), "seen": (chunk,), "state": (network.size,)}
    inputs = [
        paddle.static.InputSpec([None, *shape], "float32", name) for name, shape in shapes.items()
    ]
    model = onnx_model.from_paddle(_AsWritten(prepared(network)), inputs, ("logits", "next_state"))
    for name, value in (("delay", network.delay), ("pooled", network.pooled)):
        model.metadata_props.add(key=name, value=str(value))
    return model


def needs(files: Sequence[Path], options: Options = USUAL) -> dict[str, str]:
    """See `export.formats.contract.Format`."""
    (path,) = files
    return onnx_needs.needs(onnx.load(path), options.profile)
