"""The edges loss: where the photograph has lines, the image is to have them too (LapStyle).

    loss = mean((laplacian(pool(image)) - laplacian(pool(photograph)))**2)

with the means of blocks of 4 x 4 pixels for a pool, and the Laplacian summed over red, green and
blue.  It acts on the pixels themselves, and the network has no part in it.  Li et al.,
"Laplacian-Steered Neural Style Transfer" (2017).
"""

from nst import kernels
from nst.kernels import Array

BLOCK = 4  # pixels along a side: finer lines are the painting's, not the photograph's


def edges_of(image: Array, pixel_range: float = 1.0) -> Array:
    """Return the Laplacian (H // 4, W // 4) of the blocks of ``pixel_range * image`` (3, H, W).

    A remainder of up to three rows and columns at the end has no block, and no edges.
    """
    k = kernels.of(image)
    return k.laplacian(k.block_mean(image, BLOCK, pixel_range))


def edges_loss(
    image: Array,
    target: Array,
    pixel_range: float = 1.0,
    d_loss: float | Array = 1.0,
    out: Array | None = None,
    add: bool = False,
    seen: Array | None = None,
) -> tuple[Array, Array]:
    """Return ``(loss, d_image)`` for keeping the photograph's edges.

    Parameters
    ----------
    image : (3, H, W) float array
        RGB in [0, 1].
    target : (H // 4, W // 4) float array
        `edges_of` the photograph, of the same size and ``pixel_range``.
    pixel_range : float
        The loss is that of ``pixel_range * image``: 255 where a recipe counts grey levels.
    d_loss : float or 0-d array
        How much the total grows with this loss: its weight.
    out, add
        Takes ``d_image``; with ``add`` it is added to what is there.
    seen : (H // 4, W // 4) float array, optional
        1 where the photograph shows something, 0 where a transparent pixel has a part in its
        edges: these count for nothing, though the mean is over all.

    Returns
    -------
    loss : 0-d float array
    d_image : (3, H, W) float array
        Its gradient, times ``d_loss``.
    """
    k = kernels.of(image, target)
    blocks = k.block_mean(image, BLOCK, pixel_range)
    found = k.laplacian(blocks)
    if seen is not None:
        found, target = found * seen, target * seen
    loss = k.mse(found, target)
    d_found = k.mse_backward(found, target, d_loss, found)  # 0 where nothing is seen
    d_blocks = k.laplacian_backward(d_found, blocks, blocks)
    return loss, k.block_mean_backward(d_blocks, image, BLOCK, pixel_range, out, add)


def seen_of(shown: Array) -> Array:
    """Return ``seen`` for `edges_loss`, of where a photograph is ``shown`` (H, W), 1 or 0.

    An edge is seen where its block and the four next to it are shown as a whole.
    """
    k = kernels.of(shown)
    whole = (k.block_mean(shown[None], BLOCK) > 0.999).astype(shown.dtype)
    return whole[0] * (k.laplacian(whole) == 0)
