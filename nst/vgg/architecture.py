"""VGG as data: blocks of 3x3 convolutions, a ReLU behind each, and a 2x2 pool between blocks.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition"
(2015), table 1, columns D (VGG16) and E (VGG19), without the fully connected layers.

A *tap* is a place where features are read: ``conv4_2`` is the second convolution of the fourth
block before its ReLU, ``relu4_2`` the same after it.  ``hypercolumn`` is a tap made of others: all
that the ReLUs of the first four blocks see at one place; ``hypercolumn_points`` is the same by
point sampling; see hypercolumn.py.
"""

import re
from dataclasses import dataclass

from nst.errors import NstError

HYPERCOLUMN = "hypercolumn"
HYPERCOLUMN_POINTS = "hypercolumn_points"  # sampled: it depends on the size of all of a picture
COLUMNS = (HYPERCOLUMN, HYPERCOLUMN_POINTS)
COLUMN_BLOCKS = 4  # whose ReLUs it is made of
COLUMN_STRIDE = 4  # pixels of the image, along a side, that one position of it stands for


@dataclass(frozen=True)
class Architecture:
    """The output channels of each convolution, block by block."""

    blocks: tuple[tuple[int, ...], ...]
    rounding: str = "floor"  # of half an odd side, by a pool: see `features_along`

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

    def parts(self, tap: str) -> tuple[str, ...]:
        """Return the layers that ``tap`` is made of: itself, or those of a hypercolumn."""
        if tap not in COLUMNS:
            return (tap,)
        convolutions = [name for name in self.convolutions if numbers(name)[0] <= COLUMN_BLOCKS]
        return tuple(map(relu_of, convolutions))

    def coarsest(self, tap: str) -> int:
        """Return the largest stride of the layers that ``tap`` is made of."""
        return max(map(self.stride, self.parts(tap)))

    def channels(self, layer: str) -> int:
        """Return the number of channels that ``layer`` puts out."""
        if layer in COLUMNS:
            return sum(map(self.channels, self.parts(layer)))
        if layer.startswith("pool"):
            return self.blocks[int(layer.removeprefix("pool")) - 1][-1]
        block, index = numbers(layer)
        return self.blocks[block - 1][index - 1]

    def shape(self, layer: str, height: int, width: int) -> tuple[int, int, int]:
        """Return the (C, H, W) of ``layer`` for an image of ``height`` x ``width``.

        Each pool halves both sides, and rounds them as the network says.
        """
        rows, columns = (
            features_along(side, self.stride(layer), self.rounding) for side in (height, width)
        )
        return self.channels(layer), rows, columns

    def stride(self, layer: str) -> int:
        """Return how many pixels of the image one feature of ``layer`` stands for, along a side.

        Feature (r, c) stands for the square of pixels that starts at (r * stride, c * stride).
        """
        if layer in COLUMNS:
            return COLUMN_STRIDE
        return stride_of(layer)

    def radius(self, layer: str) -> int:
        """Return how many pixels beyond its own square a feature of ``layer`` sees, on each side.

        Each convolution on the way sees one pixel further on its own grid, that is as many
        pixels of the image as its stride: 16 + 3 * 8 + 3 * 4 + 2 * 2 + 2 = 58 to VGG16's relu5_1.
        A hypercolumn looks at the next feature too, where a layer is coarser than itself.
        """
        if layer in COLUMNS:
            strides = {part: self.stride(part) for part in self.parts(layer)}
            return max(
                self.radius(part) + (stride if stride > COLUMN_STRIDE else 0)
                for part, stride in strides.items()
            )
        way = self.layers[: self.layers.index(layer) + 1]
        return sum(self.stride(step) for step in way if step.startswith("conv"))

    def layers_to(self, taps: tuple[str, ...]) -> list[str]:
        """Return the layers up to the deepest of ``taps`` and no further."""
        self.check_taps(taps)
        deepest = max(self.layers.index(part) for tap in taps for part in self.parts(tap))
        return self.layers[: deepest + 1]

    def check_taps(self, taps: tuple[str, ...]) -> None:
        """Raise NstError unless there is at least one tap and all of them exist."""
        if not taps:
            raise NstError(f"no taps given; choose from {', '.join(self.taps)}")
        if {*COLUMNS} & {*taps} and self.rounding == "ceil":
            raise NstError(
                "the recipe's pools keep an odd last row, and a hypercolumn is made of whole "
                f"squares; choose from {', '.join(self.taps)}, or another --recipe."
            )
        for tap in taps:
            if tap not in [*self.taps, *COLUMNS]:
                raise NstError(
                    f"this model has no tap {tap!r}; it has {', '.join(self.taps)}. "
                    "Choose among those, or use a deeper model."
                )


def features_along(pixels: int, stride: int, rounding: str) -> int:
    """Return how many features of a ``stride`` stand for so many ``pixels`` of one side.

    "floor": a pool drops an odd last row or column, as torchvision's does.  "ceil": it keeps it,
    and takes the maximum or the mean of the pixels that there are, as Caffe's and TensorFlow's
    "SAME" do.
    """
    return -(-pixels // stride) if rounding == "ceil" else pixels // stride


def numbers(layer: str) -> tuple[int, int]:
    """Return block and index of a convolution or its ReLU: (4, 2) for ``relu4_2``."""
    block, index = layer.removeprefix("conv").removeprefix("relu").split("_")
    return int(block), int(index)


def stride_of(layer: str) -> int:
    """Return the stride of a convolution, its ReLU or a pool, in any of these architectures."""
    pools = int(layer.removeprefix("pool")) if "pool" in layer else numbers(layer)[0] - 1
    return int(2**pools)


def is_tap_name(text: str) -> bool:
    """Return whether a network could have a tap of this name."""
    return text in COLUMNS or re.fullmatch(r"(conv|relu)[1-9]_[1-9]\d?", text) is not None


def relu_of(convolution: str) -> str:
    """Return the name of the ReLU behind ``convolution``: ``relu4_2`` for ``conv4_2``."""
    return convolution.replace("conv", "relu")


VGG16 = Architecture(((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3))
VGG19 = Architecture(((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4))
VGG16_SLIM = Architecture(((32, 32), (96, 88), (176, 160, 176), (304, 240, 128), (192, 48, 32)))

# The models that have a name; see weights.py for where their weights come from.
ARCHITECTURES = {"vgg16": VGG16, "vgg19": VGG19, "vgg16-slim": VGG16_SLIM}
POOLINGS = ("max", "average")
ROUNDINGS = ("floor", "ceil")
CONVOLUTIONS = ("auto", "direct")  # auto: by Winograd's method where that is faster
PRECISIONS = ("float32", "tf32")  # of products on a GPU
SMALLEST_SIDE = 16  # pixels: four pools leave one
