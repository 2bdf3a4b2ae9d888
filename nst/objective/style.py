"""The style loss: the statistics of the painting are to be those of the image.

Which statistic that is, the target knows: the Gram matrix in styles/gram.py is the first to read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from nst.kernels import Array
from nst.objective.styles.sums import Effort, Mask, Place


def style_loss(
    features: Array,
    target: "Style | Region",
    d_loss: float | Array = 1.0,
    out: Array | None = None,
    add: bool = False,
    sums: Any = None,
) -> tuple[Array, Array]:
    """Return ``(loss, d_features)`` for taking the painting's style.

    With a `GramStyle`: ``loss = mean((gram(features) - target.gram)**2)`` over the C * C entries,
    Gatys et al. (2015, eqs. 3 and 4) with the factors of Gatys' own notebook.

    Parameters
    ----------
    features : (C, H, W) float array
        Activations of one layer, of the painted image.
    target : Style or Region
        What the painting's activations have at the same layer; the painting may have any size.
    d_loss : float or 0-d array
        How much the total grows with this loss: its weight.
    out, add
        Takes ``d_features``, and may be ``features``; with ``add`` it is added to what is there.
    sums : optional
        What ``target.measure(features)`` returns, where that was asked before.

    Returns
    -------
    loss : 0-d float array
    d_features : (C, H, W) float array
        Its gradient, times ``d_loss``.
    """
    sums = target.measure(features) if sums is None else sums
    loss, d_sums = target.compare(sums)
    d_features = target.spread(d_loss * d_sums, features, out=out, add=add)  # and back
    return loss, d_features


class Style(Protocol):
    """What a painting has at one layer, by any statistic: see styles/__init__.py."""

    knobs: ClassVar[tuple[str, ...]]  # the recipe's fields that it makes use of
    per_scale: ClassVar[bool]  # its target is made for each scale, by what is painted so far
    keeps_maps: ClassVar[bool]  # what it collects is a painting's whole map, which may be large

    # of(sums, recipe) is a class method that returns the style of paintings that have this, in the
    # sense of the recipe; of(sums, recipe, query) where it is made per scale: see query.py.

    @classmethod
    def collect(cls, features: Array, mask: Mask | None = None) -> Any:
        """Return what a painting's ``features`` (C, H, W) have; that of tiles adds up by +.

        Where it keeps maps they are never of a tile: those of a painting in tiles are put together
        in a `FileArray`.
        """

    @staticmethod
    def blend(styles: Sequence[Any], shares: Sequence[float]) -> Any:
        """Return what several paintings have together, each with its share."""

    @staticmethod
    def painted_share(strength: float) -> float:
        """Return the paintings' share of what is compared, for a ``strength`` of 0 to 1.

        The rest is the photograph's own.  Half the strength is to paint about half of the
        difference from the photograph.
        """

    def measure(self, features: Array, mask: Mask | None = None) -> Any:
        """Return sums over the pixels of the image's ``features``; those of tiles add up by +."""

    def compare(self, sums: Any) -> tuple[Array, Array]:
        """Return ``(loss, d_sums)`` of an image with these sums: a 0-d array, and its gradient."""

    def spread(
        self,
        d_sums: Array,
        features: Array,
        mask: Mask | None = None,
        out: Array | None = None,
        add: bool = False,
    ) -> Array:
        """Return dL/dfeatures (C, H, W), given dL/dsums: in ``out``, or added to it."""

    def mean_square(self) -> float:
        """Return the size of the target, by which a relative loss is divided."""

    @staticmethod
    def effort(
        channels: int, asking: tuple[int, int], painting: int, looked_at: int | None
    ) -> Effort:
        """Return what a target takes, for an image's layer of so many rows and columns.

        And for so many positions of all paintings, of which so many are ``looked_at``.
        """

    def drawn(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Self:
        """Return the style for one evaluation, where chance has a part in what is looked at.

        ``shape`` is the (C, H, W) of the whole image's layer.
        """

    def within(self, place: Place) -> Self:
        """Return what a tile's own features are compared with."""


@dataclass(frozen=True)
class Region:
    """A part of the image, as one layer sees it, and the style that it takes."""

    style: Style
    mask: Mask | None = None  # None: everywhere
    weight: float = 1.0

    def measure(self, features: Array) -> Any:
        """Return the sums over the region's pixels."""
        return self.style.measure(features, self.mask)

    def compare(self, sums: Any) -> tuple[Array, Array]:
        """Return ``(loss, d_sums)``, each times the region's weight."""
        loss, d_sums = self.style.compare(sums)
        return self.weight * loss, self.weight * d_sums

    def spread(
        self, d_sums: Array, features: Array, out: Array | None = None, add: bool = False
    ) -> Array:
        """Return dL/dfeatures (C, H, W), which is 0 outside of the region."""
        return self.style.spread(d_sums, features, self.mask, out, add)

    def drawn(self, rng: np.random.Generator, shape: tuple[int, ...]) -> "Region":
        """Return the region for one evaluation of an image whose layer has this ``shape``."""
        return replace(self, style=self.style.drawn(rng, shape))

    def within(self, place: Place) -> "Region":
        """Return the part of it that is on a tile's own features."""
        mask = None if self.mask is None else self.mask.within(place)
        return replace(self, style=self.style.within(place), mask=mask)
