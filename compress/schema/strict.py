"""Values -> frozen dataclasses, strictly: the type hints are the schema, every error names file,
place and fix.

Hints understood: bool, int, float, str, X | None, tuple[X, ...], tuple[X, Y], Literal[...], a list
or something else (`Literal[...] | tuple[X, ...]`), nested dataclasses and Annotated[X, Build(function)], where `function(value, path)` does the work. A field
`from_` is the key `from`. A `__post_init__` that raises ValueError("lr: must be above 0") is
reported at that key's place.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from compress.schema.yaml_tree import Value, error, join
from teachers.errors import RecipeError, did_you_mean

Built = typing.TypeVar("Built")

EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True)
class Build:
    """Annotation of a field that builds itself: `function(value, path)` returns its content or
    raises RecipeError."""

    function: Callable[[Value, str], object]


def build(
    cls: type[Built],
    value: Value,
    path: str,
    given: dict[str, Any] | None = None,
    beside: tuple[str, ...] = (),
) -> Built:
    """An instance of the dataclass `cls` from a mapping.

    Args:
        path: dotted path of the mapping, for errors.
        given: fields that the program sets; they are no keys.
        beside: keys of the same mapping that were read already; errors name them among the known
            ones.

    Raises:
        RecipeError: unknown or missing key, wrong type, impossible value.
    """
    given = given or {}
    entries = entries_of(value, path)
    # include_extras: without it Annotated, and the Build in it, would be stripped.
    hints = typing.get_type_hints(cls, include_extras=True)
    # `from_` is the key `from`, which Python does not allow as a name.
    fields = {
        field.name.rstrip("_"): field
        for field in dataclasses.fields(typing.cast(Any, cls))
        if field.init and field.name not in given
    }
    # Unknown keys before missing ones: a misspelt one may be both, and its near match is the fix.
    for key, entry in entries.items():
        if key not in fields:
            raise error(
                entry.place, path, f"unknown key {key!r}{did_you_mean(key, (*beside, *fields))}"
            )
    missing = [key for key, field in fields.items() if key not in entries and _required(field)]
    if missing:
        noun = "key" if len(missing) == 1 else "keys"
        raise error(value.place, path, f"missing {noun} {', '.join(map(repr, missing))}")
    arguments = {
        fields[key].name: convert(hints[fields[key].name], entry, join(path, key))
        for key, entry in entries.items()
    }
    try:
        return cls(**arguments, **given)
    # from None: whoever wrote the recipe has no use for a traceback of the program.
    except ValueError as problem:
        raise _located(problem, value, path, fields) from None


def entries_of(value: Value, path: str) -> dict[str, Value]:
    """The keys of a mapping; an error for anything else."""
    if not isinstance(value.data, dict):
        raise wrong(value, path, "a mapping of keys")
    return value.data


def convert(hint: Any, value: Value, path: str) -> Any:
    """The content of `value` as the type `hint` wants it."""
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    if origin is typing.Annotated:
        return next(extra for extra in arguments if isinstance(extra, Build)).function(value, path)
    # `X | None` is one or the other, by how it was written and by the version of Python.
    if origin in (types.UnionType, typing.Union):
        return _one_of(arguments, value, path)
    if origin is typing.Literal:
        return choice(arguments, value, path)
    if origin is tuple:
        return _tuple(arguments, value, path)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return build(hint, value, path)
    # A mistake of the program, not of the recipe: no RecipeError.
    if hint not in EXPECTED:
        raise TypeError(f"{path}: no recipe value can have the type {hint}")
    return _plain(hint, value, path)


def wrong(value: Value, path: str, expected: str, fix: str = "") -> RecipeError:
    """The RecipeError of a value that has the wrong type."""
    return error(value.place, path, f"expected {expected}, got {describe(value)}{fix}")


def describe(value: Value) -> str:
    """A value in the words of an error message."""
    if isinstance(value.data, dict):
        return f"a mapping ({', '.join(value.data)})"[:80]
    if isinstance(value.data, tuple):
        return "a list"
    if value.data is None:
        return "null"
    # As it was written: Python would show 1e-4 as 0.0001, which is not in the file.
    shown = value.text if len(value.text) <= 60 else value.text[:57] + "..."
    return repr(shown) if isinstance(value.data, str) else shown


def _required(field: dataclasses.Field) -> bool:
    # Not `is None`: null is a default that many keys have.
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _plain(hint: type, value: Value, path: str) -> bool | int | float | str:
    data = value.data
    # A whole number will do for a float (`lr: 1`); true, an int to Python, will not.
    if hint is float and isinstance(data, (int, float)) and not isinstance(data, bool):
        if not math.isfinite(data):
            raise wrong(value, path, "a finite number")
        return float(data)
    # By exact type, as bool is a subclass of int.
    if type(data) is not hint:
        raise wrong(value, path, EXPECTED[hint], _fix(hint, value))
    # Texts become file names and are printed; a control character could forge either.
    if isinstance(data, str) and not data.isprintable():
        raise error(
            value.place, path, f"text with a character that cannot be printed: {data[:60]!r}"
        )
    assert isinstance(data, (bool, int, float, str))
    return data


def _fix(hint: type, value: Value) -> str:
    data = value.data
    if hint is str and isinstance(data, (bool, int, float)):
        return f' (quote it: "{value.text}")'
    if hint is int and isinstance(data, float) and data.is_integer():
        return f" (write {data:.0f})"
    if not isinstance(data, str):
        return ""
    if hint is bool:
        # What YAML 1.1 took for booleans, and many still write.
        words = {"yes": "true", "on": "true", "no": "false", "off": "false"}
        word = words.get(data.lower(), data.lower())
        near = difflib.get_close_matches(word, ("true", "false"), n=1)
        return f" (did you mean {near[0]}?)" if near else ""
    return " (write it without quotes)" if value.quoted else ""


def choice(choices: tuple, value: Value, path: str) -> Any:
    """The one of `choices` that `value` is; a RecipeError names them all otherwise."""
    # The type too: True == 1 == 1.0.
    for candidate in choices:
        if type(value.data) is type(candidate) and value.data == candidate:
            return candidate
    near = difflib.get_close_matches(value.text, map(str, choices), n=1)
    expected = ("one of " if len(choices) > 1 else "") + ", ".join(map(str, choices))
    raise wrong(value, path, expected, f" (did you mean {near[0]!r}?)" if near else "")


def _one_of(arguments: tuple, value: Value, path: str) -> Any:
    """`X | None`, or a word or a list: `Literal[...] | tuple[X, ...] | None`."""
    if value.data is None and type(None) in arguments:
        return None
    hints = [argument for argument in arguments if argument is not type(None)]
    # The list by its shape; all else is for the other hint, whose error names what it expects.
    lists = [hint for hint in hints if typing.get_origin(hint) is tuple]
    others = [hint for hint in hints if hint not in lists]
    if lists and (isinstance(value.data, tuple) or not others):
        return convert(lists[0], value, path)
    return convert(others[0], value, path)


def _tuple(arguments: tuple, value: Value, path: str) -> tuple:
    if not isinstance(value.data, tuple):
        # Only what is short is shown again: it may be a megabyte of digits.
        single = isinstance(value.data, (bool, int, float, str)) and len(value.text) <= 60
        fix = f" (write [{value.text}])" if single else ""
        raise wrong(value, path, "a list", fix)
    hints = arguments
    if arguments[1:] == (...,):
        hints = arguments[:1] * len(value.data)
    if len(hints) != len(value.data):
        raise error(value.place, path, f"expected a list of {len(hints)}, got {len(value.data)}")
    return tuple(
        convert(hint, item, join(path, index))
        for index, (hint, item) in enumerate(zip(hints, value.data, strict=True))
    )


def _located(problem: ValueError, value: Value, path: str, fields: Iterable[str]) -> RecipeError:
    """The error of `__post_init__` at the place of the key it names first ("lr: ..." or "train.dml:
    ...")."""
    keys, separator, message = str(problem).partition(": ")
    names = keys.split(".")
    if not separator or names[0] not in fields:
        return error(value.place, path, str(problem))
    for name in names:
        path = join(path, name)
        # A key with its default is not in the file; its mapping is the nearest place there is.
        if isinstance(value.data, dict):
            value = value.data.get(name, value)
    return error(value.place, path, message)
