"""What the painted image is compared with at one scale, measured from the pictures.

Paintings of one region are blended; regions stand side by side, each compared with what the image
has there.  A region counts by its share of the picture, so that its strokes are as strong as those
of any other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nst import images
from nst.kernels import Array
from nst.objective import Objective, Region, Targets
from nst.objective.recipes import Recipe
from nst.objective.styles.finish import finish, statistic
from nst.objective.styles.sums import Mask, mask_at
from nst.objective.tiling import content_features, style_sums
from nst.runs import Run, Source
from nst.scales import Scale, side_of
from nst.vgg.architecture import SMALLEST_SIDE


def objective_at(run: Run, scale: Scale) -> Objective:
    """Measure the targets at ``scale`` and return what is minimised there."""
    content = run.device.asarray(images.resize(run.content, scale.height, scale.width))
    parts = dict.fromkeys(source.part for source in run.styles)
    regions = [
        measure_region(run, scale, [s for s in run.styles if s.part == part], content)
        for part in parts
    ]
    targets = Targets(
        content_features(run.vgg, content, run.recipe.content, run.side),
        {tap: [region[tap] for region in regions] for tap in run.recipe.style},
    )
    return Objective(run.vgg, targets, run.recipe, run.side)


def measure_region(
    run: Run, scale: Scale, sources: Sequence[Source], content: Array
) -> dict[str, Region]:
    """Return, for each tap, the region that these ``sources`` share, and their style blended.

    With a strength below 1 the content's own style is blended in, and at 0 it is all there is.
    """
    blend = statistic(run.recipe).blend
    paintings = [measure_style(run, source, scale) for source in sources]
    shares = [source.weight for source in sources]
    masks = masks_at(run, sources[0].region, scale.height, scale.width)
    strength = run.settings.strength
    own = sums_at(run, content, masks) if strength < 1 else {}
    regions = {}
    for tap, mask in masks.items():
        sums = blend([painting[tap] for painting in paintings], shares)
        if own:
            sums = blend([own[tap], sums], [1 - strength, strength])
        share = 1.0 if mask is None else float(mask.host.mean())
        regions[tap] = Region(finish(sums, run.recipe), mask, share)
    return regions


def measure_style(run: Run, source: Source, scale: Scale) -> dict[str, Any]:
    """Return what a painting's style is made of at each tap, at the size that suits ``scale``."""
    size = painting_size(run, source, scale)
    picture = run.device.asarray(images.resize(source.picture, *size))
    return sums_at(run, picture, masks_at(run, source.mask, *size))


def sums_at(run: Run, image: Array, masks: Mapping[str, Mask | None]) -> dict[str, Any]:
    """Return what the style of ``image`` is made of where its masks are."""
    return style_sums(run.vgg, image, masks, statistic(run.recipe), run.side)


def masks_at(run: Run, mask: np.ndarray | None, height: int, width: int) -> dict[str, Mask | None]:
    """Return a mask as each tap sees it, of an image of ``height`` x ``width`` pixels."""
    if mask is None:
        return dict.fromkeys(run.recipe.style)
    sized = images.resize(mask, height, width)
    shape = run.vgg.network.architecture.shape
    return {
        tap: Mask.placed(mask_at(sized, *shape(tap, height, width)[1:]), run.device)
        for tap in run.recipe.style
    }


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
