"""Files to arrays and back: what the artist gave, as the (3, H, W) that the mathematics wants.

Reading turns every kind of picture into the same thing: upright, sRGB, float32 in [0, 1], with
transparency laid over white.  Writing is atomic: a run that is killed leaves either the old file
or the new one, never half of one.
"""

import errno
import os
import re
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import PIL.Image
from PIL.ImageFile import ImageFile

from nst.errors import NstError, NstWarning
from nst.vgg.architecture import SMALLEST_SIDE

PathLike = str | os.PathLike[str]

READS = ("JPEG", "PNG", "WEBP", "TIFF")  # Pillow knows more, some of which run other programs
WRITES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
JPEG_LONGEST_SIDE = 65500  # pixels; libjpeg's limit

_KINDS = "JPEG, PNG, WebP or TIFF"
_SIGNATURES = {  # what files of these kinds begin with
    "JPEG": rb"\xff\xd8",
    "PNG": rb"\x89PNG",
    "WebP": rb"(?s)RIFF....WEBP",
    "TIFF": rb"II\*\0|MM\0\*",
}
_ORIENTATION = 0x0112  # the EXIF tag, and how each of its values is brought upright:
_TO_UPRIGHT = {  # (swap rows and columns, then flip the rows, then flip the columns)
    1: (False, False, False),
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
_TIFF_BITS, _TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # tags, and a value of the second


def load(path: PathLike) -> np.ndarray:
    """Return the image in a file as (3, H, W) float32 sRGB in [0, 1], upright, on white.

    See ``load_with_alpha``, which also returns how opaque each pixel is.
    """
    return load_with_alpha(path)[0]


def load_with_alpha(path: PathLike) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the image in a JPEG, PNG, WebP or TIFF file, and its alpha channel.

    Of several frames the first is taken.  EXIF orientation is applied, colours are converted
    to sRGB where a colour profile is embedded, and what is transparent shows white:
    ``rgb = alpha * rgb + (1 - alpha)``.  16-bit grey keeps its depth; of 16-bit colour Pillow
    keeps the upper eight bits.

    Returns
    -------
    rgb : (3, H, W) float32 array in [0, 1]
    alpha : (H, W) float32 array in [0, 1], or None where every pixel is opaque

    Raises NstError for what cannot be read or is smaller than 16 pixels on a side, and warns
    with NstWarning when a colour profile cannot be used.
    """
    picture = _decode(path)
    rgb = _srgb(picture, path)
    alpha = _alpha(picture)
    if alpha is not None:
        rgb = _over_white(rgb, alpha)
        alpha = _upright(alpha, picture)
    return _upright(rgb, picture), alpha


def read_metadata(path: PathLike) -> dict[str, str]:
    """Return the texts that a PNG carries, by keyword; {} for other kinds of file.

    Raises NstError for a file that cannot be read.
    """
    texts = getattr(_decode(path), "text", {})
    return {str(keyword): str(text) for keyword, text in texts.items()}


def save(
    path: PathLike,
    image: np.ndarray,
    alpha: np.ndarray | None = None,
    metadata: dict[str, str] | None = None,
) -> None:
    """Write a (3, H, W) image in [0, 1] as PNG or as JPEG, whichever the suffix says.

    Values are clipped and rounded to 8 bits (``as_uint8``).  A PNG takes ``alpha`` (H, W) as it
    is, and ``metadata`` as international text chunks: keyword (at most 79 Latin-1 characters)
    to text.  A JPEG is written at quality 95 without chroma subsampling; it is laid over white
    where transparent, and carries no metadata.

    The file appears whole or not at all; see ``replace_atomically``.  Raises NstError for a
    suffix other than .png, .jpg and .jpeg, and for what the disk refuses.
    """
    kind = _kind_to_write(path)
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"save needs an image of shape (3, H, W), got {image.shape}")
    if alpha is not None and alpha.shape != image.shape[1:]:
        raise ValueError(f"alpha {alpha.shape} does not fit an image of shape {image.shape}")
    encode = _encode_png if kind == "PNG" else _encode_jpeg
    encoded = encode(path, image, alpha, metadata or {})
    with replace_atomically(path) as file:
        file.write(encoded)


def check_output(path: PathLike) -> None:
    """Raise NstError if ``save(path, ...)`` could not work, before hours are spent on it."""
    _kind_to_write(path)
    check_writable(path)


def check_writable(path: PathLike) -> None:
    """Raise NstError if no file can be written at ``path``.

    Tries the folder by making a file there and removing it: permission bits alone do not tell
    of read-only disks, quotas and network shares.
    """
    target = _target(path)
    try:
        if target.is_dir():
            raise NstError(f"cannot write {path}: it is a folder; name a file in it")
        trial = _temporary(target)
        trial.open("xb").close()
        trial.unlink()
        if target.exists() and not os.access(target, os.W_OK):
            raise NstError(
                f"cannot write {path}: the file there is write-protected; choose another name"
            )
    except OSError as error:
        raise _unwritable(path, error) from error


@contextmanager
def replace_atomically(path: PathLike) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes ``path`` when the block ends well.

    It is written under a temporary name in the same folder, flushed to the disk and renamed, so
    that at any moment ``path`` is the old file or the new one.  When the block fails, by Ctrl-C
    too, the temporary file is removed and an old ``path`` is left as it was.  A symbolic link
    stays a link: what it points to is replaced.  The umask decides on permissions.

    Raises NstError for what the disk refuses.
    """
    target = _target(path)
    temporary = _temporary(target)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):  # it is gone when all went well
            temporary.unlink()


