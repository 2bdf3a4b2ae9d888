"""Content, style and smoothness: each returns its loss and its gradient.

Forward goes down the page, backward comes back up; kernels/DERIVATIONS.md derives each line.
Losses are raw: what they weigh against each other is decided in objective.py.
"""

from collections.abc import Callable
from types import ModuleType

from nst import kernels, styles
from nst.kernels import Array
from nst.styles import GRAM_NORMALIZATIONS

__all__ = ["GRAM_NORMALIZATIONS", "content_loss", "gram_divisor", "smoothness_loss", "style_loss"]

CONTENT_REDUCTIONS = ("mean", "sum", "half sum")
SMOOTHNESS_KINDS = ("l1", "l2", "johnson", "crowson")


def content_loss(features: Array, target: Array, reduction: str = "mean") -> tuple[Array, Array]:
    """Return ``(loss, d_features)`` for keeping the photograph's features.

    ``loss = mean((features - target)**2)``, as in Gatys' own notebook and in Hvass' tutorial.

    Parameters
    ----------
    features, target : (C, H, W) float arrays
        Activations of one layer, of the painted image and of the photograph.
    reduction : "mean", "sum" or "half sum"
        Gatys et al. (2015, eq. 1) have half the sum in place of the mean.
    """
    k = kernels.of(features, target)
    means = features.size / content_divisor(reduction, features.size)  # 1, unless it is a sum
    loss = k.mse(features, target) * features.dtype.type(means)
    d_features = k.mse_backward(features, target, means)
    return loss, d_features


def style_loss(
    features: Array, target_gram: Array, normalization: str = "HW"
) -> tuple[Array, Array]:
    """Return ``(loss, d_features)`` for taking the painting's Gram matrix.

    ``loss = mean((gram(features) - target_gram)**2)`` over the C * C entries: Gatys et al.
    (2015, eqs. 3 and 4), with the factors of Gatys' own notebook.

    Parameters
    ----------
    features : (C, H, W) float array
        Activations of one layer, of the painted image.
    target_gram : (C, C) float array
        ``gram`` of the painting's activations at the same layer, normalised in the same way.
        The painting may have any size.
    normalization : "HW", "CHW" or "none"
        What the sum over pixels is divided by: H * W (Gatys' notebook), C * H * W (Johnson's
        neural-style) or nothing (Hvass).
    """
    k = kernels.of(features, target_gram)
    divisor = gram_divisor(features, normalization)
    gram = k.gram(features, divisor)
    loss = k.mse(gram, target_gram)
    d_gram = k.mse_backward(gram, target_gram)  # and back, in reverse order
    d_features = k.gram_backward(d_gram, features, divisor)
    return loss, d_features


def smoothness_loss(
    image: Array, kind: str = "l2", reduction: str = "mean"
) -> tuple[Array, Array]:
    """Return ``(loss, d_image)`` for a low total variation: the denoise loss of the seed.

    Parameters
    ----------
    image : (3, H, W) float array
        RGB in [0, 1].
    kind : "l1", "l2", "johnson" or "crowson"
        Absolute steps between neighbours (keeps edges, leaves flat patches) or squared ones
        (gentle everywhere, blurs edges); half the squares, without the last row and column, as
        in Johnson's neural-style; squares of the diagonal steps too, as in Crowson's.
    reduction : "sum", "mean" or "means"
        Hvass sums; the mean does not depend on the image's size; "means" divides each direction
        by its own number of steps, as Athalye does.  Crowson's is a mean.
    """
    forward, backward = total_variation(kernels.of(image), kind)
    loss = forward(image, reduction)
    d_image = backward(image, reduction)
    return loss, d_image


def total_variation(k: ModuleType, kind: str) -> tuple[Callable, Callable]:
    """Return total variation of a ``kind``, forward and backward, of one twin of the kernels."""
    if kind == "l1":
        return k.total_variation_l1, k.total_variation_l1_backward
    if kind == "l2":
        return k.total_variation_l2, k.total_variation_l2_backward
    if kind == "johnson":
        return k.total_variation_johnson, k.total_variation_johnson_backward
    if kind == "crowson":
        return k.total_variation_crowson, k.total_variation_crowson_backward
    raise ValueError(f"kind of total variation is {kind!r}; choose from {SMOOTHNESS_KINDS}")


def smoothness_factor(kind: str, pixel_range: float) -> float:
    """Return by how much total variation grows when the image's white is not 1 but this."""
    return pixel_range if kind == "l1" else pixel_range**2


def content_divisor(reduction: str, count: int) -> float:
    """Return the number that a sum of ``count`` squared differences is divided by."""
    if reduction == "mean":
        return count
    if reduction == "sum":
        return 1
    if reduction == "half sum":
        return 2
    raise ValueError(f"content reduction is {reduction!r}; choose {CONTENT_REDUCTIONS}")


def gram_divisor(features: Array, normalization: str) -> float:
    """Return the number that a Gram matrix of ``features`` (C, H, W) is divided by."""
    channels, height, width = features.shape
    return styles.gram_divisor(channels, height * width, normalization)
