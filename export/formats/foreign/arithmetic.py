"""What both formats are rewritten with: constants computed beforehand, BatchNorm in the weights of a
convolution, weights in fewer bits. Plain numpy, so that nothing of a stranger's file is run."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

Precision = Literal["float32", "float16", "int8"]
# What a recipe's steps call it: eight bits on disk, computed in float32.
KIND = {"float16": "float16", "int8": "int8_weights"}
ARITHMETIC: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
}
# Bytes that an operator with its values takes in either format, at least.
OPERATOR_BYTES = 64


def combine(name: str, left: np.ndarray, right: np.ndarray) -> np.ndarray | None:
    """A row of ARITHMETIC, in the type of its operands; None of whole numbers, which runtimes divide
    in different ways, and of a result that is larger than both together."""
    if left.dtype != np.float32 or right.dtype != np.float32:
        return None
    try:
        shape = np.broadcast_shapes(left.shape, right.shape)
    except ValueError:
        return None
    # Before it is computed: a row by a column of a stranger's file could fill the memory.
    if not pays(4 * math.prod(shape), [left, right]):
        return None
    with np.errstate(all="ignore"):
        return ARITHMETIC[name](left, right)


def pays(size_bytes: int, gone: Sequence[np.ndarray]) -> bool:
    """Whether a constant of so many bytes takes no more than the constants and the operator that it
    replaces."""
    return size_bytes <= sum(value.nbytes for value in gone) + OPERATOR_BYTES


def absorbed(
    weight: np.ndarray,
    bias: np.ndarray | None,
    normalisation: Sequence[np.ndarray],
    epsilon: float,
) -> tuple[np.ndarray, np.ndarray]:
    """(weight, bias (C,)) of the convolution that computes what one and its BatchNorm compute.

    Args:
        weight: (C, ...), output channels first.
        bias: (C,) in front of the BatchNorm; None: none.
        normalisation: scale, shift, mean, variance, (C,) each.
    """
    # float64: the only rounding is that of the results.
    scale, shift, mean, variance = (each.astype("float64") for each in normalisation)
    factor = scale / np.sqrt(variance + epsilon)
    start = 0.0 if bias is None else bias.astype("float64")
    wide = weight.astype("float64") * factor.reshape([-1] + [1] * (weight.ndim - 1))
    return wide.astype("float32"), ((start - mean) * factor + shift).astype("float32")
