"""The section `skeleton:` of a recipe, in its three forms."""

from __future__ import annotations

from dataclasses import replace

from compress.schema.strict import build, convert, entries_of, wrong
from compress.schema.yaml_tree import Value, error, join
from teachers.errors import RecipeError
from teachers.skeleton import ALIASES, Brought, Skeleton, named


def skeleton(value: Value, path: str) -> Skeleton | Brought | None:
    """A known skeleton by name; one described as {name, joints, bones, centre}; or {from, to, map,
    axes}, for clips of other joints.

    Raises:
        RecipeError: neither, or a skeleton or a joint that there is not.
    """
    if value.data is None:
        return None
    try:
        if isinstance(value.data, str):
            return named(value.data)
        keys = entries_of(value, path)
        # `to` alone would do, but a misspelt one has to be named among these keys.
        if keys.keys() & {"to", "from", "map", "axes"}:
            return _brought(value, path)
        return build(Skeleton, value, path).checked()
    except RecipeError as problem:
        # `build` has named the line already, `checked` knows none; once is what a person needs.
        raise (
            problem
            if str(problem).startswith(value.place)
            else error(value.place, path, str(problem))
        ) from None


def alias_notes(value: Value | None) -> tuple[str, ...]:
    """What a name stands for that is another's alias, in words."""
    name = None if value is None else value.data
    if not isinstance(name, str) or name not in ALIASES:
        return ()
    return (f"skeleton: {name} has the joints of {ALIASES[name]} in the same order, and is it",)


def _brought(value: Value, path: str) -> Brought:
    keys = dict(entries_of(value, path))
    chosen: dict[str, tuple[str, ...]] = {}
    if "map" in keys:
        place = join(path, "map")
        for joint, sources in entries_of(keys.pop("map"), place).items():
            chosen[joint] = _sources(sources, join(place, joint))
    rest = replace(value, data=keys)
    return build(Brought, rest, path, given={"map": chosen}, beside=("map",))


def _sources(value: Value, path: str) -> tuple[str, ...]:
    # One joint needs no brackets.
    if isinstance(value.data, str):
        return (value.data,)
    sources: tuple[str, ...] = convert(tuple[str, ...], value, path)
    if not sources:
        raise wrong(value, path, "a joint, or a list of joints")
    return sources
