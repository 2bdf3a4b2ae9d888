"""Which position of a painting is nearest, where what is near to everything counts for less.

    j = argmax_j  2 cos(i, j) - max_i cos(i, j)

Matched one way, a few positions of a painting are near to everything: a whole sky takes one of
them, and repeats it.  Both ways, a position counts for less, the nearer the nearest that asks for
it is.  That is the cross-domain similarity of Conneau et al., "Word Translation Without Parallel
Data" (2018, eq. 3), with the nearest alone in place of their mean of ten, and without the term
that only i has.
"""

import numpy as np

from nst import kernels
from nst.kernels import Array

ASKED_BACK = 8  # every so many-th position that asks is asked back: all of them spread hardly more


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
