"""Whose colours a painting has: the style's or the content's, and in which sense.

    style              the painting's colours, and as much of each as the painting has, where the
                       recipe says so (``palette`` "matched", see `with_distribution_of`)
    painted            the same, left as the losses make them: nothing is done
    content            painted as usual; then each pixel keeps its luma and takes the content's
                       chroma: objects have their own colours (Johnson's -original_colors)
    content-luminance  painted in grey, the style's luma brought to the mean and spread of the
                       content's; then the content's chroma, as above: colour has no part in
                       which strokes go where (Gatys et al. 2016, luminance-only transfer)
    match              before painting the style's colours are given the mean and covariance of
                       the content's: one palette for all (Gatys et al. 2016, colour matching)

Where neither the content nor any style has colour, as they are painted, the result has none: a
style loss alone lets some in.

Gatys, Bethge, Hertzmann and Shechtman, "Preserving Color in Neural Artistic Style Transfer"
(2016), arXiv 1606.05897.  Images are (3, H, W) RGB in [0, 1]: this is done once before painting,
in NumPy, and once after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nst import kernels
from nst.kernels import Array
from nst.pictures import images

Moments = tuple[np.ndarray, np.ndarray]  # mean (3,) and covariance (3, 3) of colours, float64
COLORS = ("style", "painted", "content", "content-luminance", "match")
ROWS_AT_ONCE = 64  # looked at or coloured
LEVELS = 256  # quantiles by which a distribution is known
LOOKED_AT = 1 << 16  # pixels of a picture, about, from which they are taken
TOWARDS = 0.75  # of the way to the painting's distribution that colours go
MOST_STRETCH = 1.25  # by which all of them are spread, for what is flat would become speckled
STEEPEST = 2.0  # by which two that are close go apart: the sky over a forest would, too
GREY_LEVEL = 1 / 255  # a smaller spread of colours is rounding, and nothing to stretch

# OkLab by Bjoern Ottosson (2020), in the digits in which Kolkin et al. take it.
TO_CONES = np.array(
    [
        [0.4121656120, 0.5362752080, 0.0514575653],
        [0.2118591070, 0.6807189584, 0.1074065790],
        [0.0883097947, 0.2818474174, 0.6302613616],
    ]
)
TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
FROM_LAB = np.array(
    [
        [1, 0.3963377774, 0.2158037573],
        [1, -0.1055613458, -0.0638541728],
        [1, -0.0894841775, -1.2914855480],
    ]
)
FROM_CONES = np.array(
    [
        [4.0767245293, -3.3072168827, 0.2307590544],
        [-1.2681437731, 2.6093323231, -0.3411344290],
        [-0.0041119885, -0.7034763098, 1.7068625689],
    ]
)
ZERO = np.zeros(3)  # nothing is taken away before these, or added
COLOURLESS = 6e-5  # variance of a and b: a style of less has no colour
SMOOTHINGS = 5  # of a and b, along L
RIDGE = 1e-4  # added to a variance, so that its root is never close to nothing


def content_to_paint(color: str, content: np.ndarray) -> np.ndarray:
    """Return the content image that painting starts from, for one of COLORS."""
    return as_grey(content) if color == "content-luminance" else content


def style_to_paint(
    color: str,
    style: np.ndarray,
    content: np.ndarray,
    style_alpha: np.ndarray | None = None,
    content_alpha: np.ndarray | None = None,
) -> np.ndarray:
    """Return the style image that is measured, for one of COLORS; the two may differ in size.

    Parameters
    ----------
    color : one of COLORS
        "match" and "content-luminance" bring the style's palette to the content's.
    style, content : (3, H, W) float arrays
        RGB in [0, 1].
    style_alpha, content_alpha : (H, W) float arrays, optional
        Colours that they hide are not counted.
    """
    if color == "match":
        return match_colours(style, content, style_alpha, content_alpha)
    if color == "content-luminance":
        return match_colours(as_grey(style), as_grey(content), style_alpha, content_alpha)
    return style


def finished(color: str, painted: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Return the painted image in its final colours.

    Parameters
    ----------
    color : one of COLORS
        "content" and "content-luminance" take the chroma of the content.
    painted : (3, H, W) float array
        RGB in [0, 1].
    content : (3, H, W) float array
        Of any size: it is resized to the painted image where its colours are needed.
    """
    if not color.startswith("content"):
        return painted
    if content.shape != painted.shape:
        content = images.resize(content, *painted.shape[1:])
    return take_chroma(painted, content)


