"""What trained weights are known by: a hash of every value and every file that decides them.

Kept teachers, finished steps and the state of a training carry such a hash, and are used again only
where it is the same.

By content: a frozen dataclass counts as the values that differ from their field's default, so that
a new key with a default leaves what was trained before in use. Names of classes and modules do not
count, so that code may move. The other side of that: **a default must never change its value**, for
nothing here would notice; `tests/test_identity.py` holds the defaults of today.

Before identities were by content they were by `repr()`. What was trained then is still found, by a
second, older key (`Identity.legacy`). A field that is added to a dataclass today is declared with
`repr=False` and `metadata=ADDED`, so that the older key stays what it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# Marks a field that the older keys know nothing of.
ADDED = {"in_legacy_identity": False}
# Hex digits of a key: 64 bits are plenty for the few hundred trainings that a folder ever holds, and
# file names stay readable.
DIGITS = 16


@dataclass(frozen=True)
class Identity:
    """A key by content, and the one by `repr()` that older releases wrote for the same thing.

    Attributes:
        legacy: None where no older release can have made it.
    """

    key: str
    legacy: str | None = None

    def accepts(self, recorded: object) -> bool:
        """Whether what was recorded on disk, in whichever of the two forms, is this."""
        return recorded is not None and recorded in (self.key, self.legacy)


def of(parts: Iterable[object]) -> Identity:
    """The identity of a list of parts: frozen dataclasses, identities, plain values, and lists of
    these.

    Raises:
        TypeError: a part that has no canonical form.
    """
    # Walked twice, once for each key
    parts = list(parts)
    key = digest([_by_content(part) for part in parts])
    try:
        legacy = digest([_by_repr(part) for part in parts])
    except _Unknown:
        return Identity(key)
    return Identity(key, legacy)


def canonical(value: object) -> Any:
    """A value as plain JSON data: of a dataclass what differs from its defaults, by field name.

    Raises:
        TypeError: neither a dataclass nor plain data. Text of an object's address, as `default=str`
            would give, is another one in each process.
    """
    # Where equality leaves a field out (`compare=False`), the key does so, too.
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: canonical(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.compare and not _is_default(field, getattr(value, field.name))
        }
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, dict):
        return {str(key): canonical(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a {type(value).__name__} has no canonical form; give plain data")


def digest(data: object) -> str:
    """A short content hash of JSON-able data."""
    # Keys are sorted and floats are written as their shortest exact decimals, so equal data have
    # equal text on every machine
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:DIGITS]


def former_fields(value: Any) -> dict[str, Any] | None:
    """`dataclasses.asdict` without added fields, as older releases hashed an input's keys; None
    where one of these is set."""
    try:
        _refuse_added(value)
    except _Unknown:
        return None
    added = {field.name for field in dataclasses.fields(value) if _is_added(field)}
    return {name: item for name, item in dataclasses.asdict(value).items() if name not in added}


class _Unknown(Exception):
    """A value that no older release could express."""


def _by_content(part: object) -> Any:
    if isinstance(part, Identity):
        return part.key
    if isinstance(part, (list, tuple)):
        return [_by_content(item) for item in part]
    return canonical(part)


def _by_repr(part: object) -> Any:
    if isinstance(part, Identity):
        if part.legacy is None:
            raise _Unknown
        return part.legacy
    if isinstance(part, (list, tuple)):
        return [_by_repr(item) for item in part]
    if dataclasses.is_dataclass(part):
        text = former_text(part)
        if text is None:
            raise _Unknown
        return text
    return part


def former_text(value: Any) -> str | None:
    """`repr(value)`, by which older releases knew a dataclass; None where an added field is set."""
    try:
        _refuse_added(value)
    except _Unknown:
        return None
    return repr(value)


def _refuse_added(value: object) -> None:
    """Raises `_Unknown` where an added field was set: what an older release trained without it is
    not this."""
    # `is_dataclass` is true of the class itself as well, which has no values.
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            content = getattr(value, field.name)
            if _is_added(field) and not _is_default(field, content):
                raise _Unknown
            _refuse_added(content)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _refuse_added(item)


def _is_added(field: dataclasses.Field[Any]) -> bool:
    return not field.metadata.get("in_legacy_identity", True)


def _is_default(field: dataclasses.Field[Any], value: object) -> bool:
    if field.default is not dataclasses.MISSING:
        default = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    else:
        return False
    # True == 1 in Python, and a switch is no number
    return type(default) is type(value) and bool(default == value)
