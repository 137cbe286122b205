"""Recipes: strict YAML and overrides to frozen dataclasses. Nothing here loads Paddle."""

from compress.recipe.loading import CONFIGS, flatten, list_recipes, load, to_dict

__all__ = ["CONFIGS", "flatten", "list_recipes", "load", "to_dict"]
