"""The hypercolumn: what the layers of a network see at one place, as one vector.

On a grid of 4 pixels, which is that of VGG's third block,

    column = concatenation over the layers l of  (1 / C_l) resized_l(F_l)

with C_l the channels of a layer and F_l its features: of a finer layer the means of blocks of
4 x 4 or 2 x 2, of the fourth block's the bilinear enlargement.  The factor keeps a layer from
counting for as much as it has channels.  Hariharan et al. (2015) named it; Kolkin et al., "Neural
Neighbor Style Transfer" (2022), match it.

What a layer's mean and enlargement are does not depend on the size of the picture: a tile of it
has the same columns.  Kolkin's program samples instead, and so does the tap
``hypercolumn_points``: every layer is interpolated at points whose outermost are its corners.  Of
a fine layer that is one point of 16, and it leaves a grid of 4 pixels in the picture; and where
the points are depends on the size: a tile has others.
"""

from collections.abc import Mapping

from nst import kernels
from nst.kernels import Array
from nst.vgg.architecture import COLUMN_STRIDE, stride_of


def forward(layers: Mapping[str, Array], out: Array, points: bool = False) -> Array:
    """Write the hypercolumns of the features (C_l, H_l, W_l) of ``layers`` into ``out``.

    That is (sum of C_l, H, W) and is returned; the layers are named as in architecture.py.
    With ``points`` each layer is sampled, from corner to corner.
    """
    first = 0
    for layer, features in layers.items():
        k, channels = kernels.of(features), len(features)
        rows, block = out[first : first + channels], block_of(layer)
        if points:
            k.resize(features, *out.shape[1:], "corners", 1 / channels, rows)
        elif block:
            k.block_mean(features, block, 1 / channels, rows)
        else:
            k.resize(features, *out.shape[1:], "doubled", 1 / channels, rows)
        first += channels
    return out


def backward(
    d_column: Array,
    layers: Mapping[str, Array],
    d_layers: Mapping[str, Array],
    points: bool = False,
) -> dict[str, Array]:
    """Return dL/dF_l of each of the ``layers``, given dL/dcolumn.

    It is added to what is in ``d_layers`` already; else it is written over the ``layers``.
    """
    found, first = {}, 0
    for layer, features in layers.items():
        k, channels = kernels.of(features), len(features)
        rows, block = d_column[first : first + channels], block_of(layer)
        out, add = d_layers.get(layer, features), layer in d_layers
        if points:
            k.resize_backward(rows, features, "corners", 1 / channels, out, add)
        elif block:
            k.block_mean_backward(rows, features, block, 1 / channels, out, add)
        else:
            k.resize_backward(rows, features, "doubled", 1 / channels, out, add)
        found[layer] = out
        first += channels
    return found


def block_of(layer: str) -> int:
    """Return how many features of ``layer``, along a side, one position stands for.

    0: none, its features stand for more pixels than a position.
    """
    return COLUMN_STRIDE // stride_of(layer)
