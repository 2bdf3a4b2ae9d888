"""Adam on the coefficients of a Laplacian pyramid, in place of the pixels.

    x_0 = image,  x_{l+1} = halved(x_l),  c_l = x_l - enlarged(x_{l+1}),  c_L = x_L
    image = c_0 + enlarged(c_1 + enlarged(... enlarged(c_L)))

with both ``halved`` and ``enlarged`` bilinear.  The image is linear in its coefficients, so that

    dL/dc_0 = dL/dimage,    dL/dc_{l+1} = enlarged' dL/dc_l

and one step of Adam moves large shapes as fast as single pixels.  Burt and Adelson, "The
Laplacian Pyramid as a Compact Image Code" (1983); Kolkin et al., "Neural Neighbor Style Transfer"
(2022) paint with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nst import kernels
from nst.kernels import Array
from nst.optimizers.optimizer import EPSILON, clipped, zeros_like

SMALLEST = 4  # pixels: a picture whose longer side is less is not halved


@dataclass
class PyramidAdam:
    """Adam (Kingma and Ba, 2015) on the coefficients of a Laplacian pyramid of the image."""

    step_size: float = 0.002
    decay: float = 1.0
    bounds: tuple[float, float] | None = (0.0, 1.0)
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = EPSILON
    steps: int = 0
    levels: list[Array] = field(default_factory=list)  # the coefficients, fine to coarse
    moments: list[tuple[Array, Array]] = field(default_factory=list)  # of each: means of g, g**2

    def asks(self, image: Array, loss: Array, d_image: Array) -> list[Array | float]:
        return []

    def step(
        self, image: Array, loss: Array, d_image: Array, told: Sequence[float] | None = None
    ) -> None:
        k = kernels.of(image, d_image)
        if not self.levels:
            self.levels = decomposed(image)
            self.moments = [(zeros_like(level), zeros_like(level)) for level in self.levels]
        self.steps += 1
        sizes = self.step_size, *self.betas, self.epsilon
        d_levels = composed_backward(d_image, self.levels)
        for level, d_level, moments in zip(self.levels, d_levels, self.moments, strict=True):
            k.adam_step(level, d_level, *moments, self.steps, *sizes)
        image[...] = composed(self.levels)
        clipped(image, self.bounds)
        self.step_size *= self.decay

    def best(self, image: Array) -> Array:
        return image

    def state(self) -> dict[str, Any]:
        names = "step_size", "steps", "levels", "moments"
        return {name: getattr(self, name) for name in names}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.step_size, self.steps = state["step_size"], state["steps"]
        self.levels = list(state["levels"])
        self.moments = [(first, second) for first, second in state["moments"]]


def sizes_of(height: int, width: int) -> list[tuple[int, int]]:
    """Return the sizes of a pyramid's levels, fine to coarse: halved until 2 or 3 pixels long."""
    sizes = [(height, width)]
    while max(sizes[-1]) >= SMALLEST:
        sizes.append((max(1, sizes[-1][0] // 2), max(1, sizes[-1][1] // 2)))
    return sizes


def decomposed(image: Array) -> list[Array]:
    """Return the coefficients (3, H_l, W_l) of an ``image`` (3, H, W), fine to coarse."""
    k, levels, here = kernels.of(image), [], image
    for height, width in sizes_of(*image.shape[1:])[1:]:
        halved = k.resize(here, height, width)
        enlarged = k.resize(halved, *here.shape[1:])
        levels.append(k.axpy(-1.0, enlarged, here.copy()))
        here = halved
    return [*levels, here.copy()]


def composed(levels: Sequence[Array]) -> Array:
    """Return the image (3, H, W) that has these coefficients: the inverse of `decomposed`."""
    k, here = kernels.of(*levels), levels[-1]
    for level in levels[-2::-1]:
        here = k.axpy(1.0, level, k.resize(here, *level.shape[1:]))
    return here


def composed_backward(d_image: Array, levels: Sequence[Array]) -> list[Array]:
    """Return dL/dcoefficients, fine to coarse, of the image that `composed` makes of them."""
    k, d_levels = kernels.of(d_image), [d_image]
    for level in levels[1:]:
        d_levels.append(k.resize_backward(d_levels[-1], level))
    return d_levels
