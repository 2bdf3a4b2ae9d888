"""What the loop needs of an optimizer, and what they all need."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from nst import kernels
from nst.kernels import Array

EPSILON = 1e-8  # keeps a division by a gradient finite; for pixels whose white is 1


class Optimizer(Protocol):
    """What the loop needs of an optimizer."""

    def asks(self, image: Array, loss: Array, d_image: Array) -> list[Array | float]:
        """Return the numbers that `step` looks at, for the caller to read along with others.

        On a GPU each read is a wait.  See `kernels.floats`.
        """

    def step(
        self, image: Array, loss: Array, d_image: Array, told: Sequence[float] | None = None
    ) -> None:
        """Move ``image`` in place, given the loss and its gradient there.

        ``told`` is what `asks` asked for, if somebody has read it.
        """

    def best(self, image: Array) -> Array:
        """Return the image to show: ``image``, or where a running line search started."""

    def state(self) -> dict[str, Any]:
        """Return what the next step depends on: arrays, numbers, and lists and dicts of them.

        The arrays are the optimizer's own: copy or write them before the next step.
        """

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over the ``state`` of another optimizer of this kind, to go on as it would."""


def clipped(image: Array, bounds: tuple[float, float] | None) -> Array:
    """Return ``image``, clipped in place to its ``bounds``."""
    return image if bounds is None else kernels.of(image).clip(image, *bounds)


def zeros_like(array: Array) -> Array:
    """Return zeros as ``array`` is, on its device."""
    zeros = array.copy()
    zeros.fill(0)
    return zeros
