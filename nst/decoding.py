"""A file becomes a decoded picture, and that becomes arrays: what `images.load` is made of.

decode    file -> Pillow's picture, or one line that says why not
srgb      picture -> (3, H, W) float32 sRGB, as it is stored
opacity   picture -> (H, W) float32, or None
upright   (..., H, W) -> the same, turned the way the camera was held
"""

import re
import warnings
from io import BytesIO

import numpy as np
import PIL.Image
from PIL.ImageFile import ImageFile

from nst import inputs
from nst.errors import NstError, NstWarning
from nst.files import PathLike
from nst.inputs import Input
from nst.vgg.architecture import SMALLEST_SIDE

READS = ("JPEG", "PNG", "WEBP", "TIFF")  # Pillow knows more, some of which run other programs

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


def decode(source: PathLike | Input) -> PIL.Image.Image:
    """Return the first frame of a file, decoded and closed, or raise NstError saying why not."""
    given = source if isinstance(source, Input) else inputs.read(source)
    path = given.name
    try:
        with warnings.catch_warnings():
            # Pillow's own: large but allowed, damaged EXIF and the like.  Ours pass.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            with PIL.Image.open(BytesIO(given.data), formats=READS) as picture:
                _check_size(picture, path)
                _check_numbers(picture, path)
                _scale_transparent_level(picture)
                picture.load()
    except NstError:
        raise
    except Exception as error:  # whatever a decoder stumbles over in a damaged file
        raise _unreadable(given, error) from error
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


def srgb(picture: PIL.Image.Image, path: PathLike) -> np.ndarray:
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


def opacity(picture: PIL.Image.Image) -> np.ndarray | None:
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


def upright(array: np.ndarray, picture: PIL.Image.Image) -> np.ndarray:
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


def _unreadable(given: Input, error: Exception) -> NstError:
    """Return the one line that explains why a file that was read is no picture."""
    if isinstance(error, PIL.Image.DecompressionBombError):
        return NstError(f"cannot use {given.name}: {_one_line(error)}; make it smaller")
    head = given.data[:12]
    if not head:
        return NstError(f"cannot read {given.name}: the file is empty; give a {_KINDS} image")
    kind = next((k for k, signature in _SIGNATURES.items() if re.match(signature, head)), None)
    if kind is None:
        return NstError(
            f"cannot read {given.name}: it is not a {_KINDS} image, but begins with {head!r}; "
            "convert it to one"
        )
    reason = "" if isinstance(error, PIL.UnidentifiedImageError) else f" ({_one_line(error)})"
    return NstError(
        f"cannot read {given.name}: this {kind} is cut short, damaged or of an unusual "
        f"kind{reason}; copy it anew, or open it in an image editor and save it as PNG"
    )


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
