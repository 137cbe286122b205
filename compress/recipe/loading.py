"""Reads a recipe: strict YAML and overrides -> a frozen `Recipe`. Whatever is wrong is said before
work starts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from compress import registry
from compress.recipe import inputs, overrides as override_module, types
from compress.recipe.types import ROOT, Recipe
from compress.schema.strict import build, did_you_mean, entries_of
from compress.schema.yaml_tree import Value, join, parse
from teachers.errors import RecipeError

CONFIGS = ROOT / "configs"
MAX_BYTES = 64 * 1024


def load(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """The recipe `configs/<name>.yaml`, or the file at a path (with a folder or an ending .yaml or
    .yml).

    Args:
        overrides: "key.path=value" each, applied in order; see `compress/recipe/overrides.py`.

    Raises:
        RecipeError: naming file and line, or the override, the place in the recipe, what is wrong
            and the fix.
    """
    path, shown = _find(str(name_or_path))
    text = _read(path, shown)
    root = parse(text, lambda line: f"{shown}:{line}")
    if root is None:
        raise RecipeError(f"{shown}: is empty (start from a recipe in configs/)")
    entries_of(root, "")
    before = root
    for override in overrides:
        root = override_module.apply(root, override)
    root, notes = _drop_foreign_keys(before, override_module.with_step_mappings(root))
    root = inputs.fill(root)
    return build(
        Recipe,
        root,
        "",
        given={
            "name": path.stem,
            "path": path,
            "text": text,
            "overrides": tuple(overrides),
            "notes": notes,
        },
    )


def list_recipes() -> list[tuple[str, str]]:
    """(name, first comment line) of every recipe in configs/."""
    recipes = []
    for file in sorted(CONFIGS.glob("*.yaml")):
        lines = file.read_text(encoding="utf-8").splitlines()
        recipes.append(
            (file.stem, next((line.strip("# ") for line in lines if line.startswith("#")), ""))
        )
    return recipes


def to_dict(recipe: Recipe) -> dict:
    """Everything effective, defaults included, as plain JSON-able data in the shape of the YAML,
    plus `name`."""
    return {
        "name": recipe.name,
        "seed": recipe.seed,
        "data": _plain(recipe.data),
        "input": _plain(recipe.input),
        "skeleton": _plain(recipe.skeleton),
        "teacher": _teacher(recipe.teacher),
        "student": _plain(recipe.student),
        "steps": [
            {step.kind: {**_plain(step.config), "enabled": step.enabled}} for step in recipe.steps
        ],
        "export": _plain(recipe.export),
        "budget": _plain(recipe.budget),
    }


def flatten(tree: dict) -> dict[str, object]:
    """{"steps[1].train.lr": 0.01, ...}: one entry a setting, under the path that an override uses."""
    flat: dict[str, object] = {}

    def walk(value, path: str):
        if isinstance(value, dict) and value:
            children = value.items()
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            children = enumerate(value)
        else:
            flat[path] = value
            return
        for key, child in children:
            walk(child, join(path, key))

    walk(tree, "")
    return flat


def _teacher(teacher: types.Teacher) -> dict:
    if len(teacher.members) == 1:
        return _plain(teacher.members[0])
    return {
        "ensemble": [_plain(one) for one in teacher.members],
        "find_weights": teacher.find_weights,
    }


def _plain(value):
    if isinstance(value, types.Choice):
        return {"name": value.name, **_plain(value.config)}
    if dataclasses.is_dataclass(value) and hasattr(
        value, "network"
    ):  # the network's keys stand beside the others
        rest = {
            item.name.rstrip("_"): _plain(getattr(value, item.name))
            for item in dataclasses.fields(value)
            if item.name != "network"
        }
        return (_plain(value.network) if value.network else {}) | rest
    if dataclasses.is_dataclass(value):
        return {
            item.name.rstrip("_"): _plain(getattr(value, item.name))
            for item in dataclasses.fields(value)
        }
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _find(name_or_path: str) -> tuple[Path, str]:
    """(file, how errors call it)."""
    known = sorted(file.stem for file in CONFIGS.glob("*.yaml"))
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1:
        if not path.is_file():
            fix = f"; the recipe {path.stem!r} is chosen by its name, without folder and ending" * (
                path.stem in known
            )
            raise RecipeError(f"{name_or_path}: no such file{fix}")
        return path.resolve(), name_or_path
    if name_or_path not in known:
        raise RecipeError(
            f"unknown recipe {name_or_path!r}{did_you_mean(name_or_path, known, always_list=True)}"
        )
    return CONFIGS / f"{name_or_path}.yaml", f"{name_or_path}.yaml"


def _read(path: Path, shown: str) -> str:
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise RecipeError(f"{shown}: cannot be read: {problem.strerror}") from None
    if len(content) > MAX_BYTES:
        raise RecipeError(f"{shown}: is {len(content)} bytes, a recipe has at most {MAX_BYTES}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise RecipeError(f"{shown}:{line}: is not UTF-8 text (save the file as UTF-8)") from None


def _drop_foreign_keys(before: Value, root: Value) -> tuple[Value, tuple[str, ...]]:
    """After `-o data.name=...`: the tree without the recipe's `data` keys that the other data set
    lacks, and notes."""
    old, new = (tree.data.get("data", Value(None, "")).data for tree in (before, root))
    if (
        not isinstance(old, dict)
        or not isinstance(new, dict)
        or "name" not in old
        or "name" not in new
    ):
        return root, ()
    name = new["name"].data
    if name == old["name"].data or name not in registry.DATA_SETS.names():
        return root, ()
    fields = {
        item.name.rstrip("_") for item in dataclasses.fields(registry.DATA_SETS.load(name).Config)
    }
    dropped = [
        key
        for key, value in new.items()
        if key != "name" and not value.overridden and key not in fields
    ]
    data = replace(
        root.data["data"], data={key: value for key, value in new.items() if key not in dropped}
    )
    notes = tuple(
        f"data.{key} of the recipe does not apply to {name} and was left out" for key in dropped
    )
    return replace(root, data=root.data | {"data": data}), notes
