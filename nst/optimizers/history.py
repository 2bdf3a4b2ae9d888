"""What L-BFGS remembers: the last moves, and how the gradient changed along them.

Moves are the rows of one matrix, S, and changes those of another, Y, so that a pass over all of
them is one product of a matrix and a vector.  The newest pair takes the row of the oldest, and
nothing is moved; what goes out and comes in is in the order of the pairs, oldest first.
"""

from collections.abc import Iterable

import numpy as np

from nst import kernels
from nst.kernels import Array


class History:
    """The last ``most`` pairs (s, y) of a move and the change of gradient along it.

    ``first`` is the row of the oldest one, if there are ``most``.
    """

    def __init__(
        self, most: int, pairs: Iterable[tuple[Array, Array]] = (), first: int = 0
    ) -> None:
        self.most = most
        self.moves: Array = None  # S, (most, ...); a row that is not taken yet is zero
        self.changes: Array = None  # Y
        self._first, self._count = first, 0
        self._products: Array = None
        for s, y in pairs:
            self._put(s, y)

    def __len__(self) -> int:
        return self._count

    @property
    def first(self) -> int:
        """The row of the oldest pair."""
        return self._first

    @property
    def pairs(self) -> list[tuple[Array, Array]]:
        """The pairs, oldest first: views."""
        rows = [(self._first + index) % self.most for index in range(self._count)]
        return [(self.moves[row], self.changes[row]) for row in rows]

    @property
    def products(self) -> Array:
        """``U[i, j] = s_i . y_j`` of each move with changes as new or newer, else 0: float64."""
        if self._products is None:
            for index, (_, y) in enumerate(self.pairs):
                self._extend(y, index + 1)
        return self._products

    def add(self, s: Array, y: Array) -> tuple[Array, Array]:
        """Keep a copy of a pair, in the place of the oldest if there are enough; return it."""
        self._products = self.products
        if self._count == self.most:
            self._first, self._count = (self._first + 1) % self.most, self._count - 1
            self._products = self._products[1:, 1:]
        self._put(s, y)
        self._extend(y, self._count)
        return self.pairs[-1]

    def along_moves(self, x: Array) -> Array:
        """Return ``S x``, (m,) in float64."""
        return self._in_order(kernels.of(x).dots(self.moves, x))

    def along_changes(self, x: Array) -> Array:
        """Return ``Y x``, (m,) in float64."""
        return self._in_order(kernels.of(x).dots(self.changes, x))

    def add_moves(self, coefficients: Array, y: Array) -> Array:
        """Add ``S' coefficients`` to ``y`` in place, and return it."""
        return kernels.of(y).combine(self._by_row(coefficients), self.moves, y)

    def add_changes(self, coefficients: Array, y: Array) -> Array:
        """Add ``Y' coefficients`` to ``y`` in place, and return it."""
        return kernels.of(y).combine(self._by_row(coefficients), self.changes, y)

    def _put(self, s: Array, y: Array) -> None:
        if self.moves is None:
            # Not zeros_like, which writes: a row takes no memory of the host before it is used.
            self.moves, self.changes = (
                np.zeros((self.most, *a.shape), a.dtype, like=a) for a in (s, y)
            )
        row = (self._first + self._count) % self.most
        self.moves[row], self.changes[row] = s, y
        self._count += 1

    def _extend(self, y: Array, count: int) -> None:
        """Add the column of the change ``y`` to the products of the ``count - 1`` pairs before."""
        column = self.along_moves(y)[:count]
        upper = np.zeros_like(column, shape=(count, count))
        if count > 1:
            upper[:-1, :-1] = self._products
        upper[:, -1] = column
        self._products = upper

    def _in_order(self, of_rows: Array) -> Array:
        return np.roll(of_rows, -self._first)[: self._count]

    def _by_row(self, in_order: Array) -> Array:
        of_rows = np.zeros_like(in_order, shape=(self.most,))
        of_rows[: self._count] = in_order
        return np.roll(of_rows, self._first)
