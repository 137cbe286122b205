"""A file format and a runtime of their own, in one file: a pickle-free archive of the weights, run
in this process."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import paddle

from export.flat.flatten import flatten
from export.quantize import bits
from export.quantize.bits import duplicate
from export.runtimes import in_process
from teachers import networks

ROUNDS_ACTIVATIONS = False


def save(flat, spec, folder: Path, plan=None, options=None) -> list[Path]:
    """Write `model.npz`."""
    if plan is not None:
        flat = bits.quantize_weights(duplicate(flat), plan)
    arrays = {parameter.name: parameter.numpy() for parameter in flat.parameters()}
    np.savez(folder / "model.npz", spec=json.dumps(dataclasses.asdict(spec)), **arrays)
    return [folder / "model.npz"]


def needs(files, options=None) -> dict[str, str]:
    """Nothing that anybody lacks."""
    return {"numpy": "1"}


def load(files, threads: int = 1, optimised: bool = True):
    """A predict function."""
    (file,) = files
    with np.load(file) as arrays:
        description = json.loads(str(arrays["spec"]))
        module = networks.module(description["network"])
        flat = flatten(module.build(networks.from_json(module.Spec, description)))
        for parameter in flat.parameters():
            parameter.set_value(paddle.to_tensor(arrays[parameter.name]))
    return in_process(flat)
