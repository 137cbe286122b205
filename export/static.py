"""Minimal Paddle static export: the flat network as `model.pdmodel` + `model.pdiparams`, and nothing a runtime does not read.

Run: python export/static.py --weights runs/NAME/weights/student.npz --out deploy
"""
from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import paddle  # noqa: E402
from paddle import nn  # noqa: E402

from teachers import storage  # noqa: E402
from teachers.errors import StorageError  # noqa: E402

MODEL, PARAMETERS = "model.pdmodel", "model.pdiparams"
NEEDED_BYTES = 50_000_000  # less free space than this explains a failed write
DEAD_ATTRIBUTES = ("op_callstack", "op_namescope", "op_device", "op_role", "op_role_var", "with_quant_attr")


def flatten(network: nn.Layer) -> nn.Sequential:
    """The flat inference network; `export/<network>.py` knows how to build it."""
    return importlib.import_module(f"export.{network.spec.network}").flatten(network)


def save(flat: nn.Sequential, spec, folder: Path) -> list[Path]:
    """Write the flat network for Paddle Inference; the batch size stays free.

    Args:
        flat: what `flatten` returned.
        spec: the network's spec, for the input shape (N, C, T, V, M).
        folder: where `model.pdmodel` and `model.pdiparams` go.
    """
    with tempfile.TemporaryDirectory() as temporary:
        trace(flat, spec, Path(temporary) / "model")
        model = strip((Path(temporary) / MODEL).read_bytes())
        parameters = (Path(temporary) / PARAMETERS).read_bytes()
    storage.write_bytes(folder / PARAMETERS, parameters)
    storage.write_bytes(folder / MODEL, model)
    return [folder / MODEL, folder / PARAMETERS]


def trace(network: nn.Layer, spec, prefix: Path) -> None:
    """The ordinary `paddle.jit.save` of a network, with a free batch size.

    Raises:
        StorageError: there is no room left at `prefix`.
    """
    network.eval()
    clip = paddle.static.InputSpec([None, *spec.input_shape], "float32", "clip")
    try:
        paddle.jit.save(network, str(prefix), input_spec=[clip])
    except Exception as error:  # Paddle raises OSError or its own kinds when a write fails
        if shutil.disk_usage(prefix.parent).free < NEEDED_BYTES:
            raise StorageError(f"{prefix.parent}: no room left to export to; free some space and continue with --resume") from error
        raise


def strip(program: bytes) -> bytes:
    """A serialised program without call stacks and other attributes that no runtime reads, its intermediate values under short
    names; the numbers do not change."""
    description = paddle.base.core.ProgramDesc(program)
    for index in range(description.num_blocks()):
        block = description.block(index)
        for number in range(block.op_size()):
            op = block.op(number)
            for name in DEAD_ATTRIBUTES:
                if op.has_attr(name):
                    op.remove_attr(name)
    shorten(description.block(0))
    return description.serialize_to_string()


def shorten(block) -> None:
    """Give every value between input and output a name of two or three letters."""
    ends = {"feed", "fetch"}
    for number in range(block.op_size()):
        op = block.op(number)
        if op.type() in ends:
            ends = ends | set(op.input("X")) | set(op.output("Out"))
    between = [one.name() for one in block.all_vars() if not one.persistable() and one.name() not in ends]
    for number, name in enumerate(sorted(between)):
        block._rename_var(name.encode(), f"{_letters(number)}".encode())


def _letters(number: int) -> str:
    digits = "abcdefghijklmnopqrstuvwxyz"
    return digits[number % 26] + (_letters(number // 26 - 1) if number >= 26 else "")


def main(arguments: list[str] | None = None) -> int:
    from export import scripts  # here: it imports this module

    return scripts.export(arguments, "paddle", __doc__)


if __name__ == "__main__":
    sys.exit(main())
