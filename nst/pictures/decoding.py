"""The bytes of a picture file become arrays: what `images.load` is made of.

decode        bytes -> (3, H, W) float32 sRGB and (H, W) opacity, or one line that says why not
texts_of      bytes -> the texts that a picture carries
"""

import logging
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from io import BytesIO
from threading import RLock

import numpy as np
import PIL.Image
from PIL import ImagePalette
from PIL.Image import Transpose
from PIL.ImageFile import ImageFile

from nst import memory
from nst.devices import CPU
from nst.errors import NstError, brief, warn
from nst.extras import installing
from nst.pictures import encoding, png, profiles, tiff
from nst.pictures.profiles import Convert
from nst.pictures.reading import Input
from nst.vgg.architecture import SMALLEST_SIDE

logging.getLogger("PIL").addHandler(logging.NullHandler())  # or Python prints what it logs

# No other kinds are opened, although Pillow knows more: for some it starts other programs.
READS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "AVIF")
KINDS = "JPEG, PNG, WebP, TIFF, GIF, AVIF or HEIC"  # as messages name them

_SIGNATURES = {  # what files of these kinds begin with; see `kind_of` for AVIF and HEIC
    "JPEG": rb"\xff\xd8",
    "PNG": rb"\x89PNG",
    "WebP": rb"(?s)RIFF....WEBP",
    "TIFF": rb"II[*+]\0|MM\0[*+]",
    "GIF": rb"GIF8[79]a",
}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}
_ALONE = RLock()  # held while a picture is decoded
_ORIENTATION = 0x0112  # the EXIF tag
_TO_UPRIGHT = {  # by the tag's value: what turns the stored picture upright
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
PIXELS_AT_ONCE = 2**18  # converted to floating point
SMALL = 64_000_000  # bytes that any picture may take
RESIZED = 8  # bytes a pixel: Pillow resizes a channel at a time, of which it has two copies
# Bytes a pixel that decoders need beside the picture, at their highest: libwebp composes frames on
# two canvases; libavif and libheif keep luma and chroma in 16 bits; libtiff a strip, which may be
# all; libjpeg the coefficients of a progressive file.
_BESIDE = {"WEBP": 24, "AVIF": 16, "HEIF": 16, "TIFF": 8, "JPEG": 6, "MPO": 6}


@dataclass
class Decoded:
    """A picture as it is stored, but upright, and what its file says of it."""

    picture: PIL.Image.Image
    name: str  # as messages call it
    profile: object = None  # an ICC profile, or what stands in its place; None: sRGB
    cover: PIL.Image.Image | None = None  # 0 where one colour of 16 bits is transparent, or 255
    bits: int = 16  # of a grey picture with more than 8
    inverted: bool = False  # of a grey picture with more than 8 bits: 0 is white


def decode(given: Input) -> tuple[np.ndarray, np.ndarray | None]:
    """Return ``(rgb, alpha)`` of the first picture in a file; alpha is None where all is opaque.

    Colours are those of the file whatever their opacity.  Raises NstError saying why not.
    """
    if given.pixels is not None:
        rgb, alpha = given.pixels  # of which the caller may change its own
        return rgb.copy(), None if alpha is None else alpha.copy()
    with _explained(given):
        return _arrays(_decoded(given))


def of_image(picture: PIL.Image.Image, name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what `decode` returns, of a picture that somebody has opened with Pillow.

    It is turned upright and brought to sRGB by what it says of itself, as one in a file is.
    """
    given = Input(name, b"", "")
    with _explained(given):
        _check_size(picture, name)
        _check_numbers(picture, name)
        _check_memory(picture, given)
        own = picture.copy()
        own.format = picture.format  # which tells HEIC, turned already
        own.info = dict(picture.info)
        found = Decoded(own, name, _profile(own, given))
        _turn_upright(found)
        return _arrays(found)


def texts_of(given: Input) -> dict[str, str]:
    """Return the texts that a picture carries, by keyword, and {} where there are none.

    Its pixels stay unread.  Raises NstError for a file that is no picture.
    """
    with _explained(given):
        kind = kind_of(given.data)
        if kind is None:
            raise PIL.UnidentifiedImageError
        if kind == "PNG":
            return png.take_apart(given.data).texts
        return encoding.texts_in(given.data, given.name)


@contextmanager
def _explained(given: Input) -> Iterator[None]:
    """Turn whatever a decoder stumbles over in a damaged file into one line.

    One thread at a time: meanwhile the process's warnings and standard error are kept quiet, and
    two that overlap would each put back what the other had changed.
    """
    try:
        with _ALONE:
            yield
    except NstError:
        raise
    except Exception as error:
        raise _unreadable(given, error) from error


# --- Opening ------------------------------------------------------------------------------------


def _decoded(given: Input) -> Decoded:
    """Return the picture in a file, decoded and upright."""
    kind, data, name = kind_of(given.data), given.data, given.name
    parts = png.take_apart(data) if kind == "PNG" else None
    pages = tiff.turn_to_picture(data, name) if kind == "TIFF" else None
    if parts is not None:
        data = parts.data
    if pages is not None:
        data = pages.data
    with warnings.catch_warnings():
        # Pillow's own: large but allowed, damaged EXIF and the like.  Ours pass.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        picture = PIL.Image.open(BytesIO(data), formats=_formats(kind, name))
        _check_size(picture, name)
        _check_numbers(picture, name)
        _check_memory(picture, given)
        _warn_of_more(picture, pages, name)
        if pages is not None and pages.palette is not None:
            picture.palette = ImagePalette.raw("RGB;L", pages.palette)
        cover = _cover_of_16_bits(picture, data)
        _scale_transparent_level(picture)
        found = Decoded(picture, name, cover=cover)
        if pages is not None:  # whose EXIF lies all over a file that is closed as it is loaded
            found.profile = _profile(picture, given)
        with nullcontext() if pages is None else tiff.quietly():
            picture.load()
    if parts is not None and parts.says_colours:
        found.profile = parts.profile_bytes(name)
    elif pages is None:
        found.profile = _profile(picture, given)
    if pages is not None:
        found.bits = pages.tags.get(tiff.BITS, (16,))[0]  # 12, from some cameras and microscopes
        found.inverted = pages.tags.get(tiff.PHOTOMETRIC) == (0,)
    _turn_upright(found)
    return found


def kind_of(data: bytes) -> str | None:
    """Return what a file is, by its first bytes; None for what is not read."""
    if data[4:8] == b"ftyp":
        stop = min(struct.unpack(">I", data[:4])[0], 256)
        brands = {data[8:12], *(data[k : k + 4] for k in range(16, stop, 4))}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        return "HEIC" if brands & _HEIC_BRANDS else None
    return next((k for k, signature in _SIGNATURES.items() if re.match(signature, data)), None)


def _formats(kind: str | None, name: str) -> tuple[str, ...]:
    """Return Pillow's names of the formats to try."""
    if kind != "HEIC":
        return READS
    try:
        import pillow_heif
    except ImportError:
        raise NstError(
            f"cannot read {name}: it is a HEIC image; `{installing('heic')}` lets nst read "
            "those, or save it as JPEG"
        ) from None
    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _check_size(picture: PIL.Image.Image, name: str) -> None:
    if min(picture.size) < SMALLEST_SIDE:
        width, height = picture.size
        raise NstError(
            f"cannot use {name}: it is {width} x {height} pixels, and both sides need "
            f"{SMALLEST_SIDE} or more; choose a larger image"
        )


def _check_numbers(picture: PIL.Image.Image, name: str) -> None:
    """Refuse numbers that do not say what is black and what is white."""
    if picture.mode == "F" or (picture.mode == "I" and picture.format != "PNG"):
        found = "floating-point numbers" if picture.mode == "F" else "signed or 32-bit integers"
        raise NstError(
            f"cannot use {name}: its pixels are {found}, which do not say what is white; "
            "convert it to 8 or 16 bits per channel"
        )


def _check_memory(picture: PIL.Image.Image, given: Input) -> None:
    """Refuse what would not fit into memory once it is decoded: a small file may hold much."""
    width, height = picture.size
    if given.most_pixels is not None and width * height > given.most_pixels:
        raise NstError(
            f"cannot use {given.name}: it is {width} x {height} pixels, and the most here are "
            f"{given.most_pixels / 1e6:g} million; make it smaller"
        )
    needed, room = bytes_of(picture), memory.room(CPU, given.memory)
    if needed > max(room, SMALL):
        raise NstError(
            f"cannot use {given.name}: it is {width} x {height} pixels, which take "
            f"{memory.format_bytes(needed)} of memory to read, and there is "
            f"{memory.format_bytes(max(room, 0))} for it; make it smaller, or use more --memory"
        )


def bytes_of(picture: PIL.Image.Image) -> int:
    """Return the most bytes that a picture takes: decoded, brought to floats, and resized."""
    stored = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2}.get(picture.mode, 4)
    floats = 24 if picture.has_transparency_data else 12  # see `images.fill_hidden`
    turned = stored  # a copy, while it is brought upright
    beside = max(_BESIDE.get(str(picture.format), 0), turned)
    return picture.width * picture.height * max(stored + floats, stored + beside, floats + RESIZED)


def _warn_of_more(picture: ImageFile, pages: tiff.Tiff | None, name: str) -> None:
    moving = pages is None and picture.format not in ("MPO", "HEIF")  # these hold one scene
    with suppress(Exception):  # damaged further on
        if (moving and getattr(picture, "is_animated", False)) or (pages and pages.pages > 1):
            warn(f"{name} holds several pictures; the first is taken")


def _scale_transparent_level(picture: ImageFile) -> None:
    """Bring the level that a PNG declares transparent to the 8 bits that its pixels will have."""
    level = picture.info.get("transparency")
    if picture.format != "PNG" or level is None:
        return
    raw_mode = picture.tile[0].args
    if raw_mode in ("L;2", "L;4"):  # Pillow spreads 0..3 and 0..15 over 0..255
        picture.info["transparency"] = level * {"L;2": 85, "L;4": 17}[raw_mode]


def _cover_of_16_bits(picture: ImageFile, data: bytes) -> PIL.Image.Image | None:
    """Return how opaque a PNG of 16 bits a channel is, where it declares one colour transparent.

    Pillow keeps the upper byte of each channel, which other colours share.  The lower ones come
    of the same file, read in the other byte order.
    """
    colour = picture.info.get("transparency")
    if picture.format != "PNG" or colour is None or picture.tile[0].args != "RGB;16B":
        return None
    del picture.info["transparency"]
    same = np.ones(picture.size[::-1], bool)
    for raw_mode, shift in (("RGB;16B", 8), ("RGB;16L", 0)):
        again = PIL.Image.open(BytesIO(data), formats=("PNG",))
        again.tile = [tile._replace(args=raw_mode) for tile in again.tile]
        again.load()
        for channel, level in zip(again.split(), colour, strict=True):
            same &= np.asarray(channel) == (level >> shift & 255)
    return PIL.Image.fromarray(np.where(same, np.uint8(0), np.uint8(255)))


def _profile(picture: PIL.Image.Image, given: Input) -> object:
    """Return the ICC profile of a picture, or what its file has in its place; None for sRGB."""
    embedded = picture.info.get("icc_profile")
    if embedded is not None and embedded != b"":
        return embedded
    if picture.format in ("AVIF", "HEIF"):
        place = given.data.find(b"colrnclx", 0, 2**16)  # ISO 14496-12: among the item's properties
        if place >= 0:
            primaries, transfer = struct.unpack_from(">2H", given.data, place + 8)
            return profiles.of_code_points(primaries, transfer, given.name)
    return profiles.of_exif(picture)


def _turn_upright(found: Decoded) -> None:
    """Turn the picture the way the camera was held.  Pillow has turned TIFF, libheif HEIC."""
    method = _TO_UPRIGHT.get(_orientation(found.picture))
    if method is not None and found.picture.format != "HEIF":
        found.picture = found.picture.transpose(method)
        if found.cover is not None:
            found.cover = found.cover.transpose(method)


def _orientation(picture: PIL.Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8, and 1 where there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return picture.getexif().get(_ORIENTATION, 1)
        except Exception:  # damaged EXIF is no reason to refuse a good picture
            return 1


# --- Pillow's picture becomes arrays ------------------------------------------------------------


def _arrays(found: Decoded) -> tuple[np.ndarray, np.ndarray | None]:
    """Return ``(rgb, alpha)``, strip by strip: what lies between the two would not fit."""
    picture = found.picture
    width, height = picture.size
    covered = found.cover is not None or picture.has_transparency_data
    rgb = np.empty((3, height, width), np.float32)
    alpha = np.empty((height, width), np.float32) if covered else None
    convert = _converter(found)
    rows = max(1, PIXELS_AT_ONCE // width)
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        strip = picture.crop(box)
        rgb[:, top : top + rows] = _colours(strip, found, convert)
        if alpha is not None:
            shown = strip if found.cover is None else found.cover.crop(box)
            alpha[top : top + rows] = _opacity(shown, found)
    return rgb, None if alpha is None or (alpha == 1).all() else alpha


def _converter(found: Decoded) -> Convert | None:
    mode = found.picture.mode
    if found.profile is None or mode == "LAB":  # of which Pillow makes sRGB
        return None
    grey = mode in ("1", "L", "LA", "La") or mode.startswith("I")
    space = "L" if grey else "CMYK" if mode == "CMYK" else "RGB"
    return profiles.converter(space, found.profile, found.name)


def _colours(strip: PIL.Image.Image, found: Decoded, convert: Convert | None) -> np.ndarray:
    """Return the colours of a strip, whatever their opacity: (3, H, W) float32 sRGB."""
    if strip.mode.startswith("I"):
        grey = np.asarray(strip).astype(np.float32) / (2**found.bits - 1)
        return _grey_to_srgb(1 - grey if found.inverted else grey, convert)
    if strip.mode == "La":
        strip = strip.convert("LA")
    if strip.mode in ("1", "L", "LA"):
        grey = np.asarray(strip.convert("L")).astype(np.float32) / 255
        return _grey_to_srgb(grey, convert)
    if strip.mode == "P" and strip.has_transparency_data:
        strip = strip.convert("RGBA")
    if strip.mode != "CMYK":
        strip = strip.convert("RGB")
    if convert is not None:
        strip = convert(strip)
    return _channels_first(strip.convert("RGB"))


def _channels_first(picture: PIL.Image.Image) -> np.ndarray:
    pixels = np.moveaxis(np.asarray(picture), -1, 0).astype(np.float32, order="C")
    return np.divide(pixels, 255, out=pixels)


def _grey_to_srgb(grey: np.ndarray, convert: Convert | None) -> np.ndarray:
    """Return (3, H, W) from (H, W) in [0, 1].

    Colour management is 8-bit, and coarse for grey in a hurry.  But a profile is only a curve
    here: convert 256 levels with care, and interpolate between them.
    """
    if convert is None:
        return np.repeat(grey[np.newaxis], 3, axis=0)
    levels = np.arange(256, dtype=np.uint8)
    ramp = convert(PIL.Image.fromarray(levels[np.newaxis]))
    curves = _channels_first(ramp.convert("RGB"))[:, 0]
    return np.stack([np.interp(grey, levels / 255, c).astype(np.float32) for c in curves])


def _opacity(strip: PIL.Image.Image, found: Decoded) -> np.ndarray:
    """Return how opaque each pixel of a strip is, (H, W) float32 in [0, 1]."""
    if found.cover is not None:
        return np.asarray(strip).astype(np.float32) / 255
    if strip.mode.startswith("I"):
        return (np.asarray(strip) != strip.info["transparency"]).astype(np.float32)
    if strip.mode not in ("LA", "RGBA"):
        strip = (strip.convert("LA") if strip.mode == "La" else strip).convert("RGBA")
    return np.asarray(strip.getchannel("A")).astype(np.float32) / 255


# --- What a person is told ----------------------------------------------------------------------


def _unreadable(given: Input, error: Exception) -> NstError:
    """Return the one line that explains why a file that was read is no picture."""
    if isinstance(error, PIL.Image.DecompressionBombError):
        return NstError(f"cannot use {given.name}: {brief(error)}; make it smaller")
    if isinstance(error, MemoryError):
        return NstError(f"cannot use {given.name}: there is not enough memory; make it smaller")
    head, kind = given.data[:12], kind_of(given.data)
    if not given.data and not given.sha256:  # an image of Pillow's
        return NstError(f"cannot use {given.name}: {brief(error)}; give another")
    if not head:
        return NstError(f"cannot read {given.name}: the file is empty; give a {KINDS} image")
    if kind is None:
        return NstError(
            f"cannot read {given.name}: it is not a {KINDS} image, but begins with {head!r}; "
            "convert it to one"
        )
    reason = "" if isinstance(error, PIL.UnidentifiedImageError) else f" ({brief(error)})"
    return NstError(
        f"cannot read {given.name}: this {kind} is cut short, damaged or of an unusual "
        f"kind{reason}; copy it anew, or open it in an image editor and save it as PNG"
    )
