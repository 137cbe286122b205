"""The pair rule: what int8 weights must keep so that a file gives the same answers on every CPU.

On x86 without VNNI, ONNX Runtime's kernels for uint8 activations and int8 weights (`vpmaddubsw`)
add the products of two neighbouring inputs in 16 bits and saturate (onnxruntime#14642). With
activations up to 255, two weights whose levels add up to 128 always fit (255 * 128 = 32640 <=
32767); what adds up to more may be cut off, silently.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import numpy_helper

# 255 * 128 = 32640 fits in 16 bits with a sign, 255 * 129 does not
LEVELS = 128  # what the levels of two neighbours may add up to
BEFORE_ROUNDING = 127.4  # the same before rounding adds half a level to each: 128.4, thus 128


def multiplied(weight: np.ndarray, axis: int) -> np.ndarray | None:
    """The inputs of every output channel in the order in which the kernel multiplies them.

    Args:
        weight: of a convolution, (C, Cin / groups, 1, taps) with `axis` 0, or the right operand of
            a matmul, (Cin, C) with `axis` 1.
    Returns:
        (C, inputs), the channels of a tap side by side (ONNX Runtime convolves channels-last), so
        that with an odd number of them pairs straddle taps; None where no products are added in
        pairs: one input channel (depthwise), left operands.
    """
    if weight.ndim == 4 and axis == 0 and weight.shape[1] > 1:
        return weight.transpose(0, 2, 3, 1).reshape(len(weight), -1)
    return weight.T if weight.ndim == 2 and axis == 1 else None


def largest_pairs(rows: np.ndarray) -> np.ndarray:
    """What two neighbours (2k, 2k + 1) of a row can add up to, the largest: (C, inputs) -> (C,).

    Activations are not negative: at worst the neighbours of one sign count in full and one of the
    other sign not at all.
    """
    # An odd number of inputs leaves the last one a neighbour of zero
    pairs = np.pad(rows, [(0, 0), (0, rows.shape[1] % 2)]).reshape(
        len(rows), (rows.shape[1] + 1) // 2, 2
    )
    return np.maximum(np.maximum(pairs, 0).sum(2), np.maximum(-pairs, 0).sum(2)).max(1)


def broken(graph: onnx.GraphProto) -> Iterable[tuple[str, int]]:
    """(name, largest sum) of every int8 initialiser that reaches a Conv or a MatMul through a
    DequantizeLinear, or a QLinearConv or QLinearMatMul as it is, and has neighbours whose levels
    add up to more than LEVELS."""
    stored = {one.name: one for one in graph.initializer if one.data_type == onnx.TensorProto.INT8}
    # By DequantizeLinear: only such weights are multiplied as integers
    made = {
        node.output[0]: node.input[0]
        for node in graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in stored
    }
    for node in graph.node:
        name = ""
        if node.op_type in ("Conv", "MatMul"):
            name = made.get(node.input[1], "")
        elif node.op_type in ("QLinearConv", "QLinearMatMul"):
            # Behind the levels, the scale and the zero point of what they are multiplied with
            name = node.input[3]
        if name not in stored:
            continue
        rows = _rows_of(node, numpy_helper.to_array(stored[name]).astype("int64"))
        largest = 0 if rows is None else int(largest_pairs(rows).max())
        if largest > LEVELS:
            yield name, largest


def _rows_of(node: onnx.NodeProto, levels: np.ndarray) -> np.ndarray | None:
    if node.op_type in ("MatMul", "QLinearMatMul"):
        return multiplied(levels, 1)
    groups = next((one.i for one in node.attribute if one.name == "group"), 1)
    # Depthwise kernels of ONNX Runtime multiply tap by tap, without pairs
    if levels.shape[1] == 1 and groups != len(levels):
        return levels.reshape(len(levels), -1)  # not depthwise for all that: taps are neighbours
    return multiplied(levels, 0)
