"""Objectives as the tests build them: a recipe of their own, and styles that are everywhere."""

import numpy as np

from nst.objective import Region
from nst.objective.recipe import Recipe
from nst.objective.styles.finish import STATISTICS
from nst.objective.styles.gram import GramStyle
from nst.objective.styles.sums import Mask
from nst.settings import Painting

# Those that are made of sums over pixels.
SUMMED = [name for name, kind in STATISTICS.items() if not (kind.keeps_maps or kind.per_scale)]


def recipe_of(content, style, smoothness=0.0, **conventions):
    """Return a recipe of these weights by tap, for pixels whose white is 1."""
    return Recipe(
        "a test",
        content=content,
        style=style,
        smoothness=smoothness,
        **{"pixel_range": 1.0} | conventions,
    )


def everywhere(grams, normalization="HW"):
    """Return style targets: for each tap one region, the whole image, with this Gram matrix."""
    return {tap: [Region(GramStyle(gram, normalization))] for tap, gram in grams.items()}


def styles_blended(at):
    """Return settings for two styles that share a picture, given the folder of the files."""
    return {"style": [Painting(at / "painting.png", 3), at / "other.png"]}


def styles_by_region(at):
    """Return the same, side by side: two of them in the left region."""
    return {
        "style": [
            Painting(at / "painting.png", 2, mask=at / "left.png", region=at / "left.png"),
            Painting(at / "other.png", 1, region=at / "left.png"),
            Painting(at / "other.png", mask=at / "left.png", region=at / "right.png"),
        ]
    }


def mask_of(pixels):
    """Return the mask (H, W) as the statistics take it."""
    return None if pixels is None else Mask(pixels, pixels)


def features_seen(run, image):
    """Return an image's own features at every tap, with the recipe's margin mirrored around it."""
    margin = run.recipe.padding
    around = ((0, 0), (margin, margin), (margin, margin))
    _, height, width = image.shape
    seen = {}
    for tap, features in run.vgg.features(np.pad(image, around, "symmetric")).items():
        stride = run.vgg.network.architecture.stride(tap)
        first = margin // stride
        rows, columns = (slice(first, first + n // stride) for n in (height, width))
        seen[tap] = np.ascontiguousarray(features[:, rows, columns])
    return seen
