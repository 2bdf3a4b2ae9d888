"""The colours of a run: what the paintings give to the photograph, and to what was painted.

Region by region: paintings that share one are pooled by their weights, and what lies in no region
stays as it is.  Only what can be seen is counted: an alpha or a mask of 0 leaves a pixel out.
"""

from collections.abc import Callable, Sequence

import numpy as np

from nst import devices
from nst.devices import Device
from nst.pictures import colour, images
from nst.run.paintings import LEAST_SHARE, ReadPainting, by_region, fitted

Sharing = Sequence[ReadPainting]  # the paintings of one region


def in_style_colours(
    content: np.ndarray,
    alpha: np.ndarray | None,
    paintings: Sequence[ReadPainting],
    strength: float = 1.0,
    like: np.ndarray | None = None,
) -> np.ndarray:
    """Return ``content`` (3, H, W) with its colours matched to those of the ``paintings``.

    Mean and covariance become the paintings'.  With a ``strength`` below 1 they go so much of the
    way.  They are moved as those of another picture would be, ``like`` (3, h, w): so all frames
    of a scene are moved alike.

    Features of bright snow cannot stay where the painting is a grey fog: content and style pull
    apart, and the stronger one wins.  In the painting's own range of colours they agree.
    """

    def moved(sharing: Sharing, shown: np.ndarray | None) -> np.ndarray:
        of_paintings = colour.blended(
            [
                colour.colour_moments(one.picture, fitted(one.mask, *one.picture.shape[1:]))
                for one in sharing
            ],
            [one.weight for one in sharing],
        )
        own = None
        if like is not None:
            own = colour.colour_moments(like, fitted(sharing[0].region, *like.shape[1:]))
        return colour.match_moments(content, of_paintings, shown, own)

    coloured = _region_by_region(content, alpha, paintings, moved)
    return content + np.float32(strength) * (coloured - content)


def in_style_palette(
    painted: np.ndarray,
    alpha: np.ndarray | None,
    paintings: Sequence[ReadPainting],
    share: float = 1.0,
    photograph: np.ndarray | None = None,
) -> np.ndarray:
    """Return ``painted`` (3, H, W) with colours as the paintings have them, and nearly as often.

    See `colour.with_distribution_of`.  With a ``share`` below 1 they lie so much of the way from
    those of the ``photograph``, of any size, to the paintings'.
    """
    if share == 0:
        return painted
    if share < 1 and photograph is not None:
        photograph = images.resize(photograph, *painted.shape[1:])

    def moved(sharing: Sharing, shown: np.ndarray | None) -> np.ndarray:
        wanted = colour.distribution_of(
            [one.picture for one in sharing],
            [fitted(one.mask, *one.picture.shape[1:]) for one in sharing],
            [one.weight for one in sharing],
        )
        if share < 1 and photograph is not None:
            own = colour.distribution_of([photograph], [shown], [1])
            wanted = colour.between(own, wanted, share)
        return colour.with_distribution_of(painted, wanted, shown)

    return _region_by_region(painted, alpha, paintings, moved)


def with_chroma(
    painted: np.ndarray,
    photograph: np.ndarray,
    alpha: np.ndarray | None,
    paintings: Sequence[ReadPainting],
    strength: float = 1.0,
    device: Device = devices.CPU,
) -> np.ndarray:
    """Return ``painted`` (3, H, W) with the photograph's chroma, spread as the paintings'.

    With a ``strength`` below 1 it goes so much of the way.  The paintings are seen at the
    picture's size.  See `colour.with_chroma_of`.
    """
    longer = max(painted.shape[1:])

    def moved(sharing: Sharing, shown: np.ndarray | None) -> np.ndarray:
        shapes = [one.picture.shape[1:] for one in sharing]
        sizes = [images.fit(height, width, longer) for height, width in shapes]
        palette = colour.palette_of(
            [images.resize(one.picture, *s) for one, s in zip(sharing, sizes, strict=True)],
            [fitted(one.mask, *size) for one, size in zip(sharing, sizes, strict=True)],
            [one.weight for one in sharing],
        )
        seen = None if shown is None else device.asarray(shown)
        pictures = device.asarray(painted), device.asarray(photograph)
        return device.asnumpy(colour.with_chroma_of(*pictures, palette, seen))

    coloured = _region_by_region(painted, alpha, paintings, moved)
    return painted + np.float32(strength) * (coloured - painted)


def _region_by_region(
    picture: np.ndarray,
    alpha: np.ndarray | None,
    paintings: Sequence[ReadPainting],
    moved: Callable[[Sharing, np.ndarray | None], np.ndarray],
) -> np.ndarray:
    """Return ``picture + sum of region (moved - picture)``, (3, H, W) in [0, 1].

    ``moved(sharing, shown)`` is the picture in the colours of paintings that share a region;
    ``shown`` (H, W) is where their colours are looked at, None: everywhere.
    """
    coloured = picture
    for sharing, region in by_region(paintings, *picture.shape[1:]):
        shown = alpha if region is None else region
        if shown is not None and not shown.any():
            continue  # too small to be seen at this size
        found = moved(sharing, shown)
        if region is None and coloured is picture:
            coloured = found
        else:
            covered = np.float32(1) if region is None else region
            coloured = coloured + covered * (found - picture)
    return coloured.clip(0, 1, out=None if coloured is picture else coloured)


def within_regions(
    picture: np.ndarray, photograph: np.ndarray, paintings: Sequence[ReadPainting]
) -> np.ndarray:
    """Return ``picture`` (3, H, W), and the ``photograph`` where no painting's region is.

    ``photograph + covered (picture - photograph)``, where ``covered`` is the sum of the regions,
    at most 1.  What is painted reaches a little beyond its region, and a recipe without a content
    loss keeps nothing of what is outside.
    """
    height, width = picture.shape[1:]
    regions = [region for _, region in by_region(paintings, height, width)]
    covered = np.clip(sum(region for region in regions if region is not None), 0, 1)
    covered[covered > 1 - 2 * LEAST_SHARE] = 1  # two masks that meet are rounded each
    shown = images.resize(photograph, height, width)
    return np.where(covered == 1, picture, shown + covered * (picture - shown))
