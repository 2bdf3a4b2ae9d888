"""The way back through the first convolution, four pixels at once.

Its result has three channels, red, green and blue, and ONNX Runtime pads the channels of a
convolution's result to sixteen on the CPU: thirteen of sixteen multiplications are for nothing.
So each 2x2 square of pixels is put out as twelve channels of one pixel, by a convolution of stride
2, and `DepthToSpace` lays the square out again.  Shi et al., "Real-Time Single Image and Video
Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network" (2016), call that a
pixel shuffle.

The pixels of a square read the same 4x4 square of the input, each nine of its sixteen places.  So
its kernel is the 3x3 kernel, once for each of the four, moved to where that pixel is, and zeros
around it:  ``shuffled[4 k + 2 a + b, c, a + u, b + v] = kernel[k, c, u, v]``.
"""

import numpy as np
from onnx import NodeProto
from onnx.helper import make_node

from nst.vgg import strips


def shuffled_kernel(kernel: np.ndarray) -> np.ndarray:
    """Return a 3x3 kernel (O, C, 3, 3) as that of 2x2 squares of its results, (4 O, C, 4, 4)."""
    outputs, inputs = kernel.shape[:2]
    shuffled = np.zeros((outputs, 2, 2, inputs, 4, 4), kernel.dtype)
    for a in range(2):
        for b in range(2):
            shuffled[:, a, b, :, a : a + 3, b : b + 3] = kernel
    return shuffled.reshape(4 * outputs, inputs, 4, 4)


def conv(
    kernel: str, x: str, y: str, height: int, width: int, borders: tuple[int, int]
) -> list[NodeProto]:
    """Return nodes for the convolution ``y`` (1, O, height, width) of ``x``, without a bias.

    ``kernel`` names the output of `shuffled_kernel`; ``borders`` says where a row of zeros is put,
    above and below.  An odd last row or column is one of a square that hangs over, and is cut.
    """
    odd_row, odd_column = height % 2, width % 2
    above, below = borders
    pads = [above, 1, below + odd_row, 1 + odd_column]
    whole = f"{y}_whole" if odd_row or odd_column else y
    nodes = [
        make_node(
            "Conv", [x, kernel], [f"{y}_squares"], f"{y}_squares", pads=pads, strides=[2, 2]
        ),
        make_node("DepthToSpace", [f"{y}_squares"], [whole], whole, blocksize=2, mode="CRD"),
    ]
    return nodes if whole == y else nodes + strips.part(whole, y, [0, 0], [height, width], [2, 3])
