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

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nst import kernels
from nst.errors import NstError
from nst.kernels import Array
from nst.losses import content_loss, smoothness_loss, style_loss
from nst.vgg import Vgg

TINY = 1e-10  # Hvass': keeps log and division finite at a loss of zero
COMBINATIONS = ("sum", "log")


@dataclass(frozen=True)
class Targets:
    """What the painted image is compared with, by tap."""

    content: Mapping[str, Array]  # (C, H, W) features of the photograph
    style: Mapping[str, Array]  # (C, C) Gram matrices of the painting


@dataclass(frozen=True)
class Weights:
    """What each term counts, by tap; smoothness acts on the pixels and has no tap."""

    content: Mapping[str, float]
    style: Mapping[str, float]
    smoothness: float = 0.0


@dataclass(frozen=True)
class Term:
    """One loss, unweighted, and its gradient at its tap."""

    kind: str  # "content", "style" or "smoothness"
    tap: str  # "image" for smoothness
    weight: float
    loss: Array  # 0-d
    gradient: Array

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

    def evaluate(self, image: Array) -> tuple[Losses, Array]:
        """Return ``(losses, d_image)`` at ``image`` (3, H, W), RGB in [0, 1]."""
        k = kernels.of(image)
        features = self.vgg.forward(image)
        terms = self._terms(image, features)
        total, factors = combine(terms, self.combination)

        d_at: dict[str, Array] = {}  # and back: what each tap, and the image itself, is pulled by
        for term, factor in zip(terms, factors, strict=True):
            pull = k.scale(factor, term.gradient)
            d_at[term.tap] = k.axpy(1.0, pull, d_at[term.tap]) if term.tap in d_at else pull
        d_smooth = d_at.pop("image", None)
        d_image = self.vgg.backward(d_at)
        if d_smooth is not None:
            k.axpy(1.0, d_smooth, d_image)
        return Losses(total, {term.name: term.loss for term in terms}), d_image

    def _terms(self, image: Array, features: Mapping[str, Array]) -> list[Term]:
        terms = []
        for tap, target in self.targets.content.items():
            loss, d_features = content_loss(features[tap], target)
            terms.append(Term("content", tap, self.weights.content[tap], loss, d_features))
        for tap, gram in self.targets.style.items():
            loss, d_features = style_loss(features[tap], gram, self.gram_normalization)
            terms.append(Term("style", tap, self.weights.style[tap], loss, d_features))
        if self.weights.smoothness:
            kind, reduction = self.smoothness_kind, self.smoothness_reduction
            loss, d_image = smoothness_loss(image, kind, reduction)
            terms.append(Term("smoothness", "image", self.weights.smoothness, loss, d_image))
        return terms


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
