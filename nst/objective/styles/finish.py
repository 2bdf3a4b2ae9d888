"""Which statistics there are, and the style that a painting has in the sense of a recipe."""

from nst.objective.recipe import Recipe
from nst.objective.style import Style
from nst.objective.styles.covariance import CovarianceStyle
from nst.objective.styles.gram import GramStyle
from nst.objective.styles.moments import MomentsStyle
from nst.objective.styles.newton_schulz import NewtonSchulzStyle
from nst.objective.styles.sums import StyleSums

STATISTICS: dict[str, type[Style]] = {  # by what a recipe calls it
    "gram": GramStyle,  # the Gram matrix: Gatys et al. (2015)
    "w2": CovarianceStyle,  # mean and covariance, by Wasserstein's distance
    "newton-schulz": NewtonSchulzStyle,  # the same by roots that have not converged: Crowson
    "moments": MomentsStyle,  # Gram matrix, means and deviations: Galerne et al. (2024)
}


def statistic(recipe: Recipe) -> type[Style]:
    """Return the statistic that the recipe compares."""
    if recipe.style_statistic not in STATISTICS:
        raise ValueError(
            f"kind of style is {recipe.style_statistic!r}; choose from {tuple(STATISTICS)}"
        )
    return STATISTICS[recipe.style_statistic]


def finish(sums: StyleSums, recipe: Recipe) -> Style:
    """Return the painting's style at one layer from its sums, to compare others with."""
    return statistic(recipe).of(sums, recipe)
