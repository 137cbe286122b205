"""A program of Paddle without what no runtime reads: the numbers do not change."""

from __future__ import annotations

import itertools
import json
from typing import Any

from paddle.base import core
from paddle.base.proto import framework_pb2

DEAD_ATTRIBUTES = (
    "op_callstack",
    "op_namescope",
    "op_device",
    "op_role",
    "op_role_var",
    "with_quant_attr",
)
# Of Paddle 3, by the key under which an operator keeps them: the place in the network's code, and
# what only a training needs.
DEAD_PIR_ATTRIBUTES = {"A": ("struct_name",), "OA": ("stop_gradient",)}


def strip(program: bytes) -> bytes:
    """The content of a `.pdmodel`, or of a `.json` of Paddle 3, without dead attributes."""
    if program.startswith(b"{"):
        return strip_pir(program)
    description = framework_pb2.ProgramDesc.FromString(program)
    strip_program(description)
    return description.SerializeToString()


def strip_pir(program: bytes) -> bytes:
    """The JSON of a program of Paddle 3 in as few bytes."""
    tree = json.loads(program)
    blocks = [block for region in tree["program"]["regions"] for block in region["blocks"]]
    for operator in (operator for block in blocks for operator in block["ops"]):
        for key, names in DEAD_PIR_ATTRIBUTES.items():
            operator[key] = [each for each in operator[key] if not _is_named(each, names)]
    return json.dumps(tree, separators=(",", ":")).encode()


def _is_named(attribute: Any, names: tuple[str, ...]) -> bool:
    # A parameter has numbers without names, by their place.
    return isinstance(attribute, dict) and attribute.get("N") in names


def strip_program(description) -> None:
    """Of a ProgramDesc of one block, in place: no call stacks, no attributes that no runtime reads or
    that every runtime fills in by itself, short names for intermediate values; the numbers do not
    change."""
    for op in (op for block in description.blocks for op in block.ops):
        filled_in = core.get_op_extra_attrs(op.type)
        # Filled in by every runtime alike, so a file with them says nothing more
        kept = [
            one
            for one in op.attrs
            if one.name not in DEAD_ATTRIBUTES
            and not (one.name in filled_in and value(one) == filled_in[one.name])
        ]
        del op.attrs[:]
        op.attrs.extend(kept)
    shorten(description.blocks[0])


def value(attribute) -> object:
    """The value of a plain attribute, None of a list."""
    kinds = framework_pb2.AttrType
    field = {kinds.INT: "i", kinds.FLOAT: "f", kinds.STRING: "s", kinds.BOOLEAN: "b"}.get(
        attribute.type
    )
    return field and getattr(attribute, field)


def shorten(block) -> None:
    """Give every value between input and output a name of two or three letters."""
    # Runtimes look inputs and outputs up by name
    ends = {"feed", "fetch"} | {
        name
        for op in block.ops
        if op.type in ("feed", "fetch")
        for one in (*op.inputs, *op.outputs)
        for name in one.arguments
    }
    between = sorted(one.name for one in block.vars if not one.persistable and one.name not in ends)
    # Networks of other people call their input `x`, and parameters may have short names, too
    taken = {one.name for one in block.vars} - set(between)
    free = (name for name in map(_letters, itertools.count()) if name not in taken)
    short = dict(zip(between, free, strict=False))
    for one in block.vars:
        one.name = short.get(one.name, one.name)
    for one in (one for op in block.ops for one in (*op.inputs, *op.outputs)):
        one.arguments[:] = [short.get(name, name) for name in one.arguments]


def _letters(number: int) -> str:
    # Any name would do; a short one is stored thousands of times
    digits = "abcdefghijklmnopqrstuvwxyz"
    return digits[number % 26] + (_letters(number // 26 - 1) if number >= 26 else "")
