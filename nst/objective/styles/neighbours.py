"""Nearest features: each place of the image is to look like the place of a painting it resembles.

    target_i = s_j,  j = argmax_j <c_i - mean c, (s_j - mean s) / |s_j - mean s|>
    loss     = mean over the positions i of  1 - cos(target_i, features_i)

with s_j the features at the positions of a painting, and c_i those of a picture that asks: the
photograph, and from the second scale on partly what was painted so far.  So the targets are made
once for each scale.  Kolkin et al., "Neural Neighbor Style Transfer" (2022), who match
hypercolumns.

Nothing is averaged over the picture, as a Gram matrix is: the subject stays where it is.
`neighbours` and `strokes` match both ways: see matching.py.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import ClassVar

import numpy as np

from nst import kernels
from nst.devices import Device
from nst.errors import NstError
from nst.kernels import Array
from nst.memory import FileArray
from nst.objective.recipe import Recipe
from nst.objective.styles import matching
from nst.objective.styles.matching import SEEN
from nst.objective.styles.query import STRIP_POSITIONS, Query
from nst.objective.styles.sums import TINY_AREA, Effort, Mask, Place, area_of

BALANCING_STEPS = 200  # in which the shares of several paintings are brought to their weights


@dataclass(frozen=True)
class Positions:
    """A painting's features at one layer, position by position; those of tiles add up."""

    vectors: tuple[Array, ...]  # each (C, M)
    weights: tuple[np.ndarray | None, ...]  # each (M,), on the host: the mask's; None: 1

    def __add__(self, other: "Positions") -> "Positions":
        return Positions(self.vectors + other.vectors, self.weights + other.weights)


@dataclass(frozen=True)
class Paintings:
    """Several paintings, and how much of the picture each of them is to have."""

    positions: tuple[Positions, ...]
    shares: tuple[float, ...]


@dataclass(frozen=True)
class Distances:
    """The sum of 1 - cos over positions, and of their weights; those of tiles add up."""

    sums: Array  # 0-d, float64
    area: float

    def __add__(self, other: "Distances") -> "Distances":
        return Distances(self.sums + other.sums, self.area + other.area)


