"""Parameters and MACs of a network that has no `cost` module, counted on what it builds.

Slower than formulas: the network is built and traced once for each spec.
"""

from __future__ import annotations

import functools
import math

import paddle
from paddle import nn

from teachers import networks
from teachers.layers import AsWritten

CONVOLUTIONS = ("conv1d", "conv2d", "depthwise_conv2d", "conv3d")
PRODUCTS = ("matmul", "matmul_v2", "mul", "bmm", "mv")


def parameters(spec) -> int:
    """Parameters that learn."""
    return _counts(spec)[0]


def macs(spec) -> int:
    """Multiply-accumulates of one clip: convolutions, matrix products and einsum, as operators of
    the traced network. Sums, activations and pooling do not count, as in the field."""
    return _counts(spec)[1]


@functools.lru_cache(maxsize=256)
def _counts(spec) -> tuple[int, int]:
    # Building draws random weights; counting must not change those of the networks built after it
    states = paddle.get_rng_state()
    try:
        network = networks.build(spec)
    finally:
        paddle.set_rng_state(states)
    network.eval()
    # BatchNorm statistics are parameters of Paddle's own layers, frozen ones
    learning = sum(math.prod(p.shape) for p in network.parameters() if not p.stop_gradient)
    return learning, _traced_macs(network)


def _traced_macs(network: nn.Layer) -> int:
    clip = paddle.static.InputSpec([1, *network.spec.input_shape], "float32", "clip")
    # The traced program is counted, as hooks on layers would miss products of a `forward`
    # `full_graph`: without it Paddle 3.3.1 ignores `input_spec`.
    traced = paddle.jit.to_static(AsWritten(network), input_spec=[clip], full_graph=True)
    program = traced.forward.concrete_program.main_program
    return sum(_macs_of(op, block) for block in program.blocks for op in block.ops)


def _macs_of(op, block) -> int:
    def shape(end: str, number: int = 0) -> list[int]:
        names = op.input(end) if end in op.input_names else op.output(end)
        return list(block.var(names[number]).shape)

    if op.type in CONVOLUTIONS:
        # (C, Cin / groups, kernel...): inputs of one output, so groups need no division
        return math.prod(shape("Output")) * math.prod(shape("Filter")[1:])
    if op.type == "einsum":
        return _einsum_macs(op, shape)
    if op.type not in PRODUCTS:
        return 0
    left = shape("X")
    inner = (
        left[-2] if len(left) > 1 and op.has_attr("trans_x") and op.attr("trans_x") else left[-1]
    )
    return math.prod(shape("Out")) * inner


def _einsum_macs(op, shape) -> int:
    """The product of all sizes that the equation names."""
    sides = op.attr("equation").replace(" ", "").split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for number, labels in enumerate(sides):
        sizes |= dict(zip(labels, shape("Operands", number), strict=True))
    # An einsum of one operand sums or reorders, and multiplies nothing.
    return math.prod(sizes.values()) if len(sides) > 1 else 0
