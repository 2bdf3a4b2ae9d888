"""The smoothness loss: neighbouring pixels are to be alike (total variation).

    loss = mean of the squared steps to the right and lower neighbour

It acts on the pixels themselves, and the network has no part in it.
"""

from collections.abc import Callable
from types import ModuleType

from nst import kernels
from nst.kernels import Array

SMOOTHNESS_KINDS = ("l1", "l2", "johnson", "crowson")


def smoothness_loss(
    image: Array,
    kind: str = "l2",
    reduction: str = "mean",
    pixel_range: float = 1.0,
    d_loss: float | Array = 1.0,
    out: Array | None = None,
    add: bool = False,
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
    pixel_range : float
        The loss is that of ``pixel_range * image``: 255 where a recipe counts grey levels.
    d_loss : float or 0-d array
        How much the total grows with this loss: its weight.
    out, add
        Takes ``d_image``; with ``add`` it is added to what is there.

    Returns
    -------
    loss : 0-d float array
    d_image : (3, H, W) float array
        Its gradient, times ``d_loss``.
    """
    forward, backward = total_variation(kernels.of(image), kind)
    factor = smoothness_factor(kind, pixel_range)
    loss = forward(image, reduction)
    loss = loss * loss.dtype.type(factor)
    d_image = backward(image, reduction, d_loss * factor, out, add)
    return loss, d_image


def total_variation(k: ModuleType, kind: str) -> tuple[Callable[..., Array], Callable[..., Array]]:
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
