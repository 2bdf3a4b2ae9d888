"""Files to arrays and back: what the artist gave, as the (3, H, W) that the mathematics wants.

Reading turns every kind of picture into the same thing: upright, sRGB, float32 in [0, 1], colour
and opacity apart.  Writing is atomic: a run that is killed leaves either the old file or the new
one, never half of one.
"""

from io import BytesIO

import numpy as np
import PIL.Image

from nst.files import PathLike, check_writable, refuse_what_is_no_file, replace_atomically
from nst.pictures import decoding, reading
from nst.pictures.encoding import encode, kind_to_write
from nst.pictures.reading import Input

SCREEN = 1280  # pixels of the longer side: what a screen shows


def load(source: PathLike | Input) -> np.ndarray:
    """Return the image in a file as (3, H, W) float32 sRGB in [0, 1], upright, laid over white.

    See ``load_with_alpha``, which keeps colours and opacity apart.
    """
    rgb, alpha = load_with_alpha(source)
    return over_white(rgb, alpha)


def load_with_alpha(source: PathLike | Input) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the image in a picture file, and its alpha channel.

    JPEG, PNG, WebP, TIFF, GIF and AVIF are read, and HEIC with the extra ``heic``; of several
    pictures in a file the first, with a warning.  EXIF orientation is applied.  Colours are
    converted to sRGB from what the file says of them: a profile, PNG's gamma and chromaticities,
    the code points of PNG, AVIF and HEIC, or Adobe RGB in a camera's EXIF.  They are those of the
    file whatever their opacity (straight, not multiplied).  16-bit grey keeps its depth; of 16-bit
    colour Pillow keeps the upper eight bits.

    Returns
    -------
    rgb : (3, H, W) float32 array in [0, 1]
    alpha : (H, W) float32 array in [0, 1], or None where every pixel is opaque

    Raises
    ------
    NstError
        For what cannot be read, is smaller than 16 pixels on a side, or would not fit into memory.

    Warns
    -----
    NstWarning
        When colours cannot be converted.
    """
    return decoding.decode(source if isinstance(source, Input) else reading.read(source))


def load_to_paint(source: PathLike | Input) -> tuple[np.ndarray, np.ndarray | None]:
    """Return ``load_with_alpha(source)``, but under what is hidden a colour from around it."""
    rgb, alpha = load_with_alpha(source)
    if alpha is not None:
        fill_hidden(rgb, alpha)
    return rgb, alpha


def over_white(rgb: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Return an image (3, H, W) as it is seen on white paper; ``alpha`` None is opaque.

    ``alpha`` (H, W) may be of another size; it is resized.
    """
    if alpha is None:
        return rgb
    opacity = alpha if alpha.shape == rgb.shape[1:] else resize(alpha, *rgb.shape[1:])
    return opacity * rgb + (1 - opacity)


