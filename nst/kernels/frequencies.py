"""Bands of frequencies: which part of a cosine transform belongs to which."""

from math import ceil

RATIO = 2**0.5  # each band reaches so many times as high as the one below

Part = tuple[slice, slice, slice]  # of (C, H, W)


def rings(shape: tuple[int, ...], bands: int) -> list[tuple[Part, Part]]:
    """Return each band's two rectangles in a transform of this ``shape``, coarse first.

    Frequencies grow along both axes.  The highest band is what lies beyond 1 / RATIO of either
    axis, the next what lies beyond 1 / RATIO**2 and in no higher one; the lowest holds the rest.
    So a band is an L around those below, and two slices: nothing has to say which pixel is whose.
    """
    _, height, width = shape
    found, row, column = [], 0, 0
    for band in range(1, bands + 1):
        top, left = row, column
        row, column = (ceil(side / RATIO ** (bands - band)) for side in (height, width))
        beside = slice(None), slice(0, top), slice(left, column)
        below = slice(None), slice(top, row), slice(0, column)
        found.append((beside, below))
    return found
