"""`-o key.path=value`: changes a recipe's tree before it gets its types, so overrides are checked
like the file."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from dataclasses import replace

from compress.schema.strict import describe
from compress.schema.yaml_tree import Value, error, join, parse
from teachers.errors import did_you_mean

Path = list[str | int]  # `steps[1].train.lr` in parts
PART = re.compile(r"[\w-]+")
# Depth is bounded: a tree is replaced by recursion, and no recipe is a tenth as deep
KEY = re.compile(r"[A-Za-z_][\w-]*(\.[\w-]+|\[[0-9]+\]){0,20}")


def add_option(parser: ArgumentParser) -> None:
    """The option of every command that reads a recipe; its values are `options.overrides`."""
    parser.add_argument(
        "-o",
        dest="overrides",
        action="append",
        default=[],
        metavar="KEY.PATH=VALUE",
        help="change one value of the recipe; repeatable",
    )


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
    # Six digits at most: Python refuses to convert thousands of them, and no list is as long.
    keys: Path = [
        int(part) if re.fullmatch("[0-9]{1,6}", part) else part for part in PART.findall(key)
    ]
    if keys[0] == "steps" and len(keys) > 1:
        root = with_step_mappings(root)
        keys = resolve_step(root, keys, place)
    new = parse(text, lambda _: place, _dotted(keys), overridden=True) or Value(
        None, place, overridden=True
    )
    return _replaced(root, keys, replace(new, place=place), "", place)


def with_step_mappings(root: Value) -> Value:
    """The tree with every entry of `steps` a mapping: `train` and `train:` are `train: {}`."""
    keys = root.mapping
    steps = keys.get("steps") if keys is not None else None
    entries = steps.sequence if steps is not None else None
    if keys is None or steps is None or entries is None:
        return root
    filled = tuple(_step_mapping(entry) for entry in entries)
    return replace(root, data=keys | {"steps": replace(steps, data=filled)})


def _step_mapping(entry: Value) -> Value:
    # `- promote` has no keys that could be written, so the bare word must do.
    if isinstance(entry.data, str):
        return replace(entry, data={entry.data: replace(entry, data={}, text="")})
    keys = entry.mapping
    # More than one key is an error that the types report, so nothing is filled in
    if keys is not None and len(keys) == 1:
        ((kind, settings),) = keys.items()
        if settings.data is None:
            return replace(entry, data={kind: replace(settings, data={})})
    return entry


def resolve_step(root: Value, keys: Path, place: str) -> Path:
    """Turns `steps.train.lr` into `steps[1].train.lr`, and refuses what no step answers to."""
    entries = root.mapping or {}
    steps = entries["steps"].sequence if "steps" in entries else ()
    if steps is None:
        return keys
    kinds = [next(iter(step.mapping or {}), "") for step in steps]
    chosen = keys[1]
    if isinstance(chosen, str):
        return ["steps", _number_of(chosen, kinds, keys, place), *keys[1:]]
    if chosen >= len(kinds):
        listing = ", ".join(f"[{index}] {kind}" for index, kind in enumerate(kinds)) or "none"
        raise error(place, "steps", f"no step [{chosen}] (known: {listing})")
    if len(keys) > 2 and keys[2] != kinds[chosen]:
        # The kind is written as well, so that a recipe whose steps have moved since is noticed
        path = _dotted([*keys[:2], kinds[chosen], *keys[2:]])
        raise error(place, _dotted(keys[:2]), f"is a {kinds[chosen]} step (write {path})")
    return keys


def _number_of(kind: str, kinds: list[str], keys: Path, place: str) -> int:
    """Which step a kind means, where there is just one of it."""
    numbers = [number for number, known in enumerate(kinds) if known == kind]
    if not numbers:
        # Each kind once: recipes with several `train` steps are common.
        suggestion = did_you_mean(kind, dict.fromkeys(kinds))
        raise error(place, "steps", f"no step {kind!r}{suggestion}")
    if len(numbers) > 1:
        ways = " or ".join(_dotted(["steps", number, *keys[1:]]) for number in numbers)
        raise error(place, "steps", f"{len(numbers)} steps are {kind!r} (write {ways})")
    return numbers[0]


def _replaced(value: Value, keys: Path, new: Value, path: str, place: str) -> Value:
    """`value` with `new` at `keys` below it; `path` is where `value` itself stands."""
    if not keys:
        return new
    key = keys[0]
    rest = keys[1:]
    below = join(path, key)
    sequence = value.sequence
    if isinstance(key, int) and sequence is not None:
        # Never appended: in a list of steps the place has a meaning, so this is a mistyped number.
        if key >= len(sequence):
            raise error(place, path, f"no entry [{key}] (it has {len(sequence)})")
        items = list(sequence)
        items[key] = _replaced(items[key], rest, new, below, place)
        return replace(value, data=tuple(items))
    mapping = value.mapping
    if isinstance(key, str) and (value.data is None or mapping is not None):
        # Mappings on the way are made: `teacher.train.mixup.alpha` in a recipe without mixup
        made = Value(None, place, overridden=True)
        entries = mapping or {}
        child = _replaced(entries.get(key, made), rest, new, below, place)
        return replace(made if value.data is None else value, data=entries | {key: child})
    kind = "entry" if isinstance(key, int) else "key"
    raise error(place, path, f"is {describe(value)}, it has no {kind} {key!r}")


def _dotted(keys: Path) -> str:
    path = ""
    for key in keys:
        path = join(path, key)
    return path
