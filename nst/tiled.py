"""The objective, evaluated tile by tile: the same losses and gradient, in the memory of one tile.

Style losses need the sums over the whole image before the first gradient can be told.  So the
network sees every tile twice:

    1. measure   each tile's features -> its sums; added up, those of the image -> losses, pulls
    2. spread    each tile's features and the pulls -> d_features, zero but for its own features
                 -> its share of d_image, on its window; the shares overlap and are added

Nothing is approximated: see tiling.py.  Both passes are a plain ``map`` over tiles that know
nothing of each other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial, reduce
from operator import add
from typing import Any

from nst.kernels import Array
from nst.memory import FileArray
from nst.objective import Losses, Objective, Pulls, Sums, Targets
from nst.styles import StyleSums, measure
from nst.tiling import Tile, cut
from nst.vgg import Vgg


class TiledObjective(Objective):
    """An `Objective` that never gives the network more than a window of ``side`` pixels a side.

    An image that fits into one window is evaluated as a whole, and so is any with a ``side`` of
    None.  Content targets may be `FileArray`.  Losses and gradient are those of `Objective` but
    for rounding.
    """

    def __init__(self, *args: Any, side: int | None, **conventions: Any) -> None:
        super().__init__(*args, **conventions)
        self.side = side

    def evaluate(self, image: Array) -> tuple[Losses, Array]:
        """Return ``(losses, d_image)`` at ``image`` (3, H, W), RGB in [0, 1]."""
        tiles = tiles_of(self.vgg, image, self.side)
        if len(tiles) == 1:
            return super().evaluate(image)
        sums = reduce(add, map(partial(self.measure_tile, image), tiles))
        losses, pulls = self.compare(sums, image)
        d_image = self.vgg.device.xp.zeros_like(image)
        shares = map(partial(self.spread_tile, image, pulls), tiles)
        for tile, d_window in zip(tiles, shares, strict=True):
            d_image[tile.window] += d_window
        self.smooth(pulls, image, d_image)
        self._buffers.clear()
        self.vgg.release()  # what follows needs room for whole images
        return losses, d_image

    def measure_tile(self, image: Array, tile: Tile) -> Sums:
        """Return the sums over the features that ``tile`` owns."""
        features = self.vgg.features(image[tile.window])
        content: dict[str, tuple[Array, int]] = {}
        style: dict[str, list[StyleSums]] = {}
        for tap in self.vgg.taps:
            own = self._own(tap, features.pop(tap), tile)
            sums = self.measure({tap: own}, self.targets_of(tile, tap))
            content |= sums.content
            style |= sums.style
        return Sums(content, style)

    def spread_tile(self, image: Array, pulls: Pulls, tile: Tile) -> Array:
        """Return what the features that ``tile`` owns add to ``d_image``, on its window."""
        d_features = {}
        for tap, features in self.vgg.forward(image[tile.window]).items():
            own = self._own(tap, features, tile)
            d_own = self.spread(pulls, {tap: own}, self.targets_of(tile, tap))[tap]
            features.fill(0)  # nobody reads them any more
            features[tile.inside(_stride(self.vgg, tap))] = d_own
            d_features[tap] = features
        return self.vgg.backward(d_features)

    def _own(self, tap: str, features: Array, tile: Tile) -> Array:
        """Return those features of the tile's window that the tile owns, until the next call."""
        part = features[tile.inside(_stride(self.vgg, tap))]
        own = self._buffer("own", part)
        own[...] = part
        return own

    def targets_of(self, tile: Tile, tap: str) -> Targets:
        """Return what the features that ``tile`` owns at ``tap`` are compared with."""
        own = tile.own(_stride(self.vgg, tap))
        contiguous = self.vgg.device.xp.ascontiguousarray
        content, style = {}, {}
        if tap in self.targets.content:
            content[tap] = contiguous(self.targets.content[tap][own])
        if tap in self.targets.style:
            style[tap] = [
                region
                if region.mask is None
                else replace(region, mask=contiguous(region.mask[own[1:]]), area=None)
                for region in self._regions(self.targets, tap)
            ]
        return Targets(content, style)


def tiles_of(vgg: Vgg, image: Array, side: int | None) -> list[Tile]:
    """Return the tiles in which ``vgg`` sees an ``image`` (3, H, W); None is one tile."""
    _, height, width = image.shape
    return cut(vgg.network.architecture, vgg.taps, height, width, side)


def content_features(
    vgg: Vgg, image: Array, taps: Iterable[str], side: int | None
) -> dict[str, Array | FileArray]:
    """Return the photograph's features at ``taps``, in files where it takes several tiles."""
    tiles = tiles_of(vgg, image, side)
    if len(tiles) == 1:
        features = vgg.features(image)
        return {tap: features[tap] for tap in taps}
    architecture = vgg.network.architecture
    stored = {tap: FileArray(architecture.shape(tap, *image.shape[1:])) for tap in taps}
    for tile in tiles:
        features = vgg.features(image[tile.window])
        for tap, target in stored.items():
            own = _own(vgg, tap, features[tap], tile)
            target[tile.own(_stride(vgg, tap))] = vgg.device.asnumpy(own)
    vgg.release()
    return stored


def style_sums(
    vgg: Vgg,
    image: Array,
    masks: Mapping[str, Array | None],
    side: int | None,
    means: bool = False,
) -> dict[str, StyleSums]:
    """Return an image's sums at each tap of ``masks``, (H, W) there, or None for all pixels.

    See `styles.measure`.
    """
    whole: dict[str, StyleSums] = {}
    for tile in tiles_of(vgg, image, side):
        features = vgg.features(image[tile.window])
        for tap, mask in masks.items():
            if mask is not None:
                own = tile.own(_stride(vgg, tap))[1:]
                mask = vgg.device.xp.ascontiguousarray(mask[own])
            here = measure(_own(vgg, tap, features[tap], tile), mask, means=means)
            whole[tap] = whole[tap] + here if tap in whole else here
    vgg.release()  # the painting has a size of its own
    return whole


def _own(vgg: Vgg, tap: str, features: Array, tile: Tile) -> Array:
    """Return those features of the tile's window that the tile owns, (C, H, W)."""
    return vgg.device.xp.ascontiguousarray(features[tile.inside(_stride(vgg, tap))])


def _stride(vgg: Vgg, tap: str) -> int:
    return vgg.network.architecture.stride(tap)
