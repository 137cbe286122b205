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
    tree = dict(root.data)
    usual = _usual(tree.get("data"))
    if usual is None:
        return root
    tree["input"] = base = _merged(usual, tree.get("input"), usual)
    if _is_mapping(tree.get("teacher")):
        tree["teacher"] = _teacher(tree["teacher"], base, usual)
    student = tree.get("student")
    if _is_mapping(student) and ("name" in student.data or _is_mapping(student.data.get("input"))):
        tree["student"] = _with_input(tree["student"], base, usual)
    return replace(root, data=tree)


def _usual(data: Value | None) -> Value | None:
    """The data set's own input, as if it stood in the recipe; None when the data set is not known."""
    name = data.data.get("name") if _is_mapping(data) else None
    if name is None or name.data not in registry.DATA_SETS.names():
        return None
    pipeline, defaults = types.usual_input(name.data)
    return Value(
        {
            key: Value(value, data.place, str(value))
            for key, value in {"name": pipeline, **defaults}.items()
        },
        data.place,
    )


def _merged(under: Value, over: Value | None, usual: Value) -> Value:
    """`over` on top of `under`; keys of another pipeline do not carry over, those of the data set's
    own do."""
    if over is None or over.data is None:
        return under
    if not _is_mapping(over):
        return over
    name = over.data.get("name", under.data["name"] if _is_mapping(under) else None)
    for base in (under, usual):
        if _is_mapping(base) and name is not None and base.data["name"].data == name.data:
            return replace(over, data=base.data | over.data)
    return over


def _with_input(network: Value, base: Value, usual: Value) -> Value:
    return replace(
        network, data=network.data | {"input": _merged(base, network.data.get("input"), usual)}
    )


def _teacher(teacher: Value, base: Value, usual: Value) -> Value:
    ensemble = teacher.data.get("ensemble")
    if ensemble is None or not isinstance(ensemble.data, tuple):
        return _with_input(teacher, base, usual)
    shared = {
        key: value
        for key, value in teacher.data.items()
        if key not in ("ensemble", "find_weights", "input")
    }
    inner = _merged(base, teacher.data.get("input"), usual)
    members = tuple(
        _with_input(replace(one, data=shared | one.data), inner, usual) if _is_mapping(one) else one
        for one in ensemble.data
    )
    kept = {key: value for key, value in teacher.data.items() if key == "find_weights"}
    return replace(teacher, data=kept | {"ensemble": replace(ensemble, data=members)})


def _is_mapping(value: Value | None) -> bool:
    return value is not None and isinstance(value.data, dict)
