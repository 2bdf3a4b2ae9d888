"""What a recipe may say: an objective, in its own conventions, and how it is minimised.

recipes.py has the published ones, and says more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

OPTIMIZERS = ("descent", "adam", "pyramid", "lbfgs")
PALETTES = ("painted", "matched", "chroma")
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

    content_colors: str = "content"  # or style: the photograph is first matched to the paintings
    content_reduction: str = "mean"  # of the squared difference: mean, sum or half sum
    style_statistic: str = "gram"  # see styles/finish.py
    statistics: Mapping[str, str] = field(default_factory=dict)  # tap: another statistic there
    gram_normalization: str = "HW"  # the Gram matrix is divided by HW, CHW or nothing
    moment_weight: float = 0.0  # of means and deviations beside the Gram matrix, times C**2
    photograph_share: float = 0.75  # of the picture that asks for nearest features; see targets.py
    looked_at: int | None = (
        1 << 14
    )  # positions of a painting, of more every second, ...; None: all
    both_ways: bool = False  # what is near to everything counts for less: see matching.py
    rotations: bool = False  # paintings are looked at turned by 90, 180 and 270 degrees too
    relative: bool = False  # divide each loss by its target's own mean square
    combination: str = "sum"  # of the losses, or of their logarithms

    edges: float = 0.0  # weight of the photograph's edges; no recipe's own
    smoothness: float = 0.0  # weight of total variation
    temporal: float = 0.0  # weight of the temporal loss, of pixels in [0, 1]: see nst/film/
    smoothness_kind: str = "l2"
    smoothness_reduction: str = "mean"
    pixel_range: float = 255.0  # the white of the pixels that the numbers are about
    input_gain: float = 1.0  # the network sees so many times the image

    pooling: str = "average"  # or max
    pool_rounding: str = "floor"  # of an odd side: floor drops the last row, ceil keeps it
    padding: int = 0  # pixels, mirrored, that the network sees on each side of a picture, or more
    init: str = "content"  # content, noise or style
    noise: Noise = GREY_NOISE
    size: int | None = 512  # pixels; None: the content file's own
    side: str = "longer"  # which side of the result that is
    style_size: int | None = None  # pixels; None: as large as the result
    style_side: str = "longer"
    scales: int | str = 1  # coarse to fine; auto: see scales.py
    coarsest: int | None = None  # pixels: instead, down to this longer side, from whatever size
    scale_factor: float = 2.0  # by which each is larger than the one before
    steps: int | tuple[int, int] = 500  # evaluations: all, or at the first scale, at each after
    coarse_steps: float | None = None  # of those at full size, at each before; None: STEPS_RATIO
    until: float = 0.0  # percent: a scale ends when its steps bring less, see ending.py; 0: never

    optimizer: str = "lbfgs"  # lbfgs, adam, pyramid (Adam on a Laplacian pyramid) or descent
    history: int = 100  # pairs that L-BFGS remembers
    bands: int = 1  # of frequencies in which L-BFGS begins with a curvature of their own
    step_size: float = 1.0  # of all but L-BFGS, in units of pixel_range
    step_decay: float = 1.0  # step_size is multiplied by this at every step
    betas: tuple[float, float] = (0.9, 0.999)  # Adam's
    palette: str = "painted"  # or matched, or chroma: see colour.py
    average: float = 0.0  # of Adam's pictures a running mean with this decay; 0: the last one
    clip: bool = False  # keep pixels between black and white while painting
    fine: "Recipe | None" = None  # what is minimised then, at full size, from what was painted

    @property
    def taps(self) -> tuple[str, ...]:
        """Every tap that the recipe reads."""
        return tuple(dict.fromkeys([*self.content, *self.style]))

    def sides_to(self, full: int, factor: float) -> list[int]:
        """Return the longer side of each scale from the `coarsest` up to ``full``, in pixels."""
        sides, coarsest = [full], self.coarsest or full
        while (side := _smaller(full, factor ** len(sides))) >= coarsest:
            sides.append(side)
        return sides[::-1]

    @property
    def has_content(self) -> bool:
        """Whether the photograph's own features are kept, if only in the fine stage."""
        return bool(self.content or (self.fine and self.fine.content))

    def steps_to(self, full: int, factor: float) -> int | tuple[int, ...]:
        """Return the steps of a result of ``full`` pixels: all, or at each of `sides_to`.

        What is `fine` comes last.
        """
        if not isinstance(self.steps, tuple):
            return self.steps
        first, after = self.steps
        fine = () if self.fine is None else (self.fine.steps,)
        return first, *[after] * (len(self.sides_to(full, factor)) - 1), *fine


def _smaller(full: int, factor: float) -> int:
    """Return ``full / factor``, of two whole numbers that are as near the even one.

    A root of two that was squared is not quite two: hence the first rounding.
    """
    return round(round(full / factor, 6))