def as_uint8(image: np.ndarray) -> np.ndarray:
    """Return a (C, H, W) image in [0, 1] as (H, W, C) uint8: ``floor(255 x + 1/2)``, clipped."""
    if image.dtype.kind != "f":
        raise TypeError(f"an image is floating-point, from 0 to 1; got {image.dtype}")
    if not np.isfinite(image).all():
        raise ValueError("the image has values that are not finite; they have no grey level")
    levels = np.floor(image * 255 + 0.5).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(levels, 0, -1))


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the image resampled to (C, height, width), or (height, width) for an (H, W) image.

    Lanczos with three lobes, in float32, widened to cover every pixel when it shrinks; its
    overshoot at edges is clipped to [0, 1].
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


# Reading: a file becomes a decoded picture, and that becomes arrays.


def _decode(path: PathLike) -> PIL.Image.Image:
    """Return the first frame of a file, decoded and closed, or raise NstError saying why not."""
    try:
        with warnings.catch_warnings():
            # Pillow's own: large but allowed, damaged EXIF and the like.  Ours pass.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            with PIL.Image.open(path, formats=READS) as picture:
                _check_size(picture, path)
                _check_numbers(picture, path)
                _scale_transparent_level(picture)
                picture.load()
    except NstError:
        raise
    except Exception as error:  # whatever a decoder stumbles over in a damaged file
        raise _unreadable(path, error) from error
    return picture


def _check_size(picture: ImageFile, path: PathLike) -> None:
    if min(picture.size) < SMALLEST_SIDE:
        width, height = picture.size
        raise NstError(
            f"cannot use {path}: it is {width} x {height} pixels, and both sides need "
            f"{SMALLEST_SIDE} or more; choose a larger image"
        )


def _check_numbers(picture: ImageFile, path: PathLike) -> None:
    """Refuse numbers that do not say what is black and what is white."""
    if picture.mode == "F" or (picture.mode == "I" and picture.format != "PNG"):
        found = "floating-point numbers" if picture.mode == "F" else "signed or 32-bit integers"
        raise NstError(
            f"cannot use {path}: its pixels are {found}, which do not say what is white; "
            "convert it to 8 or 16 bits per channel"
        )


def _scale_transparent_level(picture: ImageFile) -> None:
    """Bring the level that a PNG declares transparent to the 8 bits that its pixels will have."""
    level = picture.info.get("transparency")
    if picture.format != "PNG" or level is None:
        return
    raw_mode = picture.tile[0].args
    if raw_mode in ("L;2", "L;4"):  # Pillow spreads 0..3 and 0..15 over 0..255
        picture.info["transparency"] = level * {"L;2": 85, "L;4": 17}[raw_mode]
    elif raw_mode == "RGB;16B":
        picture.info["transparency"] = tuple(value >> 8 for value in level)


def _srgb(picture: PIL.Image.Image, path: PathLike) -> np.ndarray:
    """Return the colours of a decoded picture, whatever their transparency: (3, H, W) float32."""
    absolute = picture.mode == "LAB"  # and Pillow makes sRGB of it
    profile = None if absolute else picture.info.get("icc_profile")
    if picture.mode.startswith("I"):
        return _grey_to_srgb(_grey_16(picture), profile, path)
    if picture.mode == "La":
        picture = picture.convert("LA")
    if picture.mode in ("1", "L", "LA"):
        grey = np.asarray(picture.convert("L")).astype(np.float32) / 255
        return _grey_to_srgb(grey, profile, path)
    if picture.mode == "P" and picture.has_transparency_data:
        picture = picture.convert("RGBA")
    if picture.mode != "CMYK":
        picture = picture.convert("RGB")
    if profile:
        picture = _through_profile(picture, profile, path)
    return _channels_first(picture.convert("RGB"))


