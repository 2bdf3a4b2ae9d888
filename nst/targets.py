"""What the painted image is compared with at one scale, measured from the pictures.

Paintings of one region are blended; regions stand side by side, each compared with what the image
has there.  A region counts by its share of the picture, so that its strokes are as strong as those
of any other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from nst import images, kernels, styles
from nst.kernels import Array
from nst.objective import Objective, Region, Targets, Weights
from nst.recipes import Recipe
from nst.runs import Run, Source
from nst.scales import Scale
from nst.styles import GramStyle, MomentsStyle, Style, StyleSums
from nst.vgg.architecture import SMALLEST_SIDE

TINY = 1e-12  # a target of nothing


def measure(run: Run, scale: Scale) -> Objective:
    """Measure the targets at ``scale`` and return what is minimised there."""
    recipe = run.recipe
    content = images.resize(run.content, scale.height, scale.width)
    features = run.vgg.features(run.device.asarray(content))
    parts = dict.fromkeys(source.part for source in run.styles)
    regions = [
        measure_region(run, scale, [s for s in run.styles if s.part == part], features)
        for part in parts
    ]
    content_targets = {tap: features[tap] for tap in recipe.content}
    style_targets = {tap: [region[tap] for region in regions] for tap in recipe.style}
    weights = Weights(recipe.content, recipe.style, recipe.smoothness)
    if recipe.relative:
        style_targets, weights = relative_to(content_targets, style_targets, weights)
    return Objective(
        run.vgg,
        Targets(content_targets, style_targets),
        weights,
        recipe.gram_normalization,
        recipe.smoothness_kind,
        recipe.smoothness_reduction,
        recipe.combination,
        recipe.content_reduction,
        recipe.pixel_range,
    )


def measure_region(
    run: Run, scale: Scale, sources: Sequence[Source], features: Mapping[str, Array]
) -> dict[str, Region]:
    """Return, for each tap, the region that these ``sources`` share, with their styles blended.

    ``features`` are the content's: with a strength below 1 its own style is blended in, and at a
    strength of 0 it is all there is.
    """
    recipe, strength = run.recipe, run.settings.strength
    paintings = [measure_style(run, source, scale) for source in sources]
    shares = [source.weight for source in sources]
    masks = masks_at(run, sources[0].region, (scale.height, scale.width), features)
    regions = {}
    for tap, mask in masks.items():
        sums = styles.blend([painting[tap] for painting in paintings], shares)
        if strength < 1:
            own = styles.measure(features[tap], mask, means=needs_means(recipe))
            sums = styles.blend([own, sums], [1 - strength, strength])
        style = finished(sums, recipe)
        share = 1.0 if mask is None else float(mask.mean())
        regions[tap] = Region(style, mask, share)
    return regions


def measure_style(run: Run, source: Source, scale: Scale) -> dict[str, StyleSums]:
    """Return what a painting's style is made of at each tap, at the size that suits ``scale``."""
    _, height, width = source.picture.shape
    size = style_size(height, width, scale, run.settings.style_scale)
    features = run.vgg.features(run.device.asarray(images.resize(source.picture, *size)))
    masks = masks_at(run, source.mask, size, features)
    means = needs_means(run.recipe)
    return {
        tap: styles.measure(features[tap], masks[tap], means=means) for tap in run.recipe.style
    }


def needs_means(recipe: Recipe) -> bool:
    """Return whether a style of this recipe is more than products of channels."""
    return recipe.style_statistic != "gram"


def finished(sums: StyleSums, recipe: Recipe) -> Style:
    """Return the style that these sums at one tap are, in the sense of ``recipe``."""
    weight = recipe.moment_weight * len(sums.sums) ** 2
    return styles.finish(sums, recipe.style_statistic, recipe.gram_normalization, weight)


def masks_at(
    run: Run, mask: np.ndarray | None, size: tuple[int, int], features: Mapping[str, Array]
) -> dict[str, Array | None]:
    """Return a mask as each tap sees it, of an image of ``size`` (height, width)."""
    if mask is None:
        return dict.fromkeys(run.recipe.style)
    sized = images.resize(mask, *size)
    return {
        tap: run.device.asarray(styles.mask_at(sized, *features[tap].shape[1:]))
        for tap in run.recipe.style
    }


def style_size(height: int, width: int, scale: Scale, style_scale: float = 1.0) -> tuple[int, int]:
    """Return the (height, width) at which a style image of ``height`` x ``width`` is measured.

    It keeps its aspect; its longer side becomes that of the result, so that its strokes have the
    same size on both, times ``style_scale``: 2 for strokes twice as large.  A narrow strip stays
    wide enough for the network.
    """
    thinnest = -(-SMALLEST_SIDE * max(height, width) // min(height, width))
    longer = round(max(scale.height, scale.width) * style_scale)
    return images.fit(height, width, max(longer, thinnest))


def relative_to(
    content: Mapping[str, Array], style: Mapping[str, Sequence[Region]], weights: Weights
) -> tuple[dict[str, list[Region]], Weights]:
    """Return style targets and weights with each loss divided by its target's mean square.

    A loss of 1 then means "as far from the target as nothing is", at every tap, for every model
    and every picture, and so a weight means the same everywhere.  The weight at a tap is divided
    for its first region, and what others differ from that goes into theirs.
    """
    content_weights = {tap: weights.content[tap] / mean_square(content[tap]) for tap in content}
    style_weights, relative = {}, {}
    for tap, regions in style.items():
        sizes = [mean_square(gram_of(region.style)) for region in regions]
        style_weights[tap] = weights.style[tap] / sizes[0]
        relative[tap] = [
            replace(region, weight=region.weight * sizes[0] / size)
            for region, size in zip(regions, sizes, strict=True)
        ]
    return relative, Weights(content_weights, style_weights, weights.smoothness)


def gram_of(style: Style) -> Array:
    """Return the Gram matrix of a style that has one; raise ValueError for one of covariances."""
    if isinstance(style, GramStyle | MomentsStyle):
        return style.gram
    raise ValueError(f"relative weights need a Gram matrix, which {type(style).__name__} lacks")


def mean_square(target: Array) -> float:
    """Return the mean of the squares of ``target``, a little more than 0."""
    return max(float(kernels.of(target).dot(target, target)) / target.size, TINY)
