"""3x3 convolutions with 2.25 instead of 9 multiplications a pixel: Winograd's F(4x4, 3x3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2016), section 4.3.

One row first.  Four outputs of a kernel of three taps, y[t] = sum_i g[i] x[t + i], read six
inputs.  They are the transpose of a product of polynomials (Toom and Cook): evaluate both factors
at the six points 0, 1, -1, 2, -2 and infinity, multiply point by point, and interpolate.  These
are linear maps with few and small numbers in them:

    y = OUTPUT @ ((KERNEL @ g) * (INPUT @ x))          six multiplications instead of twelve

A 6x6 square of the picture and a 3x3 kernel: the same along the rows and along the columns, so
that 36 points give 4x4 outputs.  The sum over input channels commutes with the linear maps: it is
taken at each point on its own, for all squares at once, and that is a product of matrices,

    at each point (i, j):   (O, squares)  =  (O, C) @ (C, squares)

and nearly all the arithmetic.  The gradient with respect to the input is such a convolution too.

What is saved is paid for with the transforms, which read and write each square at 36 points in
place of 16.  That pays where there are many channels to sum over: see `pays`.  Rounding is about
1e-5 of the largest output: the points 2 and -2 reach up to 2**5.
"""

import numpy as np
from onnx import NodeProto
from onnx.helper import make_node

from nst.vgg.strips import part

INPUT = np.array(  # x -> 36 points, by rows of six
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
KERNEL = np.array(
    [[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]],
) / [[24]]
OUTPUT = np.array(
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)

TILE = 4  # outputs along each side of a square
SQUARES_AT_ONCE = 1024  # transformed: their 36 points each stay in the processor's cache
FEWEST_CHANNELS = 128


def pays(inputs: int, outputs: int) -> bool:
    """Tell whether a convolution of so many channels is faster this way than directly.

    The products take inputs * outputs a square, the transforms inputs + outputs; so what counts
    is their quotient, half the harmonic mean.  The bound is measured: scripts/PERFORMANCE.md.
    """
    return 2 * inputs * outputs >= FEWEST_CHANNELS * (inputs + outputs)


def transform_kernel(weight: np.ndarray) -> np.ndarray:
    """Return a kernel (O, C, 3, 3) at the 36 points, (36, O, C) of the same dtype."""
    both = np.kron(KERNEL, KERNEL).astype(weight.dtype)  # (36, 9): along rows and columns
    return (both @ weight.reshape(-1, 9).T).reshape(36, *weight.shape[:2])


def constants(dtype: np.dtype) -> dict[str, np.ndarray]:
    """Return the two other transforms, as the nodes read them.

    ``to_points`` (36, 1, 6, 6) is a convolution of stride 4, ``from_points`` (16, 36) a matrix.
    """
    to_points = np.einsum("ia,jb->ijab", INPUT, INPUT).reshape(36, 1, 6, 6)
    from_points = np.einsum("ai,bj->abij", OUTPUT, OUTPUT).reshape(16, 36)
    return {"to_points": to_points.astype(dtype), "from_points": from_points.astype(dtype)}


def conv(
    kernel: str,
    x: str,
    y: str,
    inputs: int,
    outputs: int,
    height: int,
    width: int,
    borders: tuple[int, int] = (1, 1),
) -> list[NodeProto]:
    """Return nodes for the convolution ``y`` (1, O, H, W) of ``x``, without a bias.

    ``kernel`` names the output of `transform_kernel`.  ``borders`` says where a row of zeros is
    put, above and below; elsewhere ``x`` has one row more than ``y``.  The picture is cut into
    strips of whole rows of squares; what hangs over at the bottom and at the right is cut off.
    """
    rows, columns = -(-height // TILE), -(-width // TILE)
    step = max(1, SQUARES_AT_ONCE // columns)
    shape = inputs, outputs, height, width
    whole = f"{y}_whole" if rows * TILE > height or columns * TILE > width else y
    nodes, strips = [], []
    for top in range(0, rows, step):
        bottom = min(rows, top + step)
        strips.append(f"{y}_rows{top}" if step < rows else whole)
        nodes += _strip(kernel, x, strips[-1], shape, top, bottom, borders)
    if len(strips) > 1:
        nodes.append(make_node("Concat", strips, [whole], whole, axis=2))
    if whole != y:
        nodes += part(whole, y, [0, 0], [height, width], [2, 3])
    return nodes


def _strip(
    kernel: str,
    x: str,
    y: str,
    shape: tuple[int, int, int, int],
    top: int,
    bottom: int,
    borders: tuple[int, int],
) -> list[NodeProto]:
    """Return nodes for the squares of rows ``top`` to ``bottom``, counted in squares."""
    inputs, outputs, height, width = shape
    rows, columns = bottom - top, -(-width // TILE)
    squares = rows * columns
    first, last = TILE * top - borders[0], TILE * bottom + 2 - borders[0]  # rows that they read
    there = height + 2 - sum(borders)
    above, below = max(0, -first), max(0, last - there)
    first, last = first + above, last - below
    pads = [above, 1, below, TILE * columns + 1 - width]
    here = f"{y}_x" if last - first < there else x
    return [
        *(part(x, here, [first], [last], [2]) if here != x else []),
        *_reshape(here, f"{y}_apart", [inputs, 1, last - first, width]),
        make_node(
            "Conv", [f"{y}_apart", "to_points"], [f"{y}_squares"], strides=[TILE] * 2, pads=pads
        ),
        make_node("Transpose", [f"{y}_squares"], [f"{y}_points"], perm=[1, 0, 2, 3]),
        *_reshape(f"{y}_points", f"{y}_flat", [36, inputs, squares]),
        make_node("MatMul", [kernel, f"{y}_flat"], [f"{y}_products"], f"{y}_products"),
        *_reshape(f"{y}_products", f"{y}_sums", [36, outputs * squares]),
        make_node("MatMul", ["from_points", f"{y}_sums"], [f"{y}_pixels"]),
        # (row, column, square) -> (row, square, column) -> (square's row, row, ...): two simple
        # transpositions.  One that does both at once is several times slower in ONNX Runtime.
        *_reshape(f"{y}_pixels", f"{y}_by_column", [TILE, TILE, outputs * squares]),
        make_node("Transpose", [f"{y}_by_column"], [f"{y}_by_square"], perm=[0, 2, 1]),
        *_reshape(f"{y}_by_square", f"{y}_by_row", [TILE, outputs * rows, TILE * columns]),
        make_node("Transpose", [f"{y}_by_row"], [f"{y}_in_order"], perm=[1, 0, 2]),
        *_reshape(f"{y}_in_order", y, [1, outputs, TILE * rows, TILE * columns]),
    ]


def _reshape(x: str, y: str, shape: list[int]) -> list[NodeProto]:
    return [
        make_node("Constant", [], [f"{y}_shape"], value_ints=shape),
        make_node("Reshape", [x, f"{y}_shape"], [y]),
    ]