def _channels_first(picture: PIL.Image.Image) -> np.ndarray:
    pixels = np.moveaxis(np.asarray(picture), -1, 0).astype(np.float32, order="C")
    return np.divide(pixels, 255, out=pixels)


def _grey_16(picture: PIL.Image.Image) -> np.ndarray:
    """Return 16-bit grey as (H, W) float32 in [0, 1]; Pillow leaves TIFF's variants to us."""
    tags = getattr(picture, "tag_v2", {})
    bits = tags.get(_TIFF_BITS, (16,))[0]  # 12, from some cameras and microscopes
    grey = np.asarray(picture).astype(np.float32) / (2**bits - 1)
    return 1 - grey if tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO else grey


def _grey_to_srgb(grey: np.ndarray, profile: bytes | None, path: PathLike) -> np.ndarray:
    """Return (3, H, W) from (H, W) in [0, 1].

    Colour management is 8-bit, and coarse for grey in a hurry.  But a profile is only a curve
    here: convert 256 levels with care, and interpolate between them.
    """
    if not profile:
        return np.repeat(grey[np.newaxis], 3, axis=0)
    levels = np.arange(256, dtype=np.uint8)
    ramp = _through_profile(PIL.Image.fromarray(levels[np.newaxis]), profile, path)
    curves = _channels_first(ramp.convert("RGB"))[:, 0]
    return np.stack([np.interp(grey, levels / 255, c).astype(np.float32) for c in curves])


def _through_profile(
    picture: PIL.Image.Image, profile_bytes: bytes, path: PathLike
) -> PIL.Image.Image:
    """Return an L, RGB or CMYK picture converted to sRGB, or as it is if the profile is broken."""
    from PIL import ImageCms  # here: most pictures have no profile

    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(profile_bytes))
        space = profile.profile.xcolor_space.strip()
        if picture.mode == "L" and space == "RGB":  # as some programs leave grey photographs
            picture = picture.convert("RGB")
        if {"L": "GRAY"}.get(picture.mode, picture.mode) != space:
            raise ValueError(f"a profile for {space!r} on a picture in {picture.mode}")
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        if picture.mode == "L":
            flags |= ImageCms.Flags.NOOPTIMIZE  # whose short cut is 10 levels off in the dark
        converted = ImageCms.profileToProfile(
            picture,
            profile,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,  # as photo editors do:
            outputMode="RGB",  # white to white, black to black, and what lies between as it is
            flags=flags,
        )
    except (ImageCms.PyCMSError, ImportError, OSError, ValueError) as error:
        warnings.warn(
            f"{path}: its colour profile cannot be used ({_one_line(error)}); its colours are "
            "taken as they are: convert it to sRGB if they look wrong",
            NstWarning,
            stacklevel=2,
        )
        return picture
    return converted or picture  # None only for conversion in place


def _alpha(picture: PIL.Image.Image) -> np.ndarray | None:
    """Return how opaque each pixel is, (H, W) float32 in [0, 1], or None where all are."""
    if not picture.has_transparency_data:
        return None
    if picture.mode.startswith("I"):
        alpha = (np.asarray(picture) != picture.info["transparency"]).astype(np.float32)
    else:
        if picture.mode == "La":
            picture = picture.convert("LA")
        channel = picture.convert("RGBA").getchannel("A")
        alpha = np.asarray(channel).astype(np.float32) / 255
    return None if (alpha == 1).all() else alpha


