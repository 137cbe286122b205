"""A Paddle program with its parameters, in a form that can be rewritten."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from paddle.base.proto import framework_pb2

from export.formats import paddle_strip
from export.runtimes import paddle_program
from teachers.errors import ExportMismatch
from teachers.storage.bounded import read_bytes
from teachers.weights import paddle_files

# By the numbers of VarType in Paddle's framework.proto.
DTYPES = {0: "bool", 1: "int16", 2: "int32", 3: "int64", 4: "float16", 5: "float32", 6: "float64"}
DTYPES |= {20: "uint8", 21: "int8"}
NUMBERS = {name: number for number, name in DTYPES.items()}
# bfloat16 has no type in numpy: its bits are carried along.
RAW = {22: "uint16"}
ENDS = ("feed", "fetch")


class Program:
    """Operators and variables of the one block, and the parameters' values.

    Attributes:
        ops: OpDesc each, in the order of computation.
        variables: VarDesc by name.
        values: parameters by name; those of another type than DTYPES are never looked into.
    """

    def __init__(self, model: Path, parameters: Path):
        """
        Raises:
            ExportMismatch: what `paddle_program.check` refuses.
        """
        paddle_program.check(model, parameters)
        self.description = paddle_files.read_program(model)
        block = self.description.blocks[0]
        self.ops = [_copy(each) for each in block.ops]
        self.variables = {each.name: _copy(each) for each in block.vars}
        data = read_bytes(parameters, paddle_program.LARGEST_PARAMETERS, ExportMismatch)
        names = sorted(each.name for each in paddle_files.parameters_of(block))
        self.values: dict[str, np.ndarray] = {}
        for name, (tensor, content) in zip(names, paddle_files.contents(data), strict=True):
            kind = (DTYPES | RAW).get(tensor.data_type)
            if kind is None:
                raise ExportMismatch(
                    f"{parameters}: its tensor {name[:60]!r} has the type {tensor.data_type}, which"
                    " is not rewritten; export the network in float32"
                )
            self.values[name] = np.frombuffer(content, kind).reshape(tensor.dims)
            # What is declared may be what it was before a quantiser wrote it in eight bits.
            declared = paddle_files.tensor_of(self.variables[name])
            declared.data_type = tensor.data_type
            declared.dims[:] = tensor.dims

    def readers(self) -> Counter[str]:
        """How often each value is read."""
        return Counter(name for op in self.ops for slot in op.inputs for name in slot.arguments)

    def makers(self) -> dict[str, Any]:
        """The operator that makes each value."""
        return {name: op for op in self.ops for slot in op.outputs for name in slot.arguments}

    def is_parameter(self, name: str) -> bool:
        """Whether a name stands for a stored value."""
        return name in self.values

    def rename(self, new: Mapping[str, str]) -> None:
        """Read other values; what is made keeps its names."""
        for slot in (slot for op in self.ops for slot in op.inputs):
            slot.arguments[:] = [new.get(name, name) for name in slot.arguments]

    def free(self, name: str) -> str:
        """This name, or one like it that nothing has."""
        while name in self.variables:
            name += "_"
        return name

    def store(self, name: str, value: np.ndarray, like: str) -> None:
        """Make `name` a parameter with this value; a new one is declared like the value `like`."""
        if name not in self.variables:
            self.variables[name] = _copy(self.variables[like])
            self.variables[name].name = name
        variable = self.variables[name]
        variable.persistable = True
        tensor = variable.type.lod_tensor.tensor
        tensor.data_type = NUMBERS[value.dtype.name]
        tensor.dims[:] = value.shape
        self.values[name] = np.ascontiguousarray(value)

    def sweep(self) -> None:
        """Forget variables and parameters that no operator speaks of."""
        named = {
            name for op in self.ops for slot in (*op.inputs, *op.outputs) for name in slot.arguments
        }
        self.variables = {name: each for name, each in self.variables.items() if name in named}
        self.values = {name: each for name, each in self.values.items() if name in named}

    def written(self) -> tuple[bytes, bytes]:
        """The content of a .pdmodel and of its .pdiparams."""
        self.sweep()
        # No operator runs a block of its own, see `paddle_program.check`: the others are dead.
        del self.description.blocks[1:]
        block = self.description.blocks[0]
        del block.ops[:], block.vars[:]
        block.ops.extend(self.ops)
        block.vars.extend(self.variables.values())
        paddle_strip.strip_program(self.description)
        parts = []
        # As Paddle orders them in the file.
        for name in sorted(self.values):
            tensor = framework_pb2.VarType.TensorDesc()
            tensor.CopyFrom(self.variables[name].type.lod_tensor.tensor)
            parts.append((tensor, self.values[name].tobytes()))
        return self.description.SerializeToString(), paddle_files.combined(parts)


def slot(op: Any, name: str) -> list[str]:
    """The values in an operator's slot, of either side; [] where it is empty or not there."""
    found = [each for each in (*op.inputs, *op.outputs) if each.parameter == name]
    return list(found[0].arguments) if found else []


def setting(op: Any, name: str, default: Any) -> Any:
    """An operator's attribute."""
    fields = ("i", "f", "s", "ints", "floats", "strings", "b", "bools", None, "l", None, "longs")
    for each in op.attrs:
        field = fields[each.type] if each.name == name and each.type < len(fields) else None
        if field:
            found = getattr(each, field)
            return found if isinstance(found, (int, float, str)) else list(found)
    return default


def operator(
    kind: str,
    inputs: Mapping[str, str],
    output: str,
    settings: Iterable[tuple[str, int]] = (),
) -> Any:
    """An OpDesc with whole numbers as attributes and one output `Out`."""
    made = framework_pb2.OpDesc(type=kind)
    for name, value in inputs.items():
        made.inputs.add(parameter=name, arguments=[value])
    made.outputs.add(parameter="Out", arguments=[output])
    for name, number in settings:
        made.attrs.add(name=name, type=framework_pb2.AttrType.INT, i=number)
    return made


def _copy(message: Any) -> Any:
    # On their own: what is deleted from a list of protobuf must not take its parts along.
    new = type(message)()
    new.CopyFrom(message)
    return new
