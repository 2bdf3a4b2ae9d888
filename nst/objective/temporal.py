"""The temporal loss: in a film, what was painted in the frames before is to move with it.

    loss = mean(certainty * (image - warped)**2)

It acts on the pixels themselves, and the network has no part in it.  Ruder, Dosovitskiy and Brox,
*Artistic Style Transfer for Videos* (2016), eq. 7 to 10.
"""

from dataclasses import dataclass

from nst import kernels
from nst.kernels import Array


@dataclass(frozen=True)
class Warped:
    """What was painted in the frames before, moved to where it is now."""

    picture: Array  # (3, H, W) RGB in [0, 1]
    certainty: Array  # (H, W) from 0, where it cannot be known, to 1


def temporal_loss(
    image: Array,
    warped: Warped,
    d_loss: float | Array = 1.0,
    out: Array | None = None,
    add: bool = False,
) -> tuple[Array, Array]:
    """Return ``(loss, d_image)`` for an image that is what was painted before, moved.

    Parameters
    ----------
    image : (3, H, W) float array
        RGB in [0, 1].
    warped : Warped
        Of the same size.
    d_loss : float or 0-d array
        How much the total grows with this loss: its weight.
    out, add
        Takes ``d_image``; with ``add`` it is added to what is there.

    Returns
    -------
    loss : 0-d float array
        The mean over all pixels and colours, certain or not.
    d_image : (3, H, W) float array
        Its gradient, times ``d_loss``.
    """
    k, known = kernels.of(image, warped.picture), (warped.picture, warped.certainty)
    loss = k.masked_mse(image, *known)
    d_image = k.masked_mse_backward(image, *known, d_loss, out, add)
    return loss, d_image