def _over_white(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return alpha * rgb + (1 - alpha)


def _upright(array: np.ndarray, picture: PIL.Image.Image) -> np.ndarray:
    """Return (..., H, W) turned the way the camera was held, contiguous."""
    swap, flip_rows, flip_columns = _TO_UPRIGHT[_orientation(picture)]
    if swap:
        array = array.swapaxes(-2, -1)
    if flip_rows:
        array = array[..., ::-1, :]
    if flip_columns:
        array = array[..., ::-1]
    return np.ascontiguousarray(array)


def _orientation(picture: PIL.Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, and 1 where there is none.  Pillow has turned TIFF."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            orientation = picture.getexif().get(_ORIENTATION)
        except Exception:  # damaged EXIF is no reason to refuse a good picture
            return 1
    return orientation if orientation in _TO_UPRIGHT else 1


def _unreadable(path: PathLike, error: Exception) -> NstError:
    """Return the one line that explains why ``path`` could not be read."""
    if isinstance(error, PIL.Image.DecompressionBombError):
        return NstError(f"cannot use {path}: {_one_line(error)}; make it smaller")
    if isinstance(error, FileNotFoundError):
        return NstError(f"cannot read {path}: there is no such file; check the name")
    if isinstance(error, IsADirectoryError) or os.path.isdir(path):  # Windows: PermissionError
        return NstError(f"cannot read {path}: it is a folder; name an image in it")
    if isinstance(error, OSError) and error.errno is not None:
        reason = (error.strerror or str(error)).lower()
        return NstError(f"cannot read {path}: {reason}; check the file and its permissions")
    with open(path, "rb") as file:
        head = file.read(12)
    if not head:
        return NstError(f"cannot read {path}: the file is empty; give a {_KINDS} image")
    kind = next((k for k, signature in _SIGNATURES.items() if re.match(signature, head)), None)
    if kind is None:
        return NstError(
            f"cannot read {path}: it is not a {_KINDS} image, but begins with {head!r}; "
            "convert it to one"
        )
    reason = "" if isinstance(error, PIL.UnidentifiedImageError) else f" ({_one_line(error)})"
    return NstError(
        f"cannot read {path}: this {kind} is cut short, damaged or of an unusual kind{reason}; "
        "copy it anew, or open it in an image editor and save it as PNG"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


# Writing: arrays become bytes in memory first, so that only whole pictures touch the disk.


def _kind_to_write(path: PathLike) -> str:
    suffix = Path(path).suffix
    if suffix.lower() not in WRITES:
        found = f"its name ends in {suffix!r}" if suffix else "its name has no ending"
        raise NstError(f"cannot write {path}: {found}; end it in .png or .jpg")
    return WRITES[suffix.lower()]


def _encode_png(
    path: PathLike, image: np.ndarray, alpha: np.ndarray | None, metadata: dict[str, str]
) -> bytes:
    from PIL.PngImagePlugin import PngInfo  # here: importing images loads no plug-in

    texts = PngInfo()
    for keyword, text in metadata.items():
        if not re.fullmatch(r"[ -~¡-ÿ]{1,79}", keyword):  # the PNG specification, 11.3.3.2
            raise ValueError(f"{keyword!r} cannot be a PNG keyword: 1 to 79 Latin-1 characters")
        texts.add_itxt(keyword, text)
    channels = image if alpha is None else np.concatenate([image, alpha[np.newaxis]])
    encoded = BytesIO()
    PIL.Image.fromarray(as_uint8(channels)).save(encoded, "PNG", pnginfo=texts)
    return encoded.getvalue()


def _encode_jpeg(
    path: PathLike, image: np.ndarray, alpha: np.ndarray | None, metadata: dict[str, str]
) -> bytes:
    height, width = image.shape[1:]
    if max(height, width) > JPEG_LONGEST_SIDE:
        raise NstError(
            f"cannot write {path}: JPEG holds {JPEG_LONGEST_SIDE} pixels a side, and the image "
            f"is {width} x {height}; end the name in .png"
        )
    opaque = image if alpha is None else _over_white(image, alpha)
    encoded = BytesIO()
    PIL.Image.fromarray(as_uint8(opaque)).save(encoded, "JPEG", quality=95, subsampling=0)
    return encoded.getvalue()


def _target(path: PathLike) -> Path:
    return Path(os.path.realpath(path))  # through links, so that they stay links


def _temporary(target: Path) -> Path:
    return target.with_name(f".nst-{secrets.token_hex(8)}.tmp")  # short: names have a limit


def _unwritable(path: PathLike, error: OSError) -> NstError:
    """Return the one line that explains why ``path`` could not be written."""
    folder = _target(path).parent
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason, advice = "the disk is full", "free some space or choose another disk"
    elif not os.path.isdir(folder):
        reason, advice = f"there is no folder {folder}", "make it or choose another"
    else:
        reason, advice = (error.strerror or str(error)).lower(), "choose another name or folder"
    return NstError(f"cannot write {path}: {reason}; {advice}")
