"""What a Paddle program computes of its parameters alone, computed beforehand; and its weights in
fewer bits."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from export.formats.foreign.arithmetic import ARITHMETIC, KIND, Precision, absorbed, combine, pays
from export.formats.foreign.program import NUMBERS, Program, operator, setting, slot
from export.quantize import bits

CONVOLUTIONS = ("conv2d", "depthwise_conv2d", "conv3d")
# Products with a parameter on the right, (Cin, C).
PRODUCTS = ("matmul", "matmul_v2", "mul")
# Slots with which an operator takes from another value what an attribute says otherwise.
BY_VALUE = ("ShapeTensor", "Shape", "AxesTensor", "AxesTensorList", "ScaleTensor", "OutShape")


def compute(program: Program) -> int:
    """Operators on parameters alone become parameters, where that takes no more room."""
    read = program.readers()
    written = program.makers()
    fetched = {slot(op, "X")[0] for op in program.ops if op.type == "fetch"}
    kept = []
    for op in program.ops:
        names = [name for each in op.inputs for name in each.arguments]
        # What an operator writes is no constant, whatever is stored under its name.
        constant = all(name in program.values and name not in written for name in names)
        value = _value(op, program.values) if names and constant else None
        gone = [program.values[name] for name in names if read[name] == 1] if constant else []
        made = slot(op, "Out")
        if value is None or not pays(value.nbytes, gone) or made[0] in fetched:
            kept.append(op)
            continue
        name = made[0]
        program.store(name, value, like=names[0])
        del written[name]
    count = len(program.ops) - len(kept)
    program.ops = kept
    return count


def _value(op: Any, values: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """What an operator makes of parameters; None where that is not known here."""
    if any(slot(op, name) for name in BY_VALUE) or len(slot(op, "Out")) != 1:
        return None
    operands = [values[name] for place in ("X", "Y") for name in slot(op, place)]
    name = op.type.removeprefix("elementwise_")
    if name != op.type and len(operands) == 2 and name in ARITHMETIC:
        left, right = operands
        axis = setting(op, "axis", -1)
        if axis != -1 and right.ndim < left.ndim:
            right = right.reshape(right.shape + (1,) * max(0, left.ndim - axis - right.ndim))
        return combine(name, left, right)
    # A stranger's sizes may fit nothing: the runtime then says so, to the original as well.
    with contextlib.suppress(ValueError, IndexError):
        return _reshaped(op, operands[0]) if len(operands) == 1 else None
    return None


def _reshaped(op: Any, value: np.ndarray) -> np.ndarray | None:
    if op.type == "reshape2":
        # 0 keeps the size that stands there.
        given = enumerate(setting(op, "shape", []))
        sizes = [value.shape[number] if size == 0 else size for number, size in given]
        return value.reshape(sizes) if sizes else None
    if op.type == "transpose2":
        return np.ascontiguousarray(value.transpose(setting(op, "axis", [])))
    if op.type == "unsqueeze2":
        for axis in setting(op, "axes", []):
            value = np.expand_dims(value, axis)
        return value
    return None


def fold_batch_norms(program: Program) -> int:
    """Convolution, perhaps a bias, BatchNorm -> convolution and bias."""
    read = program.readers()
    made = program.makers()
    norms = [op for op in program.ops if op.type == "batch_norm"]
    return sum(_fold(program, op, read, made) for op in norms)


def _fold(program: Program, norm: Any, read: Counter[str], made: dict[str, Any]) -> bool:
    before = made.get(slot(norm, "X")[0])
    bias_op = None
    if before is not None and before.type == "elementwise_add":
        bias_op = before
        before = made.get(slot(before, "X")[0])
    if before is None or not _foldable(program, norm, before, bias_op, read):
        return False
    filter_name = slot(before, "Filter")[0]
    weight = program.values[filter_name]
    normalisation = [
        program.values[slot(norm, name)[0]] for name in ("Scale", "Bias", "Mean", "Variance")
    ]
    if any(each.shape != weight.shape[:1] for each in normalisation):
        return False
    old = None
    if bias_op is not None:
        old_name = slot(bias_op, "Y")[0]
        old = program.values[old_name]
        if not _is_bias(old, setting(bias_op, "axis", -1), weight):
            return False
    weight, bias = absorbed(
        weight,
        None if old is None else old.reshape(-1),
        normalisation,
        setting(norm, "epsilon", 1e-5),
    )
    program.store(filter_name, weight, like=filter_name)
    output = slot(norm, "Y")[0]
    name = slot(norm, "Bias")[0]
    # A shift that another operator reads, too, stays what it is.
    name = name if read[name] == 1 else program.free(f"{output}.bias")
    program.store(name, bias, like=slot(norm, "Bias")[0])
    source = slot(before, "Output")[0]
    add = operator("elementwise_add", {"X": source, "Y": name}, output, [("axis", 1)])
    made[output] = add
    program.ops = [add if op is norm else op for op in program.ops if op is not bias_op]
    return True


def _foldable(program: Program, norm: Any, conv: Any, bias_op: Any, read: Counter[str]) -> bool:
    """Whether everything is constant, computed as at inference, and read by nobody else."""
    at_inference = setting(norm, "is_test", False) or setting(norm, "use_global_stats", False)
    plain = (
        conv.type in CONVOLUTIONS
        and at_inference
        and not slot(conv, "Bias")
        and not slot(conv, "ResidualData")
        and setting(norm, "data_layout", "NCHW") in ("NCHW", "AnyLayout")
        and setting(conv, "data_format", "NCHW") in ("NCHW", "NCDHW", "AnyLayout")
    )
    if not plain:
        return False
    alone = [slot(conv, "Filter")[0], slot(conv, "Output")[0]]
    constants = [slot(conv, "Filter")[0]]
    constants += [slot(norm, name)[0] for name in ("Scale", "Bias", "Mean", "Variance")]
    if bias_op is not None:
        alone += slot(bias_op, "Out")
        constants += slot(bias_op, "Y")
    stored = [program.values.get(name) for name in constants]
    return all(read[name] == 1 for name in alone) and all(
        value is not None and value.dtype == np.float32 for value in stored
    )


def _is_bias(value: np.ndarray, axis: int, weight: np.ndarray) -> bool:
    """Whether a constant that is added to a convolution's result is one number a channel."""
    C, rank = weight.shape[0], weight.ndim
    if value.ndim == 1 and axis == 1:
        return value.shape == (C,)
    sizes = (1,) * (rank - value.ndim) + value.shape
    expected = (1, C) + (1,) * (rank - 2)
    return axis in (-1, rank - value.ndim) and sizes == expected


