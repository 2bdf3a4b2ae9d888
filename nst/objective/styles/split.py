"""Nearest features anew at every evaluation, layer by layer: the last touches of Kolkin et al.

    loss = mean over the positions i of  1 - max_j cos(f_i - mean f, s_j - mean s)

with f_i the image's features at one layer and s_j the painting's there.  Which is nearest is held
while the gradient is taken: a small step changes hardly a match.  Our own recipe matches both
ways, and the loss is of what is taken then: see matching.py.

Not every position is looked at: of a layer longer than 64 every second, third, ... row and
column, the first of them drawn at every evaluation.  Kolkin et al., "Neural Neighbor Style
Transfer" (2022), feature splitting.

In tiles it is exact: each one has the positions that it owns of the whole layer's grid, and they
are put together before anything is compared.  They are at most 127 x 127.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeAlias, Union

import numpy as np

from nst import kernels
from nst.errors import NstError
from nst.kernels import Array
from nst.memory import FileArray
from nst.objective.recipe import Recipe
from nst.objective.styles import matching
from nst.objective.styles.matching import SEEN
from nst.objective.styles.sums import TINY_AREA, Effort, Mask, Place

LOOKED_AT = 64  # positions along the longer side, to twice as many


@dataclass(frozen=True)
class Maps:
    """A painting's features at one layer, as it stands and turned."""

    features: tuple[Array | FileArray, ...]  # each (C, H, W); in a file, of one seen in tiles
    masks: tuple[Mask | None, ...]  # each of (H, W)
    main: Array | None = None  # (C, K), along which they are matched both ways; None: all

    def __add__(self, other: "Maps") -> "Maps":
        return Maps(self.features + other.features, self.masks + other.masks)


Painted: TypeAlias = Union[Maps, "SplitStyle"]  # one painting, or several with their shares
Grid: TypeAlias = tuple[slice, slice]  # some rows and some columns


@dataclass(frozen=True)
class Part:
    """What is looked at of an image, or of one tile: some of the grid's rows and columns."""

    place: Grid  # which ones, of those that are looked at of the whole
    vectors: Array  # (C, R, K)
    weights: Array | None  # (R, K), the mask's; None: all alike
    area: float  # the sum of these


@dataclass(frozen=True)
class Seen:
    """The image's features that are looked at; those of tiles add up."""

    parts: tuple[Part, ...]
    grid: Grid  # the rows and columns of the whole layer that they are in

    def __add__(self, other: "Seen") -> "Seen":
        return Seen(self.parts + other.parts, self.grid)

    @property
    def size(self) -> tuple[int, int]:
        """How many rows and columns are looked at, of the whole."""
        rows, columns = zip(*(part.place for part in self.parts), strict=True)
        return max(place.stop for place in rows), max(place.stop for place in columns)

    def whole(self) -> tuple[Array, Array | None]:
        """Return all vectors (C, N) row by row, and how much each counts: (1, N), 1 in all."""
        channels, area = len(self.parts[0].vectors), sum(part.area for part in self.parts)
        vectors = self._together([part.vectors for part in self.parts]).reshape(channels, -1)
        masks = [part.weights for part in self.parts if part.weights is not None]
        if not masks:
            return vectors, None
        return vectors, self._together(masks).reshape(1, -1) / max(area, TINY_AREA)

    def _together(self, arrays: Sequence[Array]) -> Array:
        """Return one array of what each part has of it, in its last two dimensions."""
        if len(arrays) == 1:
            return arrays[0]
        found = np.zeros_like(arrays[0], shape=(*arrays[0].shape[:-2], *self.size))
        for part, array in zip(self.parts, arrays, strict=True):
            found[..., *part.place] = array
        return found


