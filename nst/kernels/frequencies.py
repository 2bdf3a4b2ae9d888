"""Bands of frequencies: which part of a cosine transform belongs to which."""

from math import isqrt

Part = tuple[slice, slice, slice]  # of (C, H, W)


def rings(shape: tuple[int, ...], bands: int) -> list[tuple[Part, Part]]:
    """Return each band's two rectangles in a transform of this ``shape``, coarse first.

    Frequencies grow along both axes, and each band reaches sqrt(2) times as high as the one below.
    The highest is what lies beyond 1 / sqrt(2) of either axis, the next what lies beyond 1 / 2 and
    in no higher one; the lowest holds the rest.  So a band is an L around those below, and two
    slices: nothing has to say which pixel is whose.
    """
    _, height, width = shape
    found, row, column = [], 0, 0
    for band in range(1, bands + 1):
        top, left = row, column
        row, column = (_reach(side, bands - band) for side in (height, width))
        beside = slice(None), slice(0, top), slice(left, column)
        below = slice(None), slice(top, row), slice(0, column)
        found.append((beside, below))
    return found


def _reach(side: int, above: int) -> int:
    """Return ``side / sqrt(2)**above``, rounded up: the least n with n**2 * 2**above >= side**2.

    In whole numbers, so that the GPU finds the same.
    """
    return isqrt((side * side - 1) >> above) + 1
