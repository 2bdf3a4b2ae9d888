"""In which colours a picture was stored, and how they become sRGB.

Whatever a file says of its colours becomes an ICC profile: the one that is embedded, or one that
is made here of what else it may say: PNG's chromaticities and gamma, the code points of H.273 in
PNG, AVIF and HEIC, or a camera's word for Adobe RGB.  A file that says nothing is sRGB.
"""

import struct
import warnings
from collections.abc import Callable
from io import BytesIO

import numpy as np
import PIL.Image
from PIL.ExifTags import IFD

from nst.errors import brief, warn

Convert = Callable[[PIL.Image.Image], PIL.Image.Image]
Chromaticities = tuple[tuple[float, float], ...]  # x, y of red, green, blue and white

D65 = (0.3127, 0.3290)
D50 = (0.9642, 1.0, 0.8249)  # X, Y, Z: the white of every ICC profile
SRGB: Chromaticities = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)
ADOBE_RGB: Chromaticities = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)
ADOBE_GAMMA = 563 / 256
PRIMARIES: dict[int, Chromaticities] = {  # by their code point in ITU-T H.273
    1: SRGB,
    2: SRGB,  # "unspecified"
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65),  # PAL
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),  # NTSC
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),  # BT.2020
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),  # Display P3
}
# Video curves are meant for screens that show them as they show sRGB.
SRGB_TRANSFERS = (1, 2, 6, 13, 14, 15)
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
HIGH_DYNAMIC_RANGE = {16: "PQ", 18: "HLG"}
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # IEC 61966-2-1
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_INTEROPERABILITY, _COLOR_SPACE, _UNCALIBRATED = 0xA005, 0xA001, 65535


def converter(mode: str, profile: object, name: str) -> Convert | None:
    """Return what brings a picture of ``mode``, L, RGB or CMYK, from ``profile`` to sRGB.

    Warns with NstWarning, and returns None, where the profile cannot be used.
    """
    from PIL import ImageCms  # here: most pictures have no profile

    try:
        if not isinstance(profile, bytes):
            raise ValueError(profile if isinstance(profile, str) else f"it is {profile!r}")
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
        as_rgb = mode == "L" and space == "RGB"  # as some programs leave grey photographs
        taken = "RGB" if as_rgb else mode
        if {"L": "GRAY"}.get(taken, taken) != space:
            raise ValueError(f"a profile for {space!r} on a picture in {taken}")
        flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
        if taken == "L":
            flags |= ImageCms.Flags.NOOPTIMIZE  # whose short cut is 10 levels off in the dark
        transform = ImageCms.buildTransform(
            opened,
            ImageCms.createProfile("sRGB"),
            taken,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,  # as photo editors do:
            flags=flags,  # white to white, black to black, and what lies between as it is
        )
    except (ImageCms.PyCMSError, ImportError, OSError, ValueError) as error:
        _warn_of_colours(name, f"its colour profile cannot be used ({brief(error)})")
        return None
    # None only for conversion in place
    return lambda picture: (
        ImageCms.applyTransform(picture.convert("RGB") if as_rgb else picture, transform)
        or picture
    )


def _warn_of_colours(name: str, what: str) -> None:
    """Warn that the colours of the picture ``name`` cannot be converted, and ``what`` is why."""
    warn(
        f"{name}: {what}; its colours are taken as they are: convert it to sRGB if they look wrong"
    )


# --- What else a file may say -------------------------------------------------------------------


def of_code_points(primaries: int, transfer: int, name: str) -> bytes | None:
    """Return the profile of ITU-T H.273's numbers; None for sRGB.

    Warns where there is none: the light of a high dynamic range has no place in [0, 1].
    """
    known = PRIMARIES.get(primaries)
    if known is None or transfer not in {*SRGB_TRANSFERS, *GAMMAS}:
        curve = HIGH_DYNAMIC_RANGE.get(transfer, f"transfer {transfer}")
        _warn_of_colours(name, f"its colours are those of H.273, primaries {primaries}, {curve}")
        return None
    return of_chromaticities(known, GAMMAS.get(transfer))


def of_chromaticities(chromaticities: Chromaticities, gamma: float | None) -> bytes | None:
    """Return the profile of three primaries and a white, and a power; None for sRGB.

    ``gamma`` is the exponent that makes light of stored values; None: sRGB's curve.
    """
    like_srgb = np.allclose(chromaticities, SRGB, atol=0.005)
    if like_srgb and (gamma is None or abs(gamma / 2.2 - 1) < 0.05):
        return None
    curve = SRGB_CURVE if gamma is None else (gamma,)
    return matrix_profile(chromaticities, curve)


def of_exif(picture: PIL.Image.Image) -> bytes | None:
    """Return the profile of Adobe RGB, where a camera's EXIF declares that and nothing else does.

    Design rule for Camera File system (DCF) 2.0: an uncalibrated colour space, and the
    interoperability index R03.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exif = picture.getexif()
            details = exif.get_ifd(IFD.Exif)
            index = exif.get_ifd(IFD.Interop).get(1, "")
        except Exception:  # damaged EXIF is no reason to refuse a good picture
            return None
    standard = index.decode("latin-1") if isinstance(index, bytes) else str(index)
    if details.get(_COLOR_SPACE) != _UNCALIBRATED or standard.strip("\0 ") != "R03":
        return None
    return matrix_profile(ADOBE_RGB, (ADOBE_GAMMA,))


def matrix_profile(chromaticities: Chromaticities, curve: tuple[float, ...]) -> bytes:
    """Return an ICC profile, version 4.3, of an RGB space.

    ``curve`` holds the parameters of ICC.1's parametric curve: (g) for a power, or (g, a, b, c, d)
    for ``(a x + b)^g`` from d up and ``c x`` below.
    """
    tags = {b"wtpt": _xyz(D50)}
    for letter, column in zip(b"rgb", _to_d50(chromaticities).T, strict=True):
        tags[bytes([letter]) + b"XYZ"] = _xyz(column)
        tags[bytes([letter]) + b"TRC"] = _parametric(curve)
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for signature, data in tags.items():
        table += signature + struct.pack(">2I", start + len(body), len(data))
        body += data
    header = struct.pack(
        ">I4sI4s4s4s12s4s28s12s48s",
        start + len(body),
        b"none",
        0x04300000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
        bytes(12),
        b"acsp",
        bytes(28),
        _fixed(D50),
        bytes(48),
    )
    return header + table + body


def _to_d50(chromaticities: Chromaticities) -> np.ndarray:
    """Return the matrix from linear RGB to XYZ, (3, 3), white brought to D50 as Bradford did."""
    x, y = np.array(chromaticities, float).T
    xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    primaries, white = xyz[:, :3], xyz[:, 3]
    to_xyz = primaries * np.linalg.solve(primaries, white)
    adaptation = np.diag(_BRADFORD @ D50 / (_BRADFORD @ white))
    return np.linalg.solve(_BRADFORD, adaptation @ _BRADFORD) @ to_xyz


def _fixed(values: tuple[float, ...] | np.ndarray) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in values))


def _xyz(values: tuple[float, ...] | np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _parametric(curve: tuple[float, ...]) -> bytes:
    kind = {1: 0, 5: 3}[len(curve)]
    return b"para" + bytes(4) + struct.pack(">2H", kind, 0) + _fixed(curve)
