"""Published objectives as data: see nst/objective/recipes.py."""

from nst.objective.recipes import RECIPES

__all__ = ["RECIPES"]