@dataclass(frozen=True)
class NeighboursStyle:
    """What each position of the image is to look like: a direction of its own."""

    target: Array | FileArray  # (C, H, W), unit vectors; 0 where nothing is painted
    device: Device  # of the features

    knobs: ClassVar[tuple[str, ...]] = ("photograph_share", "looked_at", "both_ways")
    per_scale: ClassVar[bool] = True
    keeps_maps: ClassVar[bool] = False

    @classmethod
    def collect(cls, features: Array, mask: Mask | None = None) -> Positions:
        """Return the features at the positions, without those that the mask leaves out."""
        vectors = features.reshape(len(features), -1)
        if mask is None:
            return Positions((vectors,), (None,))
        weights = mask.host.reshape(-1)
        seen = (mask.pixels.reshape(-1) > 0).nonzero()[0]
        return Positions((vectors.take(seen, axis=1),), (weights[weights > 0],))

    @staticmethod
    def blend(styles: Sequence[Positions], shares: Sequence[float]) -> Paintings:
        """Return the union of what several paintings have."""
        whole = sum(shares)
        return Paintings(tuple(styles), tuple(share / whole for share in shares))

    @staticmethod
    def painted_share(strength: float) -> float:
        """Return the strength: so much of each direction is the painting's."""
        return strength

    @classmethod
    def of(cls, sums: Paintings, recipe: Recipe, query: Query) -> "NeighboursStyle":
        """Return the style of the paintings for one scale, whose picture asks with ``query``."""
        if not any(len(positions) for _, positions in query.strips()):
            return cls(query.field(), query.device)  # a region that is too thin at this scale
        most = recipe.looked_at
        vectors = [_looked_at(one, query.device, most) for one in sums.positions]
        index = _chosen(vectors, sums.shares, query, recipe.both_ways)
        joined = _side_by_side(vectors, query.device)
        target, first = query.field(), 0
        for strip, positions in query.strips():
            if not len(positions):
                continue
            chosen = index[first : first + len(positions)]
            wanted = _directions(joined.take(query.device.xp.asarray(chosen), axis=1))
            if query.own is not None:  # the photograph's own direction keeps its share
                own = _directions(query.vectors(query.own, strip, positions))
                wanted = query.share * wanted + (1 - query.share) * own
                wanted = _directions(wanted)
            _put(target, strip, positions, wanted, query.device)
            first += len(positions)
        return cls(target, query.device)

    @staticmethod
    def effort(
        channels: int, asking: tuple[int, int], painting: int, looked_at: int | None
    ) -> Effort:
        """Return what it takes to make the target, for so many positions of both pictures."""
        seen, positions = min(painting, looked_at or painting), math.prod(asking)
        strip = min(positions, STRIP_POSITIONS)
        held = channels * (painting + seen + positions + 3 * strip)  # and the target itself
        return Effort(held, float(channels) * positions * seen)

    def drawn(self, rng: np.random.Generator, shape: tuple[int, ...]) -> "NeighboursStyle":
        """Return the same: every position is looked at."""
        return self

    def measure(self, features: Array, mask: Mask | None = None) -> Distances:
        """Return the sum of ``1 - cos`` over the positions, weighed by the mask."""
        k = kernels.of(features)
        pixels = None if mask is None else mask.pixels
        total = k.cosine_distance(features, self._target(), pixels)
        return Distances(total.astype(np.float64), area_of(features, mask))

    def compare(self, sums: Distances) -> tuple[Array, Array]:
        """Return ``(loss, d_sums)``: the mean of ``1 - cos``, 0-d, and its gradient."""
        area = max(sums.area, TINY_AREA)
        return sums.sums / area, sums.sums * 0 + 1 / area

    def spread(
        self,
        d_sums: Array,
        features: Array,
        mask: Mask | None = None,
        out: Array | None = None,
        add: bool = False,
    ) -> Array:
        """Return dL/dfeatures (C, H, W): each position is turned towards its target."""
        k = kernels.of(features)
        pixels = None if mask is None else mask.pixels
        return k.cosine_distance_backward(features, self._target(), pixels, d_sums, out, add)

    def mean_square(self) -> float:
        """Return 1: a cosine has no size, and nothing is as far as 1 from any direction."""
        return 1.0

    def within(self, place: Place) -> "NeighboursStyle":
        """Return the targets of a tile's own positions."""
        own = self.device.xp.asarray(self.target[place])
        return replace(self, target=self.device.xp.ascontiguousarray(own))

    def _target(self) -> Array:
        if isinstance(self.target, FileArray):
            raise ValueError("targets in a file are for tiles; ask for those within one")
        return self.target


# ---- How a target is found ----------------------------------------------------------------


