"""The lines of kernels/DERIVATIONS.md as functions that can be nudged: chapter 3 tries each.

Where a function returns many numbers, they are made one: each is weighed by a fixed random number,
and the products are added.  What is nudged is a small piece of the photograph, or of what a layer
sees of it, in float64; the network's own lines are float32, as the network is.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from nst import kernels, losses
from nst.kernels import numpy_kernels
from nst.lesson.sources import Source, find
from nst.lesson.subject import Subject
from nst.losses import content_loss, smoothness_loss
from nst.objective import objective
from nst.objective.objective import Term, combine
from nst.objective.style import Style, style_loss
from nst.objective.styles import covariance, moments, newton_schulz
from nst.objective.styles.covariance import CovarianceStyle
from nst.objective.styles.gram import GramStyle
from nst.objective.styles.moments import MomentsStyle, mean_and_deviation
from nst.objective.styles.newton_schulz import NewtonSchulzStyle
from nst.vgg import Vgg, graphs

ROWS, COLUMNS, CHANNELS = 6, 7, 5  # of the piece
SIDE = 16  # pixels of the piece that a network is shown, at the least
HVASS = (1.5, 10.0)  # weights of two losses

k = kernels.of(np.empty(0))  # the NumPy kernels
Both = tuple[float, np.ndarray]  # the loss at x, and d_x
Function = Callable[[np.ndarray], Both]


@dataclass(frozen=True)
class Line:
    """One line: what it is called, what is nudged, and the loss and gradient that belong to it."""

    heading: str  # of DERIVATIONS.md
    forward: str  # the function there
    backward: str
    start: Callable[[Subject], np.ndarray]
    at: Callable[[np.ndarray], Function]  # what is compared with is made of where it starts
    remark: str = ""

    @property
    def sources(self) -> list[Source]:
        """Where the function and its backward stand."""
        return [find(function_of(name), "def ") for name in (self.forward, self.backward)]


DERIVATIONS = Path(numpy_kernels.__file__).with_name("DERIVATIONS.md")
PLACES = (numpy_kernels, losses, objective, covariance, moments, newton_schulz, graphs)
IN_GRAPHS: dict[str, Callable[..., Any]] = {  # what DERIVATIONS.md calls by its long name
    "convolution": graphs.conv,
    "convolution_backward": graphs.conv_backward,
    "max_pool": graphs.pool,
    "average_pool": graphs.pool,
}


def function_of(name: str) -> Callable[..., Any]:
    """Return what a `Line` calls so."""
    if name in IN_GRAPHS:
        return IN_GRAPHS[name]
    first, *rest = name.split(".")
    place = next(place for place in PLACES if hasattr(place, first))
    found: Callable[..., Any] = attrgetter(".".join([first, *rest]))(place)
    return found


@cache
def derivation(heading: str) -> str:
    """Return what DERIVATIONS.md has under a heading, as it is written there."""
    text = DERIVATIONS.read_text(encoding="utf-8")
    _, _, after = text.partition(f"\n### {heading}\n")
    return re.split(r"^##", after, maxsplit=1, flags=re.MULTILINE)[0].strip("\n")


# ---- What is nudged ---------------------------------------------------------------------------


def features(subject: Subject) -> np.ndarray:
    """Return a small piece of relu2_1, of the channels where most is seen: (C, H, W), float64."""
    seen = subject.features["relu2_1"]
    strongest = np.argsort(-seen.mean(axis=(1, 2)), kind="stable")[:CHANNELS]
    return seen[strongest, 8 : 8 + ROWS, 8 : 8 + COLUMNS].astype(np.float64)


def pixels(subject: Subject) -> np.ndarray:
    """Return a small piece of the photograph: (3, H, W), float64."""
    return subject.photograph[:, 16 : 16 + ROWS, 16 : 16 + COLUMNS].astype(np.float64)


def shown_pixels(subject: Subject) -> np.ndarray:
    """Return a piece of the photograph that a network takes: (3, H, W), float32.

    It is paler, and has a little noise: so that no pixel is 0, and no two neighbours are alike.
    """
    piece = subject.photograph[:, SIDE : 2 * SIDE, SIDE : 2 * SIDE + 2]
    noise = np.random.default_rng(9).random(piece.shape, np.float32)
    return np.float32(0.25) + np.float32(0.5) * piece + np.float32(0.1) * noise


def other(x: np.ndarray) -> np.ndarray:
    """Return a target to compare with: the same numbers turned around, and a little larger."""
    return np.ascontiguousarray(1.1 * x[..., ::-1, ::-1] + 0.05)


# ---- What is measured -------------------------------------------------------------------------


def weights_like(array: np.ndarray) -> np.ndarray:
    """Return the fixed random numbers by which the results of a function are weighed."""
    drawn = np.random.default_rng(7).standard_normal(np.shape(array))
    return drawn.astype(array.dtype)


def weighed(forward: Callable[..., np.ndarray], backward: Callable[..., np.ndarray]) -> Any:
    """Return what `Line.at` takes, of a pair of kernels that return many numbers."""

    def both(x: np.ndarray) -> Both:
        y = forward(x)
        d_y = weights_like(y)
        return float(np.sum(d_y * y, dtype=np.float64)), backward(d_y, x)

    return lambda start: both


def alone(forward: Callable[..., np.ndarray], backward: Callable[..., np.ndarray]) -> Any:
    """Return what `Line.at` takes, of a pair of kernels that return one number, of ``x`` alone."""
    return lambda start: lambda x: (float(forward(x)), backward(x))


def compared(forward: Callable[..., np.ndarray], backward: Callable[..., np.ndarray]) -> Any:
    """Return the same of a pair of kernels that compare ``x`` with a target."""

    def at(start: np.ndarray) -> Function:
        target = other(start)
        return lambda x: (float(forward(x, target)), backward(x, target))

    return at


def towards(target_of: Callable[[np.ndarray], Any], distance: Any) -> Any:
    """Return the same of a function that returns loss and gradient, given ``x`` and a target."""

    def at(start: np.ndarray) -> Function:
        target = target_of(other(start))

        def both(x: np.ndarray) -> Both:
            loss, d_x = distance(x, target)
            return float(loss), d_x

        return both

    return at


def _gram_style(features: np.ndarray) -> Style:
    return GramStyle(k.gram(features))


def _covariance_style(features: np.ndarray) -> Style:
    return CovarianceStyle.of(CovarianceStyle.measure(features))


def _newton_schulz_style(features: np.ndarray) -> Style:
    return NewtonSchulzStyle.of(NewtonSchulzStyle.measure(features))


def _moments_style(features: np.ndarray) -> Style:
    mean, deviation = mean_and_deviation(MomentsStyle.measure(features))
    return MomentsStyle(k.gram(features), mean, deviation)


def _directions(features: np.ndarray) -> np.ndarray:
    units: np.ndarray = k.unit_vectors(features.reshape(len(features), -1))
    return units.reshape(features.shape)


def _where_known(start: np.ndarray) -> Function:
    """Return the mean squared error where a mask says how much each pixel is known."""
    target = other(start)
    mask = np.random.default_rng(6).random(start.shape[1:])
    return lambda x: (float(k.masked_mse(x, target, mask)), k.masked_mse_backward(x, target, mask))


def _logarithms(start: np.ndarray) -> Function:
    """Return Hvass' sum of logarithms, of a content and a smoothness loss."""
    target = other(start)

    def both(x: np.ndarray) -> Both:
        content, d_content = content_loss(x, target)
        smoothness, d_smoothness = smoothness_loss(x)
        named = zip(("content", "smoothness"), HVASS, (content, smoothness), strict=True)
        terms = [Term(kind, "image", weight, loss) for kind, weight, loss in named]
        total, factors = combine(terms, "log")
        return float(total), factors[0] * d_content + factors[1] * d_smoothness

    return both


