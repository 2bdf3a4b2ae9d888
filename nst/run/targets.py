"""What the painted image is compared with at one scale, measured from the pictures.

Paintings of one region are blended; regions stand side by side, each compared with what the image
has there.  A region counts by its share of the picture, so that its strokes are as strong as those
of any other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any, Protocol

import numpy as np

from nst.kernels import Array
from nst.objective import Objective, Region, Targets, Warped
from nst.objective.edges import edges_of, seen_of
from nst.objective.recipes import Recipe
from nst.objective.style import Style
from nst.objective.styles.finish import asks, finish, statistic
from nst.objective.styles.query import Query
from nst.objective.styles.sums import Mask, mask_at
from nst.objective.tiling import features_of, padding_of, style_sums, tiles_of
from nst.pictures import images
from nst.run.inputs import Inputs
from nst.run.paintings import ReadPainting, where_shown
from nst.run.scales import Scale, side_of
from nst.run.shared import content_of
from nst.vgg.architecture import SMALLEST_SIDE


@dataclass(frozen=True)
class Seen:
    """The pictures that a scale is about, (3, H, W) on the device."""

    photograph: Array
    asking: Array  # for targets that are made per scale


class TileCrew(Protocol):
    """Who sees the tiles of an image elsewhere: see many/cluster/poster.py."""

    def objective(self, content: Array, targets: Targets, side: int | None) -> Objective:
        """Return what is minimised, given the photograph; the targets lack its features."""


def objective_at(
    inputs: Inputs,
    scale: Scale,
    side: int | None = None,
    share: float = 1.0,
    asking: Array | None = None,
    crew: TileCrew | None = None,
) -> Objective:
    """Measure the targets at ``scale`` and return what is minimised there.

    ``side`` is that of the largest window that the network is given; None: all at once.
    ``share`` is how large the scale is of the full size.  ``asking`` is the picture (3, H, W) that
    asks for targets that are made per scale; None: the photograph.  ``crew`` sees the tiles, where
    there are several; None: they are seen here.
    """
    content = inputs.device.asarray(images.resize(inputs.content, scale.height, scale.width))
    seen = Seen(content, content if asking is None else asking)
    parts = dict.fromkeys(painting.part for painting in inputs.paintings)
    regions = [
        measure_region(
            inputs, scale, [p for p in inputs.paintings if p.part == part], seen, side, share
        )
        for part in parts
    ]
    targets = Targets(
        {},
        {tap: [r[tap] for r in regions if tap in r] for tap in inputs.recipe.style},
        seen_at(inputs, scale),
        edges_of(content, inputs.recipe.pixel_range) if inputs.recipe.edges else None,
        warped_at(inputs, scale),
    )
    padding, seed = padding_in(inputs), inputs.settings.seed
    if crew is not None and len(tiles_of(inputs.vgg, content, side, padding)) > 1:
        return crew.objective(content, targets, side)
    features = features_of(inputs.vgg, content, inputs.recipe.content, side, padding)
    return Objective(inputs.vgg, replace(targets, content=features), inputs.recipe, side, seed)


def seen_at(inputs: Inputs, scale: Scale) -> dict[str, Array]:
    """Return where content's taps see something of the photograph; {} where it hides nothing."""
    shown = where_shown(inputs.alpha)
    if shown is None:
        return {}
    size = scale.height, scale.width
    sized = images.resize(shown.astype(np.float32), *size)
    seen = {
        tap: inputs.device.asarray(mask_of_layer(inputs, sized, tap) > 0)
        for tap in inputs.recipe.content
    }
    if inputs.recipe.edges:
        seen["image"] = inputs.device.asarray(seen_of(sized))
    return seen


def warped_at(inputs: Inputs, scale: Scale) -> Warped | None:
    """Return what was painted in the frames before, on the device; None where there is none."""
    if inputs.warped is None:
        return None
    size = scale.height, scale.width
    known = inputs.warped.picture, inputs.warped.certainty
    sized = [one if one.shape[-2:] == size else images.resize(one, *size) for one in known]
    return Warped(*map(inputs.device.asarray, sized))


def mask_of_layer(inputs: Inputs, mask: np.ndarray, tap: str) -> np.ndarray:
    """Return a ``mask`` (H, W) of an image of that size as the layer at ``tap`` sees it."""
    architecture = inputs.vgg.network.architecture
    return mask_at(mask, *architecture.shape(tap, *mask.shape)[1:], architecture.rounding)


def measure_region(
    inputs: Inputs,
    scale: Scale,
    paintings: Sequence[ReadPainting],
    seen: "Seen",
    side: int | None,
    share: float,
) -> dict[str, Region]:
    """Return the region that these ``paintings`` share, and their style blended: by tap.

    A tap at which none of them is taken is left out.
    With a strength below 1 the content's own style is blended in, and at 0 it is all there is.
    """
    kinds = kinds_of(inputs.recipe)
    measured = [measure_style(inputs, painting, scale, side, share) for painting in paintings]
    masks = masks_at(inputs, paintings[0].region, scale.height, scale.width)
    strength = inputs.settings.strength
    summed = {tap: mask for tap, mask in masks.items() if not kinds[tap].per_scale}
    own = sums_at(inputs, seen.photograph, summed, side) if strength < 1 and summed else {}
    asking = asking_at(inputs, seen, masks, side)
    regions = {}
    for tap, mask in masks.items():
        taken = [
            (sums[tap], painting.weight)
            for sums, painting in zip(measured, paintings, strict=True)
            if painting.taken_at(tap)
        ]
        if not taken:
            continue
        kind = kinds[tap]
        sums = kind.blend(*zip(*taken, strict=True))
        if tap in own:
            painted = kind.painted_share(strength)
            sums = kind.blend([own[tap], sums], [1 - painted, painted])
        covered = 1.0 if mask is None else float(mask.host.mean())
        regions[tap] = Region(finish(sums, inputs.recipe, tap, asking.get(tap)), mask, covered)
    return regions


