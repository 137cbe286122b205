"""Frozen dataclasses <-> JSON. The type hints are the format: a key that no field has, or a value
of another type, is an error that names its place.

Hints understood: bool, int, float, str, object (any JSON), unions, tuple[X, ...], tuple[X, X],
Mapping[str, X] and dataclasses of these. A field `class_` is the key `class`. A `__post_init__` that
raises ValueError("views: ...") is reported with the record's place.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

from teachers.errors import DataError, did_you_mean, quoted

Record = TypeVar("Record")
LARGEST_INT = 2**63 - 1
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def encode(value: Any) -> Any:
    """The value in JSON's types: records and mappings become dicts, numpy values, paths and tuples
    are converted, NaN and infinity become None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # Not `asdict`, which knows nothing of `class_` and copies all that is converted anyway.
        names = [entry.name for entry in dataclasses.fields(value)]
        return {key_of(name): encode(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        # json writes whole-number keys as text by itself, but refuses numpy's.
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [encode(item) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return encode(value.tolist())
    # JSON has no NaN, and Python's `json` writes one all the same, which other readers refuse.
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def decode(cls: type[Record], data: object, place: str) -> Record:
    """The record of the dataclass `cls` that `encode` made `data` of.

    Raises:
        DataError: unknown or missing key, or wrong type, named by `place` and the path below it.
    """
    record: Record = _record(cls, data, place)
    return record


def key_of(name: str) -> str:
    """The JSON key of a field: Python's keywords take an underscore at the end."""
    return name.removesuffix("_")


def is_required(entry: dataclasses.Field[Any]) -> bool:
    """Whether a file must have the field's key."""
    return entry.default is dataclasses.MISSING and entry.default_factory is dataclasses.MISSING


# Looked up anew for each epoch of a training it takes longer than all the rest.
_hints = functools.cache(typing.get_type_hints)


def _record(cls: Any, data: object, place: str) -> Any:
    if not isinstance(data, dict):
        raise _wrong("an object", data, place)
    hints = _hints(cls)
    fields = {key_of(entry.name): entry for entry in dataclasses.fields(cls)}
    # Unknown keys before missing ones: a misspelt one may be both, and its own name says more.
    for key in data:
        if key not in fields:
            raise DataError(f"{place}: unknown key {quoted(key)}{did_you_mean(str(key), fields)}")
    for key, entry in fields.items():
        if key not in data and is_required(entry):
            raise DataError(f"{place}: the key {key!r} is missing; it has no default")
    values = {}
    for key, item in data.items():
        name = fields[key].name
        values[name] = _value(hints[name], item, f"{place}: {key}")
    try:
        return cls(**values)
    except ValueError as problem:
        raise DataError(f"{place}: {problem}") from problem


def _value(hint: Any, data: object, place: str) -> Any:
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if hint is object:
        return data
    if origin in (types.UnionType, typing.Union):
        return _one_of(arguments, data, place)
    if origin is tuple:
        if not isinstance(data, list):
            raise _wrong("a list", data, place)
        # tuple[int, int] is a pair, tuple[int, ...] a list of any length.
        if arguments[-1] is not Ellipsis and len(data) != len(arguments):
            raise _wrong(f"a list of {len(arguments)}", data, place)
        return tuple(_value(arguments[0], item, f"{place}[{k}]") for k, item in enumerate(data))
    if dataclasses.is_dataclass(hint):
        return _record(hint, data, place)
    # What is left of the generic hints is Mapping[str, X].
    if origin is not None:
        if not isinstance(data, dict):
            raise _wrong("an object", data, place)
        return {key: _value(arguments[1], item, f"{place}.{key}") for key, item in data.items()}
    return _plain(hint, data, place)


def _one_of(hints: tuple[Any, ...], data: object, place: str) -> Any:
    if data is None and type(None) in hints:
        return None
    others = [hint for hint in hints if hint is not type(None)]
    # A list can only be the tuple and an object only the record, so that the error inside it is the
    # one that is reported, not "none of these types".
    structured = isinstance(data, (list, dict))
    for hint in others:
        if (hint not in WORDS) == structured or len(others) == 1:
            return _value(hint, data, place)
    raise _wrong(" or ".join(WORDS.get(hint, "a list") for hint in others), data, place)


def _plain(hint: Any, data: object, place: str) -> object:
    if hint is float and isinstance(data, (int, float)) and not isinstance(data, bool):
        # 94.0 and 94 are one number in JSON, and a program in between may have written either.
        try:
            return float(data)
        except OverflowError:
            raise _wrong("a number below 1e308", data, place) from None
    # What no count has, and what a float cannot hold.
    if type(data) is int and abs(data) > LARGEST_INT:
        raise _wrong("a whole number of 64 bits", data, place)
    # `type`, not `isinstance`: True is an int in Python, and no count.
    if type(data) is hint:
        return data
    raise _wrong(WORDS[hint], data, place)


def _wrong(expected: str, data: object, place: str) -> DataError:
    return DataError(f"{place}: expected {expected}, got {str(data)[:60]!r}")
