"""What a style is: sums over the pixels of one layer's features, and how far two styles differ.

    measure    (features, weights) -> StyleSums       sums over pixels
    +          two StyleSums -> StyleSums             of two tiles, those of the whole picture
    compare    (StyleSums, style) -> (loss, d_sums)   finished: divided by the area
    spread     (d_sums, features) -> d_features       and back to every pixel

The weights (H, W) are a region's mask, 1 inside and 0 outside, with soft edges: the guided Gram
matrix of Gatys et al., "Controlling Perceptual Factors in Neural Style Transfer" (2017).  Divided
by the sum of the weights, the area, regions of different sizes compare.

Three ways to finish the sums, each with its distance:

    "gram"         the Gram matrix                                   Gatys et al. (2015)
    "covariance"   mean and covariance, by Wasserstein's distance    Crowson
    "moments"      Gram matrix, means and standard deviations        Galerne et al. (2024)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from nst import kernels
from nst.kernels import Array

STYLE_KINDS = ("gram", "covariance", "moments")
GRAM_NORMALIZATIONS = ("HW", "CHW", "none")
RIDGE = 1e-4  # Crowson's: added to both covariances' diagonals, so that they can be inverted
FLAT = 1e-8  # added to a variance: the standard deviation of a flat channel has no slope
NO_AREA = 1e-10  # instead of dividing by zero where a mask has nothing at a layer


@dataclass(frozen=True)
class StyleSums:
    """Sums over pixels p of one layer, with weights w_p: those of two tiles can be added."""

    sums: Array  # (C, C): sum w f f'; for means (C, C + 1), with sum w f as last column
    area: float  # sum w: H * W without weights

    def __add__(self, other: "StyleSums") -> "StyleSums":
        return StyleSums(self.sums + other.sums, self.area + other.area)


def measure(
    features: Array, weights: Array | None = None, area: float | None = None, means: bool = False
) -> StyleSums:
    """Return the sums of a layer's ``features`` (C, H, W), in float64.

    ``area`` is the sum of the ``weights`` (H, W), if it is known already; ``means`` asks for the
    sums of each channel too, which the kinds "covariance" and "moments" need.
    """
    k = kernels.of(features)
    if area is None:
        area = features[0].size if weights is None else float(weights.sum(dtype=np.float64))
    if means:
        return StyleSums(k.moments(features, weights), area)
    products = k.gram(features, 1, weights)
    return StyleSums(products.astype(np.float64), area)


def spread(
    d_sums: Array,
    features: Array,
    weights: Array | None = None,
    out: Array | None = None,
    add: bool = False,
) -> Array:
    """Return dL/dfeatures (C, H, W), given dL/dsums as `compare` returns it.

    With ``out`` it is written there, or with ``add`` added to what is there.
    """
    k = kernels.of(features)
    d_sums = d_sums.astype(features.dtype, copy=False)
    if d_sums.shape[1] > d_sums.shape[0]:
        return k.moments_backward(d_sums, features, weights, out, add)
    return k.gram_backward(d_sums, features, 1, weights, out, add)


def blend(styles: Sequence[StyleSums], shares: Sequence[float]) -> StyleSums:
    """Return the sums of a picture whose pixels come from each of the ``styles`` by its share.

    Crowson and Johnson blend Gram matrices in this way.  Shares are relative to their sum.
    """
    whole = sum(shares)
    shares = [share / whole for share in shares]
    area = sum(share * style.area for share, style in zip(shares, styles, strict=True))
    means = [area * s.sums / max(s.area, NO_AREA) for s in styles]
    return StyleSums(sum(share * mean for share, mean in zip(shares, means, strict=True)), area)


class Style(Protocol):
    """A finished style: what the sums of the painted image are compared with."""

    means: bool  # whether it needs the sums of each channel; see `measure`

    def compare(self, sums: StyleSums) -> tuple[Array, Array]:
        """Return ``(loss, d_sums)``: the distance of ``sums`` from this style, a 0-d array, and
        its gradient, in the shape of ``sums.sums``."""


def finish(
    sums: StyleSums, kind: str = "gram", normalization: str = "HW", weight: float = 1.0
) -> Style:
    """Return the painting's style from its sums, to compare others with.

    ``normalization`` is that of the Gram matrix: "HW", "CHW" or "none"; see `gram_divisor`.
    ``weight`` is that of means and deviations beside it, in the kind "moments".
    """
    if kind == "gram":
        return GramStyle.of(sums, normalization)
    if kind == "covariance":
        return CovarianceStyle.of(sums)
    if kind == "moments":
        return MomentsStyle.of(sums, weight, normalization)
    raise ValueError(f"kind of style is {kind!r}; choose from {STYLE_KINDS}")


@dataclass(frozen=True)
class GramStyle:
    """A Gram matrix; the distance is the mean squared difference of the entries."""

    gram: Array  # (C, C)
    normalization: str = "HW"
    means = False

    @classmethod
    def of(cls, sums: StyleSums, normalization: str = "HW") -> "GramStyle":
        divisor = gram_divisor(len(sums.sums), sums.area, normalization)
        return cls((sums.sums / divisor).astype(np.float32), normalization)

    def compare(self, sums: StyleSums) -> tuple[Array, Array]:
        k = kernels.of(self.gram)
        divisor = gram_divisor(len(self.gram), sums.area, self.normalization)
        gram = (sums.sums / divisor).astype(self.gram.dtype)
        loss = k.mse(gram, self.gram)
        d_gram = k.mse_backward(gram, self.gram)  # and back, in reverse order
        d_sums = d_gram / divisor
        return loss, d_sums


@dataclass(frozen=True)
class CovarianceStyle:
    """Mean and covariance; the distance is Wasserstein's, of two normal distributions.

    ``loss = mean((m - n)**2) + trace(S + T - 2 (R S R)**(1/2)) / C``  where m, S and n, T are mean
    and covariance of the image and of the painting, and R is the root of T: how far the features
    would have to travel, if both were normally distributed.  The style loss of Crowson's
    style-transfer-pytorch, which divides both terms by C.
    """

    mean: Array  # (C,), float64
    root: Array  # (C, C), float64: R, so that T = R R
    means = True

    @classmethod
    def of(cls, sums: StyleSums) -> "CovarianceStyle":
        mean, covariance = _mean_and_covariance(sums)
        return cls(mean, kernels.of(mean).symmetric_power(covariance, 0.5))

    def compare(self, sums: StyleSums) -> tuple[Array, Array]:
        k = kernels.of(self.root)
        channels, area = len(self.root), max(sums.area, NO_AREA)
        mean, covariance = _mean_and_covariance(sums)
        between = self.root @ covariance @ self.root
        inverse_root = k.symmetric_power(between, -0.5, RIDGE**2)
        travel = covariance.trace() + (self.root**2).sum() - 2 * (between * inverse_root).sum()
        loss = ((mean - self.mean) ** 2).mean() + travel / channels

        d_mean = 2 * (mean - self.mean) / channels  # and back
        d_covariance = -(self.root @ inverse_root @ self.root) / channels
        _diagonal(d_covariance)[...] += 1 / channels
        return loss, _d_moments(d_covariance, d_mean - 2 * d_covariance @ mean) / area


@dataclass(frozen=True)
class MomentsStyle:
    """A Gram matrix, means and standard deviations of the channels.

    ``loss = mse(gram) + weight * (mse(mean) + mse(deviation))``: means and deviations pin down the
    brightness and contrast that a Gram matrix can trade against each other.  Galerne et al.,
    "Scaling Painting Style Transfer" (2024).
    """

    gram: Array  # (C, C)
    mean: Array  # (C,)
    deviation: Array  # (C,)
    weight: float = 1.0
    normalization: str = "HW"
    means = True

    @classmethod
    def of(cls, sums: StyleSums, weight: float = 1.0, normalization: str = "HW") -> "MomentsStyle":
        products = StyleSums(sums.sums[:, :-1], sums.area)
        gram = GramStyle.of(products, normalization).gram
        mean, deviation = _mean_and_deviation(sums)
        return cls(
            gram, mean.astype(np.float32), deviation.astype(np.float32), weight, normalization
        )

    def compare(self, sums: StyleSums) -> tuple[Array, Array]:
        k = kernels.of(self.gram)
        dtype, area = self.gram.dtype, max(sums.area, NO_AREA)
        gram_style = GramStyle(self.gram, self.normalization)
        gram_loss, d_products = gram_style.compare(StyleSums(sums.sums[:, :-1], sums.area))
        mean, deviation = _mean_and_deviation(sums)
        mean_loss = k.mse(mean.astype(dtype), self.mean)
        deviation_loss = k.mse(deviation.astype(dtype), self.deviation)
        loss = gram_loss + self.weight * (mean_loss + deviation_loss)

        d_mean = k.mse_backward(mean.astype(dtype), self.mean, self.weight)  # and back
        d_deviation = k.mse_backward(deviation.astype(dtype), self.deviation, self.weight)
        d_variance = d_deviation / (2 * deviation)
        _diagonal(d_products)[...] += d_variance / area
        return loss, _d_moments(d_products, (d_mean - 2 * d_variance * mean) / area)


def gram_divisor(channels: int, area: float, normalization: str) -> float:
    """Return the number that a sum of products over ``area`` pixels is divided by.

    "HW": the area (Gatys' notebook), "CHW": channels * area (Johnson's neural-style), "none":
    nothing (Gatys et al. 2016, Hvass).
    """
    if normalization == "HW":
        return max(area, NO_AREA)
    if normalization == "CHW":
        return max(channels * area, NO_AREA)
    if normalization == "none":
        return 1.0
    raise ValueError(f"Gram normalization is {normalization!r}; choose {GRAM_NORMALIZATIONS}")


def mask_at(mask: Array, height: int, width: int) -> Array:
    """Return a region's mask (H, W) as a layer of ``height`` x ``width`` sees it: averaged.

    Each pooling halves both sides and leaves out a last odd row or column, and so does this.
    """
    side = 1
    while 2 * side * height <= mask.shape[0] and 2 * side * width <= mask.shape[1]:
        side *= 2
    if mask.shape[0] // side != height or mask.shape[1] // side != width:
        raise ValueError(
            f"a mask of {mask.shape} does not belong to a layer of {(height, width)}; "
            "resize it to the image that the layer is of"
        )
    squares = mask[: side * height, : side * width].reshape(height, side, width, side)
    return squares.mean(axis=(1, 3))


def _mean_and_covariance(sums: StyleSums) -> tuple[Array, Array]:
    """Return the means (C,) and the covariance (C, C), with Crowson's ridge on its diagonal."""
    moments = sums.sums / max(sums.area, NO_AREA)
    mean = moments[:, -1]
    covariance = moments[:, :-1] - mean[:, None] * mean
    _diagonal(covariance)[...] += RIDGE
    return mean, covariance


def _mean_and_deviation(sums: StyleSums) -> tuple[Array, Array]:
    """Return each channel's mean and standard deviation, (C,)."""
    moments = sums.sums / max(sums.area, NO_AREA)
    mean = moments[:, -1]
    variance = moments.diagonal() - mean**2
    return mean, (variance.clip(0, None) + FLAT) ** 0.5


def _diagonal(matrix: Array) -> Array:
    """Return the diagonal of a C-contiguous square matrix, to write to."""
    return matrix.reshape(-1)[:: len(matrix) + 1]


def _d_moments(d_products: Array, d_totals: Array) -> Array:
    """Return dL/dsums (C, C + 1) from its columns."""
    channels = len(d_products)
    d_sums = d_totals[:, None].repeat(channels + 1, axis=1)
    d_sums[:, :channels] = d_products
    return d_sums
