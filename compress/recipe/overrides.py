"""`-o key.path=value`: changes a recipe's tree before it gets its types, so overrides are checked
like the file."""

from __future__ import annotations

import re
from dataclasses import replace

from compress.schema.strict import describe, did_you_mean
from compress.schema.yaml_tree import Value, error, join, parse

PART = re.compile(r"[\w-]+")
KEY = re.compile(r"[A-Za-z_][\w-]*(\.[\w-]+|\[[0-9]+\]){0,20}")


def apply(root: Value, override: str) -> Value:
    """The tree with one override applied.

    `steps[1].train.lr=0.1`, `steps.1.train.lr=0.1` and, with one train step only,
    `steps.train.lr=0.1` are the same. The value is YAML: `teacher.train={epochs: 3}`,
    `teacher.weights=null`. Missing mappings on the way are made.

    Raises:
        RecipeError: no `=`, an empty key, a value that is not YAML, a list entry or step that is
            not there.
    """
    place = f"-o {override}"
    key, separator, text = override.partition("=")
    if not separator or not KEY.fullmatch(key.strip()):
        raise error(
            place, "", "expected key.path=value, for example -o seed=2 or -o steps[0].train.lr=0.01"
        )
    keys: list[str | int] = [
        int(part) if re.fullmatch("[0-9]{1,6}", part) else part for part in PART.findall(key)
    ]
    if keys[0] == "steps" and len(keys) > 1:
        root = with_step_mappings(root)
        keys = _resolve_step(root, keys, place)
    new = parse(text, lambda _: place, _dotted(keys), overridden=True) or Value(
        None, place, overridden=True
    )
    return _replaced(root, keys, replace(new, place=place), "", place)


def with_step_mappings(root: Value) -> Value:
    """The tree with every entry of `steps` a mapping: `train` and `train:` are `train: {}`."""
    steps = root.data.get("steps") if isinstance(root.data, dict) else None
    if steps is None or not isinstance(steps.data, tuple):
        return root
    return replace(
        root, data=root.data | {"steps": replace(steps, data=tuple(map(_step_mapping, steps.data)))}
    )


def _step_mapping(entry: Value) -> Value:
    empty = replace(entry, data={}, text="")
    if isinstance(entry.data, str):
        return replace(entry, data={entry.data: empty})
    if isinstance(entry.data, dict) and len(entry.data) == 1:
        ((kind, settings),) = entry.data.items()
        return replace(
            entry, data={kind: replace(settings, data={}) if settings.data is None else settings}
        )
    return entry


def _resolve_step(root: Value, keys: list, place: str) -> list:
    """Turns `steps.train.lr` into `steps[1].train.lr`, and refuses what no step answers to."""
    steps = root.data["steps"].data if "steps" in root.data else ()
    if not isinstance(steps, tuple):
        return keys
    kinds = [next(iter(entry.data), "") if isinstance(entry.data, dict) else "" for entry in steps]
    listing = ", ".join(f"[{index}] {kind}" for index, kind in enumerate(kinds)) or "none"
    chosen = keys[1]
    if isinstance(chosen, str):
        found = [index for index, kind in enumerate(kinds) if kind == chosen]
        if not found:
            raise error(
                place, "steps", f"no step {chosen!r}{did_you_mean(chosen, dict.fromkeys(kinds))}"
            )
        if len(found) > 1:
            ways = " or ".join(_dotted(["steps", index, *keys[1:]]) for index in found)
            raise error(place, "steps", f"{len(found)} steps are {chosen!r} (write {ways})")
        keys = ["steps", found[0], *keys[1:]]
    elif chosen >= len(kinds):
        raise error(place, "steps", f"no step [{chosen}] (known: {listing})")
    elif len(keys) > 2 and keys[2] != kinds[chosen]:
        path = _dotted(keys[:2])
        raise error(
            place,
            path,
            f"is a {kinds[chosen]} step (write {_dotted([*keys[:2], kinds[chosen], *keys[2:]])})",
        )
    return keys


def _replaced(value: Value, keys: list, new: Value, path: str, place: str) -> Value:
    if not keys:
        return new
    key, rest = keys[0], keys[1:]
    here = join(path, key)
    if isinstance(key, int) and isinstance(value.data, tuple):
        if key >= len(value.data):
            raise error(place, path, f"no entry [{key}] (it has {len(value.data)})")
        items = list(value.data)
        items[key] = _replaced(items[key], rest, new, here, place)
        return replace(value, data=tuple(items))
    if isinstance(key, str) and (value.data is None or isinstance(value.data, dict)):
        entries = value.data or {}
        made = Value(None, place, overridden=True)
        child = _replaced(entries.get(key, made), rest, new, here, place)
        return replace(made if value.data is None else value, data=entries | {key: child})
    raise error(
        place,
        path,
        f"is {describe(value)}, it has no {'entry' if isinstance(key, int) else 'key'} {key!r}",
    )


def _dotted(keys: list) -> str:
    path = ""
    for key in keys:
        path = join(path, key)
    return path
