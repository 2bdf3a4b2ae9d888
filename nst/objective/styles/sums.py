"""Sums over the pixels of one layer: what statistics are made of, and what tiles add up to.

The mask (H, W) of a region is 1 inside and 0 outside, with soft edges: the guided Gram matrix of
Gatys et al., "Controlling Perceptual Factors in Neural Style Transfer" (2017).  Divided by the
sum of the mask, the area, regions of different sizes compare.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np

from nst import kernels
from nst.devices import Device
from nst.kernels import Array

TINY_AREA = 1e-10  # instead of dividing by zero where a mask has nothing at a layer

STRENGTH_POWER = 2  # of the strength: see `painted_share`

Place = tuple[slice, slice, slice]  # channels, rows and columns of a layer that a tile owns


@dataclass(frozen=True)
class Mask:
    """How much each pixel of a layer belongs to a region, 0 to 1."""

    pixels: Array  # (H, W), on the device of the features
    host: np.ndarray  # the same in main memory, where asking for a sum waits for nobody

    @classmethod
    def placed(cls, host: np.ndarray, device: Device) -> "Mask":
        """Return the mask with these pixels (H, W), on ``device``."""
        return cls(device.asarray(host), host)

    @cached_property
    def area(self) -> float:
        """The sum of the mask."""
        return float(self.host.sum(dtype=np.float64))

    def within(self, place: Place) -> "Mask":
        """Return the part of it that is on a tile's own features."""
        _, rows, columns = place
        pixels = self.pixels[rows, columns].copy()
        if self.host is self.pixels:
            return Mask(pixels, pixels)
        return Mask(pixels, self.host[rows, columns].copy())


@dataclass(frozen=True)
class Effort:
    """What it takes to make a target for one scale."""

    values: float  # that are in memory meanwhile, beside the target
    products: float  # multiplications
    kept: float = 0.0  # values of the painting that stay, in files where it is seen in tiles
    seen: float = 0.0  # values of the image that an evaluation in tiles puts together


@dataclass(frozen=True)
class StyleSums:
    """Sums over pixels p of one layer, with weights w_p: those of two tiles can be added."""

    sums: Array  # float64; (C, C): sum w f f'; or what else a statistic adds up
    area: float  # sum w: H * W without a mask

    def __add__(self, other: "StyleSums") -> "StyleSums":
        return StyleSums(self.sums + other.sums, self.area + other.area)


def area_of(features: Array, mask: Mask | None) -> float:
    """Return the sum of the mask, or the number of pixels of ``features`` (C, H, W)."""
    return features[0].size if mask is None else mask.area


def painted_share(strength: float) -> float:
    """Return the paintings' share of sums, and of smoothness, for a ``strength`` of 0 to 1.

    Less than the strength: the photograph's colours are already on their way to the painting's.
    So half the strength paints about half of the difference from the photograph.
    """
    return strength**STRENGTH_POWER


class SumStyle:
    """What a statistic has from its sums being sums: it blends, and looks alike in every tile."""

    measure: Callable[..., StyleSums]  # of the statistic
    per_scale: ClassVar[bool] = False  # what it compares with is the painting's alone
    keeps_maps: ClassVar[bool] = False

    @classmethod
    def collect(cls, features: Array, mask: Mask | None = None) -> StyleSums:
        """Return what of a painting is to be had again: the same sums as of the image."""
        return cls.measure(features, mask)

    @staticmethod
    def blend(styles: Sequence[StyleSums], shares: Sequence[float]) -> StyleSums:
        """Return the sums of a picture whose pixels come from each of the ``styles`` by its share.

        Crowson and Johnson blend Gram matrices in this way.  Shares are relative to their sum.
        """
        whole = sum(shares)
        shares = [share / whole for share in shares]
        area = sum(share * style.area for share, style in zip(shares, styles, strict=True))
        means = [area * style.sums / max(style.area, TINY_AREA) for style in styles]
        sums = sum(share * mean for share, mean in zip(shares, means, strict=True))
        return StyleSums(sums, area)

    @staticmethod
    def painted_share(strength: float) -> float:
        """Return the paintings' share of sums: see `painted_share`."""
        return painted_share(strength)

    @staticmethod
    def effort(
        channels: int, asking: tuple[int, int], painting: int, looked_at: int | None
    ) -> Effort:
        """Return nothing: what it compares with is had from the sums."""
        return Effort(0, 0)

    def drawn(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Self:
        """Return the same: every pixel is looked at."""
        return self

    def within(self, place: Place) -> Self:
        """Return what a tile's features are compared with: the same, for all tiles are added."""
        return self


def mask_at(mask: np.ndarray, height: int, width: int, rounding: str = "floor") -> np.ndarray:
    """Return a region's mask (H, W) as a layer of ``height`` x ``width`` sees it: averaged.

    Each pooling halves both sides, and leaves out or keeps a last odd row or column by its
    ``rounding``, and so does this.
    """
    size, side = mask.shape, 1
    while rounding == "ceil" and (mask.shape[0] > height or mask.shape[1] > width):
        mask = _halved(mask)
    while 2 * side * height <= mask.shape[0] and 2 * side * width <= mask.shape[1]:
        side *= 2
    if mask.shape[0] // side != height or mask.shape[1] // side != width:
        raise ValueError(
            f"a mask of {size} does not belong to a layer of {(height, width)}; "
            "resize it to the image that the layer is of"
        )
    squares = mask[: side * height, : side * width].reshape(height, side, width, side)
    averaged: np.ndarray = squares.mean(axis=(1, 3))
    return averaged


def _halved(mask: np.ndarray) -> np.ndarray:
    """Return the mean of each 2x2 square, of as many pixels as there are of it."""
    rows, columns = mask.shape
    even = np.pad(mask, ((0, rows % 2), (0, columns % 2)), "edge")  # twice what has no other
    halved: np.ndarray = even.reshape(-(-rows // 2), 2, -(-columns // 2), 2).mean(axis=(1, 3))
    return halved


# ---- Sums of products and of channels, which covariance and moments are made of --------


def measure_moments(features: Array, mask: Mask | None = None) -> StyleSums:
    """Return ``sum w f f'`` and, as a last column, ``sum w f``: (C, C + 1), in float64."""
    k = kernels.of(features)
    pixels = None if mask is None else mask.pixels
    moments = k.moments(features, pixels)
    return StyleSums(moments, area_of(features, mask))


def spread_moments(
    d_sums: Array,
    features: Array,
    mask: Mask | None = None,
    out: Array | None = None,
    add: bool = False,
) -> Array:
    """Return dL/dfeatures (C, H, W), given dL/d(what `measure_moments` returns)."""
    k = kernels.of(features)
    pixels = None if mask is None else mask.pixels
    d_moments = d_sums.astype(features.dtype, copy=False)
    return k.moments_backward(d_moments, features, pixels, out, add)


def d_moments(d_products: Array, d_totals: Array) -> Array:
    """Return dL/dsums (C, C + 1) from its columns: of products (C, C), of channels (C,)."""
    channels = len(d_products)
    d_sums = d_totals[:, None].repeat(channels + 1, axis=1)
    d_sums[:, :channels] = d_products
    return d_sums


def diagonal(matrix: Array) -> Array:
    """Return the diagonal of a C-contiguous square matrix, to write to."""
    return matrix.reshape(-1)[:: len(matrix) + 1]