def asking_at(
    inputs: Inputs, seen: "Seen", masks: Mapping[str, Mask | None], side: int | None
) -> dict[str, Query]:
    """Return what asks for a target at each tap whose target is made per scale."""
    kinds, strength = kinds_of(inputs.recipe), inputs.settings.strength
    taps = [tap for tap in masks if kinds[tap].per_scale]
    if not taps:
        return {}
    padding = padding_in(inputs)
    asked = features_of(inputs.vgg, seen.asking, taps, side, padding)
    own: Mapping[str, Any] = {}
    if strength < 1:
        own = features_of(inputs.vgg, seen.photograph, taps, side, padding)
    inputs.vgg.release()  # a painting has a size of its own
    painted = {tap: kinds[tap].painted_share(strength) for tap in taps}
    return {
        tap: Query(asked[tap], inputs.device, masks[tap], painted[tap], own.get(tap))
        for tap in taps
    }


def kinds_of(recipe: Recipe) -> dict[str, type[Style]]:
    """Return the statistic that the recipe compares at each of its taps."""
    return {tap: statistic(recipe, tap) for tap in recipe.style}


def measure_style(
    inputs: Inputs,
    painting: ReadPainting,
    scale: Scale,
    side: int | None = None,
    share: float = 1.0,
) -> dict[str, Any]:
    """Return what a painting's style is made of at each tap, at the size that suits ``scale``.

    A margin is mirrored around it as around the image.  Else its statistics would be of the zeros
    around it, too, of which the image has none: it would get speckles in their place.
    """
    size = painting_size(inputs, painting, scale, share)
    picture = images.resize(painting.picture, *size)
    if inputs.recipe.rotations:
        turned = [measure_turned(inputs, painting, picture, q, side) for q in range(4)]
        return {tap: reduce(add, (sums[tap] for sums in turned)) for tap in turned[0]}
    masks = masks_at(inputs, painting.mask, *size)
    taken = {tap: mask for tap, mask in masks.items() if painting.taken_at(tap)}
    if inputs.shared is None or asks(inputs.recipe):  # then it is features, too large to keep
        return sums_at(inputs, inputs.device.asarray(picture), taken, side)
    kinds = tuple(kinds_of(inputs.recipe).items())
    key = inputs.vgg, kinds, padding_in(inputs), side, content_of(picture, taken)
    sums = inputs.shared.sums_of(key)
    if sums is None:
        sums = sums_at(inputs, inputs.device.asarray(picture), taken, side)
        inputs.shared.keep(key, sums)
    return sums


def measure_turned(
    inputs: Inputs, painting: ReadPainting, picture: np.ndarray, quarters: int, side: int | None
) -> dict[str, Any]:
    """Return the same of ``picture``, the painting, turned by so many quarters of a circle."""
    turned = np.rot90(picture, quarters, (1, 2))
    mask = None if painting.mask is None else np.rot90(painting.mask, quarters)
    masks = masks_at(inputs, mask, *turned.shape[1:])
    taken = {tap: mask for tap, mask in masks.items() if painting.taken_at(tap)}
    return sums_at(inputs, inputs.device.asarray(turned), taken, side)


def sums_at(
    inputs: Inputs, image: Array, masks: Mapping[str, Mask | None], side: int | None
) -> dict[str, Any]:
    """Return what the style of ``image`` is made of where its masks are."""
    kinds, padding = kinds_of(inputs.recipe), padding_in(inputs)
    return style_sums(inputs.vgg, image, masks, kinds, side, padding)


def padding_in(inputs: Inputs) -> int:
    """Return how many pixels around a picture the network is shown in this run."""
    return padding_of(inputs.recipe.padding, inputs.vgg)


def masks_at(
    inputs: Inputs, mask: np.ndarray | None, height: int, width: int
) -> dict[str, Mask | None]:
    """Return a mask as each tap sees it, of an image of ``height`` x ``width`` pixels."""
    if mask is None:
        return dict.fromkeys(inputs.recipe.style)
    sized = images.resize(mask, height, width)
    return {
        tap: Mask.placed(mask_of_layer(inputs, sized, tap), inputs.device)
        for tap in inputs.recipe.style
    }


def painting_size(
    inputs: Inputs, painting: ReadPainting, scale: Scale, share: float = 1.0
) -> tuple[int, int]:
    """Return the (height, width) at which a ``painting`` is measured at ``scale``."""
    _, height, width = painting.picture.shape
    style_scale = inputs.settings.style_scale
    return style_size(height, width, scale, inputs.recipe, style_scale, share)


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
