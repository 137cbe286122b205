"""Reads a recipe: strict YAML and overrides -> a frozen `Recipe`. Whatever is wrong is said before
work starts."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from compress import registry
from compress.recipe import extends, files, inputs, overrides as override_module, skeleton, types
from compress.recipe.files import File
from compress.recipe.types import Recipe
from compress.schema.strict import build
from compress.schema.yaml_tree import Value, error, join

GENERAL = ("data_seed", "seeds", "select_on", "holdout", "leave_out", "robustness", "streams")


def load(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe `configs/<name>.yaml`, or the file at a path (with a folder or an ending .yaml or
    .yml).

    Args:
        overrides: "key.path=value" each, applied in order; see `compress/recipe/overrides.py`.

    Raises:
        RecipeError: naming file and line, or the override, the place in the recipe, what is wrong
            and the fix.
    """
    file = files.read(str(name_or_path))
    below = extends.chain(file)
    for layer, root in extends.layers(below):
        # Each by itself, too: what is wrong in a part that the next one replaces would be covered
        if layer is not file:
            _check(layer, root)
    # Kept, to tell the keys that the files brought from those that were typed
    before = root
    for override in overrides:
        root = override_module.apply(root, override)
    typed = (root.mapping or {}).get(extends.KEY)
    if typed is not None:
        raise error(
            typed.place, extends.KEY, "stands in a file; name the recipe itself with --recipe"
        )
    root, notes = _drop_foreign_keys(before, override_module.with_step_mappings(root))
    notes += skeleton.alias_notes((root.mapping or {}).get("skeleton"))
    about = {
        "name": file.path.stem,
        "path": file.path,
        "text": file.text,
        "overrides": tuple(overrides),
        "notes": notes,
        "extends": tuple(each.shown for each in below[1:]),
    }
    return build(Recipe, inputs.fill(root), "", given=about, beside=(extends.KEY,))


def _check(file: File, tree: Value) -> None:
    """
    Raises:
        RecipeError: the file with all that it extends is no recipe.
    """
    about = {"name": "", "path": file.path, "text": "", "overrides": (), "notes": (), "extends": ()}
    whole = override_module.with_step_mappings(_with_root(tree))
    build(Recipe, inputs.fill(whole), "", given=about, beside=(extends.KEY,))


def _with_root(tree: Value) -> Value:
    """With some `data.root` where that is missing: it comes from the command line, and a recipe that
    others extend is whole without it."""
    data = _data_of(tree)
    name = data["name"].data if "name" in data else None
    if "root" in data or not isinstance(name, str) or not types.needs_root(name):
        return tree
    sections = tree.mapping or {}
    section = sections["data"]
    some = Value("FOLDER", section.place, "FOLDER")
    return replace(tree, data=sections | {"data": replace(section, data={**data, "root": some})})


def to_dict(recipe: Recipe, defaults: bool = True) -> dict[str, Any]:
    """Everything effective as plain JSON-able data in the shape of the YAML, plus `name`.

    Args:
        defaults: with the keys that are at their default.
    """

    def plain(value: object) -> Any:
        return _plain(value, defaults)

    steps = []
    for step in recipe.steps:
        # `enabled` is in no step's `Config` (see `types._step`), and so is added here.
        enabled = {"enabled": step.enabled} if defaults or not step.enabled else {}
        steps.append({step.kind: {**plain(step.config), **enabled}})
    # A list that says nothing would stand in every recipe.
    compare = {"compare": plain(recipe.compare)} if defaults or recipe.compare else {}
    return {
        "name": recipe.name,
        "seed": recipe.seed,
        **{key: plain(getattr(recipe, key)) for key in _general(recipe, defaults)},
        "data": plain(recipe.data),
        "input": plain(recipe.input),
        "skeleton": plain(recipe.skeleton),
        "teacher": _teacher(recipe.teacher, defaults),
        "student": plain(recipe.student),
        "steps": steps,
        "export": plain(recipe.export),
        **compare,
        "budget": plain(recipe.budget),
        **({"search": plain(recipe.search)} if defaults or recipe.search != types.Search() else {}),
    }


def _general(recipe: Recipe, defaults: bool) -> list[str]:
    """Keys of the recipe as a whole that came after the first release."""
    usual = {item.name: item.default for item in dataclasses.fields(Recipe)}
    return [key for key in GENERAL if defaults or getattr(recipe, key) != usual[key]]


