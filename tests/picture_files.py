"""Picture files as their specifications say, and the pixels that must come of them.

Written out by hand where Pillow would otherwise check Pillow.
"""

import struct
import zlib

import numpy as np
import PIL.Image

HEIGHT, WIDTH = 19, 27
ONE_LEVEL = 1 / 255
# What EXIF says of the stored rows and columns: the side of the scene where the first row is,
# and the side where the first column is.
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


# First row and column, and steps down and across, of the seven passes of Adam7.
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4)]
ADAM7 += [(2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def _png_rows(levels, depth) -> bytes:
    """The rows of a PNG, packed, each after the number of no filter."""
    rows = levels.reshape(len(levels), -1)
    if depth == 16:
        packed = rows.astype(">u2").view(np.uint8)
    else:
        bits = rows[..., np.newaxis] >> np.arange(depth - 1, -1, -1) & 1
        packed = np.packbits(bits.reshape(len(rows), -1).astype(np.uint8), axis=1)
    return b"".join(b"\0" + row.tobytes() for row in packed)


def png_bytes(levels, depth, colour_type, *chunks, size=None, interlaced=False) -> bytes:
    """A PNG of (H, W) or (H, W, C) integer levels; ``size`` lies about its (width, height)."""
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    filtered = b"".join(
        _png_rows(levels[r::down, c::across], depth) for r, c, down, across in passes
    )
    width, height = size or levels.shape[1::-1]
    head = (width, height, depth, colour_type, 0, 0, int(interlaced))
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", struct.pack(">2I5B", *head)),
            *chunks,
            png_chunk(b"IDAT", zlib.compress(filtered)),
            png_chunk(b"IEND", b""),
        ]
    )


def tiff_bytes(
    samples, photometric, *, order="<", extra=None, kind=1, bits=None, width=None, profile=b""
) -> bytes:
    """An uncompressed TIFF of (H, W) or (H, W, C); kind 1, 2, 3: unsigned, signed, float."""
    height, columns = samples.shape[:2]
    channels = samples.shape[2] if samples.ndim == 3 else 1
    data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    short, long = ("H", 3), ("I", 4)
    tags = {
        256: (long, [width or columns]),
        257: (long, [height]),
        258: (short, [bits or 8 * samples.dtype.itemsize] * channels),
        259: (short, [1]),  # uncompressed
        262: (short, [photometric]),
        273: (long, [8]),  # where the data are
        277: (short, [channels]),
        278: (long, [height]),
        279: (long, [len(data)]),
        339: (short, [kind] * channels),
    }
    if extra is not None:
        tags[338] = (short, [extra])
    body = data + bytes(len(data) % 2)
    if profile:
        tags[34675] = (("B", 7), profile)
    entries = b""
    for tag, ((code, number), values) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(values)}{code}", *values)
        if len(packed) > 4:  # then its place is stored instead
            body, packed = body + packed, struct.pack(order + "I", 8 + len(body))
        entries += struct.pack(order + "HHI", tag, number, len(values)) + packed.ljust(4, b"\0")
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8 + len(body))
    return head + body + struct.pack(order + "H", len(tags)) + entries + bytes(4)


def tiff_of_tags(data: bytes, tags: dict, order="<") -> bytes:
    """A TIFF of one strip with these tags, each a number or a list: palettes and counts short."""
    tags = {tag: value if isinstance(value, list) else [value] for tag, value in tags.items()}
    body = data + bytes(len(data) % 2)
    tags |= {273: [8], 279: [len(data)]}
    entries = b""
    for tag, values in sorted(tags.items()):
        code, number = ("H", 3) if max(values) < 65536 else ("I", 4)
        packed = struct.pack(f"{order}{len(values)}{code}", *values)
        if len(packed) > 4:
            body, packed = body + packed, struct.pack(order + "I", 8 + len(body))
        entries += struct.pack(order + "HHI", tag, number, len(values)) + packed.ljust(4, b"\0")
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8 + len(body))
    return head + body + struct.pack(order + "H", len(tags)) + entries + bytes(4)


def _fixed(*values) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


D50 = (0.9642, 1.0, 0.8249)
SRGB_PRIMARIES = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))


def icc_profile(space: bytes, tags: dict, connection=b"XYZ ", device=b"mntr") -> bytes:
    """An ICC profile, version 2.4."""
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags.items():
        table += name + struct.pack(">2I", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12s4s28s12s48s",
        start + len(body),
        b"none",
        0x02400000,
        device,
        space,
        connection,
        struct.pack(">6H", 2016, 6, 27, 0, 0, 0),
        b"acsp",
        bytes(28),
        _fixed(*D50),
        bytes(48),
    )
    return header + table + body


def gamma_curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">2IH", 0, 1, round(gamma * 256)) + bytes(2)


