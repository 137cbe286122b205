"""Whether a program with its `.pdiparams` does nothing but compute: looked at before Paddle
Inference is given them, which runs whatever a program says.

A program of Paddle can read and write files (`save`, `load`, `print`, the readers), call Python
(`py_func`), talk to other machines and loop for ever. What it may hold here is an allow list.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from export.runtimes import pir_program
from export.runtimes.pir_program import MOST_NUMBERS, MOST_OPERATORS
from teachers.errors import ExportMismatch, first_line
from teachers.storage.bounded import read_bytes
from teachers.weights import paddle_files

# Bytes. The largest network here has a program of 1 MB; the stacks of whoever traced it can make
# it ten times as large.
LARGEST_PROGRAM = 64_000_000
LARGEST_PARAMETERS = 2_000_000_000
# Attributes that say how large a result is, whatever the input.
SIZES = ("shape", "repeat_times", "expand_shape", "out_shape")

# Operators that compute their outputs from their inputs and attributes, of Paddle 2.0 to 2.6.
# Without control flow, random numbers, training, detection and text: no network of skeletons has
# them, and what is not here is refused by name.
OPERATORS = frozenset(
    """
    feed fetch
    abs acos acosh addmm affine_channel angle arg_max arg_min argsort asin asinh assign assign_value
    atan atan2 atanh batch_norm bilinear_interp bilinear_interp_v2 bitwise_and bitwise_not
    bitwise_or bitwise_xor bmm brelu cast ceil celu clip concat conv1d conv2d conv2d_transpose
    conv3d cos cosh crop crop_tensor cumsum depthwise_conv2d depthwise_conv2d_transpose
    dequantize_linear diag_v2 dot dropout einsum elementwise_add elementwise_div
    elementwise_floordiv elementwise_fmax elementwise_fmin elementwise_max elementwise_min
    elementwise_mod elementwise_mul elementwise_pow elementwise_sub elu equal erf exp expand
    expand_as_v2 expand_v2 expm1 eye fake_channel_wise_dequantize_max_abs
    fake_channel_wise_quantize_abs_max fake_channel_wise_quantize_dequantize_abs_max
    fake_dequantize_max_abs fake_quantize_abs_max fake_quantize_dequantize_abs_max
    fake_quantize_dequantize_moving_average_abs_max fake_quantize_moving_average_abs_max
    fake_quantize_range_abs_max fc fill_any_like fill_constant fill_constant_batch_size_like
    fill_zeros_like flatten flatten2 flatten_contiguous_range flip floor frobenius_norm
    fused_conv2d fused_elementwise_add fused_elementwise_div fused_elementwise_mul
    fused_elementwise_sub fused_elemwise_activation fused_elemwise_add_activation gather gather_nd
    gelu greater_equal greater_than grid_sampler group_norm hard_shrink hard_sigmoid hard_swish
    index_add index_sample index_select instance_norm inverse is_empty isfinite_v2 isinf_v2
    isnan_v2 kron layer_norm leaky_relu lerp less_equal less_than linear_interp linear_interp_v2
    linspace log log10 log1p log2 log_softmax logical_and logical_not logical_or logical_xor
    logsigmoid logsumexp lookup_table lookup_table_v2 lrn lstm matmul matmul_v2
    max_pool2d_with_index maxout mean meshgrid minus mish mul mv nearest_interp nearest_interp_v2
    norm not_equal one_hot_v2 p_norm pad pad2d pad3d pixel_shuffle pool2d pool3d pow prelu
    quantize_linear range reciprocal reduce_all reduce_amax reduce_amin reduce_any reduce_max
    reduce_mean reduce_min reduce_prod reduce_sum relu relu6 repeat_interleave reshape reshape2
    reverse rnn gru lstm roll round rsqrt scale scatter scatter_nd_add selu set_value shape
    shuffle_channel sigmoid sign silu sin sinh size slice softmax softplus softshrink softsign split
    sqrt square squeeze squeeze2 stack stanh strided_slice sum swish take_along_axis tan tanh
    temporal_shift thresholded_relu tile top_k top_k_v2 transpose transpose2 tril_triu trunc unbind
    unfold unsqueeze unsqueeze2 unstack where where_index
    """.split()  # noqa: SIM905  (a literal would take a line for each word)
)
# Numbers of VarType in Paddle's framework.proto.
FLOAT32, INT8 = 5, 21


def check(model: Path, parameters: Path) -> None:
    """Looks at both files without running them.

    Raises:
        ExportMismatch: an operator that is not known to compute, a file that is damaged or too
            large, or two files that do not belong together; with file, place and fix.
    """
    data = read_bytes(model, LARGEST_PROGRAM, ExportMismatch)
    weights = read_bytes(parameters, LARGEST_PARAMETERS, ExportMismatch)
    expected = pir_program.check(data, model) if model.suffix == ".json" else _check(data, model)
    _check_parameters(expected, weights, model, parameters)


def _check(data: bytes, model: Path) -> list[tuple[int, list[int]]]:
    """The same of a `.pdmodel` alone; returns (type, dimensions) of its parameters."""
    try:
        program = paddle_files.program_of(data)
    # protobuf's DecodeError and RuntimeError are of other families in other versions.
    except Exception as error:
        raise ExportMismatch(
            f"{model}: its runtime cannot load it (no program of Paddle: {first_line(error)}); export"
            " it again"
        ) from error
    _check_operators(program, model)
    _check_flow(program.blocks[0], model)
    # As Paddle chooses and orders them (AnalysisPredictor::LoadParameters).
    variables = paddle_files.parameters_of(program.blocks[0])
    tensors = [
        paddle_files.tensor_of(variable)
        for variable in sorted(variables, key=lambda variable: variable.name)
    ]
    return [(tensor.data_type, list(tensor.dims)) for tensor in tensors]


def _check_operators(program: Any, model: Path) -> None:
    """Every block: an operator could run another one, whatever it is called."""
    operators = [operator for block in program.blocks for operator in block.ops]
    if len(operators) > MOST_OPERATORS:
        raise ExportMismatch(
            f"{model}: has {len(operators)} operators, at most {MOST_OPERATORS} are run; export a"
            " smaller network"
        )
    for operator in operators:
        if operator.type not in OPERATORS:
            raise ExportMismatch(
                f"{model}: has an operator {operator.type[:60]!r}, which is not known to do nothing"
                " but compute, and is not run; export the network alone, in evaluation mode"
            )
        for attribute in operator.attrs:
            # From 8 on (BLOCK, BLOCKS): numbers of AttrType in Paddle's framework.proto.
            if attribute.type in (8, 10):
                raise ExportMismatch(
                    f"{model}: its operator {operator.type!r} runs a block of its own; export the"
                    " network without control flow"
                )
            sizes = (*attribute.ints, *attribute.longs)
            if attribute.name in SIZES and math.prod(map(_at_least_one, sizes[:64])) > MOST_NUMBERS:
                raise ExportMismatch(
                    f"{model}: its operator {operator.type!r} makes a tensor of {list(sizes[:8])},"
                    f" at most {MOST_NUMBERS} numbers are made; export the network again"
                )


def _at_least_one(size: int) -> int:
    # -1 and 0 stand for sizes of the input.
    return max(abs(size), 1)


def _check_flow(block: Any, model: Path) -> None:
    """One input, an output, and nothing read before it is made: Paddle crashes on what is not
    there."""
    feeds = [operator for operator in block.ops if operator.type == "feed"]
    fetches = [operator for operator in block.ops if operator.type == "fetch"]
    if len(feeds) != 1 or not fetches:
        raise ExportMismatch(
            f"{model}: has {len(feeds)} inputs and {len(fetches)} outputs, expected one input and"
            " at least one output; export the network alone"
        )
    declared = {variable.name for variable in block.vars}
    known = {variable.name for variable in block.vars if variable.persistable}
    for operator in block.ops:
        read = [name for slot in operator.inputs for name in slot.arguments]
        made = [name for slot in operator.outputs for name in slot.arguments]
        # Frameworks write no name for an input that is left out.
        missing = [name for name in read if name not in known and name not in ("", "@EMPTY@")]
        missing += [name for name in made if name not in declared]
        if missing:
            raise ExportMismatch(
                f"{model}: its operator {operator.type!r} uses {missing[0][:60]!r}, which is not"
                " there before it; the file is damaged, export it again"
            )
        known.update(made)


def _check_parameters(
    expected: list[tuple[int, list[int]]], weights: bytes, model: Path, parameters: Path
) -> None:
    """As many tensors as the program has parameters, each as large as it says: Paddle takes their
    sizes on trust."""
    try:
        tensors = list(paddle_files.tensors(weights))
    except Exception as error:
        raise ExportMismatch(
            f"{parameters}: damaged or truncated ({first_line(error)}); copy it again or export it again"
        ) from error
    found = [(tensor.data_type, list(tensor.dims)) for tensor, _ in tensors]
    if len(found) != len(expected) or not all(map(_fits, expected, found)):
        raise ExportMismatch(
            f"{parameters}: holds {len(tensors)} tensors that are not the {len(expected)} parameters"
            f" of {model.name}; copy both from the same export"
        )


def _fits(declared: tuple[int, list[int]], stored: tuple[int, list[int]]) -> bool:
    """Whether a tensor (type, dimensions) of the file is the one that the program speaks of.

    PaddleSlim leaves what a program says of its weights as it was before it wrote them in eight bits,
    and of its scales, which have dimensions of one more or fewer.
    """
    kinds = (declared[0], stored[0])
    sizes = [[size for size in dims if size != 1] for _, dims in (declared, stored)]
    return sizes[0] == sizes[1] and (kinds[0] == kinds[1] or kinds == (FLOAT32, INT8))
