"""Whether a program of Paddle 3 (`.json`) does nothing but compute: what
`export.runtimes.paddle_program` is for the programs of Paddle 2, with an allow list of its own, for
the operators have other names."""

from __future__ import annotations

import math
from pathlib import Path

from teachers.errors import ExportMismatch, first_line
from teachers.weights import pir_files
from teachers.weights.pir_files import Operator, Program

MOST_OPERATORS = 50_000
# Numbers of one tensor that a program makes by itself, 400 MB of float32.
MOST_NUMBERS = 100_000_000
# Operators whose second input says how large their result is.
SIZED = ("1.expand", "1.reshape", "1.tile", "1.full_with_tensor")
# Dialect 0, of the language: values put together in a list and taken out of it.
BUILTIN = frozenset(("0.combine", "0.split", "0.slice"))
# Dialect 1: operators that compute their outputs from their inputs and attributes, of Paddle 3.0 to
# 3.3. Without control flow, random numbers, training, other machines, files and fused kernels of
# other devices; what is not here is refused by name.
OPERATORS = frozenset(
    """
    data feed fetch
    abs acos acosh add addmm affine_channel all amax amin any arange argmax argmin argsort asin
    asinh assign assign_value_ assign_value atan atan2 atanh batch_norm batch_norm_ bilinear_interp
    bitwise_and bitwise_not bitwise_or bitwise_xor bmm cast ceil celu channel_shuffle clip concat
    conv2d conv2d_transpose conv3d cos cosh crop cumsum depthwise_conv2d depthwise_conv2d_transpose
    dequantize_linear diag diagonal divide dot dropout einsum elementwise_pow elu embedding equal
    erf exp expand expand_as expm1 eye fake_channel_wise_dequantize_max_abs
    fake_channel_wise_quantize_abs_max fake_channel_wise_quantize_dequantize_abs_max
    fake_dequantize_max_abs fake_quantize_abs_max fake_quantize_dequantize_abs_max
    fake_quantize_dequantize_moving_average_abs_max fake_quantize_moving_average_abs_max
    fake_quantize_range_abs_max fc flatten flip floor floor_divide fmax fmin frobenius_norm full
    full_batch_size_like full_int_array full_like full_with_tensor fused_conv2d_add_act gather
    gather_nd gelu greater_equal greater_than grid_sample group_norm hardshrink hardsigmoid
    hardswish hardtanh index_add index_sample index_select instance_norm inverse is_empty isfinite
    isinf isnan kron layer_norm leaky_relu lerp less_equal less_than linear_interp linspace log
    log10 log1p log2 log_softmax logical_and logical_not logical_or logical_xor logsigmoid logsumexp
    lrn lstm matmul max max_pool2d_with_index maximum maxout mean mean_all meshgrid min minimum mish
    multiply mv nearest_interp nonzero norm not_equal one_hot p_norm pad pad3d pixel_shuffle pool2d
    pool3d pow prelu prod quantize_linear reciprocal relu relu6 remainder repeat_interleave reshape
    reverse rnn roll round rsqrt scale scatter scatter_nd_add selu set_value set_value_ set_value_with_tensor
    set_value_with_tensor_ shape shape64 shuffle_channel sigmoid sign silu sin sinh slice softmax
    softplus softshrink softsign split split_with_num sqrt square squeeze stack stanh strided_slice
    subtract sum swish take_along_axis tan tanh tanh_shrink temporal_shift thresholded_relu tile
    topk transpose tril triu trunc unbind unfold unsqueeze unstack where
    """.split()  # noqa: SIM905  (a literal would take a line for each word)
)


def check(data: bytes, model: Path) -> list[tuple[int, list[int]]]:
    """Look at a program without running it.

    Returns:
        (type, dimensions) of its parameters, in the order in which they lie in the `.pdiparams`.
    Raises:
        ExportMismatch: see `export.runtimes.paddle_program.check`.
    """
    try:
        program = pir_files.program_of(data)
    except ValueError as error:
        raise ExportMismatch(
            f"{model}: its runtime cannot load it (no program of Paddle 3: {first_line(error)});"
            " export it again"
        ) from error
    if len(program.operators) > MOST_OPERATORS:
        raise ExportMismatch(
            f"{model}: has {len(program.operators)} operators, at most {MOST_OPERATORS} are run;"
            " export a smaller network"
        )
    for operator in program.operators:
        _check_operator(operator, model)
    _check_flow(program, model)
    _check_sizes(program, model)
    ordered = sorted(program.parameters, key=lambda parameter: parameter.name)
    return [(parameter.kind, list(parameter.dims)) for parameter in ordered]


def _check_operator(operator: Operator, model: Path) -> None:
    dialect, _, name = operator.name.partition(".")
    if operator.name not in BUILTIN and not (dialect == "1" and name in OPERATORS):
        raise ExportMismatch(
            f"{model}: has an operator {operator.name[:60]!r}, which is not known to do nothing but"
            " compute, and is not run; export the network alone, in evaluation mode"
        )


def _check_flow(program: Program, model: Path) -> None:
    """One input, an output, and nothing read before it is made."""
    names = [operator.name for operator in program.operators]
    inputs = names.count("1.data") + names.count("1.feed")
    outputs = names.count("1.fetch")
    if inputs != 1 or not outputs:
        raise ExportMismatch(
            f"{model}: has {inputs} inputs and {outputs} outputs, expected one input and at least"
            " one output; export the network alone"
        )
    # 0 stands for an input that is left out.
    known = {0, *(parameter.value for parameter in program.parameters)}
    for operator in program.operators:
        missing = [value for value in operator.inputs if value not in known]
        again = [value for value in operator.outputs if value and value in known]
        if missing or again:
            raise ExportMismatch(
                f"{model}: its operator {operator.name!r} uses value {(missing + again)[0]}, which is"
                " not there before it, or is made twice; the file is damaged, export it again"
            )
        known.update(operator.outputs)


def _check_sizes(program: Program, model: Path) -> None:
    """No tensor of any size that the file claims."""
    arrays = {}
    for operator in program.operators:
        sizes: list[int] = []
        if operator.name == "1.full_int_array":
            arrays[operator.outputs[0]] = list(pir_files.numbers(operator.attributes.get("value")))
        elif operator.name in SIZED and len(operator.inputs) > 1:
            sizes = arrays.get(operator.inputs[1], [])
        if "shape" in operator.attributes:
            sizes = list(pir_files.numbers(operator.attributes["shape"]))
        # -1 and 0 stand for sizes of the input.
        if math.prod(max(abs(size), 1) for size in sizes[:64]) > MOST_NUMBERS:
            raise ExportMismatch(
                f"{model}: its operator {operator.name!r} makes a tensor of {sizes[:8]}, at most"
                f" {MOST_NUMBERS} numbers are made; export the network again"
            )
