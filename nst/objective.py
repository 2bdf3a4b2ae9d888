"""All losses at one image, through VGG and back: image -> (Losses, d_image).

A term is one loss at one tap, such as ``style relu3_1``; the kinds are content, style and
smoothness.  Two ways to make one number of them:

    "sum"   total = sum over terms of weight * loss                               (Gatys)
    "log"   total = sum over kinds of W * log(mean loss of the kind + 1e-10)      (Hvass)

where W is the sum of the kind's weights, and the mean is weighted by them.  About "log": Hvass
divides each kind by its own last value and calls that adaptive weights.  What is descended then
is exactly the gradient of the sum of logarithms; the combined loss that he prints is constant
(1.5 + 10 + 0.3 = 11.8), whatever the picture.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nst import kernels, styles
from nst.errors import NstError
from nst.kernels import Array
from nst.losses import content_divisor, smoothness_factor, total_variation
from nst.styles import GramStyle, Style, StyleSums
from nst.vgg import Vgg

TINY = 1e-10  # Hvass': keeps log and division finite at a loss of zero
COMBINATIONS = ("sum", "log")


@dataclass(frozen=True)
class Region:
    """A part of the image, as one layer sees it, and the style that it takes."""

    style: Style
    mask: Array | None = None  # (H, W) at this layer, 0 to 1; None: everywhere
    weight: float = 1.0
    area: float | None = None  # the sum of the mask, measured once

    def __post_init__(self) -> None:
        if self.mask is not None and self.area is None:
            object.__setattr__(self, "area", float(self.mask.sum(dtype=np.float64)))


@dataclass(frozen=True)
class Targets:
    """What the painted image is compared with, by tap.

    A style is that of the whole image, plainly a Gram matrix (C, C) or one of `styles.finish`; or
    a list of regions, each with its own.
    """

    content: Mapping[str, Array]  # (C, H, W) features of the photograph
    style: Mapping[str, Array | Style | Sequence[Region]]


@dataclass(frozen=True)
class Weights:
    """What each term counts, by tap; smoothness acts on the pixels and has no tap."""

    content: Mapping[str, float]
    style: Mapping[str, float]
    smoothness: float = 0.0


@dataclass(frozen=True)
class Sums:
    """What the losses need to know of the features: sums over pixels, so that tiles add up."""

    content: Mapping[str, tuple[Array, int]]  # sum of squared differences, and of how many
    style: Mapping[str, list[StyleSums]]  # of each region

    def __add__(self, other: "Sums") -> "Sums":
        content, style = dict(self.content), dict(self.style)
        for tap, (total, count) in other.content.items():
            content[tap] = (content[tap][0] + total, content[tap][1] + count)
        for tap, sums in other.style.items():
            style[tap] = [a + b for a, b in zip(style[tap], sums, strict=True)]
        return Sums(content, style)


@dataclass(frozen=True)
class Pulls:
    """How much the total grows with what the losses were made of: dtotal/dsums."""

    content: Mapping[str, Array]  # by the sum of squared differences
    style: Mapping[str, list[Array]]  # by each region's sums
    smoothness: float | Array | None  # by the smoothness loss; None without one


@dataclass(frozen=True)
class Term:
    """One loss, unweighted."""

    kind: str  # "content", "style" or "smoothness"
    tap: str  # "image" for smoothness
    weight: float
    loss: Array  # 0-d

    @property
    def name(self) -> str:
        return self.kind if self.tap == "image" else f"{self.kind} {self.tap}"


@dataclass(frozen=True)
class Losses:
    """The losses at one image, as 0-d arrays of its device: reading one waits for the GPU."""

    total: Array  # what is minimised
    raw: Mapping[str, Array]  # "content relu3_3", "style relu1_1", "smoothness": unweighted

    def floats(self) -> dict[str, float]:
        """Return ``{"total": ..., "content relu3_3": ..., ...}`` as Python floats."""
        return {name: float(loss) for name, loss in {"total": self.total, **self.raw}.items()}


def check_finite(values: Mapping[str, float]) -> None:
    """Raise NstError naming every loss that is NaN or infinite."""
    if bad := [f"{name} is {value}" for name, value in values.items() if not np.isfinite(value)]:
        raise NstError(
            f"the run left the finite numbers: {', '.join(bad)}. "
            "Try smaller weights, a smaller step, or another --init."
        )


class Objective:
    """What is minimised: content, style and smoothness of one image against fixed targets.

    Parameters
    ----------
    vgg : Vgg
        Has every tap that the targets name.
    targets : Targets
        Content features have the shape that the image gives; Gram matrices fit any image.
    weights : Weights
        One weight for each target.
    gram_normalization : "HW", "CHW" or "none"
        As the targets' Gram matrices were made; see `losses.style_loss`.
    smoothness_kind, smoothness_reduction
        See `losses.smoothness_loss`.
    combination : "sum" or "log"
        See this module's docstring.
    content_reduction : "mean", "sum" or "half sum"
        See `losses.content_loss`.
    pixel_range : float
        Smoothness is that of ``pixel_range * image``: 255 where a recipe counts grey levels.
    """

    def __init__(
        self,
        vgg: Vgg,
        targets: Targets,
        weights: Weights,
        gram_normalization: str = "HW",
        smoothness_kind: str = "l2",
        smoothness_reduction: str = "mean",
        combination: str = "sum",
        content_reduction: str = "mean",
        pixel_range: float = 1.0,
    ) -> None:
        for kind in ("content", "style"):
            named, weighed = set(getattr(targets, kind)), set(getattr(weights, kind))
            if named != weighed:
                raise ValueError(
                    f"{kind} targets are at {sorted(named)}, weights at {sorted(weighed)}; "
                    "each target needs one weight"
                )
        if combination not in COMBINATIONS:
            raise ValueError(f"combination is {combination!r}; choose from {COMBINATIONS}")
        self.vgg = vgg
        self.targets = targets
        self.weights = weights
        self.gram_normalization = gram_normalization
        self.smoothness_kind = smoothness_kind
        self.smoothness_reduction = smoothness_reduction
        self.combination = combination
        self.content_reduction = content_reduction
        self.smoothness_factor = smoothness_factor(smoothness_kind, pixel_range)
        self._buffers: dict[str, Array] = {}  # d_features by tap, where several losses meet: flat

    def evaluate(self, image: Array) -> tuple[Losses, Array]:
        """Return ``(losses, d_image)`` at ``image`` (3, H, W), RGB in [0, 1].

        The features stay the network's and the losses'; ``d_image`` is a new array.
        """
        features = self.vgg.forward(image)
        sums = self.measure(features, self.targets)
        losses, pulls = self.compare(sums, image)
        d_features = self.spread(pulls, features, self.targets)  # and back, in reverse order
        d_image = self.vgg.backward(d_features)
        self.smooth(pulls, image, d_image)
        return losses, d_image

    def measure(self, features: Mapping[str, Array], targets: Targets) -> Sums:
        """Return what the losses need of ``features``, against content and masks of their size."""
        content = {}
        for tap, target in targets.content.items():
            loss = kernels.of(target).mse(features[tap], target)
            content[tap] = (loss.astype(np.float64) * target.size, target.size)
        style = {
            tap: [
                styles.measure(features[tap], region.mask, region.area, region.style.means)
                for region in self._regions(targets, tap)
            ]
            for tap in targets.style
        }
        return Sums(content, style)

    def compare(self, sums: Sums, image: Array) -> tuple[Losses, Pulls]:
        """Return all losses, from the sums of a whole ``image``, and the pull on each sum."""
        terms, d_style = [], {}
        divisors = {
            tap: content_divisor(self.content_reduction, count)
            for tap, (_, count) in sums.content.items()
        }
        for tap, (total, _) in sums.content.items():
            loss = total / divisors[tap]
            terms.append(Term("content", tap, self.weights.content[tap], loss))
        for tap, sums_here in sums.style.items():
            loss, d_style[tap] = self._compare_regions(tap, sums_here)
            terms.append(Term("style", tap, self.weights.style[tap], loss))
        if self.weights.smoothness:
            forward, _ = total_variation(kernels.of(image), self.smoothness_kind)
            loss = forward(image, self.smoothness_reduction)
            loss = loss * loss.dtype.type(self.smoothness_factor)
            terms.append(Term("smoothness", "image", self.weights.smoothness, loss))

        total, factors = combine(terms, self.combination)
        factor = {(t.kind, t.tap): f for t, f in zip(terms, factors, strict=True)}
        pulls = Pulls(
            {tap: factor["content", tap] / divisor for tap, divisor in divisors.items()},
            {tap: [factor["style", tap] * d for d in d_sums] for tap, d_sums in d_style.items()},
            factor.get(("smoothness", "image")),
        )
        return Losses(total, {term.name: term.loss for term in terms}), pulls

    def spread(
        self, pulls: Pulls, features: Mapping[str, Array], targets: Targets
    ) -> dict[str, Array]:
        """Return ``d_features`` at each tap, where the pulls on the sums end up.

        They are written over the features, where one loss alone reads these; else into arrays
        that are kept, and overwritten by the next call for features of the same shape.
        """
        d_features: dict[str, Array] = {}
        for tap, target in targets.content.items():
            k, out = kernels.of(target), self._place(tap, features[tap], targets)
            d_loss = pulls.content[tap] * target.size  # of mse, which divides by it
            d_features[tap] = k.mse_backward(features[tap], target, d_loss, out)
        for tap in targets.style:
            out = self._place(tap, features[tap], targets)
            for region, d_sums in zip(self._regions(targets, tap), pulls.style[tap], strict=True):
                add = tap in d_features
                styles.spread(d_sums, features[tap], region.mask, out, add)
                d_features[tap] = out
        return d_features

    def smooth(self, pulls: Pulls, image: Array, d_image: Array) -> None:
        """Add the pull of the smoothness loss to ``d_image``, in place."""
        if pulls.smoothness is None:
            return
        _, backward = total_variation(kernels.of(image), self.smoothness_kind)
        d_loss = pulls.smoothness * self.smoothness_factor
        backward(image, self.smoothness_reduction, d_loss, out=d_image, add=True)

    def _compare_regions(self, tap: str, sums: Sequence[StyleSums]) -> tuple[Array, list[Array]]:
        """Return the style loss at ``tap``, over all regions, and the pull on the sums of each."""
        losses, pulls = [], []
        for region, here in zip(self._regions(self.targets, tap), sums, strict=True):
            loss, d_sums = region.style.compare(here)
            losses.append(region.weight * loss)
            pulls.append(region.weight * d_sums)
        return sum(losses[1:], losses[0]), pulls

    def _regions(self, targets: Targets, tap: str) -> Sequence[Region]:
        """Return the regions at ``tap``: one, of the whole image, unless the targets say more."""
        style = targets.style[tap]
        if isinstance(style, Sequence):
            return style
        if not hasattr(style, "compare"):
            style = GramStyle(style, self.gram_normalization)
        return [Region(style)]

    def buffer_bytes(self) -> int:
        """Return the bytes of the arrays that `spread` keeps."""
        return sum(array.nbytes for array in self._buffers.values())

    def _place(self, tap: str, features: Array, targets: Targets) -> Array:
        """Return the array at ``tap`` that takes d_features; see `spread`."""
        readers = int(tap in targets.content)
        readers += len(self._regions(targets, tap)) if tap in targets.style else 0
        return features if readers == 1 else self._buffer(tap, features)

    def _buffer(self, name: str, like: Array) -> Array:
        """Return an array as large as ``like``, in memory that the last one of this name had.

        New memory would have to be cleared by the system, each time.
        """
        kept = self._buffers.get(name)
        if kept is None or kept.size < like.size:
            kept = self._buffers[name] = like.copy().reshape(-1)
        return kept[: like.size].reshape(like.shape)


def combine(terms: list[Term], combination: str) -> tuple[Array, list[Array]]:
    """Return the total and, for each term, ``d_total / d_loss``; see the module's docstring."""
    if combination == "sum":
        return sum(t.weight * t.loss.astype(np.float64) for t in terms), [t.weight for t in terms]
    weighed = [t for t in terms if t.weight]  # a kind of weight zero has no mean
    kind_weight = dict.fromkeys((t.kind for t in weighed), 0.0)
    kind_sum: dict[str, Array] = dict.fromkeys(kind_weight, 0.0)
    for t in weighed:
        kind_weight[t.kind] += t.weight
        kind_sum[t.kind] += t.weight * t.loss.astype(np.float64)
    mean = {kind: kind_sum[kind] / kind_weight[kind] for kind in kind_weight}
    total = sum(kind_weight[kind] * np.log(mean[kind] + TINY) for kind in mean)
    return total, [t.weight / (mean[t.kind] + TINY) if t.weight else 0.0 for t in terms]
