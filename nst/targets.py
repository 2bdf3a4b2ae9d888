"""What the painted image is compared with at one scale, measured from both pictures."""

import math

from nst import images, kernels
from nst.kernels import Array
from nst.objective import Objective, Targets, Weights
from nst.runs import Run
from nst.scales import Scale
from nst.styles import GramStyle
from nst.tiled import TiledObjective, content_features, style_sums
from nst.vgg.architecture import SMALLEST_SIDE


def measure(run: Run, scale: Scale) -> Objective:
    """Measure the targets at ``scale`` and return what is minimised there."""
    recipe, vgg, device = run.recipe, run.vgg, run.device
    content = images.resize(run.content, scale.height, scale.width)
    _, height, width = run.style.shape
    style = images.resize(run.style, *style_size(height, width, scale))

    content_targets = content_features(vgg, device.asarray(content), recipe.content, run.side)
    del content
    sums = style_sums(vgg, device.asarray(style), recipe.style, run.side)
    style_targets = {
        tap: GramStyle.of(sums[tap], recipe.gram_normalization).gram for tap in recipe.style
    }

    targets = Targets(content_targets, style_targets)
    weights = Weights(recipe.content, recipe.style, recipe.smoothness)
    return TiledObjective(
        vgg,
        targets,
        relative_to(targets, weights) if recipe.relative else weights,
        recipe.gram_normalization,
        recipe.smoothness_kind,
        recipe.smoothness_reduction,
        recipe.combination,
        side=run.side,
    )


def style_size(height: int, width: int, scale: Scale) -> tuple[int, int]:
    """Return the (height, width) at which a style image of ``height`` x ``width`` is measured.

    It keeps its aspect; its longer side becomes that of the result, so that its strokes have the
    same size on both.  A narrow strip stays wide enough for the network.
    """
    thinnest = -(-SMALLEST_SIDE * max(height, width) // min(height, width))
    return images.fit(height, width, max(scale.height, scale.width, thinnest))


def relative_to(targets: Targets, weights: Weights) -> Weights:
    """Return the weights with each divided by the mean square of its target.

    A loss of 1 then means "as far from the target as nothing is", at every tap, for every model
    and every picture, and so a weight means the same everywhere.
    """
    return Weights(
        {tap: weights.content[tap] / _mean_square(t) for tap, t in targets.content.items()},
        {tap: weights.style[tap] / _mean_square(t) for tap, t in targets.style.items()},
        weights.smoothness,
    )


def _mean_square(target: Array) -> float:
    """Return the mean of the squares, channel by channel: a target may be in a file."""
    squares = sum(float(kernels.of(part).dot(part, part)) for part in target)
    return max(squares / math.prod(target.shape), 1e-12)