def _looked_at(painting: Positions, device: Device, looked_at: int | None) -> Array:
    """Return the vectors (C, M) of a painting, as many as are looked at."""
    most = max((w.max() for w in painting.weights if w is not None and len(w)), default=1.0)
    kept = []
    for vectors, weights in zip(painting.vectors, painting.weights, strict=True):
        if weights is not None:
            seen = np.flatnonzero(weights >= SEEN * most)
            vectors = vectors.take(device.xp.asarray(seen), axis=1)
        kept.append(vectors)
    count = sum(vectors.shape[1] for vectors in kept)
    step = -(-count // (looked_at or max(1, count)))
    if not step:
        raise NstError(
            "a style's mask leaves nothing of the painting to look at, at one of the scales. "
            "Paint more of it white, or begin with a larger one of --scales."
        )
    return _side_by_side([vectors[:, ::step] for vectors in kept], device)


def _chosen(
    vectors: Sequence[Array], shares: Sequence[float], query: Query, both_ways: bool
) -> np.ndarray:
    """Return which vector, of all paintings' side by side, each position that asks takes."""
    asking = [p for p in query.strips() if len(p[1])]
    mean = sum(_sum(query.vectors(query.features, *p)) for p in asking)
    mean = mean / max(1, sum(len(positions) for _, positions in asking))
    index, cosines, first = [], [], 0
    for painting in vectors:
        units = _directions(painting - painting.mean(axis=1, keepdims=True))
        main = matching.main_directions(units) if both_ways else None
        units = matching.along(main, units)
        price = _price(units, query, mean, main) if both_ways else None
        found = [
            _nearest(query.vectors(query.features, *p) - mean, units, price, main) for p in asking
        ]
        index.append(first + np.concatenate([query.device.asnumpy(i) for i, _ in found]))
        cosines.append(np.concatenate([query.device.asnumpy(c) for _, c in found]))
        first += painting.shape[1]
    if len(vectors) == 1:
        return np.asarray(index[0])
    which = _balanced(np.stack(cosines), shares)
    chosen: np.ndarray = np.stack(index)[which, np.arange(len(which))]
    return chosen


def _nearest(
    queries: Array, units: Array, price: Array | None, main: Array | None
) -> tuple[Array, Array]:
    """Return for each query (C, N) which of the ``units`` is nearest, and the cosine.

    Less the ``price`` (M,) of each unit, if there is one; they lie along ``main``, if given.
    """
    if price is not None:
        return matching.nearest(matching.along(main, _directions(queries)), units, price)
    index, cosines = kernels.of(queries, units).nearest(_directions(queries), units)
    return index, cosines


def _price(units: Array, query: Query, mean: Array, main: Array | None) -> Array:
    """Return the price (M,) of the ``units`` (C, M): see matching.py.

    Which positions are asked back does not depend on the strips.
    """
    prices, first = [], 0
    for strip, positions in query.strips():
        back = positions[-first % matching.ASKED_BACK :: matching.ASKED_BACK]
        first += len(positions)
        if len(back):
            queries = _directions(query.vectors(query.features, strip, back) - mean)
            prices.append(matching.price_of(units, matching.along(main, queries)))
    return reduce(np.maximum, prices)


def _balanced(cosines: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Return which painting each position takes: (N,), by their ``cosines`` (K, N).

    The nearest, if a bias on each painting's cosines is added: the one with which the paintings
    have their ``shares`` of the positions.
    """
    biases, rate = np.zeros((len(cosines), 1)), 0.5
    for _ in range(BALANCING_STEPS):
        which = (cosines + biases).argmax(axis=0)
        found = np.bincount(which, minlength=len(cosines)) / len(which)
        biases += rate * (np.array(shares) - found)[:, None]
        rate *= 0.97
    nearest: np.ndarray = (cosines + biases).argmax(axis=0)
    return nearest


def _directions(vectors: Array) -> Array:
    return kernels.of(vectors).unit_vectors(vectors)


def _sum(vectors: Array) -> Array:
    return vectors.sum(axis=1, keepdims=True)


def _side_by_side(vectors: Sequence[Array], device: Device) -> Array:
    joined = vectors[0] if len(vectors) == 1 else device.xp.concatenate(vectors, axis=1)
    return device.xp.ascontiguousarray(joined)


def _put(
    field: Array | FileArray,
    strip: slice,
    positions: np.ndarray,
    vectors: Array,
    device: Device,
) -> None:
    """Write ``vectors`` (C, N) to their positions of a strip of ``field`` (C, H, W)."""
    channels, _, width = field.shape
    if isinstance(field, FileArray):
        rows = np.zeros((channels, strip.stop - strip.start, width), np.float32)
        rows.reshape(channels, -1)[:, positions] = device.asnumpy(vectors)
        field[:, strip] = rows
        return
    rows = device.xp.zeros((channels, strip.stop - strip.start, width), np.float32)
    rows.reshape(channels, -1)[:, device.xp.asarray(positions)] = vectors
    field[:, strip] = rows
