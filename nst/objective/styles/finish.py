"""Which statistics there are, and the style that a painting has in the sense of a recipe."""

from typing import Any

from nst.objective.recipe import Recipe
from nst.objective.style import Style
from nst.objective.styles.covariance import CovarianceStyle
from nst.objective.styles.gram import GramStyle
from nst.objective.styles.moments import MomentsStyle
from nst.objective.styles.neighbours import NeighboursStyle
from nst.objective.styles.newton_schulz import NewtonSchulzStyle
from nst.objective.styles.query import Query
from nst.objective.styles.split import SplitStyle
from nst.vgg.architecture import HYPERCOLUMN_POINTS

STATISTICS: dict[str, type[Style]] = {  # by what a recipe calls it
    "gram": GramStyle,  # the Gram matrix: Gatys et al. (2015)
    "w2": CovarianceStyle,  # mean and covariance, by Wasserstein's distance
    "newton-schulz": NewtonSchulzStyle,  # the same by roots that have not converged: Crowson
    "moments": MomentsStyle,  # Gram matrix, means and deviations: Galerne et al. (2024)
    "neighbours": NeighboursStyle,  # of each position the nearest features: Kolkin et al. (2022)
    "split": SplitStyle,  # the same at every evaluation anew, layer by layer
}


def statistic(recipe: Recipe, tap: str) -> type[Style]:
    """Return the statistic that the recipe compares at ``tap``."""
    name = recipe.statistics.get(tap, recipe.style_statistic)
    if name not in STATISTICS:
        raise ValueError(f"kind of style is {name!r}; choose from {tuple(STATISTICS)}")
    return STATISTICS[name]


def statistics(recipe: Recipe) -> list[type[Style]]:
    """Return the statistics that the recipe compares at any tap."""
    return list(dict.fromkeys(statistic(recipe, tap) for tap in recipe.style))


def asks(recipe: Recipe) -> bool:
    """Return whether a target of the recipe is made anew for each scale, by what is painted."""
    return any(kind.per_scale for kind in statistics(recipe))


def fits_tiles(recipe: Recipe) -> bool:
    """Return whether what the recipe compares can be had of a picture tile by tile."""
    return HYPERCOLUMN_POINTS not in recipe.taps


def finish(sums: Any, recipe: Recipe, tap: str, query: Query | None = None) -> Style:
    """Return the paintings' style at ``tap`` from what was collected, to compare images with."""
    kind: Any = statistic(recipe, tap)
    found: Style = kind.of(sums, recipe) if query is None else kind.of(sums, recipe, query)
    return found
