"""The content loss: the features of the photograph are to stay.

    loss = mean((features - target)**2)

Forward goes down the page, backward comes back up; kernels/DERIVATIONS.md derives each line.
"""

from dataclasses import dataclass

import numpy as np

from nst import kernels
from nst.kernels import Array

CONTENT_REDUCTIONS = ("mean", "sum", "half sum")


def content_loss(
    features: Array,
    target: Array,
    reduction: str = "mean",
    d_loss: float | Array = 1.0,
    out: Array | None = None,
    seen: Array | None = None,
) -> tuple[Array, Array]:
    """Return ``(loss, d_features)`` for keeping the photograph's features.

    ``loss = mean((features - target)**2)``, as in Gatys' own notebook and in Hvass' tutorial.

    Parameters
    ----------
    features, target : (C, H, W) float arrays
        Activations of one layer, of the painted image and of the photograph.
    reduction : "mean", "sum" or "half sum"
        Gatys et al. (2015, eq. 1) have half the sum in place of the mean.
    d_loss : float or 0-d array
        How much the total grows with this loss: its weight.
    out : (C, H, W) float array, optional
        Takes ``d_features``; may be ``features``.
    seen : (H, W) float array, optional
        1 where the photograph shows something, 0 where it is transparent: a transparent pixel
        counts for nothing, though the mean is over all pixels.

    Returns
    -------
    loss : 0-d float array
    d_features : (C, H, W) float array
        Its gradient, times ``d_loss``.
    """
    features, target = _seen(features, seen), _seen(target, seen)
    k = kernels.of(features, target)
    means = features.size / content_divisor(reduction, features.size)  # 1, unless it is a sum
    loss = k.mse(features, target)
    if reduction != "mean":  # a sum has more digits than float32
        loss = loss.astype(np.float64) * means
    d_features = k.mse_backward(features, target, d_loss * means, out)
    return loss, d_features


def content_divisor(reduction: str, count: int) -> float:
    """Return the number that a sum of ``count`` squared differences is divided by."""
    if reduction == "mean":
        return count
    if reduction == "sum":
        return 1
    if reduction == "half sum":
        return 2
    raise ValueError(f"content reduction is {reduction!r}; choose {CONTENT_REDUCTIONS}")


# ---- The same, of a picture in tiles ------------------------------------------------------


@dataclass(frozen=True)
class Squares:
    """What the loss needs to know of the features: those of two tiles can be added."""

    total: Array  # sum of squared differences, 0-d float64
    count: int  # of how many

    def __add__(self, other: "Squares") -> "Squares":
        return Squares(self.total + other.total, self.count + other.count)


def measure(features: Array, target: Array, seen: Array | None = None) -> Squares:
    """Return the sum of squared differences of a tile's features.

    Parameters
    ----------
    features, target : (C, H, W) float arrays
        Of the painted image and of the photograph, on the part that the tile owns.
    seen : (H, W) float array, optional
        See `content_loss`.
    """
    features, target = _seen(features, seen), _seen(target, seen)
    loss = kernels.of(features, target).mse(features, target)
    return Squares(loss.astype(np.float64) * target.size, target.size)


def compare(squares: Squares, reduction: str = "mean") -> Array:
    """Return the loss of a picture whose tiles have these ``squares`` in all: a 0-d array."""
    return squares.total / content_divisor(reduction, squares.count)


def spread(
    d_squares: float | Array,
    features: Array,
    target: Array,
    out: Array | None = None,
    seen: Array | None = None,
) -> Array:
    """Return a tile's ``d_features`` (C, H, W).

    Parameters
    ----------
    d_squares : float or 0-d array
        How much the total grows with each squared difference.
    features, target, seen
        As `measure` took them.
    out : (C, H, W) float array, optional
        Takes the result; may be ``features``.
    """
    features, target = _seen(features, seen), _seen(target, seen)
    d_loss = d_squares * target.size  # of mse, which divides by it
    return kernels.of(features, target).mse_backward(features, target, d_loss, out)


def _seen(features: Array, seen: Array | None) -> Array:
    """Return ``features``, 0 where nothing of the photograph is ``seen``."""
    return features if seen is None else features * seen
