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
from teachers.weights import traced


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
    static = paddle.jit.to_static(AsWritten(network), input_spec=[clip], full_graph=True)
    program = static.forward.concrete_program.main_program
    return sum(_macs_of(op) for op in traced.operators(program))


def _macs_of(op: traced.Operator) -> int:
    if op.kind in traced.CONVOLUTIONS:
        # (C, Cin / groups, kernel...): inputs of one output, so groups need no division
        return math.prod(op.output) * math.prod(op.inputs[1][1:])
    if op.kind == traced.EINSUM:
        return _einsum_macs(op)
    left = op.inputs[0]
    inner = left[-2] if len(left) > 1 and op.transposed else left[-1]
    return math.prod(op.output) * inner


def _einsum_macs(op: traced.Operator) -> int:
    """The product of all sizes that the equation names."""
    sides = op.equation.replace(" ", "").split("->")[0].split(",")
    sizes: dict[str, int] = {}
    for labels, shape in zip(sides, op.inputs, strict=True):
        sizes |= dict(zip(labels, shape, strict=True))
    # An einsum of one operand sums or reorders, and multiplies nothing.
    return math.prod(sizes.values()) if len(sides) > 1 else 0
