"""Who sees clips how: fills in the `input` of every network of a recipe, in the tree, before it
gets its types.

A data set names its usual input pipeline. The recipe's `input:` changes some of its keys or names
another pipeline; a network's own `input:` does the same on top of that. The members of
`teacher.ensemble` take over what stands beside it.
"""

from __future__ import annotations

from dataclasses import replace

from compress import registry
from compress.recipe import types
from compress.schema.yaml_tree import Value


def fill(root: Value) -> Value:
    """The tree with `input` in the recipe, in every teacher and in a student that is a network of
    its own.

    What is no mapping stays as it is: the types will refuse it.
    """
    # In the tree and not in the types: so a key that is filled in is checked like one that was
    # written, and an error still names the line that it comes from
    tree = dict(root.mapping or {})
    usual = _usual(tree.get("data"))
    if usual is None:
        return root
    base = _merged(usual, tree.get("input"), usual)
    tree["input"] = base
    teacher = tree.get("teacher")
    if teacher is not None and teacher.mapping is not None:
        tree["teacher"] = _teacher(teacher, base, usual)
    student = tree.get("student")
    if student is not None and _has_own_input(student):
        tree["student"] = _with_input(student, base, usual)
    return replace(root, data=tree)


def _has_own_input(student: Value) -> bool:
    """Whether a student sees clips its own way: it is a network of its own, or asks for an input,
    which the types refuse for a copy of the teacher."""
    keys = student.mapping
    if keys is None:
        return False
    # `input: null` beside a copy asks for nothing, and so is no error.
    return "name" in keys or ("input" in keys and keys["input"].mapping is not None)


def _usual(data: Value | None) -> Value | None:
    """The data set's own input, as if it stood in the recipe; None when the data set is not known."""
    keys = data.mapping if data is not None else None
    if data is None or keys is None or "name" not in keys:
        return None
    name = keys["name"].data
    # A wrong name, or no text at all, is reported by the types, with a suggestion
    if not isinstance(name, str) or name not in registry.DATA_SETS.names():
        return None
    pipeline, defaults = types.usual_input(name)
    settings = {"name": pipeline, **defaults}
    # With the place of `data:`, the line that chose these keys, for errors about them.
    values = {key: Value(value, data.place, str(value)) for key, value in settings.items()}
    return Value(values, data.place)


def _merged(under: Value, over: Value | None, usual: Value) -> Value:
    """`over` on top of `under`; keys of another pipeline do not carry over, those of the data set's
    own do."""
    if over is None or over.data is None:
        return under
    changed = over.mapping
    if changed is None:
        return over
    name = changed.get("name") or (under.mapping or {}).get("name")
    if name is None:
        return over
    for base in (under, usual):
        keys = base.mapping
        if keys is not None and keys["name"].data == name.data:
            # The place stays that of `over`: errors name a line that somebody wrote.
            return replace(over, data=keys | changed)
    return over


def _with_input(network: Value, base: Value, usual: Value) -> Value:
    keys = network.mapping or {}
    return replace(network, data=keys | {"input": _merged(base, keys.get("input"), usual)})


def _teacher(teacher: Value, base: Value, usual: Value) -> Value:
    keys = teacher.mapping or {}
    ensemble = keys.get("ensemble")
    members = ensemble.sequence if ensemble is not None else None
    if ensemble is None or members is None:
        return _with_input(teacher, base, usual)
    # What stands beside `ensemble` holds for every member; `input` is merged key by key instead
    apart = ("ensemble", "find_weights", "input")
    shared = {key: value for key, value in keys.items() if key not in apart}
    inner = _merged(base, keys.get("input"), usual)
    filled = []
    for member in members:
        if member.mapping is not None:
            with_shared = replace(member, data=shared | member.mapping)
            member = _with_input(with_shared, inner, usual)
        filled.append(member)
    kept = {key: value for key, value in keys.items() if key == "find_weights"}
    return replace(teacher, data=kept | {"ensemble": replace(ensemble, data=tuple(filled))})
