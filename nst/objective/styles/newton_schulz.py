"""Mean and covariance of the channels, by the distance that Crowson's program takes.

    loss = mean((m - n)**2) + trace(S + T - 2 root(R S R)) / C

as in covariance.py, with R the root of T; but each root is what twelve steps of Newton and Schulz
make of it, and the gradient what twelve more make of that.  Small eigenvalues are not reached.
"""

from dataclasses import dataclass
from typing import ClassVar

from nst import kernels
from nst.kernels import Array
from nst.objective.recipe import Recipe
from nst.objective.relative import mean_square
from nst.objective.styles.covariance import mean_and_covariance
from nst.objective.styles.sums import (
    TINY_AREA,
    StyleSums,
    SumStyle,
    d_moments,
    diagonal,
    measure_moments,
    spread_moments,
)

STEPS = 12  # Crowson's


@dataclass(frozen=True)
class NewtonSchulzStyle(SumStyle):
    """A painting's mean and covariance at one layer, and the root that is taken of it."""

    mean: Array  # (C,), float64
    covariance: Array  # (C, C), float64: T
    root: Array  # (C, C), float64: R

    knobs: ClassVar[tuple[str, ...]] = ()
    measure = staticmethod(measure_moments)
    spread = staticmethod(spread_moments)

    @classmethod
    def of(cls, sums: StyleSums, recipe: Recipe | None = None) -> "NewtonSchulzStyle":
        """Return the style with these sums; no recipe has it otherwise."""
        mean, covariance = mean_and_covariance(sums)
        root, _ = kernels.of(mean).newton_schulz(covariance, STEPS)
        return cls(mean, covariance, root)

    def compare(self, sums: StyleSums) -> tuple[Array, Array]:
        """Return ``(loss, d_sums)``: the distance from this style, 0-d, and its gradient."""
        k = kernels.of(self.root)
        channels, area = len(self.root), max(sums.area, TINY_AREA)
        mean, covariance = mean_and_covariance(sums)
        root, d_between = k.newton_schulz(self.root @ covariance @ self.root, STEPS)
        travel = (self.covariance + covariance - 2 * root).trace()
        loss = ((mean - self.mean) ** 2).mean() + travel / channels

        d_mean = 2 * (mean - self.mean) / channels  # and back
        d_covariance = -2 * (self.root @ d_between @ self.root) / channels
        diagonal(d_covariance)[...] += 1 / channels
        return loss, d_moments(d_covariance, d_mean - 2 * d_covariance @ mean) / area

    def mean_square(self) -> float:
        """Return the mean square of the Gram matrix that mean and covariance make."""
        return mean_square(self.covariance + self.mean[:, None] * self.mean)
