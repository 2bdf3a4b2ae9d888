"""Mean and covariance of the channels, by Wasserstein's distance.

    loss = mean((m - n)**2) + trace(S + T - 2 (R S R)**(1/2)) / C

where m, S and n, T are mean and covariance of the image and of the painting, and R is the root of
T: how far the features would have to travel, if both were normally distributed.  Crowson's
style-transfer-pytorch means this distance, and divides both terms by C; what it computes in place
of the roots is in newton_schulz.py.
"""

from dataclasses import dataclass
from typing import ClassVar

from nst import kernels
from nst.kernels import Array
from nst.objective.recipe import Recipe
from nst.objective.relative import mean_square
from nst.objective.styles.sums import (
    TINY_AREA,
    StyleSums,
    SumStyle,
    d_moments,
    diagonal,
    measure_moments,
    spread_moments,
)

RIDGE = 1e-4  # Crowson's: added to both covariances' diagonals, so that they can be inverted


@dataclass(frozen=True)
class CovarianceStyle(SumStyle):
    """A painting's mean and covariance at one layer."""

    mean: Array  # (C,), float64
    root: Array  # (C, C), float64: R, so that T = R R

    knobs: ClassVar[tuple[str, ...]] = ()
    measure = staticmethod(measure_moments)
    spread = staticmethod(spread_moments)

    @classmethod
    def of(cls, sums: StyleSums, recipe: Recipe | None = None) -> "CovarianceStyle":
        """Return the style with these sums; no recipe has it otherwise."""
        mean, covariance = mean_and_covariance(sums)
        return cls(mean, kernels.of(mean).symmetric_power(covariance, 0.5))

    def compare(self, sums: StyleSums) -> tuple[Array, Array]:
        """Return ``(loss, d_sums)``: the distance from this style, 0-d, and its gradient."""
        k = kernels.of(self.root)
        channels, area = len(self.root), max(sums.area, TINY_AREA)
        mean, covariance = mean_and_covariance(sums)
        between = self.root @ covariance @ self.root
        inverse_root = k.symmetric_power(between, -0.5, RIDGE**2)
        travel = covariance.trace() + (self.root**2).sum() - 2 * (between * inverse_root).sum()
        loss = ((mean - self.mean) ** 2).mean() + travel / channels

        d_mean = 2 * (mean - self.mean) / channels  # and back
        d_covariance = -(self.root @ inverse_root @ self.root) / channels
        diagonal(d_covariance)[...] += 1 / channels
        return loss, d_moments(d_covariance, d_mean - 2 * d_covariance @ mean) / area

    def mean_square(self) -> float:
        """Return the mean square of the Gram matrix that mean and covariance make."""
        return mean_square(self.root @ self.root + self.mean[:, None] * self.mean)


def mean_and_covariance(sums: StyleSums) -> tuple[Array, Array]:
    """Return the means (C,) and the covariance (C, C), with Crowson's ridge on its diagonal."""
    moments = sums.sums / max(sums.area, TINY_AREA)
    mean = moments[:, -1]
    covariance = moments[:, :-1] - mean[:, None] * mean
    diagonal(covariance)[...] += RIDGE
    return mean, covariance
