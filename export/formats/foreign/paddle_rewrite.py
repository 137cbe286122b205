"""A Paddle program, rewritten: nothing that no output depends on, constants computed, BatchNorm in
the convolutions. Every function changes the program and returns how much it found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from export.formats import paddle_strip
from export.formats.foreign import paddle_constants
from export.formats.foreign.program import ENDS, Program, setting, slot

# Outputs for training alone, which these operators leave out when nobody has them.
UNREAD = ("XShape", "ReserveSpace", "Mask")


def rewrite(program: Program) -> dict[str, int]:
    """All of it, in place.

    Returns:
        what was done, in words -> how often; only what was found.
    """
    # In this order: names that stand for one value first, and folding before copies are merged,
    # since a weight that two convolutions share takes in nobody's BatchNorm.
    single_assignment(program)
    passes: dict[str, Callable[[Program], int]] = {
        "operators that change nothing": drop_identities,
        "constants computed": paddle_constants.compute,
        "BatchNorms folded into convolutions": paddle_constants.fold_batch_norms,
        "copies of parameters": merge_parameters,
        "operators that are there twice": merge_operators,
        "operators that no output needs": drop_dead,
        "unread outputs": drop_unread_outputs,
    }
    counts = {"call stacks": _call_stacks(program)}
    counts |= {title: change(program) for title, change in passes.items()}
    return {title: count for title, count in counts.items() if count}


def _call_stacks(program: Program) -> int:
    return sum(each.name == "op_callstack" for op in program.ops for each in op.attrs)


def single_assignment(program: Program) -> None:
    """Give every value a name of its own: operators of Paddle may write over what they read.

    Outputs of the model keep their names, since programs ask for them.
    """
    fetched = {slot(op, "X")[0] for op in program.ops if op.type == "fetch"}
    last = {name: number for number, op in enumerate(program.ops) for name in _made(op, program)}
    current: dict[str, str] = {}
    seen: set[str] = set()
    for number, op in enumerate(program.ops):
        for each in op.inputs:
            each.arguments[:] = [current.get(name, name) for name in each.arguments]
        if op.type in ENDS:
            seen.update(_made(op, program))
            continue
        for each in op.outputs:
            names = list(each.arguments)
            for place, name in enumerate(names):
                if program.is_parameter(name):
                    continue
                final = name in fetched and last[name] == number
                early = name in fetched and not final
                new = program.free(name) if early or (name in seen and not final) else name
                if new != name:
                    variable = type(program.variables[name])()
                    variable.CopyFrom(program.variables[name])
                    variable.name = new
                    program.variables[new] = variable
                each.arguments[place] = new
                current[name] = new
                seen.add(new)


def _made(op: Any, program: Program) -> list[str]:
    names = [name for each in op.outputs for name in each.arguments]
    return [name for name in names if not program.is_parameter(name)]


def drop_identities(program: Program) -> int:
    """Dropout as it is at inference, copies, products with 1. One that makes an output of the model
    stays, since the output would lose its name."""
    fetched = {slot(op, "X")[0] for op in program.ops if op.type == "fetch"}
    gone = {}
    for op in program.ops:
        if _is_identity(op) and slot(op, "Out")[0] not in fetched:
            gone[slot(op, "Out")[0]] = slot(op, "X")[0]
    program.ops = [
        op for op in program.ops if not _is_identity(op) or slot(op, "Out")[0] in fetched
    ]
    # One may read another.
    for name, source in gone.items():
        while source in gone:
            source = gone[source]
        gone[name] = source
    program.rename(gone)
    return len(gone)


def _is_identity(op: Any) -> bool:
    if len(slot(op, "X")) != 1 or len(slot(op, "Out")) != 1:
        return False
    if op.type == "dropout":
        return bool(setting(op, "is_test", False)) and (
            setting(op, "dropout_implementation", "downgrade_in_infer") == "upscale_in_train"
            or setting(op, "dropout_prob", 0.5) == 0.0
        )
    if op.type == "scale":
        by_number = not slot(op, "ScaleTensor")
        return by_number and setting(op, "scale", 1.0) == 1.0 and setting(op, "bias", 0.0) == 0.0
    return bool(op.type == "assign")


def merge_parameters(program: Program) -> int:
    """Parameters of equal content are stored once."""
    made = program.makers()
    first: dict[tuple[Any, ...], str] = {}
    copies = {}
    for name in sorted(program.values):
        value = program.values[name]
        # What an operator writes (a BatchNorm its mean) is its own.
        if name in made or name not in program.variables:
            continue
        key = (value.dtype.str, value.shape, value.tobytes())
        if key in first:
            copies[name] = first[key]
        else:
            first[key] = name
    program.rename(copies)
    return len(copies)


def merge_operators(program: Program) -> int:
    """Operators that compute the same of the same are computed once."""
    fetched = {slot(op, "X")[0] for op in program.ops if op.type == "fetch"}
    first: dict[tuple[Any, ...], Any] = {}
    gone: dict[str, str] = {}
    kept = []
    for op in program.ops:
        for each in op.inputs:
            each.arguments[:] = [gone.get(name, name) for name in each.arguments]
        made = _made(op, program)
        total = sum(len(each.arguments) for each in op.outputs)
        if op.type in ENDS or len(made) < total or fetched & set(made):
            kept.append(op)
            continue
        inputs = sorted((each.parameter, tuple(each.arguments)) for each in op.inputs)
        attributes = sorted(
            each.SerializeToString()
            for each in op.attrs
            if each.name not in paddle_strip.DEAD_ATTRIBUTES
        )
        outputs = sorted((each.parameter, len(each.arguments)) for each in op.outputs)
        key = (op.type, tuple(inputs), tuple(attributes), tuple(outputs))
        if key not in first:
            first[key] = op
            kept.append(op)
            continue
        twin = {each.parameter: list(each.arguments) for each in first[key].outputs}
        for each in op.outputs:
            gone |= dict(zip(each.arguments, twin[each.parameter], strict=True))
    count = len(program.ops) - len(kept)
    program.ops = kept
    return count


def drop_dead(program: Program) -> int:
    """Operators that no output of the model depends on."""
    needed: set[str] = set()
    kept = []
    for op in reversed(program.ops):
        if op.type in ENDS or needed.intersection(_made(op, program)):
            kept.append(op)
            needed.update(name for each in op.inputs for name in each.arguments)
    count = len(program.ops) - len(kept)
    program.ops = kept[::-1]
    return count


def drop_unread_outputs(program: Program) -> int:
    """Outputs of UNREAD that nothing reads, and slots without a value."""
    read = program.readers()
    count = 0
    for op in program.ops:
        for each in [each for each in op.outputs if each.parameter in UNREAD]:
            if not any(read[name] for name in each.arguments):
                count += len(each.arguments)
                op.outputs.remove(each)
        for slots in (op.inputs, op.outputs):
            for each in [each for each in slots if not each.arguments]:
                slots.remove(each)
    return count
