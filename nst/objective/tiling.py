"""An image in tiles that a network may see one at a time, and still be seen exactly.

A tile *owns* a rectangle of the image, and with it the features that stand for it: each feature of
each tap belongs to exactly one tile.  To compute its own features as the whole image would, a tile
*reads* a window that is larger than what it owns by what those features see beyond it:

    |--------- window: what the network is given ---------|
         radius      |------- owned -------|    radius

The windows of an image have one size, so that memory is used again from tile to tile.  A window
starts on a multiple of the deepest stride, so that its pools pair the same pixels as
the whole image's, and it ends at the image's own border or short of it: only there the network's
zeros stand for what is outside.  Features near a cut side of a window are wrong, and not owned.

The gradient at the image is a sum over features.  A tile that passes back the pull of its own
features alone gives its share of that sum, on its window; the shares overlap and are *added*.

With a *padding* the whole image is the mirrored one of `kernels.reflect`, and no tile owns what is
in the margin: windows reach into it, and at its border are the network's zeros, too far away to
leave a frame in the picture.  Places are counted from the corner of the image itself.
(Gonthier, Gousseau and Ladjal (2022) and SPST keep the inside of a gradient whose window is larger
by twice the radius instead: the same result for more work.)
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from nst import kernels
from nst.kernels import Array
from nst.memory import FileArray
from nst.objective.style import Style
from nst.objective.styles.sums import Mask
from nst.vgg import Vgg
from nst.vgg.architecture import SMALLEST_SIDE, Architecture, features_along


@dataclass(frozen=True)
class Span:
    """One side of a tile, in pixels of the image: what it owns inside what it reads."""

    start: int  # of the window; a multiple of the deepest stride, below 0 in the margin
    stop: int
    own_start: int  # a multiple of the deepest stride
    own_stop: int  # a multiple of the deepest stride, or the image's end
    rounding: str = "floor"  # of the network's pools

    def own(self, stride: int) -> slice:
        """Return its own features of a tap with ``stride``, among those of the whole image.

        What an odd remainder leaves over at the image's end is dropped or kept, as the pools do.
        """
        stop = features_along(self.own_stop, stride, self.rounding)
        return slice(self.own_start // stride, stop)

    def inside(self, stride: int) -> slice:
        """Return its own features of a tap with ``stride``, among those of its window."""
        own, first = self.own(stride), self.start // stride
        return slice(own.start - first, own.stop - first)

    @property
    def alone(self) -> "Span":
        """The same, counted from where its own begins: of one who has nothing else."""
        first = self.own_start
        own_stop = self.own_stop - first
        return Span(self.start - first, self.stop - first, 0, own_stop, self.rounding)


@dataclass(frozen=True)
class Tile:
    """A rectangle of the image, and the window around it that the network is given."""

    rows: Span
    columns: Span
    padding: int = 0  # pixels around the image

    @property
    def window(self) -> tuple[slice, slice, slice]:
        """What the tile reads of an image with its margin, (3, H + 2 padding, W + 2 padding)."""
        rows, columns = (
            slice(span.start + self.padding, span.stop + self.padding)
            for span in (self.rows, self.columns)
        )
        return slice(None), rows, columns

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the window."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def own(self, stride: int) -> tuple[slice, slice, slice]:
        """Index its own features in a map (C, H, W) of the whole image, at a tap's ``stride``."""
        return slice(None), self.rows.own(stride), self.columns.own(stride)

    def inside(self, stride: int) -> tuple[slice, slice, slice]:
        """Index its own features in a map (C, H, W) of its window, at a tap's ``stride``."""
        return slice(None), self.rows.inside(stride), self.columns.inside(stride)


def put_among_zeros(d_own: Array, place: tuple[slice, slice, slice], out: Array) -> None:
    """Write ``d_own`` at its ``place`` in ``out`` (C, H, W), and zeros around it."""
    _, rows, columns = place
    for beyond in slice(None, rows.start), slice(rows.stop, None):
        out[:, beyond] = 0
    for beyond in slice(None, columns.start), slice(columns.stop, None):
        out[:, rows, beyond] = 0
    out[place] = d_own


def cut(
    architecture: Architecture,
    taps: Iterable[str],
    height: int,
    width: int,
    side: int | None,
    padding: int = 0,
) -> list[Tile]:
    """Return tiles that own an image of ``height`` x ``width`` between them.

    Parameters
    ----------
    architecture, taps
        Where features are read; they say how far a tile has to read beyond what it owns.
    height, width : int
        Pixels of the image.
    side : int or None
        The most that a window may have, in pixels along a side; `smallest_side` is the least
        that can be.  Windows are all alike, and what tiles own is about equal, so that none is
        thin.  None gives one tile.
    padding : int
        Pixels around the image that windows reach into; see `padding_of`.
    """
    taps = tuple(taps)
    rows, columns = (
        spans(architecture, taps, length, side, padding) for length in (height, width)
    )
    return [Tile(row, column, padding) for row in rows for column in columns]