@dataclass(frozen=True)
class SplitStyle:
    """Paintings' features at one layer; each place is compared with the nearest of each."""

    paintings: tuple[Maps, ...]
    shares: tuple[float, ...]  # of the loss: how near each painting counts
    grid: Grid | None = None  # the whole layer's that is looked at; None: from the first on
    own: Grid | None = None  # what a tile owns of the layer; None: all
    both_ways: bool = False  # see matching.py

    knobs: ClassVar[tuple[str, ...]] = ("both_ways",)
    per_scale: ClassVar[bool] = False
    keeps_maps: ClassVar[bool] = True

    @classmethod
    def collect(cls, features: Array | FileArray, mask: Mask | None = None) -> Maps:
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

    @staticmethod
    def painted_share(strength: float) -> float:
        """Return the square root of the strength, which is more than it.

        A place always finds features of the photograph that are much like its own: those pull it
        back, and with them the content that is kept beside them, whose weight stays.  With a
        quarter of the painting, or a half, what was painted before was undone.
        """
        return math.sqrt(strength)

    @classmethod
    def of(cls, sums: "SplitStyle", recipe: Recipe) -> "SplitStyle":
        """Return the style of these paintings: what was blended."""
        if not recipe.both_ways:
            return sums
        paintings = tuple(replace(one, main=_main_directions(one)) for one in sums.paintings)
        return replace(sums, paintings=paintings, both_ways=True)

    @staticmethod
    def effort(
        channels: int, asking: tuple[int, int], painting: int, looked_at: int | None
    ) -> Effort:
        """Return what it keeps; what is near is found as it paints."""
        rows, columns = (len(range(0, n, _step(asking))) for n in asking)
        return Effort(0, 0, float(channels) * painting, float(channels) * rows * columns)

    def drawn(self, rng: np.random.Generator, shape: tuple[int, ...]) -> "SplitStyle":
        """Return the style for one evaluation, whose positions ``rng`` draws."""
        step, drawn = _step(shape[1:]), zip(shape[1:], rng.random(2), strict=True)
        row, column = (int(min(step, length) * share) for length, share in drawn)
        return replace(self, grid=(slice(row, None, step), slice(column, None, step)))

    def measure(self, features: Array, mask: Mask | None = None) -> Seen:
        """Return the positions of the image, or of a tile, that are looked at."""
        here, place = self._own_grid(features)
        vectors = features[:, *here].copy()  # the next tile's take the place of these
        area, weights = float(math.prod(vectors.shape[1:])), None
        if mask is not None:
            weights = mask.pixels[here].astype(features.dtype)
            area = float(mask.host[here].sum())
        return Seen((Part(place, vectors, weights, area),), self._grid(features))

    def compare(self, sums: Seen) -> tuple[Array, Array]:
        """Return ``(loss, d_vectors)`` of all that is looked at: 0-d, and (C, R, K).

        The loss is the mean of ``1 - cos`` to the nearest.
        """
        vectors, shares = sums.whole()
        each = 1 / vectors.shape[1]
        mean = vectors.mean if shares is None else (vectors * shares).sum
        centred = vectors - mean(axis=1, keepdims=True)
        k, image, loss, pull = kernels.of(vectors), centred[:, None], 0.0, 0 * centred[:, None]
        for painting, share in zip(self.paintings, self.shares, strict=True):
            units = _directions(painting, sums.grid, vectors)
            index = self._nearest(centred, units, painting.main, shares)
            target = units.take(index, axis=1)[:, None]
            factor = share * (each if shares is None else 1.0)
            loss = loss + factor * k.cosine_distance(image, target, shares)
            pull = k.cosine_distance_backward(image, target, shares, factor, pull, True)
        whole = pull.sum(axis=2)  # and back through the mean
        d_vectors = pull[:, 0] - whole * (each if shares is None else shares)
        return loss, d_vectors.reshape(len(vectors), *sums.size)

    def spread(
        self,
        d_sums: Array,
        features: Array,
        mask: Mask | None = None,
        out: Array | None = None,
        add: bool = False,
    ) -> Array:
        """Return dL/dfeatures (C, H, W), of a tile's own part: 0 where nothing is looked at."""
        d_features = features.copy() if out is None else out
        if not add:
            d_features.fill(0)
        here, place = self._own_grid(features)
        d_features[:, *here] += d_sums[:, *place].astype(features.dtype, copy=False)
        return d_features

    def mean_square(self) -> float:
        """Return 1: a cosine has no size, and nothing is as far as 1 from any direction."""
        return 1.0

    def within(self, place: Place) -> "SplitStyle":
        """Return the style for a tile, which has the positions of the grid that it owns."""
        if self.grid is None:
            raise ValueError("a tile cannot know what is looked at of the whole: ask for `drawn`")
        return replace(self, own=place[1:])

    def _nearest(
        self, centred: Array, units: Array, main: Array | None, shares: Array | None
    ) -> Array:
        """Return which of the ``units`` (C, M) each of the vectors (C, N) takes: (N,).

        One that counts for nothing is not asked back: no direction is near to it.
        """
        k = kernels.of(centred)
        if not self.both_ways:
            return k.nearest(centred, units)[0]
        queries = matching.along(main, k.unit_vectors(centred))
        units = matching.along(main, units)
        asked = queries if shares is None else queries * (shares > 0)
        back = asked[:, :: matching.ASKED_BACK].copy()
        return matching.nearest(queries, units, matching.price_of(units, back))[0]

    # ---- What is looked at ---------------------------------------------------------------

    def _grid(self, features: Array) -> Grid:
        """Return the rows and columns of the whole layer that are looked at."""
        return _first_grid(features.shape[1:]) if self.grid is None else self.grid

    def _own_grid(self, features: Array) -> tuple[Grid, Grid]:
        """Return which of these ``features`` are looked at, and which part of the grid that is."""
        own = self.own or tuple(slice(0, length) for length in features.shape[1:])
        rows, columns = map(_own_part, self._grid(features), own)
        return (rows[0], columns[0]), (rows[1], columns[1])


