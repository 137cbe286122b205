"""Read a `.safetensors` file: named tensors and nothing that could run. The library checks offsets,
sizes and header; it is asked for bytes, so that types that NumPy lacks can be told apart here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from teachers.errors import CheckpointError, first_line
from teachers.weights import bfloat16

_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}


def read(path: Path, data: bytes) -> dict[str, np.ndarray]:
    """Arrays by name; bfloat16 as float32.

    Raises:
        CheckpointError: damaged or truncated, or a type that holds no weights.
    """
    # Late: `predict` imports this package and never needs it.
    import safetensors

    try:
        tensors = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise CheckpointError(
            f"{path}: the safetensors file is damaged or truncated ({first_line(error)}); copy or"
            " download it again"
        ) from error
    return {name: _array(path, name, tensor) for name, tensor in tensors}


def _array(path: Path, name: str, tensor: dict) -> np.ndarray:
    if tensor["dtype"] not in _DTYPES:
        raise CheckpointError(
            f"{path}: {name[:80]} holds {tensor['dtype']} values, which are rounded weights; give"
            " the float ones"
        )
    elements = np.frombuffer(tensor["data"], _DTYPES[tensor["dtype"]])
    if tensor["dtype"] == "BF16":
        elements = bfloat16.to_float32(elements)
    return elements.reshape(tensor["shape"])
