"""The Gram matrix: which channels fire together, and how often (Gatys et al., 2015 and 2016).

    gram = F F' / (H W)            F the features, a row for each channel, a column for each pixel
    loss = mean((gram - target)**2)                        over its C * C entries

``style_loss(features, GramStyle(target))`` computes both, and the gradient; it is in
nst/objective/style.py.  kernels/DERIVATIONS.md derives the backward formulas.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nst import kernels
from nst.kernels import Array
from nst.objective.recipe import Recipe
from nst.objective.relative import mean_square
from nst.objective.styles.sums import TINY_AREA, Mask, StyleSums, SumStyle, area_of

GRAM_NORMALIZATIONS = ("HW", "CHW", "none")


@dataclass(frozen=True)
class GramStyle(SumStyle):
    """A painting's Gram matrix; the distance is the mean squared difference of the entries."""

    gram: Array  # (C, C)
    normalization: str = "HW"  # what the sum over pixels was divided by: see `gram_divisor`

    knobs: ClassVar[tuple[str, ...]] = ("gram_normalization",)

    @classmethod
    def of(cls, sums: StyleSums, recipe: Recipe) -> "GramStyle":
        """Return the style with these sums, divided as the recipe says."""
        divisor = gram_divisor(len(sums.sums), sums.area, recipe.gram_normalization)
        return cls((sums.sums / divisor).astype(np.float32), recipe.gram_normalization)

    @staticmethod
    def measure(features: Array, mask: Mask | None = None) -> StyleSums:
        """Return ``F F'``, undivided, so that tiles can be added up: (C, C), in float64."""
        k = kernels.of(features)
        pixels = None if mask is None else mask.pixels
        products = k.gram(features, 1, pixels)
        return StyleSums(products.astype(np.float64), area_of(features, mask))

    def compare(self, sums: StyleSums) -> tuple[Array, Array]:
        """Return ``(loss, d_sums)``: the distance from this style, 0-d, and its gradient."""
        k = kernels.of(self.gram)
        divisor = gram_divisor(len(self.gram), sums.area, self.normalization)
        gram = (sums.sums / divisor).astype(self.gram.dtype)
        loss = k.mse(gram, self.gram)
        d_gram = k.mse_backward(gram, self.gram)  # and back, in reverse order
        d_sums = d_gram / divisor
        return loss, d_sums

    @staticmethod
    def spread(
        d_sums: Array,
        features: Array,
        mask: Mask | None = None,
        out: Array | None = None,
        add: bool = False,
    ) -> Array:
        """Return ``d_features = (d_sums + d_sums') F``; into ``out``, or added to it."""
        k = kernels.of(features)
        pixels = None if mask is None else mask.pixels
        d_gram = d_sums.astype(features.dtype, copy=False)
        return k.gram_backward(d_gram, features, 1, pixels, out, add)

    def mean_square(self) -> float:
        """Return the mean square of the Gram matrix."""
        return mean_square(self.gram)


def gram_divisor(channels: int, area: float, normalization: str) -> float:
    """Return the number that a sum of products over ``area`` pixels is divided by.

    "HW": the area (Gatys' notebook), "CHW": channels * area (Johnson's neural-style), "none":
    nothing (Gatys et al. 2016, Hvass).
    """
    if normalization == "HW":
        return max(area, TINY_AREA)
    if normalization == "CHW":
        return max(channels * area, TINY_AREA)
    if normalization == "none":
        return 1.0
    raise ValueError(f"Gram normalization is {normalization!r}; choose {GRAM_NORMALIZATIONS}")
