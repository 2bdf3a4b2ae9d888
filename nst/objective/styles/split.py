"""Nearest features anew at every evaluation, layer by layer: the last touches of Kolkin et al.

    loss = mean over the positions i of  1 - max_j cos(f_i - mean f, s_j - mean s)

with f_i the image's features at one layer and s_j the painting's there.  Which is nearest is held
while the gradient is taken: a small step changes hardly a match.

Not every position is looked at: of a layer longer than 64 every second, third, ... row and
column, the first of them drawn at every evaluation.  Kolkin et al., "Neural Neighbor Style
Transfer" (2022), feature splitting.  The picture is looked at all at once, and not in tiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias, Union

import numpy as np

from nst import kernels
from nst.errors import NstError
from nst.kernels import Array
from nst.objective.recipe import Recipe
from nst.objective.styles.sums import TINY_AREA, Effort, Mask, Place

LOOKED_AT = 64  # positions along the longer side, to twice as many
SEEN = 0.5  # of the mask: a position of less is not looked at


@dataclass(frozen=True)
class Maps:
    """A painting's features at one layer, as it stands and turned; those of tiles add up."""

    features: tuple[Array, ...]  # each (C, H, W)
    masks: tuple[Mask | None, ...]  # each of (H, W)

    def __add__(self, other: "Maps") -> "Maps":
        return Maps(self.features + other.features, self.masks + other.masks)


Painted: TypeAlias = Union[Maps, "SplitStyle"]  # one painting, or several with their shares


@dataclass(frozen=True)
class Seen:
    """The image's features that are looked at."""

    vectors: Array  # (C, N), less their mean
    shares: Array | None  # (1, N), how much each one counts, 1 in all; None: all alike
    grid: tuple[slice, slice]  # the rows and columns that they are in