# ---- The network's lines: our graphs, with kernels that leave all but one thing out -----------


def through(name: str) -> Any:
    """Return what `Line.at` takes, of a network that does one thing."""

    def both(x: np.ndarray) -> Both:
        vgg, tap = network(name)
        y = vgg.forward(x)[tap].copy()
        d_y = weights_like(y)
        return float(np.sum(d_y * y, dtype=np.float64)), vgg.backward({tap: d_y})

    return lambda start: both


@cache
def network(name: str) -> tuple[Vgg, str]:
    """Return a network that does one thing, and the tap where that is read."""
    same = np.zeros((3, 3, 3, 3), np.float32)
    same[range(3), range(3), 1, 1] = 1  # each channel is passed on
    drawn = np.random.default_rng(8).standard_normal((4, 3, 3, 3)).astype(np.float32)
    none, mean, std = np.zeros(3, np.float32), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    first = {"conv1_1.weight": same, "conv1_1.bias": none}
    second = {"conv2_1.weight": same, "conv2_1.bias": none}
    if name == "colours":
        return Vgg.from_arrays(first, ["conv1_1"]), "conv1_1"
    if name == "convolution":
        arrays = {"conv1_1.weight": drawn, "conv1_1.bias": np.zeros(4, np.float32)}
        return Vgg.from_arrays(arrays, ["conv1_1"], mean=mean, std=std), "conv1_1"
    if name == "relu":
        arrays = {"conv1_1.weight": drawn, "conv1_1.bias": np.zeros(4, np.float32)}
        return Vgg.from_arrays(arrays, ["relu1_1"], mean=mean, std=std), "relu1_1"
    return Vgg.from_arrays(first | second, ["conv2_1"], name, mean=mean, std=std), "conv2_1"


# ---- The lines --------------------------------------------------------------------------------

_NETWORK = "nst/vgg/graphs.py has both halves, as nodes of a graph; here they run in float32."

