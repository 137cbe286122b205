"""`extends: NAME`: a recipe that says only what differs from another one.

The other is named as on the command line, or by a path that counts from the file it stands in. What
a file says goes on top of what it extends:

- a mapping, key by key; anything else, lists too, in place of what was there; `null` takes a key's
  content away;
- `steps` as a list in place of all steps; as a mapping, {train: {epochs: 5}} or {1: {train: ...}},
  it changes the steps that are there, which are named as by `-o`;
- where `name` changes, what belongs to the old name falls away: of `data`, `input` and `skeleton`
  everything, of a network its own keys such as `width`, its `input` and its `weights`.

All in the tree, before it gets its types: every value still knows the file and the line that it
came from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import replace

from compress import registry
from compress.recipe import files, inputs, overrides
from compress.recipe.files import File
from compress.schema.strict import convert
from compress.schema.yaml_tree import Value, error, join
from teachers.errors import RecipeError

KEY = "extends"
# Whoever reads a recipe has to open every file below it
DEEPEST = 5
# Sections that hold the keys of a network beside their own
NETWORKS = ("teacher", "student")
# Of their own keys, those that are right for one network only
OF_A_NETWORK = ("input", "weights")


def chain(file: File) -> list[File]:
    """The file, what it extends, what that extends, and so on.

    Raises:
        RecipeError: no such recipe, a circle, or more than `DEEPEST` of them.
    """
    below = [file]
    while KEY in (below[-1].tree.mapping or {}):
        named = (below[-1].tree.mapping or {})[KEY]
        base = _base(named, below[-1])
        names = " -> ".join(each.shown for each in (*below, base))
        if base.path.resolve() in [each.path.resolve() for each in below]:
            raise error(named.place, KEY, f"goes round in a circle: {names}")
        below.append(base)
        if len(below) > DEEPEST:
            raise error(
                named.place, KEY, f"more than {DEEPEST} recipes on top of each other: {names}"
            )
    return below


def layers(below: Sequence[File]) -> Iterator[tuple[File, Value]]:
    """Every file of a `chain`, the lowest first, and its tree with all that it extends underneath.

    Raises:
        RecipeError: a change to a step that is not there.
    """
    tree = None
    # One after the other, so that who asks can refuse a file before the next is laid on top of it
    for file in reversed(below):
        keys = {key: value for key, value in (file.tree.mapping or {}).items() if key != KEY}
        alone = replace(file.tree, data=keys)
        tree = alone if tree is None else _on_top(tree, alone, "")
        yield file, tree


def _base(named: Value, file: File) -> File:
    name = str(convert(str, named, KEY))
    try:
        return files.read(name, file)
    except RecipeError as problem:
        # What is wrong inside of the other file has its own file and line in front.
        raise error(named.place, KEY, str(problem)) from None


def _on_top(base: Value, over: Value, path: str) -> Value:
    below = base.mapping
    above = over.mapping
    if path == "steps" and above is not None:
        return _changed_steps(base, above, over)
    if below is None or above is None:
        return over
    entries = _kept(below, above, path)
    for key, value in above.items():
        under = entries.get(key)
        if path == "" and key == "steps" and under is None:
            under = Value((), value.place)
        entries[key] = value if under is None else _on_top(under, value, join(path, key))
    return replace(over, data=entries)


def _kept(below: dict[str, Value], above: dict[str, Value], path: str) -> dict[str, Value]:
    """What of `below` still has its meaning under the name that `above` gives."""
    name = above.get("name")
    before = below.get("name")
    default = inputs.TEACHER if path == "teacher" else None
    if name is None or name.data == (before.data if before is not None else default):
        return dict(below)
    if path not in NETWORKS:
        return {}
    network = before.data if before is not None else default
    if not isinstance(network, str) or network not in registry.NETWORKS.names():
        # A network of its own is no copy of a teacher, and not all of them as one.
        return {key: value for key, value in below.items() if key != "from"}
    config = registry.NETWORKS.load(network).Config
    falling = {*OF_A_NETWORK, *(field.name for field in dataclasses.fields(config))}
    return {key: value for key, value in below.items() if key not in falling}


def _changed_steps(base: Value, above: dict[str, Value], over: Value) -> Value:
    """The list of steps `base` with the changes of a mapping."""
    tree = overrides.with_step_mappings(replace(over, data={"steps": base}))
    steps = list(_steps(tree))
    for key, value in above.items():
        number, kind, settings = _change(tree, key, value)
        # `train:` without anything changes nothing
        if settings.data is None:
            continue
        path = join(join("steps", number), kind)
        before = (steps[number].mapping or {})[kind]
        steps[number] = replace(steps[number], data={kind: _on_top(before, settings, path)})
    # The place of the change: it is there that somebody looks who asks where these steps come from
    return replace(over, data=tuple(steps))


def _change(tree: Value, key: str, value: Value) -> tuple[int, str, Value]:
    """(number, kind, settings) of `train: {...}` or `1: {train: {...}}`."""
    if not key.isdecimal():
        return _number_of(tree, key, value.place), key, value
    settings = value.mapping
    if settings is None or len(settings) != 1:
        raise error(
            value.place,
            join("steps", int(key)),
            "expected the step's name and its settings below it, for example {train: {lr: 0.1}}",
        )
    ((kind, inner),) = settings.items()
    number = int(key)
    overrides.resolve_step(tree, ["steps", number], value.place)
    there = next(iter(_steps(tree)[number].mapping or {}), "")
    # The kind is written as well, so that a base whose steps have moved since is noticed
    if kind != there:
        raise error(
            value.place,
            join("steps", number),
            f"is a {there} step (write {number}: {{{there}: ...}})",
        )
    return number, kind, inner


def _number_of(tree: Value, kind: str, place: str) -> int:
    numbers = [number for number, step in enumerate(_steps(tree)) if kind in (step.mapping or {})]
    if len(numbers) > 1:
        ways = " or ".join(f"{number}: {{{kind}: ...}}" for number in numbers)
        raise error(place, "steps", f"{len(numbers)} steps are {kind!r} (write {ways})")
    # Of none, this is the one that knows what to suggest
    return int(overrides.resolve_step(tree, ["steps", kind], place)[1])


def _steps(tree: Value) -> tuple[Value, ...]:
    return (tree.mapping or {})["steps"].sequence or ()