@dataclass(frozen=True)
class SplitStyle:
    """Paintings' features at one layer; each place is compared with the nearest of each."""

    paintings: tuple[Maps, ...]
    shares: tuple[float, ...]  # of the loss: how near each painting counts
    draw: tuple[float, float] = (0.0, 0.0)  # in [0, 1): which row and column is looked at first

    knobs: ClassVar[tuple[str, ...]] = ()
    per_scale: ClassVar[bool] = False
    in_tiles: ClassVar[bool] = False

    @classmethod
    def collect(cls, features: Array, mask: Mask | None = None) -> Maps:
        """Return the features and where they are seen."""
        return Maps((features,), (mask,))

    @staticmethod
    def blend(styles: Sequence[Painted], shares: Sequence[float]) -> "SplitStyle":
        """Return the style whose loss is the mean of theirs, by their shares."""
        paintings: list[Maps] = []
        found: list[float] = []
        for style, share in zip(styles, shares, strict=True):
            several = style if isinstance(style, SplitStyle) else SplitStyle((style,), (1.0,))
            paintings += several.paintings
            found += [share / sum(shares) * one for one in several.shares]
        return SplitStyle(tuple(paintings), tuple(found))

    @classmethod
    def of(cls, sums: "SplitStyle", recipe: Recipe) -> "SplitStyle":
        """Return the style of these paintings: what was blended."""
        return sums

    @staticmethod
    def effort(channels: int, asking: int, painting: int, looked_at: int | None) -> Effort:
        """Return what it keeps, the painting's features; what is near is found as it paints."""
        return Effort(0, 0, float(channels) * painting)

    def drawn(self, rng: np.random.Generator) -> "SplitStyle":
        """Return the style for one evaluation, whose positions ``rng`` draws."""
        row, column = rng.random(2)
        return replace(self, draw=(float(row), float(column)))

    def measure(self, features: Array, mask: Mask | None = None) -> Seen:
        """Return the positions of the image that are looked at, less their (weighed) mean."""
        grid = self._grid(features)
        vectors = features[:, *grid].reshape(len(features), -1)
        if mask is None:
            return Seen(vectors - vectors.mean(axis=1, keepdims=True), None, grid)
        weights = mask.pixels[grid].reshape(1, -1).astype(features.dtype)
        shares = weights / max(float(mask.host[grid].sum()), TINY_AREA)
        return Seen(vectors - (vectors * shares).sum(axis=1, keepdims=True), shares, grid)

    def compare(self, sums: Seen) -> tuple[Array, Array]:
        """Return ``(loss, d_vectors)``: the mean of ``1 - cos`` to the nearest, 0-d."""
        k, vectors = kernels.of(sums.vectors), sums.vectors[:, None]
        each = 1 / vectors.shape[2]
        loss, pull = 0.0, vectors * 0
        for painting, share in zip(self.paintings, self.shares, strict=True):
            units = _directions(painting, sums.grid)
            index, _ = k.nearest(sums.vectors, units)
            target = units.take(index, axis=1)[:, None]
            factor = share * (each if sums.shares is None else 1.0)
            loss = loss + factor * k.cosine_distance(vectors, target, sums.shares)
            pull = k.cosine_distance_backward(vectors, target, sums.shares, factor, pull, True)
        whole = pull.sum(axis=2)  # and back through the mean
        return loss, pull[:, 0] - whole * (each if sums.shares is None else sums.shares)

    def spread(
        self,
        d_sums: Array,
        features: Array,
        mask: Mask | None = None,
        out: Array | None = None,
        add: bool = False,
    ) -> Array:
        """Return dL/dfeatures (C, H, W): 0 where nothing is looked at."""
        d_features = features.copy() if out is None else out
        if not add:
            d_features.fill(0)
        there = d_features[:, *self._grid(features)]
        there += d_sums.astype(features.dtype, copy=False).reshape(there.shape)
        return d_features

    def mean_square(self) -> float:
        """Return 1: a cosine has no size, and nothing is as far as 1 from any direction."""
        return 1.0

    def within(self, place: Place) -> "SplitStyle":
        """Raise NstError: what is nearest is found for all of a picture at once."""
        raise NstError(
            "this recipe looks at all of the picture at once, and not in tiles. Give it more "
            "--memory, a smaller --size, or take --recipe neighbours."
        )

    # ---- What is looked at ---------------------------------------------------------------

    def _grid(self, features: Array) -> tuple[slice, slice]:
        """Return the rows and columns of the image's ``features`` that are looked at."""
        step = max(1, max(features.shape[1:]) // LOOKED_AT)
        first_row, first_column = (int(step * draw) for draw in self.draw)
        return slice(first_row, None, step), slice(first_column, None, step)


def _directions(painting: Maps, grid: tuple[slice, slice]) -> Array:
    """Return the directions (C, M) of a painting's vectors from their mean: those of the grid."""
    kept = [
        _looked_at(features, mask, grid)
        for features, mask in zip(painting.features, painting.masks, strict=True)
    ]
    vectors = kept[0] if len(kept) == 1 else np.concatenate(kept, axis=1)
    if not vectors.shape[1]:
        raise NstError(
            "a style's mask leaves nothing of the painting to look at, at one of the layers. "
            "Paint more of it white."
        )
    return kernels.of(vectors).unit_vectors(vectors - vectors.mean(axis=1, keepdims=True))


def _looked_at(features: Array, mask: Mask | None, grid: tuple[slice, slice]) -> Array:
    """Return the vectors (C, M) of one map in the rows and columns of the image's grid.

    How many the mask lets through the host knows: to ask a GPU for them would be a wait.
    """
    vectors = features[:, *grid].reshape(len(features), -1)
    if mask is None:
        return vectors
    count = int((mask.host[grid].astype(mask.pixels.dtype) >= SEEN).sum())
    hidden = mask.pixels[grid].reshape(-1) < SEEN
    return vectors.take(hidden.argsort(kind="stable")[:count], axis=1)