def to_yaml(recipe: Recipe, defaults: bool = True) -> str:
    """Everything effective as a recipe's text, which `load` reads back to the same settings.

    Args:
        defaults: with the keys that are at their default.
    """
    settings = to_dict(recipe, defaults)
    # A recipe is named by its file.
    del settings["name"]
    # As recipes are written: in the order of the sections, short lists and mappings on a line.
    return yaml.safe_dump(
        settings, sort_keys=False, default_flow_style=None, allow_unicode=True, width=100
    )


def changed_since(recipe: Recipe, before: dict[str, Any]) -> list[tuple[str, object, object]]:
    """(path, then, now) of every setting that is not as it was when `before` was written, sorted.

    Args:
        before: what `to_dict` gave then, read back from JSON.
    Returns:
        no key that this release added and that is at its default: such a run may be resumed.
    """
    was = flatten(before)
    # Through JSON as `before` went, so that tuples are lists in both
    now = flatten(json.loads(json.dumps(to_dict(recipe))))
    set_by_hand = flatten(to_dict(recipe, defaults=False))
    changed = []
    for key in sorted(was.keys() | now.keys()):
        then = was.get(key)
        today = now.get(key)
        if then != today and (key in was or key in set_by_hand):
            changed.append((key, then, today))
    return changed


def flatten(tree: dict[str, Any]) -> dict[str, object]:
    """{"steps[1].train.lr": 0.01, ...}: one entry a setting, under the path that an override uses."""
    flat: dict[str, object] = {}

    def walk(value: object, path: str) -> None:
        if isinstance(value, dict) and value:
            for key, child in value.items():
                walk(child, join(path, key))
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            for index, child in enumerate(value):
                walk(child, join(path, index))
        else:
            # A list of plain values is one setting: `drop: [l9, l10]` is changed as a whole
            flat[path] = value

    walk(tree, "")
    return flat


def _teacher(teacher: types.Teacher, defaults: bool) -> dict[str, Any]:
    if len(teacher.members) == 1:
        # One network is no list, as in the YAML: its override is `teacher.train`, without an index.
        plain = dict(_plain(teacher.members[0], defaults))
    else:
        plain = {
            "ensemble": [_plain(member, defaults) for member in teacher.members],
            "find_weights": teacher.find_weights,
        }
    if defaults or teacher.runtime != "auto":
        plain["runtime"] = teacher.runtime
    return plain


def _plain(value: object, defaults: bool) -> Any:
    if isinstance(value, types.Choice):
        return {"name": value.name, **_plain(value.config, defaults)}
    if isinstance(value, tuple):
        return [_plain(item, defaults) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item, defaults) for key, item in value.items()}
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    plain: dict[str, Any] = {}
    for item in dataclasses.fields(value):
        content = getattr(value, item.name)
        # A network's own keys stand beside the others in the YAML, its name among them
        if item.name == "network":
            plain |= _plain(content, defaults) if content else {}
        elif defaults or content != _default(item):
            # `from_`: `from` is a word of Python's
            plain[item.name.rstrip("_")] = _plain(content, defaults)
    return plain


def _default(item: dataclasses.Field[Any]) -> object:
    # The `train` of `qat` has a factory; its `default` is MISSING, which equals nothing.
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return item.default


def _drop_foreign_keys(before: Value, root: Value) -> tuple[Value, tuple[str, ...]]:
    """After `-o data.name=...`: the tree without the recipe's `data` keys that the other data set
    lacks, and notes."""
    old = _data_of(before)
    new = _data_of(root)
    if "name" not in old or "name" not in new:
        return root, ()
    name = new["name"].data
    known = registry.DATA_SETS.names()
    if name == old["name"].data or not isinstance(name, str) or name not in known:
        return root, ()
    fields = {
        item.name.rstrip("_") for item in dataclasses.fields(registry.DATA_SETS.load(name).Config)
    }
    kept: dict[str, Value] = {}
    notes = []
    for key, value in new.items():
        # A key that was typed for the other data set and is wrong stays, to be refused
        if key == "name" or value.overridden or key in fields:
            kept[key] = value
        else:
            notes.append(f"data.{key} of the recipe does not apply to {name} and was left out")
    tree = root.mapping or {}
    return replace(root, data=tree | {"data": replace(tree["data"], data=kept)}), tuple(notes)


def _data_of(root: Value) -> dict[str, Value]:
    """The keys of `data:`, as far as there are any."""
    data = (root.mapping or {}).get("data")
    return (data.mapping or {}) if data is not None else {}
