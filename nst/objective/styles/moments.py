"""A Gram matrix, and beside it means and standard deviations of the channels.

    loss = mse(gram) + weight * (mse(mean) + mse(deviation))

Means and deviations pin down the brightness and contrast that a Gram matrix can trade against
each other.  Galerne et al., "Scaling Painting Style Transfer" (2024).
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nst import kernels
from nst.kernels import Array
from nst.objective.recipe import Recipe
from nst.objective.relative import mean_square
from nst.objective.styles.gram import GramStyle
from nst.objective.styles.sums import (
    TINY_AREA,
    StyleSums,
    SumStyle,
    d_moments,
    diagonal,
    measure_moments,
    spread_moments,
)

FLAT = 1e-8  # added to a variance: the standard deviation of a flat channel has no slope


@dataclass(frozen=True)
class MomentsStyle(SumStyle):
    """A painting's Gram matrix, means and standard deviations at one layer."""

    gram: Array  # (C, C)
    mean: Array  # (C,)
    deviation: Array  # (C,)
    weight: float = 1.0  # of means and deviations
    normalization: str = "HW"  # of the Gram matrix

    knobs: ClassVar[tuple[str, ...]] = ("gram_normalization", "moment_weight")
    measure = staticmethod(measure_moments)
    spread = staticmethod(spread_moments)

    @classmethod
    def of(cls, sums: StyleSums, recipe: Recipe) -> "MomentsStyle":
        """Return the style with these sums; the recipe's weight is one in units of C**2."""
        gram = GramStyle.of(StyleSums(sums.sums[:, :-1], sums.area), recipe)
        mean, deviation = mean_and_deviation(sums)
        return cls(
            gram.gram,
            mean.astype(np.float32),
            deviation.astype(np.float32),
            recipe.moment_weight * len(sums.sums) ** 2,
            gram.normalization,
        )

    def compare(self, sums: StyleSums) -> tuple[Array, Array]:
        """Return ``(loss, d_sums)``: the distance from this style, 0-d, and its gradient."""
        k = kernels.of(self.gram)
        dtype, area = self.gram.dtype, max(sums.area, TINY_AREA)
        gram_style = GramStyle(self.gram, self.normalization)
        gram_loss, d_products = gram_style.compare(StyleSums(sums.sums[:, :-1], sums.area))
        mean, deviation = mean_and_deviation(sums)
        mean_loss = k.mse(mean.astype(dtype), self.mean)
        deviation_loss = k.mse(deviation.astype(dtype), self.deviation)
        loss = gram_loss + self.weight * (mean_loss + deviation_loss)

        d_mean = k.mse_backward(mean.astype(dtype), self.mean, self.weight)  # and back
        d_deviation = k.mse_backward(deviation.astype(dtype), self.deviation, self.weight)
        d_variance = d_deviation / (2 * deviation)
        diagonal(d_products)[...] += d_variance / area
        return loss, d_moments(d_products, (d_mean - 2 * d_variance * mean) / area)

    def mean_square(self) -> float:
        """Return the mean square of the Gram matrix."""
        return mean_square(self.gram)


def mean_and_deviation(sums: StyleSums) -> tuple[Array, Array]:
    """Return each channel's mean and standard deviation, (C,)."""
    moments = sums.sums / max(sums.area, TINY_AREA)
    mean = moments[:, -1]
    variance = moments.diagonal() - mean**2
    return mean, (variance.clip(0, None) + FLAT) ** 0.5
