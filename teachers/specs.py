"""Specs as data: frozen dataclasses to JSON (`dataclasses.asdict`) and back."""
from __future__ import annotations

import dataclasses
import types
import typing


def from_json(cls: type, data: dict):
    """The frozen dataclass that `dataclasses.asdict` turned into `data`; nested dataclasses and tuples included.

    Raises:
        TypeError, KeyError: `data` does not describe a `cls`.
    """
    hints = typing.get_type_hints(cls)
    unknown = set(data) - set(hints)
    if unknown:
        raise TypeError(f"{cls.__name__} has no {', '.join(sorted(unknown))}")
    return cls(**{name: _value(hints[name], value) for name, value in data.items()})


def _value(hint, value):
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        return _value(next(one for one in arguments if one is not type(None)), value)
    if origin is tuple:
        hints = arguments[:1] * len(value) if arguments[1:] == (...,) else arguments
        return tuple(_value(one, item) for one, item in zip(hints, value, strict=True))
    return from_json(hint, value) if dataclasses.is_dataclass(hint) else value