def store(program: Program, precision: Precision) -> int:
    """Keep weights of convolutions and products as float16 or int8, made float32 again in front of
    them; returns how many."""
    if precision == "float32":
        return 0
    kind = KIND[precision]
    axes = _axes(program)
    front = []
    for name, axis in axes.items():
        value = program.values[name]
        if value.dtype != np.float32 or bits.stays(value, kind):
            continue
        del program.values[name]
        front += _made_again(program, name, value, axis, kind)
        program.variables[name].persistable = False
    program.ops = [
        *(op for op in program.ops if op.type == "feed"),
        *front,
        *(op for op in program.ops if op.type != "feed"),
    ]
    return sum(op.type == "cast" for op in front)


def _axes(program: Program) -> dict[str, int]:
    """Weight -> axis of its output channels; not of one that two operators read in two ways."""
    found: dict[str, set[int | None]] = {}
    for op in program.ops:
        for each in op.inputs:
            for name in each.arguments:
                if name in program.values:
                    axis = _axis(op, each.parameter, program.values[name])
                    found.setdefault(name, set()).add(axis)
    known = {name: axes.pop() for name, axes in found.items() if len(axes) == 1}
    return {name: axis for name, axis in known.items() if axis is not None}


def _axis(op: Any, place: str, value: np.ndarray) -> int | None:
    if op.type in CONVOLUTIONS and place == "Filter":
        return 0
    if op.type in PRODUCTS and place == "Y" and value.ndim == 2:
        turned = setting(op, "trans_y", False) or setting(op, "transpose_Y", False)
        return 0 if turned else 1
    return None


def _made_again(program: Program, name: str, value: np.ndarray, axis: int, kind: str) -> list[Any]:
    stored = program.free(f"{name}q")
    if kind == "float16":
        program.store(stored, value.astype("float16"), like=name)
        return [_cast(stored, name, "float16")]
    levels, scales = bits.levels(value, axis, kind)
    rows = levels.reshape([value.shape[axis], *np.delete(value.shape, axis)])
    shape = [1] * value.ndim
    shape[axis] = -1
    steps = program.free(f"{name}s")
    wide = program.free(f"{name}f")
    program.store(stored, np.moveaxis(rows, 0, axis), like=name)
    program.store(steps, scales.reshape(shape), like=name)
    # Declared by a parameter, and then none itself.
    program.store(wide, value, like=name)
    del program.values[wide]
    program.variables[wide].persistable = False
    return [
        _cast(stored, wide, "int8"),
        operator("elementwise_mul", {"X": wide, "Y": steps}, name, [("axis", -1)]),
    ]


def _cast(source: str, target: str, kind: str) -> Any:
    numbers = [("in_dtype", NUMBERS[kind]), ("out_dtype", NUMBERS["float32"])]
    return operator("cast", {"X": source}, target, numbers)
