"""Chapter 6: what each statistic of a style cannot see, on the same pair of pictures.

The features are the pixels themselves, three channels: so that what a statistic does not notice
can be looked at.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from nst import kernels
from nst.devices import CPU
from nst.lesson.gram_matrix import shuffle_pixels
from nst.lesson.pieces import Answer, Picture, Table, over
from nst.lesson.subject import TAPS, Subject
from nst.objective.recipe import Recipe
from nst.objective.style import Style
from nst.objective.styles.finish import STATISTICS
from nst.objective.styles.neighbours import NeighboursStyle

SHOWN = ("gram", "w2", "moments", "neighbours")  # of STATISTICS
DARKEST, SPREAD = np.float32(0.2), np.float32(0.45)  # what black becomes, and the way to white
BAND = 6  # pixels: how wide the stripes of "contrast" are
NOTHING = 1e-4  # a distance that is rounding: nothing was noticed


def compared(subject: Subject, change: str, percent: int, tap: str) -> Answer:
    """Return a picture, what a change makes of it, and how far each statistic says they are.

    ``tap`` is "pixels" or a layer: through a network more is seen.
    """
    image = pale(subject)
    changed = CHANGES[change](image, percent / 100)
    seen = features_of(subject, tap, image), features_of(subject, tap, changed)
    distances = distances_of(*seen)
    rows = [
        (name, found, "sees it" if found > NOTHING else "sees nothing")
        for name, found in distances.items()
    ]
    return {
        "image": Picture(image, "The photograph, a little paler"),
        "changed": Picture(changed, f"Changed: {change}, {percent} %"),
        "table": Table(("statistic", "distance", ""), rows),
        "pixels_apart": 255 * float(np.sqrt(np.mean((changed - image) ** 2))),
        **distances,
    }


def pale(subject: Subject) -> np.ndarray:
    """Return the photograph with less contrast, so that no change leaves black and white far."""
    image: np.ndarray = DARKEST + SPREAD * subject.photograph
    return image


def features_of(subject: Subject, tap: str, image: np.ndarray) -> np.ndarray:
    """Return what is compared: the pixels, (3, H, W), or a layer's features."""
    return image if tap == "pixels" else subject.up_to(tap).features(image)[tap]


def distances_of(features: np.ndarray, changed: np.ndarray) -> dict[str, float]:
    """Return by each statistic how far ``changed`` is from ``features``, over their own size."""
    found = {}
    for name in SHOWN:
        style = style_of(name, features)
        loss, _ = style.compare(style.measure(changed))
        found[name] = over(abs(float(loss)), style.mean_square())
    return found


def style_of(name: str, features: np.ndarray) -> Style:
    """Return the style that ``features`` (C, H, W) have by a statistic.

    With "neighbours" each place is to keep its own direction: it is its own nearest neighbour.
    """
    if name == "neighbours":
        vectors = features.reshape(len(features), -1)
        units = kernels.of(vectors).unit_vectors(vectors)
        return NeighboursStyle(units.reshape(features.shape), CPU)
    kind: Any = STATISTICS[name]
    recipe = Recipe("the lesson's", content={}, style={}, moment_weight=1 / len(features) ** 2)
    found: Style = kind.of(kind.collect(features), recipe)
    return found


# ---- Changes to a picture, each by a share from 0 to 1 ---------------------------------------


def shuffled(image: np.ndarray, share: float) -> np.ndarray:
    """Return the picture with a share of its pixels shuffled."""
    return shuffle_pixels(image, share)


def contrasted(image: np.ndarray, share: float) -> np.ndarray:
    """Return the picture in stripes, one darker and its neighbour brighter: the same Gram matrix.

    Each pixel p has a partner q, BAND columns further.  The two are turned like the hands of a
    clock, ``p cos a - q sin a`` and ``p sin a + q cos a``: so the sum of their squares, and of the
    products of their channels, is what it was.
    """
    _, _, width = image.shape
    left, right = stripes(width)
    angle = share * np.pi / 4
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    changed = image.copy()
    changed[:, :, left] = cosine * image[:, :, left] - sine * image[:, :, right]
    changed[:, :, right] = sine * image[:, :, left] + cosine * image[:, :, right]
    return changed


def stripes(width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns that become darker, and the partner of each, which becomes brighter."""
    columns = np.arange(width - BAND)
    left = columns[columns // BAND % 2 == 0]
    return left, left + BAND


def negative(image: np.ndarray, share: float) -> np.ndarray:
    """Return the picture turned over around its mean colour; half way nothing but that is left.

    Turned over wholly, mean and covariance are what they were.
    """
    mean = image.mean(axis=(1, 2), keepdims=True)
    turned: np.ndarray = mean + np.float32(1 - 2 * share) * (image - mean)
    return turned


def darker(image: np.ndarray, share: float) -> np.ndarray:
    """Return the picture with all colours a share darker: each keeps its direction."""
    dark: np.ndarray = np.float32(1 - 0.9 * share) * image
    return dark


CHANGES: Mapping[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "shuffled": shuffled,
    "contrast": contrasted,
    "negative": negative,
    "darker": darker,
}
LOOKED_AT = ("pixels", *TAPS)
