"""Published objectives as data: which layers, which weights, which conventions.

A weight means nothing without its conventions: whether a Gram matrix is divided by the number of
pixels, whether a loss is a mean or a sum, what total variation is.  So each recipe states all.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from nst.vgg.architecture import VGG16

OPTIMIZERS = ("descent", "adam", "lbfgs")
INITS = ("content", "noise", "style")


@dataclass(frozen=True)
class Recipe:
    """An objective and how it is minimised.  Pixels are RGB in [0, 1] throughout."""

    source: str
    content: Mapping[str, float]  # tap: weight
    style: Mapping[str, float]
    smoothness: float = 0.0
    relative: bool = False  # divide each loss by its target's own mean square
    gram_normalization: str = "HW"
    smoothness_kind: str = "l2"
    smoothness_reduction: str = "mean"
    combination: str = "sum"
    pooling: str | None = None  # None: as the model was trained
    init: str = "content"
    optimizer: str = "lbfgs"
    step_size: float = 0.02  # of descent and Adam, in units of the pixel range
    step_decay: float = 1.0  # step_size is multiplied by this at every step

    @property
    def taps(self) -> tuple[str, ...]:
        """Every tap that the recipe reads."""
        return tuple(dict.fromkeys([*self.content, *self.style]))


_FIRST_RELUS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
_CHANNELS = {tap: VGG16.channels(tap) for tap in _FIRST_RELUS}

RECIPES = {
    "nst": Recipe(
        source="this program's default: four blocks, every loss relative to its target",
        content={"relu3_3": 1.0},
        style={"relu1_1": 50.0, "relu2_1": 50.0, "relu3_1": 50.0, "relu4_1": 50.0},
        smoothness=0.5,
        relative=True,
    ),
    "gatys": Recipe(
        source="Gatys' PytorchNeuralStyleTransfer notebook (VGG19 there)",
        content={"relu4_2": 1.0},
        style={tap: 1e3 / channels**2 for tap, channels in _CHANNELS.items()},
    ),
    "hvass": Recipe(
        source="Hvass' TensorFlow tutorial 15: the seed of this program",
        content={"relu3_1": 1.5},
        style={relu: 10 / 13 for relu in VGG16.taps if relu.startswith("relu")},
        smoothness=0.3,
        gram_normalization="none",
        smoothness_kind="l1",
        smoothness_reduction="sum",
        combination="log",
        init="noise",
        optimizer="descent",
        step_size=10 / 255,
    ),
}
