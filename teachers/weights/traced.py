"""Operators of a traced network that multiply, from a program of Paddle 2 or of Paddle 3 (PIR)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CONVOLUTIONS = ("conv1d", "conv2d", "depthwise_conv2d", "conv3d")
PRODUCTS = ("matmul", "matmul_v2", "mul", "bmm", "mv")
EINSUM = "einsum"
KINDS = (*CONVOLUTIONS, *PRODUCTS, EINSUM)

Shape = list[int]


@dataclass(frozen=True)
class Operator:
    """An operator that multiplies.

    Attributes:
        kind: one of KINDS.
        inputs: shapes; of a convolution its input and its weights.
        output: the shape.
        equation: of an einsum.
        transposed: whether a product takes its first input transposed.
    """

    kind: str
    inputs: tuple[Shape, ...]
    output: Shape
    equation: str = ""
    transposed: bool = False


def operators(program: Any) -> Iterator[Operator]:
    """Those of KINDS in a program, in its order."""
    for block in program.blocks:
        for op in block.ops:
            # An operator of PIR has a name of a dialect: `pd_op.conv2d`.
            found = _of_paddle_2(op, block) if hasattr(op, "type") else _of_pir(op)
            if found is not None:
                yield found


def _of_paddle_2(op: Any, block: Any) -> Operator | None:
    if op.type not in KINDS:
        return None

    def shapes(ends: tuple[str, ...]) -> tuple[Shape, ...]:
        names = [name for end in ends if end in op.input_names for name in op.input(end)]
        return tuple(list(block.var(name).shape) for name in names)

    (output,) = (op.output(end) for end in ("Output", "Out") if end in op.output_names)
    return Operator(
        op.type,
        shapes(("Input", "Filter", "X", "Y", "Vec", "Operands")),
        list(block.var(output[0]).shape),
        op.attr("equation") if op.has_attr("equation") else "",
        bool(op.has_attr("trans_x") and op.attr("trans_x")),
    )


def _of_pir(op: Any) -> Operator | None:
    kind = op.name().rpartition(".")[2]
    if kind not in KINDS:
        return None
    values = op.operands_source()
    # An einsum takes one list of operands, which another operator has made.
    if kind == EINSUM:
        values = values[0].get_defining_op().operands_source()
    attributes = op.attrs()
    return Operator(
        kind,
        tuple(list(value.shape) for value in values),
        list(op.results()[0].shape),
        attributes.get("equation", ""),
        bool(attributes.get("transpose_x", False)),
    )