def spans(
    architecture: Architecture,
    taps: tuple[str, ...],
    length: int,
    side: int | None,
    padding: int = 0,
) -> list[Span]:
    """Cut one side of an image, ``length`` pixels, into spans: equal windows; see `cut`."""
    taps = tuple(taps)
    if side is not None and side < smallest_side(architecture, taps):
        raise ValueError(
            f"a tile of {side} pixels is too small for {', '.join(taps)}; "
            f"it needs {smallest_side(architecture, taps)}"
        )
    first, end = -padding, length + padding
    rounding = architecture.rounding
    if side is None or end - first <= side:
        return [Span(first, end, 0, length, rounding)]
    stride, unit, margin = _grid(architecture, taps)
    units = length // unit  # the last tile takes the remainder as well
    most = (side - (unit - 1) - 2 * margin) // unit  # units that a window has room for
    count = -(-units // most)
    ends = [unit * (units * k // count) for k in range(count)] + [length]

    owned = list(pairwise(ends))
    starts = [max(first, own_start - margin) for own_start, _ in owned]
    stops = [min(end, own_stop + margin) for _, own_stop in owned]
    window = max(stop - start for start, stop in zip(starts, stops, strict=True))
    window += (end - window) % stride  # so that the last one starts on the grid
    starts = [min(start, end - window) for start in starts]
    return [
        Span(start, start + window, *own, rounding)
        for start, own in zip(starts, owned, strict=True)
    ]


def smallest_side(architecture: Architecture, taps: Iterable[str]) -> int:
    """Return the least pixels along a side that a window needs to own something."""
    taps = tuple(taps)
    _, unit, margin = _grid(architecture, taps)
    return 2 * unit - 1 + 2 * margin


@cache
def _grid(architecture: Architecture, taps: tuple[str, ...]) -> tuple[int, int, int]:
    """Return the multiples on which windows and tiles begin, and how far windows reach beyond."""
    stride = max(architecture.coarsest(tap) for tap in taps)
    radius = max(architecture.radius(tap) for tap in taps)
    return stride, max(stride, SMALLEST_SIDE), -(-radius // stride) * stride


# ---- What a picture has, tile by tile -----------------------------------------------------


def tiles_of(vgg: Vgg, image: Array, side: int | None, padding: int = 0) -> list[Tile]:
    """Return the tiles in which ``vgg`` sees an ``image`` (3, H, W); None is one tile."""
    _, height, width = image.shape
    return cut(vgg.network.architecture, vgg.taps, height, width, side, padding)


def padding_of(padding: int, vgg: Vgg) -> int:
    """Return a recipe's ``padding`` in whole features of the deepest tap, so that grids fit."""
    if not padding:
        return 0
    stride = max(vgg.network.architecture.coarsest(tap) for tap in vgg.taps)
    return -(-padding // stride) * stride


def with_margin(image: Array, padding: int) -> Array:
    """Return what the network is shown of ``image`` (3, H, W): itself, where nothing is padded."""
    return kernels.of(image).reflect(image, padding) if padding else image


def features_of(
    vgg: Vgg, image: Array, taps: Iterable[str], side: int | None, padding: int = 0
) -> Mapping[str, Array | FileArray]:
    """Return a picture's own features at ``taps``, in files where it takes several tiles."""
    tiles, shown = tiles_of(vgg, image, side, padding), with_margin(image, padding)
    architecture = vgg.network.architecture
    if len(tiles) == 1:
        owned = _owned(vgg, shown, tiles[0], taps)
        return {tap: vgg.device.xp.ascontiguousarray(own) for tap, own in owned}
    stored = {tap: FileArray(architecture.shape(tap, *image.shape[1:])) for tap in taps}

    def store(tile: Tile) -> None:  # a tile's features are gone before the next one's are made
        for tap, own in _owned(vgg, shown, tile, stored):
            stored[tap][tile.own(architecture.stride(tap))] = kernels.on_host(own)

    for tile in tiles:
        store(tile)
    vgg.release()
    return stored


def _owned(vgg: Vgg, shown: Array, tile: Tile, taps: Iterable[str]) -> Iterator[tuple[str, Array]]:
    """Yield the features that ``tile`` owns at each of the ``taps``: parts of larger arrays."""
    features = vgg.features(shown[tile.window])
    for tap in taps:
        yield tap, features[tap][tile.inside(vgg.network.architecture.stride(tap))]


def style_sums(
    vgg: Vgg,
    image: Array,
    masks: Mapping[str, Mask | None],
    statistics: Mapping[str, type[Style]],
    side: int | None = None,
    padding: int = 0,
) -> dict[str, Any]:
    """Return what its statistic collects of a painting at each tap of ``masks``.

    A mask is that of the tap; None: all pixels.
    """
    tiles = tiles_of(vgg, image, side, padding)
    maps = [tap for tap in masks if statistics[tap].keeps_maps and len(tiles) > 1]
    stored = features_of(vgg, image, maps, side, padding) if maps else {}
    whole = {tap: statistics[tap].collect(stored[tap], masks[tap]) for tap in maps}
    if summed := {tap: mask for tap, mask in masks.items() if tap not in maps}:
        shown = with_margin(image, padding)
        whole |= _added(vgg, shown, summed, statistics, tiles)
    vgg.release()  # the painting has a size of its own
    return whole


def _added(
    vgg: Vgg,
    shown: Array,
    masks: Mapping[str, Mask | None],
    statistics: Mapping[str, type[Style]],
    tiles: Sequence[Tile],
) -> dict[str, Any]:
    """Return what the statistics collect of each of the ``tiles``, added up in their order."""
    stride = vgg.network.architecture.stride

    def collected(tile: Tile) -> dict[str, Any]:  # its features are gone with its return
        found = {}
        for tap, part in _owned(vgg, shown, tile, masks):
            own, mask = vgg.device.xp.ascontiguousarray(part), masks[tap]
            mask_there = None if mask is None else mask.within(tile.own(stride(tap)))
            found[tap] = statistics[tap].collect(own, mask_there)
        return found

    whole = collected(tiles[0])
    for tile in tiles[1:]:
        there = collected(tile)
        whole = {tap: sums + there[tap] for tap, sums in whole.items()}
    return whole
