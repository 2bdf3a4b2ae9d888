"""What the painted image is compared with at one scale, measured from the pictures.

Paintings of one region are blended; regions stand side by side, each compared with what the image
has there.  A region counts by its share of the picture, so that its strokes are as strong as those
of any other.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from nst import images, kernels, styles
from nst.kernels import Array
from nst.objective import Objective, Region, Targets, Weights
from nst.recipes import Recipe
from nst.runs import Run, Source
from nst.scales import Scale, side_of
from nst.styles import CovarianceStyle, Style, StyleSums
from nst.tiled import TiledObjective, content_features, style_sums
from nst.vgg.architecture import SMALLEST_SIDE

TINY = 1e-12  # a target of nothing


def measure(run: Run, scale: Scale) -> Objective:
    """Measure the targets at ``scale`` and return what is minimised there."""
    recipe = run.recipe
    content = run.device.asarray(images.resize(run.content, scale.height, scale.width))
    parts = dict.fromkeys(source.part for source in run.styles)
    regions = [
        measure_region(run, scale, [s for s in run.styles if s.part == part], content)
        for part in parts
    ]
    content_targets = content_features(run.vgg, content, recipe.content, run.side)
    style_targets = {tap: [region[tap] for region in regions] for tap in recipe.style}
    weights = Weights(recipe.content, recipe.style, recipe.smoothness)
    if recipe.relative:
        style_targets, weights = relative_to(content_targets, style_targets, weights)
    return TiledObjective(
        run.vgg,
        Targets(content_targets, style_targets),
        weights,
        recipe.gram_normalization,
        recipe.smoothness_kind,
        recipe.smoothness_reduction,
        recipe.combination,
        recipe.content_reduction,
        recipe.pixel_range,
        side=run.side,
    )


def measure_region(
    run: Run, scale: Scale, sources: Sequence[Source], content: Array
) -> dict[str, Region]:
    """Return, for each tap, the region that these ``sources`` share, with their styles blended.

    With a strength below 1 the content's own style is blended in, and at 0 it is all there is.
    """
    paintings = [measure_style(run, source, scale) for source in sources]
    shares = [source.weight for source in sources]
    masks = masks_at(run, sources[0].region, scale.height, scale.width)
    strength = run.settings.strength
    own = sums_at(run, content, masks) if strength < 1 else {}
    regions = {}
    for tap, mask in masks.items():
        sums = styles.blend([painting[tap] for painting in paintings], shares)
        if own:
            sums = styles.blend([own[tap], sums], [1 - strength, strength])
        share = 1.0 if mask is None else float(mask.mean())
        regions[tap] = Region(finished(sums, run.recipe), mask, share)
    return regions


def measure_style(run: Run, source: Source, scale: Scale) -> dict[str, StyleSums]:
    """Return what a painting's style is made of at each tap, at the size that suits ``scale``."""
    size = painting_size(run, source, scale)
    picture = run.device.asarray(images.resize(source.picture, *size))
    return sums_at(run, picture, masks_at(run, source.mask, *size))


def sums_at(run: Run, image: Array, masks: Mapping[str, Array | None]) -> dict[str, StyleSums]:
    """Return what the style of ``image`` is made of where its masks are."""
    return style_sums(run.vgg, image, masks, run.side, run.recipe.style_statistic != "gram")


def masks_at(
    run: Run, mask: np.ndarray | None, height: int, width: int
) -> dict[str, Array | None]:
    """Return a mask as each tap sees it, of an image of ``height`` x ``width`` pixels."""
    if mask is None:
        return dict.fromkeys(run.recipe.style)
    sized = images.resize(mask, height, width)
    shape = run.vgg.network.architecture.shape
    return {
        tap: run.device.asarray(styles.mask_at(sized, *shape(tap, height, width)[1:]))
        for tap in run.recipe.style
    }


def finished(sums: StyleSums, recipe: Recipe) -> Style:
    """Return the style that one tap of the painting has, in the sense of ``recipe``."""
    weight = recipe.moment_weight * len(sums.sums) ** 2
    return styles.finish(sums, recipe.style_statistic, recipe.gram_normalization, weight)


def painting_size(run: Run, source: Source, scale: Scale) -> tuple[int, int]:
    """Return the (height, width) at which a painting of ``run`` is measured at ``scale``."""
    _, height, width = source.picture.shape
    full = run.scales[-1]
    share = max(scale.height, scale.width) / max(full.height, full.width)
    return style_size(height, width, scale, run.recipe, run.settings.style_scale, share)


def style_size(
    height: int,
    width: int,
    scale: Scale,
    recipe: Recipe,
    style_scale: float = 1.0,
    share: float = 1.0,
) -> tuple[int, int]:
    """Return the (height, width) at which a style image of ``height`` x ``width`` is measured.

    It keeps its aspect.  Its longer side, or the side that the recipe names, becomes that of the
    result, so that its strokes have the same size on both; or what the recipe says for the full
    size, of which ``scale`` is a ``share``.  All times ``style_scale``: 2 for strokes twice as
    large.  A narrow strip stays wide enough for the network.
    """
    if recipe.style_size is None:
        asked: float = side_of(scale.height, scale.width, recipe.style_side)
    else:
        asked = recipe.style_size * share
    longer = max(height, width) * asked / side_of(height, width, recipe.style_side)
    return network_size(height, width, round(longer * style_scale))


def network_size(height: int, width: int, longer_side: int) -> tuple[int, int]:
    """Return (height, width) fitted to ``longer_side``; a strip as wide as the network needs."""
    thinnest = -(-SMALLEST_SIDE * max(height, width) // min(height, width))
    return images.fit(height, width, max(longer_side, thinnest))


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


def gram_of(style: Array | Style) -> Array:
    """Return the (C, C) mean products of channels that a style target holds, of any kind."""
    if isinstance(style, CovarianceStyle):
        return style.root @ style.root + style.mean[:, None] * style.mean
    return getattr(style, "gram", style)


def mean_square(target: Array) -> float:
    """Return the mean of the squares, a little more than 0; a target may be in a file."""
    squares = sum(float(kernels.of(part).dot(part, part)) for part in target)
    return max(squares / math.prod(target.shape), TINY)
