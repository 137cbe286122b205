"""Recipes: strict YAML and overrides to frozen dataclasses. Nothing here loads Paddle."""

from compress.recipe.loading import (
    CONFIGS,
    changed_since,
    flatten,
    list_recipes,
    load,
    to_dict,
    to_yaml,
)

__all__ = ["CONFIGS", "changed_since", "flatten", "list_recipes", "load", "to_dict", "to_yaml"]
