"""A finished model brought to the place it goes to: rewritten exactly where the place cannot take how
we write it, then held against the place's rules."""

from __future__ import annotations

import onnx

from export.formats import onnx_opset, onnx_ranks, onnx_rules, onnx_static, onnx_symmetric
from export.formats.options import Options
from teachers.networks import Spec


def fit(model: onnx.ModelProto, spec: Spec, options: Options) -> None:
    """Change a model in place; nothing changes for ONNX Runtime with a free batch.

    Raises:
        RecipeError: it breaks a rule of the profile, or the opset cannot hold its weights.
    """
    place = options.place
    if place.ranks is not None:
        onnx_ranks.lower(model, spec)
    if options.fixed_batch is not None:
        onnx_static.fix(model, options.fixed_batch)
    if place.single:
        onnx_ranks.split_slices(model)
    if place.symmetric:
        onnx_symmetric.centre(model)
    if options.opset is not None:
        onnx_opset.move(model, options.opset)
    onnx_rules.require(model, options.profile)
