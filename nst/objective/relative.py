"""The size of a target.  A loss divided by it means the same at every layer and every picture.

A relative loss of 1 is "as far from the target as nothing is".
"""

import math
from collections.abc import Iterator
from typing import Protocol

from nst import kernels
from nst.kernels import Array

TINY = 1e-12  # instead of the mean square of a target that is zero everywhere


class Rows(Protocol):
    """An array, or one in a file: its rows, or channels, one by one."""

    shape: tuple[int, ...]

    def __iter__(self) -> Iterator[Array]: ...


def mean_square(target: Rows) -> float:
    """Return the mean of the squares of ``target``, a little more than 0.

    A GPU is waited for once.
    """
    squares = kernels.floats([kernels.of(row).dot(row, row) for row in target])
    return max(sum(squares) / math.prod(target.shape), TINY)