def is_grey(*pictures: np.ndarray) -> bool:
    """Return whether no pixel of any picture has a colour, but for the rounding of a JPEG."""
    return all(
        np.ptp(picture[:, top : top + ROWS_AT_ONCE], axis=0).max() <= 2 * GREY_LEVEL
        for picture in pictures
        for top in range(0, picture.shape[1], ROWS_AT_ONCE)
    )


def as_grey(image: np.ndarray) -> np.ndarray:
    """Return the image with its luma in all three channels, (3, H, W)."""
    return np.repeat(kernels.of(image).luminance(image)[None], 3, axis=0)


def take_chroma(image: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Return ``image`` with the chroma of ``content``: its luma Y' stays, at every pixel.

    ``rgb = Y'(image) + t * (content - Y'(content))``

    In YCbCr that is the image's Y' beside the content's Cb and Cr.  A bright pixel cannot be
    deep blue: ``t`` is 1 where the sum is a colour, and else so much of 1 that it just is,
    where clipping would change luma and hue.
    """
    if image.shape != content.shape:
        raise ValueError(f"take_chroma needs one shape, got {image.shape} and {content.shape}")
    coloured = np.empty_like(image)
    for top in range(0, image.shape[1], ROWS_AT_ONCE):  # a poster has no room for a dozen images
        rows = np.s_[:, top : top + ROWS_AT_ONCE]
        coloured[rows] = _take_chroma(image[rows], content[rows])
    return coloured


def _take_chroma(image: np.ndarray, content: np.ndarray) -> np.ndarray:
    luma = kernels.of(image).luminance(image)
    chroma = content - kernels.of(content).luminance(content)
    room = np.where(chroma > 0, 1 - luma, luma)  # from the luma to the edge of [0, 1]
    reach = np.abs(chroma)
    share = np.divide(room, reach, out=np.ones_like(reach), where=reach > room)
    return np.clip(luma + share.min(axis=0) * chroma, 0, 1)


def match_colours(
    image: np.ndarray,
    target: np.ndarray,
    image_alpha: np.ndarray | None = None,
    target_alpha: np.ndarray | None = None,
) -> np.ndarray:
    """Return ``image`` with the colours' mean and covariance of ``target``, clipped to [0, 1].

    Of the pixels that can be seen; see `match_moments`.

    Parameters
    ----------
    image, target : (3, H, W) float arrays
        RGB in [0, 1]; the two may differ in size.
    image_alpha, target_alpha : (H, W) float arrays, optional
        Pixels where it is 0 cannot be seen.
    """
    return match_moments(image, colour_moments(target, target_alpha), image_alpha)


def match_moments(
    image: Array,
    target: Moments,
    alpha: Array | None = None,
    own: Moments | None = None,
) -> Array:
    """Return ``image`` with the colours' mean (3,) and covariance (3, 3) of ``target``.

    ``rgb -> S_target^(1/2) S_image^(-1/2) (rgb - mean_image) + mean_target``

    with the covariances S (3, 3) over all pixels that can be seen, and their symmetric roots,
    clipped to [0, 1]: the symmetric form of Gatys et al. (2016).  A direction in which the
    image's colours spread by less than a grey level is left without spread, and not divided by
    its rounding: a grey image has two, a flat one three.

    Parameters
    ----------
    image : (3, H, W) float array
        RGB in [0, 1].
    target : Moments
        What `colour_moments` returns of another image.
    alpha : (H, W) float array, optional
        Pixels of ``image`` where it is 0 cannot be seen.
    own : Moments, optional
        In place of the image's: its colours are moved as those of another picture are.
    """
    mean, covariance = colour_moments(image, alpha) if own is None else own
    target_mean, target_covariance = target
    to_target = _power(target_covariance, 0.5) @ _power(covariance, -0.5)
    k = kernels.of(image)
    return k.clip(k.map_channels(image, to_target, mean, target_mean), 0, 1)


@dataclass(frozen=True)
class Distribution:
    """How often paintings have which colours: `distribution_of`."""

    moments: Moments  # of RGB
    quantiles: np.ndarray  # (3, LEVELS), float64, of OkLab's L, a and b


def distribution_of(
    pictures: Sequence[np.ndarray], masks: Sequence[np.ndarray | None], weights: Sequence[float]
) -> Distribution:
    """Return how the colours of several paintings are spread together.

    Parameters
    ----------
    pictures : sequence of (3, H, W) float arrays
        RGB in [0, 1].
    masks : sequence of (H, W) float arrays or None
        Of each the pixels count where its mask is not 0; None: all.
    weights : sequence of float
        How much each one counts.
    """
    seen = [_looked_at(*pair) for pair in zip(pictures, masks, strict=True)]
    shares = [
        np.full(one[0].size, weight / sum(weights) / one[0].size)
        for one, weight in zip(seen, weights, strict=True)
    ]
    moments = blended([colour_moments(one) for one in seen], weights)
    values = np.concatenate([as_oklab(one) for one in seen], axis=2)
    return Distribution(moments, _quantiles(values, np.concatenate(shares)))


def between(first: Distribution, second: Distribution, share: float) -> Distribution:
    """Return what lies between two distributions: means, covariances and quantiles by themselves.

    Parameters
    ----------
    first, second : Distribution
        The two.
    share : float
        From 0, the ``first``, to 1, the ``second``.
    """
    pairs = zip(
        (*first.moments, first.quantiles), (*second.moments, second.quantiles), strict=True
    )
    mean, covariance, quantiles = ((1 - share) * one + share * other for one, other in pairs)
    return Distribution((mean, covariance), quantiles)


def with_distribution_of(
    painted: np.ndarray, style: Distribution, alpha: np.ndarray | None = None
) -> np.ndarray:
    """Return ``painted`` with colours as the ``style`` has them, and nearly as often.

    First mean and covariance become the style's: `match_moments`.  Then in OkLab each of L, a and
    b goes TOWARDS its place in the style's distribution, by the quantiles of both:

        v + TOWARDS (Q_style(F(v)) - v),    Q(F(v)) = v of the picture itself

    That is the optimal transport of one dimension (Pitie, Kokaram and Dahyot, "N-Dimensional
    Probability Density Function Transfer", 2005, take it along many).  Equal colours stay equal.
    Colours are spread MOST_STRETCH times as far by the first step at most, and by the second no
    two STEEPEST times as far apart.  sRGB's numbers are taken for linear ones, as
    `with_chroma_of` does.

    Parameters
    ----------
    painted : (3, H, W) float array
        RGB in [0, 1].
    style : Distribution
        Of the paintings.
    alpha : (H, W) float array, optional
        Pixels where it is 0 do not count.
    """
    seen = _looked_at(painted, alpha)
    own = colour_moments(seen)
    mean, covariance = style.moments
    spread = np.sqrt(np.trace(covariance) / max(np.trace(own[1]), GREY_LEVEL**2))
    moments = mean, covariance * min(1, MOST_STRETCH / spread) ** 2 if spread else covariance
    known = _quantiles(as_oklab(match_moments(seen, moments, own=own)))
    moves = _no_steeper(style.quantiles, known) - known
    result = np.empty_like(painted)
    for top in range(0, painted.shape[1], ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        strip = np.ascontiguousarray(painted[:, rows])
        lab = as_oklab(match_moments(strip, moments, own=own))
        for channel, levels, move in zip(lab, known, moves, strict=True):
            channel += TOWARDS * np.interp(channel, levels, move).astype(channel.dtype)
        result[:, rows] = from_oklab(lab)
    return result


def _no_steeper(quantiles: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return ``quantiles`` (3, LEVELS) with steps of at most STEEPEST times those of ``known``.

    Their means stay.  Where several of ``known`` are equal, as in a flat picture, these are too.
    """
    steps = np.minimum(np.diff(quantiles), STEEPEST * np.diff(known))
    found = np.cumsum(np.pad(steps, ((0, 0), (1, 0))), axis=1)
    return found + (quantiles - found).mean(axis=1, keepdims=True)


def _looked_at(picture: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """Return RGB (3, 1, N) of LOOKED_AT pixels, of those where the mask is not 0; or of all.

    They are drawn, the same ones each time: of a halftone or a weave every n-th would show one
    colour alone.
    """
    flat, seen = picture.reshape(3, -1), None if mask is None else mask.reshape(-1) > 0
    if picture[0].size > LOOKED_AT:
        drawn = np.sort(np.random.default_rng(0).integers(picture[0].size, size=LOOKED_AT))
        if seen is None or np.count_nonzero(seen[drawn]) >= LEVELS:
            flat, seen = flat[:, drawn], None if seen is None else seen[drawn]
    return np.ascontiguousarray(flat if seen is None else flat[:, seen])[:, None]


def _quantiles(values: np.ndarray, shares: np.ndarray | None = None) -> np.ndarray:
    """Return the quantiles (3, LEVELS) of ``values`` (3, 1, N), that count by their ``shares``."""
    wanted = (np.arange(LEVELS) + 0.5) / LEVELS
    weights = np.ones(values[0].size) if shares is None else shares
    found = []
    for channel in values.reshape(3, -1).astype(np.float64):
        levels, which = np.unique(channel, return_inverse=True)
        edges = np.append(0, np.cumsum(np.bincount(which, weights)))
        reached = np.stack([edges[:-1], edges[1:]], axis=1).ravel() / edges[-1]
        found.append(np.interp(wanted, reached, np.repeat(levels, 2)))
    return np.stack(found)


@dataclass(frozen=True)
class Palette:
    """What `chroma_of` takes of paintings, in OkLab."""

    mean: np.ndarray  # (3,)
    covariance: np.ndarray  # (3, 3)
    low: np.ndarray  # (3,), the least of each
    high: np.ndarray  # (3,)


def palette_of(
    pictures: Sequence[np.ndarray], masks: Sequence[np.ndarray | None], weights: Sequence[float]
) -> Palette:
    """Return what several paintings have together, in OkLab.

    Parameters
    ----------
    pictures : sequence of (3, H, W) float arrays
        RGB in [0, 1].
    masks : sequence of (H, W) float arrays or None
        Of each the pixels count where its mask is not 0; None: all.
    weights : sequence of float
        How much each one counts.
    """
    moments, lows, highs = [], [], []
    for picture, mask in zip(pictures, masks, strict=True):
        lab = as_oklab(picture)
        moments.append(colour_moments(lab, mask))
        seen = lab.reshape(3, -1) if mask is None else lab[:, mask > 0]
        lows.append(seen.min(axis=1))
        highs.append(seen.max(axis=1))
    return Palette(*blended(moments, weights), np.min(lows, axis=0), np.max(highs, axis=0))


def with_chroma_of(
    painted: Array, photograph: Array, style: Palette, alpha: Array | None = None
) -> Array:
    """Return ``painted`` with the photograph's chroma, spread as that of the ``style``.

    In OkLab: L is the painted one, and

        (a, b) = S_style^(1/2) S_photograph^(-1/2) ((a, b)_photograph - mean) + mean_style

    smoothed where L is smooth; all three are kept within the style's own range.  A style without
    colour gives all three channels of ``painted`` its mean and covariance instead.  That is how
    the program of Kolkin et al. (2022) ends; it takes sRGB's numbers for linear ones.

    Parameters
    ----------
    painted, photograph : (3, H, W) float arrays
        RGB in [0, 1], of one size.
    style : Palette
        Of the paintings.
    alpha : (H, W) float array, optional
        Pixels where it is 0 do not count.
    """
    found = as_oklab(painted)
    lab = _within(style, found.copy())
    if np.abs(style.covariance[1:, 1:]).max() < COLOURLESS:
        lab[1:] = found[1:]
        lab = _matched(lab, style.mean, style.covariance, alpha)
    else:
        own = as_oklab(photograph)[1:]
        chroma = _matched(own, style.mean[1:], style.covariance[1:, 1:], alpha)
        lab[1:] = smoothed_along(lab[0], chroma)
    return from_oklab(_within(style, lab))


def _within(style: Palette, lab: Array) -> Array:
    """Limit OkLab ``lab`` (3, H, W) in place to the range of the ``style``, and return it."""
    for channel, low, high in zip(lab, style.low, style.high, strict=True):
        kernels.of(channel).clip(channel, float(low), float(high))
    return lab


def _matched(
    values: Array, mean: np.ndarray, covariance: np.ndarray, alpha: Array | None
) -> Array:
    """Return ``values`` (N, H, W) with this mean and covariance, each spread a little widened."""
    own_mean, own_covariance = colour_moments(values, alpha)
    ridge = RIDGE * np.eye(len(values))
    to_target = _power(covariance + ridge, 0.5) @ _power(own_covariance + ridge, -0.5)
    matched: Array = kernels.of(values).map_channels(values, to_target, own_mean, mean)
    return matched


def smoothed_along(guide: Array, values: Array) -> Array:
    """Return ``values`` (N, H, W), averaged over 3 x 3 pixels five times.

    A neighbour counts by ``exp(-10 |guide there - guide here|)``: edges of the ``guide`` (H, W)
    stay.  Beyond the border is the border's own pixel.
    """
    height, width = guide.shape
    places = [np.s_[i : i + height, j : j + width] for i in range(3) for j in range(3)]
    padded = np.pad(guide, 1, "edge")
    weights = [np.exp(-10 * np.abs(padded[place] - guide)) for place in places]
    whole = sum(weights)
    for _ in range(SMOOTHINGS):
        padded = np.pad(values, ((0, 0), (1, 1), (1, 1)), "edge")
        values = sum(w * padded[:, *place] for w, place in zip(weights, places, strict=True))
        values = values / whole
    return values


def as_oklab(image: Array) -> Array:
    """Return OkLab (3, H, W) of an image whose RGB in [0, 1] is taken for linear."""
    k = kernels.of(image)
    cones = k.map_channels(k.clip(image.copy(), 0, 1), TO_CONES, ZERO, ZERO)
    lab: Array = k.map_channels(np.cbrt(cones), TO_LAB, ZERO, ZERO)
    return lab


def from_oklab(lab: Array) -> Array:
    """Return the image, clipped to [0, 1], of OkLab (3, H, W): the way back of `as_oklab`."""
    k = kernels.of(lab)
    cones = k.map_channels(lab, FROM_LAB, ZERO, ZERO) ** 3
    image: Array = k.clip(k.map_channels(cones, FROM_CONES, ZERO, ZERO), 0, 1)
    return image


def blended(moments: Sequence[Moments], weights: Sequence[float]) -> Moments:
    """Return mean and covariance of several pictures' colours together, each by its weight."""
    shares = np.array(weights) / sum(weights)
    means, covariances = (np.stack(each) for each in zip(*moments, strict=True))
    mean = shares @ means
    apart = means - mean
    return mean, np.tensordot(shares, covariances, 1) + (shares[:, None] * apart).T @ apart


def colour_moments(image: Array, alpha: Array | None = None) -> Moments:
    """Return the mean (3,) and the covariance (3, 3) of an image's colours, in float64.

    Of those that are not wholly transparent, where there is an ``alpha`` (H, W).
    """
    seen = None if alpha is None else (alpha > 0).astype(image.dtype)
    sums = kernels.on_host(kernels.of(image).moments(image, seen))
    count = image[0].size if seen is None else float(seen.sum())
    mean = sums[:, -1] / count
    return mean, sums[:, :-1] / count - np.outer(mean, mean)


def _power(covariance: np.ndarray, exponent: float) -> np.ndarray:
    """Return the symmetric ``covariance ** exponent``; a negative power of no spread is zero."""
    variances, directions = np.linalg.eigh(covariance)
    least = GREY_LEVEL**2 if exponent < 0 else 0.0
    powers = np.where(variances > least, variances, np.inf if exponent < 0 else 0) ** exponent
    return (directions * powers) @ directions.T