def fill_hidden(rgb: np.ndarray, alpha: np.ndarray) -> None:
    """Give the pixels of ``rgb`` (C, H, W) that ``alpha`` (H, W) hides other colours, in place.

    Nobody sees them, but a network does: black or white there would be an edge.  They become
    means of what is around, over as large a neighbourhood as it takes: averaged over blocks of
    2 x 2 pixels, weighted by alpha, again and again, and enlarged into what is empty (push and
    pull: Gortler et al., "The Lumigraph" (1996)).
    """
    hidden = alpha == 0
    height, width = alpha.shape
    if height * width == 1 or not hidden.any():
        return
    rows, columns = -(-height // 2), -(-width // 2)
    padding = ((0, 2 * rows - height), (0, 2 * columns - width))

    def summed(weights: np.ndarray) -> np.ndarray:
        return np.pad(weights, padding).reshape(rows, 2, columns, 2).sum(axis=(1, 3))

    share = summed(alpha)
    below = np.stack([summed(channel * alpha) for channel in rgb]) / np.where(share, share, 1)
    fill_hidden(below, share.clip(0, 1))
    for channel, small in zip(rgb, below, strict=True):
        enlarged = resize(small, 2 * rows, 2 * columns)[:height, :width]
        channel[hidden] = enlarged[hidden]


def read_metadata(source: PathLike | Input) -> dict[str, str]:
    """Return the texts that a picture carries, by keyword; {} where there are none.

    Raises NstError for a file that cannot be read, or is no picture.
    """
    return decoding.texts_of(source if isinstance(source, Input) else reading.read(source))


def save(
    path: PathLike,
    image: np.ndarray,
    alpha: np.ndarray | None = None,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write an image as PNG, JPEG, WebP, TIFF or AVIF.  The file appears whole or not at all.

    PNG and TIFF keep every level; the others are written at a quality of 90 or 95, and but for
    WebP without chroma subsampling.  A JPEG is laid over white where transparent, and carries of
    the metadata only whose it is (see marks.py), as a comment.

    Parameters
    ----------
    path : str or path
        .png, .jpg, .jpeg, .webp, .tif, .tiff or .avif says which kind.
    image : (3, H, W) float array
        RGB in [0, 1]; clipped and rounded to 8 bits (``as_uint8``).
    alpha : (H, W) float array, optional
        0, transparent, to 1.
    metadata : dict, optional
        Texts: keyword (at most 79 Latin-1 characters) to text.

    Raises
    ------
    NstError
        For any other suffix, and for what the disk refuses.
    """
    kind = kind_to_write(path)
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"save needs an image of shape (3, H, W), got {image.shape}")
    if alpha is not None and alpha.shape != image.shape[1:]:
        raise ValueError(f"alpha {alpha.shape} does not fit an image of shape {image.shape}")
    if kind == "JPEG":
        image, alpha = over_white(image, alpha), None
    encoded = encode(path, kind, as_pil(image, alpha), metadata or {})
    with replace_atomically(path) as file:
        file.write(encoded)


def check_output(path: PathLike) -> None:
    """Raise NstError if ``save(path, ...)`` could not work, before hours are spent on it."""
    refuse_what_is_no_file(path)  # of a folder the name need not tell a format
    kind_to_write(path)
    check_writable(path)


def as_uint8(image: np.ndarray) -> np.ndarray:
    """Return a (C, H, W) image in [0, 1] as (H, W, C) uint8: ``floor(255 x + 1/2)``, clipped.

    >>> as_uint8(np.array([0.0, 0.5, 1.2]).reshape(3, 1, 1))
    array([[[  0, 128, 255]]], dtype=uint8)
    """
    if image.dtype.kind != "f":
        raise TypeError(f"an image is floating-point, from 0 to 1; got {image.dtype}")
    if not np.isfinite(image).all():
        raise ValueError("the image has values that are not finite; they have no grey level")
    levels = np.floor(image * 255 + 0.5).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(levels, 0, -1))


def as_pil(image: np.ndarray, alpha: np.ndarray | None = None) -> PIL.Image.Image:
    """Return an image (3, H, W) in [0, 1], and its opacity (H, W), as Pillow's: RGB or RGBA."""
    channels = image if alpha is None else np.concatenate([image, alpha[np.newaxis]])
    return PIL.Image.fromarray(as_uint8(channels))


def no_longer(image: np.ndarray, side: int) -> np.ndarray:
    """Return an image (3, H, W), or an opacity (H, W), with no side longer than ``side``."""
    height, width = image.shape[-2:]
    if max(height, width) <= side:
        return image
    return resize(image, *fit(height, width, side))


def as_png(image: np.ndarray, alpha: np.ndarray | None = None) -> bytes:
    """Return a PNG of an image (3, H, W) in [0, 1], no longer than SCREEN: for a notebook."""
    alpha = None if alpha is None else no_longer(alpha, SCREEN)
    encoded = BytesIO()
    as_pil(no_longer(image, SCREEN), alpha).save(encoded, "PNG")
    return encoded.getvalue()


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the image resampled to (C, height, width), or (height, width) for an (H, W) image.

    Lanczos with three lobes, in float32, widened to cover every pixel when it shrinks; its
    overshoot at edges is clipped to [0, 1].

    Parameters
    ----------
    image : (C, H, W) or (H, W) float array
        In [0, 1].
    height, width : int
        Pixels, from 1 up.
    """
    if min(height, width) < 1:
        raise ValueError(f"cannot resize to {height} rows and {width} columns")
    channels = image.reshape(-1, *image.shape[-2:]).astype(np.float32, copy=False)
    resized = np.empty((len(channels), height, width), np.float32)
    for channel, out in zip(channels, resized, strict=True):
        picture = PIL.Image.fromarray(np.ascontiguousarray(channel))  # mode "F"
        out[:] = np.asarray(picture.resize((width, height), PIL.Image.Resampling.LANCZOS))
    return resized.clip(0, 1).reshape(*image.shape[:-2], height, width)


def fit(height: int, width: int, longer_side: int) -> tuple[int, int]:
    """Return the (height, width) of the same aspect whose longer side is ``longer_side``.

    The shorter side is rounded to the nearest pixel, and is at least 1.

    Parameters
    ----------
    height, width, longer_side : int
        Pixels, from 1 up.

    Examples
    --------
    >>> fit(768, 1024, 512)
    (384, 512)
    """
    if min(height, width, longer_side) < 1:
        raise ValueError(f"cannot fit {height} x {width} to a longer side of {longer_side}")
    if height >= width:
        return longer_side, max(1, _rounded_ratio(longer_side * width, height))
    return max(1, _rounded_ratio(longer_side * height, width)), longer_side


def crop_to_aspect(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the largest central crop of (..., H, W) with the aspect of ``height x width``.

    A view.  The side that is cut is rounded to the nearest pixel, and is at least 1; where an odd
    number of pixels goes, the one more goes at the bottom or on the right.

    Parameters
    ----------
    image : (..., H, W) array
        Of any kind.
    height, width : int
        Whose quotient is the aspect.

    Examples
    --------
    >>> crop_to_aspect(np.zeros((3, 100, 60)), 1, 2).shape
    (3, 30, 60)
    """
    if min(height, width) < 1:
        raise ValueError(f"cannot crop to the aspect of {height} x {width}")
    rows, columns = image.shape[-2:]
    if rows * width > columns * height:  # too tall
        kept_rows, kept_columns = max(1, _rounded_ratio(columns * height, width)), columns
    else:
        kept_rows, kept_columns = rows, max(1, _rounded_ratio(rows * width, height))
    top = (rows - kept_rows) // 2
    left = (columns - kept_columns) // 2
    return image[..., top : top + kept_rows, left : left + kept_columns]


def _rounded_ratio(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)  # half up, and exact
