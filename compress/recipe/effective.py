"""The effective recipe in a run's folder: what makes the folder a run, and what a resumed one is held
against."""

from __future__ import annotations

import json
from pathlib import Path

from compress.recipe.loading import changed_since, to_dict, to_yaml
from compress.recipe.types import Recipe
from teachers import storage
from teachers.errors import RecipeError

# A folder with it is a run.
NAME = "recipe.json"


def write(recipe: Recipe, folder: Path) -> None:
    """Make a folder a run's.

    Raises:
        StorageError: it cannot be written to.
    """
    # First of all files, or a run that dies at once could not be resumed.
    storage.write_text(folder / NAME, json.dumps(to_dict(recipe), indent=1))
    # The same for people: `--recipe` takes it, and needs no -o to do the same again.
    storage.write_text(folder / "recipe.yaml", to_yaml(recipe))


def name_in(folder: Path) -> str:
    """The name of the recipe that a folder is a run of; empty where its file cannot be read."""
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(content.get("name", "")) if isinstance(content, dict) else ""


def require_same(recipe: Recipe, folder: Path, option: str, otherwise: str) -> None:
    """
    Args:
        folder: a run's.
        option: what begins the message, "" for none.
        otherwise: what to do where another recipe is meant.
    Raises:
        RecipeError: it was run with other settings.
    """
    before = json.loads((folder / NAME).read_text(encoding="utf-8"))
    changed = changed_since(recipe, before)
    if changed:
        path, then, now = changed[0]
        raise RecipeError(
            f"{option}{folder} was run with {path} = {then!r}, now it is {now!r}; give the same"
            f" recipe and overrides, or {otherwise}"
        )
