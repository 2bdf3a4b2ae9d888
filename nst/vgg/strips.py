"""Blocks of layers in strips of rows, so that a large layer need never exist as a whole.

Of all layers those of the first block are the largest: 64 channels at the size of the image.  What
lies between two that are kept is needed for a moment only, and for a few rows of what follows
only a few rows of it:

    convolution    rows a to b need rows a - 1 to b + 1 of what it reads       `Rows.around`
    pool           rows a to b need rows 2a to 2b                              `Rows.unpooled`

On the way forward that is used from the last convolution of a block to its pool: no row is worked
out twice.  On the way back the strips are of what the block read, and go through the whole block:
a row of d_x needs rows of d_y in the same way, so that rows next to a cut are worked out in both
strips, for each convolution one more.  At the border of the layer there is no row to need, and the
zeros around it are put there, as where the layer is whole; at a cut there are none.

ONNX Runtime finishes one strip before the next, because it runs nodes by their place in the file.
So memory is that of a strip, and in the cache of the processor besides.
"""

from dataclasses import dataclass
from itertools import pairwise

from onnx import NodeProto
from onnx.helper import make_node

VALUES = 1 << 22  # of a block's largest layer in one strip: 16 MB in float32


@dataclass(frozen=True)
class Rows:
    """Rows ``first`` to ``last``, which is not among them, of a layer with ``height`` rows."""

    first: int
    last: int
    height: int

    @property
    def suffix(self) -> str:
        """What the names of tensors end in that hold these rows only."""
        return "" if self.count == self.height else f"_rows{self.first}"

    @property
    def count(self) -> int:
        """How many they are."""
        return self.last - self.first

    @property
    def borders(self) -> tuple[int, int]:
        """Rows of zeros above and below that belong to them: 1 at the layer's border, or 0."""
        return int(self.first == 0), int(self.last == self.height)

    def around(self) -> "Rows":
        """Return the rows that a 3x3 convolution reads for these."""
        above, below = self.borders
        return Rows(self.first - 1 + above, self.last + 1 - below, self.height)

    def inside(self) -> "Rows":
        """Return the rows that a 3x3 convolution can put out, given these."""
        above, below = self.borders
        return Rows(self.first + 1 - above, self.last - 1 + below, self.height)

    def pooled(self, height: int) -> "Rows":
        """Return the rows of the pool's output, ``height`` in all, in which these have a part."""
        return Rows(self.first // 2, min(height, -(-self.last // 2)), height)

    def unpooled(self, height: int) -> "Rows":
        """Return the rows of the pool's input, ``height`` in all, that belong to these.

        To the last belongs an odd row, which the pool drops or keeps.
        """
        last = height if self.last == self.height else 2 * self.last
        return Rows(2 * self.first, last, height)


ALL = Rows(0, 0, 0)  # all rows, however many there are


def cut(height: int, values: int) -> list[Rows]:
    """Return all ``height`` rows in strips, where the largest layer has so many ``values``.

    They are about equal, and begin at even rows.
    """
    even = height // 2  # places where a strip may begin
    count = max(1, min(even, -(-values // VALUES)))
    ends = [2 * (even * k // count) for k in range(count)] + [height]
    return [Rows(a, b, height) for a, b in pairwise(ends)]


def take(x: str, y: str, of: Rows, rows: Rows) -> list[NodeProto]:
    """Return nodes for y = these ``rows`` of x, which has the rows ``of`` their layer."""
    if rows == of:
        return [make_node("Identity", [x], [y], y)]
    return part(x, y, [rows.first - of.first], [rows.last - of.first], [2])


def join(strips: list[str], y: str) -> list[NodeProto]:
    """Return nodes for y = the ``strips``, one below the other."""
    return [make_node("Concat", strips, [y], y, axis=2)]


def part(x: str, y: str, start: list[int], stop: list[int], axes: list[int]) -> list[NodeProto]:
    """Return nodes for y = x from ``start`` to ``stop`` along the ``axes``."""
    return [
        make_node("Constant", [], [f"{y}_start"], value_ints=start),
        make_node("Constant", [], [f"{y}_stop"], value_ints=stop),
        make_node("Constant", [], [f"{y}_axes"], value_ints=axes),
        make_node("Slice", [x, f"{y}_start", f"{y}_stop", f"{y}_axes"], [y], y),
    ]
