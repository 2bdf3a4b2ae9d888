"""Whose colours a painting has: the style's or the content's, and in which sense.

    style              the painting's colours: nothing is done
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
(2016), arXiv 1606.05897.  Images are (3, H, W) RGB in [0, 1], in NumPy: this is done once before
and once after painting.
"""

from collections.abc import Sequence

import numpy as np

from nst import kernels
from nst.pictures import images

Moments = tuple[np.ndarray, np.ndarray]  # mean (3,) and covariance (3, 3) of colours, float64
COLORS = ("style", "content", "content-luminance", "match")
ROWS_AT_ONCE = 64  # looked at or coloured
GREY_LEVEL = 1 / 255  # a smaller spread of colours is rounding, and nothing to stretch


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
    image: np.ndarray,
    target: Moments,
    alpha: np.ndarray | None = None,
    own: Moments | None = None,
) -> np.ndarray:
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
    flat = image.reshape(3, -1) - mean[:, None].astype(image.dtype)
    matched = to_target.astype(image.dtype) @ flat + target_mean[:, None].astype(image.dtype)
    return np.clip(matched, 0, 1).reshape(image.shape)


def blended(moments: Sequence[Moments], weights: Sequence[float]) -> Moments:
    """Return mean and covariance of several pictures' colours together, each by its weight."""
    shares = np.array(weights) / sum(weights)
    means, covariances = (np.stack(each) for each in zip(*moments, strict=True))
    mean = shares @ means
    apart = means - mean
    return mean, np.tensordot(shares, covariances, 1) + (shares[:, None] * apart).T @ apart


def colour_moments(image: np.ndarray, alpha: np.ndarray | None = None) -> Moments:
    """Return the mean (3,) and the covariance (3, 3) of an image's colours, in float64.

    Of those that are not wholly transparent, where there is an ``alpha`` (H, W).
    """
    flat = image.reshape(3, -1) if alpha is None else image[:, alpha > 0]
    mean = flat.mean(axis=1, dtype=np.float64)
    centred = flat - mean[:, None].astype(image.dtype)
    return mean, (centred @ centred.T).astype(np.float64) / flat.shape[1]


def _power(covariance: np.ndarray, exponent: float) -> np.ndarray:
    """Return the symmetric ``covariance ** exponent``; a negative power of no spread is zero."""
    variances, directions = np.linalg.eigh(covariance)
    least = GREY_LEVEL**2 if exponent < 0 else 0.0
    powers = np.where(variances > least, variances, np.inf if exponent < 0 else 0) ** exponent
    return (directions * powers) @ directions.T
