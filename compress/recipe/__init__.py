"""Recipes: strict YAML and overrides to frozen dataclasses. Nothing here loads Paddle."""

from compress.recipe.files import CONFIGS
from compress.recipe.listing import by_data_set, list_recipes
from compress.recipe.loading import changed_since, flatten, load, to_dict, to_yaml

__all__ = [
    "CONFIGS",
    "by_data_set",
    "changed_since",
    "flatten",
    "list_recipes",
    "load",
    "to_dict",
    "to_yaml",
]
