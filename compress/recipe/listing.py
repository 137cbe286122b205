"""The recipes at hand, for `--list`. By text and tree alone: a recipe that does not load yet is
listed all the same."""

from __future__ import annotations

from compress.recipe import extends, files
from teachers.errors import RecipeError

BUILT_IN = "built-in clips"
OWN = "your own clips"
OTHERS = "others"
# How names begin -> the public data set. Of the recipe's `data.name` one could not tell: PYSKL's
# files are of any of them.
PUBLIC = {
    "ntu60_": "NTU RGB+D 60",
    "ntu120_": "NTU RGB+D 120",
    "babel": "BABEL",
    "kinetics_": "Kinetics-Skeleton",
    "nw_ucla_": "NW-UCLA",
}


def list_recipes() -> list[tuple[str, str]]:
    """(name, first comment line) of every recipe in configs/."""
    recipes: list[tuple[str, str]] = []
    for name in files.names():
        lines = (files.CONFIGS / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
        title = next((line.strip("# ") for line in lines if line.startswith("#")), "")
        recipes.append((name, title))
    return recipes


def by_data_set() -> dict[str, list[tuple[str, str]]]:
    """`list_recipes` under what their clips are, those that need no data first."""
    groups: dict[str, list[tuple[str, str]]] = {
        group: [] for group in (BUILT_IN, OWN, *PUBLIC.values(), OTHERS)
    }
    for name, title in list_recipes():
        groups[_group(name)].append((name, title))
    return {group: recipes for group, recipes in groups.items() if recipes}


def _group(name: str) -> str:
    for begin, group in PUBLIC.items():
        if name.startswith(begin):
            return group
    return {"synthetic": BUILT_IN, "own": OWN}.get(_data(name), OTHERS)


def _data(name: str) -> str:
    """The recipe's `data.name`, "" where it cannot be read."""
    try:
        # Of the merged tree: what a recipe extends may be what says it
        *_, (_, tree) = extends.layers(extends.chain(files.read(name)))
    except RecipeError:
        return ""
    data = (tree.mapping or {}).get("data")
    value = (data.mapping or {}).get("name") if data is not None else None
    return value.data if value is not None and isinstance(value.data, str) else ""
