"""The work that is measured: Gatys' objective, full-width VGG16 with seeded random weights."""

from dataclasses import dataclass

import numpy as np

from nst.objective.recipes import RECIPES
from nst.vgg.architecture import VGG16, Architecture, numbers

RECIPE = RECIPES["gatys"]
POOLING = "max"


@dataclass(frozen=True)
class Work:
    """One loss-and-gradient, the same for every contender."""

    architecture: Architecture
    arrays: dict[str, np.ndarray]  # conv*.weight (O, I, 3, 3), conv*.bias (O,)
    content: np.ndarray  # (3, H, W) RGB in [0, 1]
    style: np.ndarray
    image: np.ndarray  # where the gradient is taken

    @property
    def size(self) -> int:
        """The side of the square image, pixels."""
        return self.image.shape[1]

    @property
    def gflop(self) -> float:
        """Arithmetic of the convolutions, forward and backward, if each is done directly."""
        layers = self.architecture.layers_to(RECIPE.taps)
        return sum(map(self._convolution, layers)) / 1e9

    def _convolution(self, layer: str) -> float:
        """A multiplication and an addition for each weight and pixel, forward and back."""
        if not layer.startswith("conv"):
            return 0
        pixels = (self.size >> (numbers(layer)[0] - 1)) ** 2
        return 2 * 2 * self.arrays[f"{layer}.weight"].size * pixels


def make(size: int, architecture: Architecture = VGG16) -> Work:
    """Return the work at ``size`` x ``size`` pixels; the same numbers on every call."""
    rng = np.random.default_rng(16)
    arrays = draw_weights(architecture, rng)
    content, style = draw_picture(size, 16, rng), draw_picture(size, 4, rng)
    image = content + 0.1 * rng.standard_normal(content.shape, np.float32)
    return Work(architecture, arrays, content, style, np.clip(image, 0, 1))


def draw_picture(size: int, patch: int, rng: np.random.Generator) -> np.ndarray:
    """Return a picture (3, size, size) of random squares ``patch`` pixels wide, with a ramp.

    Pictures of different patches have different Gram matrices.  Those of noise and noise would
    be nearly equal, and their difference nothing but rounding.
    """
    squares = rng.random((3, -(-size // patch), -(-size // patch)), np.float32)
    grown = squares.repeat(patch, axis=1).repeat(patch, axis=2)[:, :size, :size]
    return np.ascontiguousarray((grown + np.linspace(0, 1, size, dtype=np.float32)) / 2)


def draw_weights(architecture: Architecture, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return weights of He's scale, sqrt(2 / inputs): activations neither die nor explode."""
    arrays = {}
    for name, shape in architecture.parameters.items():
        arrays[name] = rng.standard_normal(shape, np.float32)
        arrays[name] *= np.sqrt(2 / (9 * shape[1])) if name.endswith("weight") else 0.01
    return arrays
