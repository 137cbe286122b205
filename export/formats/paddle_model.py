"""Minimal Paddle static export: the flat network as `model.pdmodel` + `model.pdiparams`, and
nothing a runtime does not read."""

from __future__ import annotations

import itertools
import shutil
import warnings
from pathlib import Path

import paddle
from paddle import nn
from paddle.base import core
from paddle.base.proto import framework_pb2

from teachers import storage
from teachers.errors import StorageError
from teachers.layers import AsWritten

MODEL, PARAMETERS = "model.pdmodel", "model.pdiparams"
NEEDED_BYTES = 50_000_000  # less free space than this explains a failed write
DEAD_ATTRIBUTES = (
    "op_callstack",
    "op_namescope",
    "op_device",
    "op_role",
    "op_role_var",
    "with_quant_attr",
)


def save(flat: nn.Sequential, spec, folder: Path) -> list[Path]:
    """Write the flat network for Paddle Inference; the batch size stays free.

    Args:
        flat: what `flatten` returned.
        spec: the network's spec, for the input shape (N, C, T, V, M).
        folder: where `model.pdmodel` and `model.pdiparams` go.
    """
    with storage.scratch() as temporary:
        trace(AsWritten(flat), spec, temporary / "model")
        # Every operator carries the call stack of the Python code that it was traced from
        model = strip((temporary / MODEL).read_bytes())
        parameters = (temporary / PARAMETERS).read_bytes()
    # The model last: a folder with a model and no parameters would look complete
    storage.write_bytes(folder / PARAMETERS, parameters)
    storage.write_bytes(folder / MODEL, model)
    return [folder / MODEL, folder / PARAMETERS]


def trace(network: nn.Layer, spec, prefix: Path) -> None:
    """`paddle.jit.save` of a network as it is, with a free batch size; its mode stays as it was.

    Raises:
        StorageError: there is no room left at `prefix`.
    """
    training = [layer for layer in network.sublayers(include_self=True) if layer.training]
    network.eval()
    clip = paddle.static.InputSpec([None, *spec.input_shape], "float32", "clip")
    try:
        with warnings.catch_warnings():
            # Paddle's own, on every sum of two maps with a free batch size
            warnings.simplefilter("ignore", DeprecationWarning)
            paddle.jit.save(network, str(prefix), input_spec=[clip])
    except Exception as error:  # Paddle raises OSError or its own kinds when a write fails
        # A full disk is what a user can do something about; Paddle's own message does not say so
        if shutil.disk_usage(prefix.parent).free < NEEDED_BYTES:
            raise StorageError(
                f"{prefix.parent}: no room left to export to; free some space"
            ) from error
        raise
    finally:
        # Layer by layer: a frozen layer inside a training network stays in evaluation mode
        for layer in training:
            layer.training = True


def strip(program: bytes) -> bytes:
    """A serialised program without call stacks, without attributes that no runtime reads or that
    every runtime fills in by itself, its intermediate values under short names; the numbers do not
    change."""
    description = framework_pb2.ProgramDesc.FromString(program)
    strip_program(description)
    return description.SerializeToString()


def strip_program(description) -> None:
    """`strip` of a ProgramDesc of one block, in place."""
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