def _step(size: Sequence[int]) -> int:
    """Return which row and column of a layer is looked at, every first, second, ..."""
    return max(1, max(size) // LOOKED_AT)


def _first_grid(size: Sequence[int]) -> Grid:
    """Return the rows and columns of a layer that are looked at where nothing was drawn."""
    first = slice(0, None, _step(size))
    return first, first


def _own_part(looked_at: slice, own: slice) -> tuple[slice, slice]:
    """Return the rows that are ``looked_at``, among a tile's ``own`` and among all of them."""
    start = (looked_at.start - own.start) % looked_at.step
    first = (own.start + start - looked_at.start) // looked_at.step
    count = len(range(own.start + start, own.stop, looked_at.step))
    return slice(start, None, looked_at.step), slice(first, first + count)


def _directions(painting: Maps, grid: Grid, like: Array) -> Array:
    """Return the directions (C, M) of a painting's vectors from their mean: those of the grid.

    They are where the array ``like`` is.
    """
    kept = [
        _looked_at(features, mask, grid, like)
        for features, mask in zip(painting.features, painting.masks, strict=True)
    ]
    vectors = kept[0] if len(kept) == 1 else np.concatenate(kept, axis=1)
    if not vectors.shape[1]:
        raise NstError(
            "a style's mask leaves nothing of the painting to look at, at one of the layers. "
            "Paint more of it white."
        )
    return kernels.of(vectors).unit_vectors(vectors - vectors.mean(axis=1, keepdims=True))


def _main_directions(painting: Maps) -> Array | None:
    """Return along which directions a painting is matched: see matching.py."""
    grid = _first_grid(painting.features[0].shape[1:])
    there = [f for f in painting.features if not isinstance(f, FileArray)]
    there += [mask.pixels for mask in painting.masks if mask is not None]
    like = there[0] if there else np.empty(0)  # files alone are looked at on the host
    return matching.main_directions(_directions(painting, grid, like))


def _looked_at(features: Array | FileArray, mask: Mask | None, grid: Grid, like: Array) -> Array:
    """Return the vectors (C, M) of one map in the rows and columns of the image's grid.

    Where the mask lets none of these through, the grid is moved to where the mask is brightest.
    How many it lets through the host knows: to ask a GPU for them would be a wait.
    """
    grid = _moved(grid, [each.start for each in grid], features.shape[1:])
    if mask is None:
        return kernels.beside(features[:, *grid], like).reshape(features.shape[0], -1)
    weights, dtype = mask.host, mask.pixels.dtype
    least = float(SEEN * dtype.type(weights.max()))
    if not (weights[grid].astype(dtype) >= least).any():
        brightest = divmod(int(weights.argmax()), weights.shape[1])
        grid = _moved(grid, brightest, weights.shape)
    vectors = kernels.beside(features[:, *grid], like).reshape(features.shape[0], -1)
    count = int((weights[grid].astype(dtype) >= least).sum()) if least else 0
    hidden = mask.pixels[grid].reshape(-1) < least
    return vectors.take(hidden.argsort(kind="stable")[:count], axis=1)


def _moved(grid: Grid, through: Sequence[int], size: Sequence[int]) -> Grid:
    """Return the ``grid`` moved to go ``through`` a row and a column, in a map of this size."""
    rows, columns = (
        slice(int(at) % min(each.step, length), None, each.step)
        for each, at, length in zip(grid, through, size, strict=True)
    )
    return rows, columns