def srgb_curve() -> bytes:
    encoded = np.arange(1024) / 1023
    light = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    values = np.round(light * 65535).astype(">u2").tobytes()
    return b"curv" + struct.pack(">2I", 0, 1024) + values


def rgb_profile(primaries, curve: bytes) -> bytes:
    xyz = [b"XYZ " + bytes(4) + _fixed(*primary) for primary in (*primaries, D50)]
    names = (b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt")
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return icc_profile(b"RGB ", dict(zip(names, xyz, strict=True)) | curves)


def grey_profile(curve: bytes) -> bytes:
    return icc_profile(b"GRAY", {b"wtpt": b"XYZ " + bytes(4) + _fixed(*D50), b"kTRC": curve})


def cmyk_profile() -> bytes:
    """Four inks, of which black alone is seen: L* = 100 (1 - black), a* = b* = 0."""
    identity = bytes(range(256))
    corners = b"".join(bytes([255 * (1 - i % 2), 128, 128]) for i in range(16))  # black last
    matrix = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix
    white = b"XYZ " + bytes(4) + _fixed(*D50)
    tags = {b"wtpt": white, b"A2B0": table + identity * 4 + corners + identity * 3}
    return icc_profile(b"CMYK", tags, connection=b"Lab ", device=b"prtr")


def faded_profile(black: float) -> bytes:
    """A device whose darkest is L* = ``black`` and whose green alone is seen: a print, a slide.

    L* = black + (100 - black) green, a* = b* = 0.
    """
    identity = bytes(range(256))
    shades = (round(2.55 * black), 255)  # of a corner of the table: the second channel is green
    corners = b"".join(bytes([shades[i // 2 % 2], 128, 128]) for i in range(8))
    matrix = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table = b"mft1" + bytes(4) + bytes([3, 3, 2, 0]) + matrix
    white = b"XYZ " + bytes(4) + _fixed(*D50)
    lookup = table + identity * 3 + corners + identity * 3
    tags = {b"wtpt": white, b"A2B0": lookup, b"A2B1": lookup}  # perceptual, colorimetric
    return icc_profile(b"RGB ", tags, connection=b"Lab ")


# What the pixels must be


def as_image(pixels) -> np.ndarray:
    """(H, W, C) levels as the (C, H, W) float32 image that they are."""
    return np.moveaxis(pixels.astype(np.float32), -1, 0) / np.float32(255)


def on_white(pixels, cover) -> np.ndarray:
    rgb, alpha = pixels / 255, (cover / 255)[..., np.newaxis]
    return np.moveaxis(rgb * alpha + 1 - alpha, -1, 0)


def encode_srgb(light) -> np.ndarray:
    """IEC 61966-2-1: linear light to sRGB."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def luminance_of(lightness) -> np.ndarray:
    """CIE 1976: L* from 0 to 100 to luminance from 0 to 1."""
    cube = ((lightness + 16) / 116) ** 3
    return np.where(lightness > 8, cube, lightness * 27 / 24389)


def coloured_tiles() -> np.ndarray:
    """Flat 16 x 16 tiles, 3 x 2 of them, each of a colour of its own: JPEG keeps these."""
    colours = [[200, 40, 30], [20, 160, 60], [30, 50, 190], [240, 230, 220], [90, 80, 10], [0] * 3]
    grid = np.array(colours, np.uint8).reshape(3, 2, 3)
    return grid.repeat(16, axis=0).repeat(16, axis=1)


def draw_palette(rng):
    colours = rng.integers(0, 256, (7, 3), dtype=np.uint8)
    return colours, rng.integers(0, 7, (HEIGHT, WIDTH), dtype=np.uint8)


def palette_picture(colours, indices) -> PIL.Image.Image:
    picture = PIL.Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    picture.putpalette(colours.tobytes())
    return picture


def cmyk_picture(inks) -> PIL.Image.Image:
    return PIL.Image.frombytes("CMYK", inks.shape[1::-1], inks.tobytes())


def draw_16_bits(rng) -> np.ndarray:
    levels = rng.integers(0, 65536, (HEIGHT, WIDTH))
    levels[0, :4] = 0, 65535, 255, 256  # the ends, and where bytes would be swapped
    return levels


def as_the_camera_stores(scene, orientation) -> np.ndarray:
    """Put each pixel of the scene where EXIF says that the camera did."""
    first_row, first_column = SIDES[orientation]
    height, width = scene.shape[:2]
    upright = first_row in ("top", "bottom")
    stored = np.zeros((height, width) if upright else (width, height), object)
    for row, column in np.ndindex(height, width):
        distance = {
            "top": row,
            "bottom": height - 1 - row,
            "left": column,
            "right": width - 1 - column,
        }
        stored[distance[first_row], distance[first_column]] = scene[row, column]
    return np.array(stored.tolist(), scene.dtype)
