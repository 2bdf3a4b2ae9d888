"""What a recipe may say: an objective, in its own conventions, and how it is minimised.

recipes.py has the published ones, and says more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

OPTIMIZERS = ("descent", "adam", "lbfgs")
INITS = ("content", "noise", "style")


@dataclass(frozen=True)
class Noise:
    """What ``init = "noise"`` starts from."""

    kind: str  # "uniform": base + spread * [0, 1);  "normal": base + spread * N(0, 1)
    base: tuple[float, float, float]  # RGB
    spread: float
    white: float = 255.0  # in the unit of these numbers


GREY_NOISE = Noise("uniform", (128, 128, 128), 1)  # Hvass'


@dataclass(frozen=True)
class Recipe:
    """An objective and how it is minimised."""

    source: str  # the program or paper, and its file
    content: Mapping[str, float]  # tap: weight
    style: Mapping[str, float]
    departs: tuple[str, ...] = ()  # where nst does otherwise: what the source does; what nst does

    content_reduction: str = "mean"  # of the squared difference: mean, sum or half sum
    style_statistic: str = "gram"  # gram, covariance or moments; see styles/finish.py
    gram_normalization: str = "HW"  # the Gram matrix is divided by HW, CHW or nothing
    moment_weight: float = 0.0  # of means and deviations beside the Gram matrix, times C**2
    relative: bool = False  # divide each loss by its target's own mean square
    combination: str = "sum"  # of the losses, or of their logarithms

    smoothness: float = 0.0  # weight of total variation
    smoothness_kind: str = "l2"
    smoothness_reduction: str = "mean"
    pixel_range: float = 255.0  # the white of the pixels that the numbers are about
    input_gain: float = 1.0  # the network sees so many times the image

    pooling: str = "average"  # or max
    init: str = "content"  # content, noise or style
    noise: Noise = GREY_NOISE
    size: int | None = 512  # pixels; None: the content file's own
    side: str = "longer"  # which side of the result that is
    style_size: int | None = None  # pixels; None: as large as the result
    style_side: str = "longer"
    scales: int | str = 1  # coarse to fine; auto: see scales.py
    scale_factor: float = 2.0  # by which each is larger than the one before
    steps: int | tuple[int, ...] = 500  # evaluations of the objective: all, or by scale

    optimizer: str = "lbfgs"  # lbfgs, adam or descent
    history: int = 100  # pairs that L-BFGS remembers
    bands: int = 1  # of frequencies in which L-BFGS begins with a curvature of their own
    step_size: float = 1.0  # of Adam and descent, in units of pixel_range
    step_decay: float = 1.0  # step_size is multiplied by this at every step
    betas: tuple[float, float] = (0.9, 0.999)  # Adam's
    clip: bool = False  # keep pixels between black and white while painting

    @property
    def taps(self) -> tuple[str, ...]:
        """Every tap that the recipe reads."""
        return tuple(dict.fromkeys([*self.content, *self.style]))
