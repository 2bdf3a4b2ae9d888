"""Which position of a painting is nearest, where what is near to everything counts for less.

    j = argmax_j  2 cos(i, j) - max_i cos(i, j)

Matched one way, a few positions of a painting are near to everything: a whole sky takes one of
them, and repeats it.  Both ways, a position counts for less, the nearer the nearest that asks for
it is.  That is the cross-domain similarity of Conneau et al., "Word Translation Without Parallel
Data" (2018, eq. 3), with the nearest alone in place of their mean of ten, and without the term
that only i has.

A layer has hundreds of channels, a column of all layers thousands, and nearly all that tells the
positions of a painting apart lies along few directions: along these they are matched, in a
fraction of the time.
"""

import numpy as np

from nst import kernels
from nst.kernels import Array

ASKED_BACK = 8  # every so many-th position that asks is asked back: all of them spread hardly more
MAIN_DIRECTIONS = 96  # along which positions are matched
PASSES = 2  # over a painting, to find them
SEEN = 0.5  # of the largest value of a mask of the painting: a position of less is not looked at


def main_directions(units: Array) -> Array | None:
    """Return the directions along which most of the ``units`` (C, M) lies, orthonormal: (C, K).

    None where there are hardly more, channels or positions: nothing would be gained.

    Random vectors turn to the leading ones as they are multiplied with ``units units'``: Halko,
    Martinsson and Tropp, "Finding Structure with Randomness" (2011, algorithm 4.4).
    """
    if 2 * min(units.shape) < 3 * MAIN_DIRECTIONS:
        return None
    found = np.random.default_rng(0).standard_normal((len(units), MAIN_DIRECTIONS))
    for _ in range(PASSES):
        there = kernels.beside(found.astype(units.dtype), units)
        found, _ = np.linalg.qr(kernels.on_host(units @ (units.T @ there)).astype(np.float64))
    return kernels.beside(found.astype(units.dtype), units)


def along(main: Array | None, vectors: Array) -> Array:
    """Return the components (K, N) of ``vectors`` (C, N) along ``main`` (C, K); None: all."""
    return vectors if main is None else kernels.beside(main, vectors).T @ vectors


def price_of(units: Array, queries: Array) -> Array:
    """Return half of how near the nearest of the ``queries`` is, 0 at least: (M,).

    Of each of the ``units`` (C, M), among directions (C, N).
    """
    _, cosines = kernels.of(units).nearest(units, queries)
    found: Array = np.maximum(cosines, 0) / 2
    return found


def nearest(queries: Array, units: Array, price: Array) -> tuple[Array, Array]:
    """Return for each of the directions ``queries`` (C, N) which of the ``units`` it takes.

    And how near that is: its cosine less its ``price`` (M,).  The price is a further channel of
    the ``units`` (C, M), which is -1 of the queries: `nearest` needs no other kernel for it.
    """
    priced = np.concatenate([units, price[None]])
    asking = np.concatenate([queries, 0 * queries[:1] - 1])
    index, products = kernels.of(units).nearest(asking, priced)
    return index, products
