"""What the painted image is compared with at one scale, measured from both pictures."""

from nst import images, kernels, styles
from nst.kernels import Array
from nst.objective import Objective, Targets, Weights
from nst.recipes import Recipe
from nst.runs import Run
from nst.scales import Scale
from nst.styles import CovarianceStyle, Style, StyleSums
from nst.vgg.architecture import SMALLEST_SIDE


def measure(run: Run, scale: Scale) -> Objective:
    """Measure the targets at ``scale`` and return what is minimised there."""
    recipe, vgg, device = run.recipe, run.vgg, run.device
    content = images.resize(run.content, scale.height, scale.width)
    _, height, width = run.style.shape
    style = images.resize(run.style, *style_size(height, width, scale))

    features = vgg.features(device.asarray(content))
    content_targets = {tap: features[tap] for tap in recipe.content}
    features = vgg.features(device.asarray(style))
    style_targets = {}
    for tap in recipe.style:
        sums = styles.measure(features[tap], means=recipe.style_statistic != "gram")
        style_targets[tap] = finished(sums, recipe)

    targets = Targets(content_targets, style_targets)
    weights = Weights(recipe.content, recipe.style, recipe.smoothness)
    return Objective(
        vgg,
        targets,
        relative_to(targets, weights) if recipe.relative else weights,
        recipe.gram_normalization,
        recipe.smoothness_kind,
        recipe.smoothness_reduction,
        recipe.combination,
        recipe.content_reduction,
        recipe.pixel_range,
    )


def finished(sums: StyleSums, recipe: Recipe) -> Style:
    """Return the style that one tap of the painting has, in the sense of ``recipe``."""
    weight = recipe.moment_weight * len(sums.sums) ** 2
    return styles.finish(sums, recipe.style_statistic, recipe.gram_normalization, weight)


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
        {tap: weights.style[tap] / _mean_square(gram_of(t)) for tap, t in targets.style.items()},
        weights.smoothness,
    )


def gram_of(style: Array | Style) -> Array:
    """Return the (C, C) mean products of channels that a style target holds, of any kind."""
    if isinstance(style, CovarianceStyle):
        return style.root @ style.root + style.mean[:, None] * style.mean
    return getattr(style, "gram", style)


def _mean_square(target: Array) -> float:
    return max(float(kernels.of(target).dot(target, target)) / target.size, 1e-12)
