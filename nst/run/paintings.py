"""Paintings as they were read, with their masks and the regions that they are for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nst import kernels
from nst.errors import NstError, warn
from nst.files import PathLike
from nst.pictures import colour, images, reading
from nst.pictures.reading import Input
from nst.settings import Painting

LEAST_SHARE = 0.01  # of a mask, below which a pixel is outside


@dataclass(frozen=True)
class ReadPainting:
    """A painting as it was read: see `settings.Painting`."""

    picture: np.ndarray  # (3, H, W), in the colours that are measured
    weight: float = 1.0
    mask: np.ndarray | None = None  # (H, W) in [0, 1], of the painting
    region: np.ndarray | None = None  # (H, W) in [0, 1], of the photograph
    part: str = ""  # the name of that region: paintings of one part are blended
    alpha: np.ndarray | None = None  # (H, W), of the painting's file
    taps: tuple[str, ...] | None = None  # at which it is taken; None: all

    def taken_at(self, tap: str) -> bool:
        """Return whether this style is taken at ``tap``."""
        return self.taps is None or tap in self.taps


def read_style(
    painting: Painting,
    color: str,
    photograph: np.ndarray,
    read: Mapping[Path, Input],
    alpha: np.ndarray | None = None,
) -> ReadPainting:
    """Decode a painting and its masks, and bring it into the colours that are measured.

    What is transparent has no style: a painting is not looked at there, and where the photograph
    is wholly transparent, by its ``alpha``, none is painted.
    """
    picture, opacity = images.load_to_paint(read[painting.path])
    picture = colour.style_to_paint(color, picture, photograph, opacity, alpha)
    mask = region = None
    if painting.mask is not None:
        mask = read_mask(read[painting.mask])
        check_shape(read[painting.mask], mask, read[painting.path], picture)
    if painting.region is not None:
        region = read_mask(read[painting.region])
        check_shape(read[painting.region], region, None, photograph)
    mask = mask_within(mask, opacity, f"the style {painting.path}")
    region = mask_within(region, where_shown(alpha), "the photograph")
    part = str(painting.region)
    return ReadPainting(picture, painting.weight, mask, region, part, opacity, painting.taps)


def by_region(
    paintings: Sequence[ReadPainting], height: int, width: int
) -> Iterator[tuple[list[ReadPainting], np.ndarray | None]]:
    """Yield the paintings that share a region, and it, (height, width); None: everywhere.

    Where regions lie over one another they share what is there: their sum is 1 at most.
    """
    parts: dict[str, list[ReadPainting]] = {}
    for painting in paintings:
        parts.setdefault(painting.part, []).append(painting)
    regions = [fitted(sharing[0].region, height, width) for sharing in parts.values()]
    covered = sum(np.float32(1) if region is None else region for region in regions)
    if len(regions) > 1 and np.max(covered) > 1 + 2 * LEAST_SHARE:  # not two that only meet
        most = np.maximum(covered, np.float32(1))
        regions = [(np.float32(1) if region is None else region) / most for region in regions]
    yield from zip(parts.values(), regions, strict=True)


def fitted(mask: np.ndarray | None, height: int, width: int) -> np.ndarray | None:
    """Return a mask resized to (height, width); None stays None: everywhere."""
    if mask is None:
        return None
    resized = images.resize(mask, height, width)
    return np.where(resized < LEAST_SHARE, 0, resized)  # what resizing lets over is outside


def where_shown(alpha: np.ndarray | None) -> np.ndarray | None:
    """Return where a picture is not wholly transparent, (H, W) of bool; None: everywhere."""
    return None if alpha is None or alpha.all() else alpha > 0


def read_mask(source: PathLike | Input) -> np.ndarray:
    """Return the mask in an image file, (H, W): its luma, 0 outside to 1 inside.

    What is transparent is outside.
    """
    given = source if isinstance(source, Input) else reading.read(source)
    picture, alpha = images.load_with_alpha(given)
    mask = kernels.of(picture).luminance(picture)
    mask = mask if alpha is None else mask * alpha
    if mask.max() < 0.5:
        raise NstError(
            f"{_called(given)} is empty: its brightest pixel is {mask.max():.2f} of white. "
            "Paint white what is meant."
        )
    return mask


def mask_within(mask: np.ndarray | None, seen: np.ndarray | None, what: str) -> np.ndarray | None:
    """Return a mask, of any size, less what cannot be seen; None is everything."""
    if seen is None:
        return mask
    seen = seen.astype(np.float32)
    within = seen if mask is None else seen * images.resize(mask, *seen.shape)
    if within.max() < LEAST_SHARE:
        raise NstError(
            f"{what} is transparent wherever its mask, or all of it, is looked at; give one that "
            "shows something there"
        )
    return within


def check_shape(given: Input, mask: np.ndarray, of: Input | None, picture: np.ndarray) -> None:
    """Warn where a mask has not the shape of its picture: it is stretched to that.

    Raises NstError where nothing is left of it then.
    """
    (height, width), (rows, columns) = mask.shape, picture.shape[1:]
    name = "the photograph" if of is None else of.name
    called = _called(given)
    if images.resize(mask, rows, columns).max() < LEAST_SHARE:
        raise NstError(
            f"{called} is empty at the {columns} x {rows} pixels of {name}: paint "
            "white more of what is meant."
        )
    fitting = images.fit(rows, columns, max(height, width))
    if abs(fitting[0] - height) + abs(fitting[1] - width) > 1 + max(height, width) // 50:
        warn(
            f"{called} is {width} x {height} pixels, and {name} {columns} x {rows}: "
            "another shape, to which it is stretched"
        )


def _called(given: Input) -> str:
    """Return what messages call a mask: an array has no name but what it is."""
    return given.name if given.name.startswith("the ") else f"the mask {given.name}"
