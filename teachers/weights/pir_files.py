"""What a program of Paddle 3 (`model.json`, PIR as JSON) holds, read without running anything in it
and without Paddle.

{"base_code": {"magic": "pir", "version": 4, ...}, "program": {"regions": [{"blocks": [{"ops": [
    {"#": "p", "A": [.., .., .., NAME], "O": {"%": 1, "TT": TYPE}},
    {"#": "1.full", "A": [{"N": NAME, "AT": {"#": .., "D": VALUE}}], "I": [{"%": 1}], "O": [..]}]}]}]}}
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teachers.storage import json_text

# Bytes. The largest network here has 1 MB.
LARGEST_PROGRAM = 64_000_000
# The magic stands first; a file may be too large to parse for one word.
HEAD_BYTES = 200
PARAMETER = "p"
# Types of elements by their names in Paddle's serialisation: the numbers of framework.proto.
ELEMENTS = {
    "t_bool": 0,
    "t_i16": 1,
    "t_i32": 2,
    "t_i64": 3,
    "t_f16": 4,
    "t_f32": 5,
    "t_f64": 6,
    "t_ui8": 20,
    "t_i8": 21,
    "t_bf16": 22,
}


@dataclass(frozen=True)
class Parameter:
    """A tensor whose content is in the `.pdiparams`: `kind` is its number in framework.proto."""

    name: str
    value: int
    kind: int
    dims: tuple[int, ...]


@dataclass(frozen=True)
class Operator:
    """An operator.

    Attributes:
        name: with its dialect, 0 of the language and 1 of Paddle: `1.conv2d`.
        inputs, outputs: numbers of values; 0 is an input that is left out.
        attributes: by name, as they are in the file.
        tree: the operator as it is in the file.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    attributes: dict[str, Any]
    tree: dict[str, Any]


@dataclass(frozen=True)
class Program:
    """A program of one block, in the order of computation; `tree` is the whole file."""

    parameters: tuple[Parameter, ...]
    operators: tuple[Operator, ...]
    tree: dict[str, Any]


def is_program(path: Path) -> bool:
    """Whether a .json is a program of Paddle 3, and not metadata."""
    if path.suffix.lower() != ".json":
        return False
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    return b'"magic":"pir"' in head.replace(b" ", b"")


def program_of(data: bytes) -> Program:
    """The program in the content of a .json.

    Raises:
        ValueError: it is none, or has more than one block.
    """
    tree = json_text.loads(data)
    try:
        if tree["base_code"]["magic"] != "pir":
            raise ValueError("no program in it")
        (region,) = tree["program"]["regions"]
        (block,) = region["blocks"]
        if block["args"] or not block["ops"]:
            raise ValueError("no operators, or a block that takes arguments")
        parameters, operators = [], []
        for operator in block["ops"]:
            if operator["#"] == PARAMETER:
                parameters.append(_parameter(operator))
            else:
                operators.append(_operator(operator))
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"not laid out as a program ({type(error).__name__}: {error})") from error
    return Program(tuple(parameters), tuple(operators), tree)


def _parameter(tree: dict[str, Any]) -> Parameter:
    element, dims = tree["O"]["TT"]["D"][:2]
    kind = ELEMENTS.get(element["#"].partition(".")[2])
    name = tree["A"][3]
    if kind is None or not isinstance(name, str):
        raise ValueError("a parameter without a name, or of an unknown type")
    return Parameter(name, _number(tree["O"]), kind, tuple(map(_integer, dims)))


def _operator(tree: dict[str, Any]) -> Operator:
    if "regions" in tree:
        raise ValueError(f"its operator {tree['#']!r} runs a block of its own")
    name = tree["#"]
    if not (isinstance(name, str) and name):
        raise ValueError("an operator without a name")
    attributes = {attribute["N"]: attribute["AT"].get("D") for attribute in tree["A"]}
    inputs, outputs = (tuple(map(_number, tree[key])) for key in ("I", "O"))
    return Operator(name, inputs, outputs, attributes, tree)


def _number(value: dict[str, Any]) -> int:
    return _integer(value["%"])


def _integer(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r:.40} where a number is due")
    return value


def numbers(value: Any) -> Iterator[int]:
    """The whole numbers of an attribute, which are in a list or each in an attribute of its own."""
    for each in value if isinstance(value, list) else [value]:
        number = each.get("D") if isinstance(each, dict) else each
        if type(number) is int:
            yield number


def parameter_names(path: Path) -> list[str]:
    """Names of the parameters in a .json, in the order in which they lie in the .pdiparams; [] if
    it is no program.

    Raises:
        OSError, ValueError: it cannot be read.
    """
    if path.is_symlink() or not is_program(path) or path.stat().st_size > LARGEST_PROGRAM:
        return []
    # Paddle sorts them, as Paddle 2 does.
    return sorted(parameter.name for parameter in program_of(path.read_bytes()).parameters)
