"""Where L-BFGS begins: one number for all, or one for each band of frequencies.

The objective is made of convolutions and of means over the image.  Such a function has nearly the
same curvature everywhere in the image, and a very different one for large shapes and for fine
detail.  So its second derivatives are nearly diagonal in the cosine transform's domain, where one
number serves neither end.  DERIVATIONS.md has the formulas.
"""

from collections.abc import Sequence
from typing import NamedTuple

from nst import kernels
from nst.kernels import Array

NEWEST = 5  # pairs that are looked at: older ones tell of another place
TINY = 1e-12  # of all: so that a band in which nothing moved has what all have


class Pair(NamedTuple):
    """What is kept of a pair (s, y) beside it: numbers on its device."""

    product: Array  # s . y
    square: Array  # y . y
    moves: Array | None = None  # (C, bands): the squares of s in each band of each channel,
    changes: Array | None = None  # and of y


def known_of(s: Array, y: Array, products: Sequence[Array] | None = None, bands: int = 1) -> Pair:
    """Return what is to be known of the pair (s, y); ``products`` are y . s, y . y, if known."""
    k = kernels.of(s, y)
    if products is None:
        products = k.dot(y, s), k.dot(y, y)
    if bands == 1:
        return Pair(*products)
    return Pair(*products, *(k.band_squares(k.cosine_transform(x), bands) for x in (s, y)))


def begin(known: list[Pair], q: Array) -> Array:
    """Return ``H0 q``, in the place of q or not: where the history of ``known`` pairs begins.

    With one band ``H0 = (s . y) / (y . y)`` of the newest pair, Nocedal and Wright (2006),
    eq. 7.20.  Else H0 multiplies each band b of the cosine transform by ``gamma h_b``,
    in each of its channels (grey and two pairs of opponent colours) by another,

        h_b = sqrt(sum |s_b|**2 / sum |y_b|**2)        over the last NEWEST pairs,

    and gamma is eq. 7.20's where distances are measured by h: ``(s . y) / (y . h y)``.
    """
    k = kernels.of(q)
    newest = known[-1]
    if newest.changes is None:
        return k.scale(newest.product / newest.square, q)
    last = known[-NEWEST:]
    moves, changes = (
        sum((getattr(pair, name) for pair in last[1:]), getattr(last[0], name))
        for name in ("moves", "changes")
    )
    factors = ((moves + TINY * moves.sum()) / (changes + TINY * changes.sum())) ** 0.5
    gamma = newest.product / (factors * newest.changes).sum()
    spectrum = k.scale_bands(gamma * factors, k.cosine_transform(q))
    return k.inverse_cosine_transform(spectrum)
