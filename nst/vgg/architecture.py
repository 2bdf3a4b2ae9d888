"""VGG as data: blocks of 3x3 convolutions, a ReLU behind each, and a 2x2 pool between blocks.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
(2015), table 1, columns D (VGG16) and E (VGG19), without the fully connected layers.

A *tap* is a place where features are read: ``conv4_2`` is the second convolution of the fourth
block before its ReLU, ``relu4_2`` the same after it.
"""

import re
from dataclasses import dataclass

from nst.errors import NstError


@dataclass(frozen=True)
class Architecture:
    """The output channels of each convolution, block by block."""

    blocks: tuple[tuple[int, ...], ...]

    @property
    def convolutions(self) -> list[str]:
        """``["conv1_1", "conv1_2", "conv2_1", ...]`` in the order of the forward pass."""
        return [
            f"conv{block}_{index}"
            for block, channels in enumerate(self.blocks, start=1)
            for index in range(1, len(channels) + 1)
        ]

    @property
    def layers(self) -> list[str]:
        """Every layer in the order of the forward pass: conv1_1, relu1_1, ..., pool1, ..."""
        layers: list[str] = []
        for convolution in self.convolutions:
            block, index = numbers(convolution)
            if index == 1 and block > 1:
                layers.append(f"pool{block - 1}")
            layers += [convolution, relu_of(convolution)]
        return layers

    @property
    def taps(self) -> list[str]:
        """Where features can be read, shallow to deep."""
        return [layer for layer in self.layers if not layer.startswith("pool")]

    @property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """``{"conv1_1.weight": (O, I, 3, 3), "conv1_1.bias": (O,), ...}``: names and shapes.

        The first convolution reads three channels (RGB), every other what the one before puts out.
        """
        shapes: dict[str, tuple[int, ...]] = {}
        inputs = 3
        for convolution in self.convolutions:
            outputs = self.channels(convolution)
            shapes[f"{convolution}.weight"] = (outputs, inputs, 3, 3)
            shapes[f"{convolution}.bias"] = (outputs,)
            inputs = outputs
        return shapes

    def channels(self, layer: str) -> int:
        """Return the number of channels that ``layer`` puts out."""
        if layer.startswith("pool"):
            return self.blocks[int(layer.removeprefix("pool")) - 1][-1]
        block, index = numbers(layer)
        return self.blocks[block - 1][index - 1]

    def shape(self, layer: str, height: int, width: int) -> tuple[int, int, int]:
        """Return the (C, H, W) of ``layer`` for an image of ``height`` x ``width``.

        Each pool halves both sides and drops an odd last row or column, as torchvision's does.
        """
        stride = self.stride(layer)
        return self.channels(layer), height // stride, width // stride

    def stride(self, layer: str) -> int:
        """Return how many pixels of the image one feature of ``layer`` stands for, along a side.

        Feature (r, c) stands for the square of pixels that starts at (r * stride, c * stride).
        """
        pools = int(layer.removeprefix("pool")) if "pool" in layer else numbers(layer)[0] - 1
        return 2**pools

    def radius(self, layer: str) -> int:
        """Return how many pixels beyond its own square a feature of ``layer`` sees, on each side.

        Each convolution on the way sees one pixel further on its own grid, that is as many
        pixels of the image as its stride: 16 + 3 * 8 + 3 * 4 + 2 * 2 + 2 = 58 to VGG16's relu5_1.
        """
        way = self.layers[: self.layers.index(layer) + 1]
        return sum(self.stride(step) for step in way if step.startswith("conv"))

    def layers_to(self, taps: tuple[str, ...]) -> list[str]:
        """Return the layers up to the deepest of ``taps`` and no further."""
        self.check_taps(taps)
        deepest = max(self.layers.index(tap) for tap in taps)
        return self.layers[: deepest + 1]

    def check_taps(self, taps: tuple[str, ...]) -> None:
        """Raise NstError unless there is at least one tap and all of them exist."""
        if not taps:
            raise NstError(f"no taps given; choose from {', '.join(self.taps)}")
        for tap in taps:
            if tap not in self.taps:
                raise NstError(
                    f"this model has no tap {tap!r}; it has {', '.join(self.taps)}. "
                    "Choose among those, or use a deeper model."
                )


def numbers(layer: str) -> tuple[int, int]:
    """Return block and index of a convolution or its ReLU: (4, 2) for ``relu4_2``."""
    block, index = layer.removeprefix("conv").removeprefix("relu").split("_")
    return int(block), int(index)


def is_tap_name(text: str) -> bool:
    """Return whether a network could have a tap of this name."""
    return re.fullmatch(r"(conv|relu)[1-9]_[1-9]\d?", text) is not None


def relu_of(convolution: str) -> str:
    """Return the name of the ReLU behind ``convolution``: ``relu4_2`` for ``conv4_2``."""
    return convolution.replace("conv", "relu")


VGG16 = Architecture(((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3))
VGG19 = Architecture(((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4))
VGG16_SLIM = Architecture(((32, 32), (96, 96), (192, 160, 128), (192, 192, 176), (128, 96, 64)))

# What is known by name.  None: a model's file says it (see weights.py).
ARCHITECTURES = {"vgg16": VGG16, "vgg19": VGG19, "vgg16-slim": VGG16_SLIM}
POOLINGS = ("max", "average")
CONVOLUTIONS = ("auto", "direct")  # auto: by winograd.py where that is faster
PRECISIONS = ("float32", "tf32")  # of products on a GPU
SMALLEST_SIDE = 16  # pixels: four pools leave one
