"""What a statistic is told of the image, if it makes its target anew for each scale."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from nst.devices import Device
from nst.kernels import Array
from nst.memory import FileArray
from nst.objective.styles.sums import Mask

STRIP_POSITIONS = 1 << 13  # that are looked at together


@dataclass(frozen=True)
class Query:
    """The picture that asks a painting for its style, as one layer sees it.

    It is the photograph, and from the second scale on partly what was painted so far.
    """

    features: Array | FileArray  # (C, H, W); in a file where the picture is seen in tiles
    device: Device
    mask: Mask | None = None  # the region that asks; None: everywhere
    share: float = 1.0  # how much of the style is taken; the rest stays the photograph's
    own: Array | FileArray | None = None  # (C, H, W) of the photograph, where that is less than 1

    @property
    def shape(self) -> tuple[int, ...]:
        """The (C, H, W) of its features."""
        return self.features.shape

    def strips(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield strips of rows, and in each the positions that ask, counted row by row."""
        _, height, width = self.shape
        rows = max(1, STRIP_POSITIONS // width)
        for top in range(0, height, rows):
            strip = slice(top, min(top + rows, height))
            inside = np.ones((strip.stop - top, width), bool)
            if self.mask is not None:
                inside = self.mask.host[strip] > 0
            yield strip, np.flatnonzero(inside)

    def vectors(self, of: Array | FileArray, strip: slice, positions: np.ndarray) -> Array:
        """Return what ``of`` (C, H, W) has at these positions of a strip: (C, N), placed."""
        rows = self.device.xp.ascontiguousarray(self.device.xp.asarray(of[:, strip]))
        flat = rows.reshape(len(rows), -1)
        if len(positions) == flat.shape[1]:
            return flat
        return flat.take(self.device.xp.asarray(positions), axis=1)

    def field(self) -> Array | FileArray:
        """Return a field of zeros like the features', kept where they are."""
        if isinstance(self.features, FileArray):
            return FileArray(self.shape)
        return self.device.xp.zeros(self.shape, np.float32)
