"""The JSON schema of `report.json`, generated from its records.

Run: python -m compress.reporting.schema > docs/report.schema.json
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from typing import Any

from compress.reporting.record import SCHEMA_VERSION, Report
from teachers.storage.typed_json import is_required, key_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
Schema = dict[str, Any]


def schema() -> Schema:
    """The schema, with a definition for every record."""
    definitions: dict[str, Schema] = {}
    reference = _of(Report, definitions)
    version = definitions["Report"]["properties"]["schema_version"]
    # A program that checks a report by this file learns here that it is of another version.
    version["const"] = SCHEMA_VERSION
    # `from_json` needs it, although the record has a default for it.
    definitions["Report"]["required"].append("schema_version")
    return {
        "$schema": DIALECT,
        "title": "report.json of a Featherbone run",
        **reference,
        "$defs": dict(sorted(definitions.items())),
    }


def text() -> str:
    """The file docs/report.schema.json."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _of(hint: Any, definitions: dict[str, Schema]) -> Schema:
    """What a value of this type hint looks like; records go into the definitions."""
    origin = typing.get_origin(hint)
    arguments = typing.get_args(hint)
    # To JSON schema, the empty schema is one that accepts anything.
    if hint is object:
        return {}
    if hint in PLAIN:
        return {"type": PLAIN[hint]}
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_of(argument, definitions) for argument in arguments]}
    if origin is tuple:
        # tuple[X, ...] is the only tuple among the hints: its first argument is every item's type.
        return {"type": "array", "items": _of(arguments[0], definitions)}
    if dataclasses.is_dataclass(hint):
        return _record(hint, definitions)
    return {"type": "object", "additionalProperties": _of(arguments[1], definitions)}


def _record(cls: Any, definitions: dict[str, Schema]) -> Schema:
    name = cls.__name__
    if name not in definitions:
        hints = typing.get_type_hints(cls)
        fields = dataclasses.fields(cls)
        # The sentence for people is the record's own, so that it cannot grow stale here.
        description = " ".join((cls.__doc__ or "").split("\n\n")[0].split())
        definitions[name] = {
            "type": "object",
            "description": description,
            "properties": {
                key_of(field.name): _of(hints[field.name], definitions) for field in fields
            },
            "required": [key_of(field.name) for field in fields if is_required(field)],
            # `decode` refuses unknown keys, so a checker with this file has to as well.
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{name}"}


if __name__ == "__main__":
    print(text(), end="")