LINES: dict[str, Line] = {
    "gram": Line(
        "Gram matrix: `gram`, `gram_backward`",
        "gram",
        "gram_backward",
        features,
        weighed(k.gram, k.gram_backward),
    ),
    "moments": Line(
        "Sums for means and covariances: `moments`, `moments_backward`",
        "moments",
        "moments_backward",
        features,
        weighed(k.moments, k.moments_backward),
    ),
    "mse": Line(
        "Mean squared error: `mse`, `mse_backward`",
        "mse",
        "mse_backward",
        features,
        compared(k.mse, k.mse_backward),
    ),
    "mse of what is known": Line(
        "Mean squared error of what is known: `masked_mse`, `masked_mse_backward`",
        "masked_mse",
        "masked_mse_backward",
        features,
        _where_known,
    ),
    "content loss": Line(
        "Content loss",
        "content_loss",
        "content_loss",
        features,
        towards(lambda target: target, content_loss),
    ),
    "style loss": Line(
        "Style loss", "style_loss", "style_loss", features, towards(_gram_style, style_loss)
    ),
    "mean and covariance": Line(
        "Means and covariances: the style of `CovarianceStyle`",
        "CovarianceStyle.compare",
        "CovarianceStyle.spread",
        features,
        towards(_covariance_style, style_loss),
    ),
    "root that has not converged": Line(
        "A root that has not converged: the style of `NewtonSchulzStyle`",
        "NewtonSchulzStyle.compare",
        "NewtonSchulzStyle.spread",
        features,
        towards(_newton_schulz_style, style_loss),
        "Here the two need not agree, and DERIVATIONS.md says why: neither root has "
        "converged, and they are not each other's derivative.",
    ),
    "means and deviations": Line(
        "Means and standard deviations: the style of `MomentsStyle`",
        "MomentsStyle.compare",
        "MomentsStyle.spread",
        features,
        towards(_moments_style, style_loss),
    ),
    "block mean": Line(
        "One grid for several layers: `block_mean`, `block_mean_backward`, `resize`, "
        "`resize_backward`",
        "block_mean",
        "block_mean_backward",
        features,
        weighed(lambda x: k.block_mean(x, 2), lambda d, x: k.block_mean_backward(d, x, 2)),
    ),
    "resize": Line(
        "One grid for several layers: `block_mean`, `block_mean_backward`, `resize`, "
        "`resize_backward`",
        "resize",
        "resize_backward",
        features,
        weighed(
            lambda x: k.resize(x, 2 * ROWS, 2 * COLUMNS, "doubled"),
            lambda d, x: k.resize_backward(d, x, "doubled"),
        ),
    ),
    "nearest features": Line(
        "Nearest features: `unit_vectors`, `nearest`, `cosine_distance`, "
        "`cosine_distance_backward`",
        "cosine_distance",
        "cosine_distance_backward",
        features,
        towards(
            _directions,
            lambda x, t: (k.cosine_distance(x, t), k.cosine_distance_backward(x, t)),
        ),
    ),
    **{
        f"total variation, {kind}": Line(
            "Total variation: `total_variation_l1`, `total_variation_l2`, "
            "`total_variation_johnson`",
            f"total_variation_{kind}",
            f"total_variation_{kind}_backward",
            pixels,
            alone(
                getattr(k, f"total_variation_{kind}"),
                getattr(k, f"total_variation_{kind}_backward"),
            ),
        )
        for kind in ("l1", "l2", "johnson", "crowson")
    },
    "edges": Line(
        "Edges: `laplacian`, `laplacian_backward`",
        "laplacian",
        "laplacian_backward",
        pixels,
        weighed(k.laplacian, k.laplacian_backward),
    ),
    "margin": Line(
        "Margin: `reflect`, `reflect_backward`",
        "reflect",
        "reflect_backward",
        pixels,
        weighed(lambda x: k.reflect(x, 2), lambda d, x: k.reflect_backward(d, 2)),
    ),
    "sum of logarithms": Line(
        "Hvass' adaptive weights: a sum of logarithms",
        "combine",
        "combine",
        pixels,
        _logarithms,
    ),
    "convolution": Line(
        "Convolution, 3 x 3, one pixel of zeros around",
        "convolution",
        "convolution_backward",
        shown_pixels,
        through("convolution"),
        _NETWORK,
    ),
    "ReLU": Line("ReLU", "relu", "relu_backward", shown_pixels, through("relu"), _NETWORK),
    "max pooling": Line(
        "Max pooling, 2 x 2",
        "max_pool",
        "max_pool_backward",
        shown_pixels,
        through("max"),
        _NETWORK,
    ),
    "average pooling": Line(
        "Average pooling, 2 x 2",
        "average_pool",
        "average_pool_backward",
        shown_pixels,
        through("average"),
        _NETWORK,
    ),
    "colours": Line(
        "Colour normalisation",
        "normalise",
        "normalise_backward",
        shown_pixels,
        through("colours"),
        _NETWORK,
    ),
}
