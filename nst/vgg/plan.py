"""Which pair of graphs: taps, pooling, size, and what follows from them for each layer."""

from dataclasses import dataclass
from itertools import pairwise
from math import prod
from typing import TypeAlias

import numpy as np

from nst.vgg import strips, winograd
from nst.vgg.architecture import Architecture
from nst.vgg.strips import Rows

Size: TypeAlias = tuple[int, int]  # rows and columns of the image
Odd: TypeAlias = tuple[bool, bool] | None  # are a layer's rows, its columns odd? None: not known


@dataclass(frozen=True)
class Plan:
    """Which pair of graphs: all that shapes it but the weights.

    Raises NstError for a tap that the architecture lacks.
    """

    architecture: Architecture
    taps: tuple[str, ...]
    pooling: str
    size: Size | None = None  # of the image; None: free
    convolution: str = "direct"  # "auto" needs a size

    def __post_init__(self) -> None:
        self.architecture.check_taps(self.taps)

    @property
    def layers(self) -> list[str]:
        """The layers up to the deepest tap, shallow to deep."""
        return self.architecture.layers_to(self.taps)

    @property
    def rounding(self) -> str:
        """How pools round half an odd side."""
        return self.architecture.rounding

    @property
    def saved(self) -> list[str]:
        """What the backward pass reads of the forward pass, shallow to deep.

        A byte a pixel of each ReLU: whether it is positive, or, before a max pool, whether it wins
        there.  Both, where the losses pull at that ReLU as well: they pull at losers too.
        """
        names = []
        for layer, following in pairwise([*self.layers, ""]):
            if not layer.startswith("relu"):
                continue
            competes = self.pooling == "max" and is_pool(following)
            if competes:
                names.append(f"{layer}_winners")
            if layer in self.taps or not competes:  # who wins is positive
                names.append(f"{layer}_positive")
        return names

    @property
    def outputs(self) -> list[str]:
        """What a forward pass puts out: the taps, then what the backward pass reads."""
        return [*self.taps, *self.saved]

    def shape(self, name: str) -> tuple[int, int, int]:
        """Return the (C, H, W) of a layer, or of its gradient or mask, where the size is given."""
        if self.size is None:
            raise ValueError(f"the size of {name} is free")
        return self.architecture.shape(layer_of(name), *self.size)

    @staticmethod
    def dtype(name: str) -> type[np.generic]:
        """Return the dtype of what `outputs` names: masks are of booleans."""
        return np.bool_ if is_mask(name) else np.float32

    @property
    def stretches(self) -> list[list[str]]:
        """The layers in the order of the forward pass, in groups that may go in strips of rows.

        A layer by itself, but for the last convolution of a block, its ReLU and the pool: as far
        as none of the first two is a tap.
        """
        found: list[list[str]] = []
        for layer in reversed(self.layers):
            pooled = bool(found) and is_pool(found[0][-1]) and len(found[0]) < 3
            if pooled and layer not in self.taps:
                found[0].insert(0, layer)
            else:
                found.insert(0, [layer])
        return found

    @property
    def blocks(self) -> list[tuple[str, list[str]]]:
        """What each block reads, and its layers with the pool behind them, shallow to deep."""
        found: list[tuple[str, list[str]]] = [("normalised", [])]
        for layer in self.layers:
            found[-1][1].append(layer)
            if is_pool(layer):
                found.append((layer, []))
        return found

    def cut(self, layer: str, layers: list[str]) -> list[Rows]:
        """Return the strips of ``layer`` in which to go through ``layers``, which it is next to.

        One, of all rows, where the size is free.
        """
        if self.size is None:
            return [strips.ALL]
        return strips.cut(self.height(layer), max(map(self.values, layers), default=0))

    def values(self, layer: str) -> int:
        """Return how many numbers ``layer`` holds, where the size is given."""
        return prod(self.shape(layer))

    def height(self, layer: str) -> int:
        """Return the rows of a layer, or of the normalised image; 0 where the size is free."""
        if self.size is None:
            return 0
        return self.size[0] if layer == "normalised" else self.shape(layer)[1]

    def odd(self, layer: str, rows: Rows) -> Odd:
        """Tell whether ``rows`` and the columns of ``layer`` are odd; None if the size is free."""
        if self.size is None:
            return None
        return rows.count % 2 == 1, self.shape(layer)[2] % 2 == 1

    def rows_back(self, x: str, layers: list[str], rows: Rows) -> dict[str, Rows]:
        """Return at which rows of each layer a gradient is needed for these ``rows`` of d_x.

        At those of x itself comes out what there was to begin with, or some more: see strips.py.
        """
        here = rows
        for layer in layers:
            if is_conv(layer):
                here = here.around()
            elif is_pool(layer):
                here = here.pooled(self.height(layer))
        found = {layers[-1]: here}
        for before, layer in reversed(list(pairwise([x, *layers]))):
            if is_conv(layer):
                here = here.inside()
            elif is_pool(layer):
                here = here.unpooled(self.height(before))
            found[before] = here
        return found

    def turns(self, layer: str) -> bool:
        """Tell whether the way back is a direct convolution with the kernel of ``layer``."""
        return is_conv(layer) and not self.points(layer) and not self.shuffles(layer)

    def shuffles(self, layer: str) -> bool:
        """Tell whether the way back through ``layer`` is four pixels at once: pixel_shuffle.py."""
        return self.convolution != "direct" and layer == self.layers[0]

    def points(self, convolution: str) -> bool:
        """Tell whether ``convolution`` goes by its kernel at Winograd's points."""
        if self.convolution == "direct":
            return False
        outputs, inputs = self.architecture.parameters[f"{convolution}.weight"][:2]
        return winograd.pays(inputs, outputs)


def layer_of(name: str) -> str:
    """Return the layer that ``relu1_2_winners`` or ``d_relu1_2`` belongs to: ``relu1_2``."""
    return name.removeprefix("d_").removesuffix("_winners").removesuffix("_positive")


def is_conv(layer: str) -> bool:
    """Tell whether a layer is a convolution."""
    return layer.startswith("conv")


def is_pool(layer: str) -> bool:
    """Tell whether a layer is a pool."""
    return layer.startswith("pool")


def is_mask(name: str) -> bool:
    """Tell whether a saved tensor is of booleans."""
    return name.endswith(("_winners", "_positive"))


def is_kernel(name: str) -> bool:
    """Tell whether a graph's input is a kernel at Winograd's points."""
    return name.endswith((".points", ".turned_points"))
