"""Every kind of picture comes in right or is refused in one line; what goes out is whole.

Expected pixels come from the file formats' own definitions: written out by hand where Pillow
would otherwise check Pillow.
"""

import errno
import io
import os
import re
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL import ImageCms

from nst import images
from nst.errors import NstError, NstWarning

HEIGHT, WIDTH = 19, 27
ONE_LEVEL = 1 / 255
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


@pytest.fixture
def pixels(rng):
    """An asymmetric picture: (19, 27, 3) uint8."""
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def cover(rng):
    """An alpha channel (19, 27) uint8, from transparent to opaque."""
    alpha = rng.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    alpha[0, :3] = 0, 255, 128
    return alpha


# Files, written as their specifications say


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(levels, depth, colour_type, *chunks, size=None) -> bytes:
    """A PNG of (H, W) or (H, W, C) integer levels; ``size`` lies about its (width, height)."""
    rows = levels.reshape(len(levels), -1)
    if depth == 16:
        packed = rows.astype(">u2").view(np.uint8)
    else:
        bits = rows[..., np.newaxis] >> np.arange(depth - 1, -1, -1) & 1
        packed = np.packbits(bits.reshape(len(rows), -1).astype(np.uint8), axis=1)
    filtered = b"".join(b"\0" + row.tobytes() for row in packed)
    width, height = size or levels.shape[1::-1]
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">2I5B", width, height, depth, colour_type, 0, 0, 0)),
            *chunks,
            _chunk(b"IDAT", zlib.compress(filtered)),
            _chunk(b"IEND", b""),
        ]
    )


def _tiff(
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


def _fixed(*values) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


D50 = (0.9642, 1.0, 0.8249)
SRGB_PRIMARIES = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))


def _icc(space: bytes, tags: dict, connection=b"XYZ ", device=b"mntr") -> bytes:
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


def _gamma_curve(gamma: float) -> bytes:
    return b"curv" + struct.pack(">2IH", 0, 1, round(gamma * 256)) + bytes(2)


def _srgb_curve() -> bytes:
    encoded = np.arange(1024) / 1023
    light = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    values = np.round(light * 65535).astype(">u2").tobytes()
    return b"curv" + struct.pack(">2I", 0, 1024) + values


def _rgb_profile(primaries, curve: bytes) -> bytes:
    xyz = [b"XYZ " + bytes(4) + _fixed(*primary) for primary in (*primaries, D50)]
    names = (b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt")
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _icc(b"RGB ", dict(zip(names, xyz, strict=True)) | curves)


def _grey_profile(curve: bytes) -> bytes:
    return _icc(b"GRAY", {b"wtpt": b"XYZ " + bytes(4) + _fixed(*D50), b"kTRC": curve})


def _cmyk_profile() -> bytes:
    """Four inks, of which black alone is seen: L* = 100 (1 - black), a* = b* = 0."""
    identity = bytes(range(256))
    corners = b"".join(bytes([255 * (1 - i % 2), 128, 128]) for i in range(16))  # black last
    matrix = _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix
    white = b"XYZ " + bytes(4) + _fixed(*D50)
    tags = {b"wtpt": white, b"A2B0": table + identity * 4 + corners + identity * 3}
    return _icc(b"CMYK", tags, connection=b"Lab ", device=b"prtr")


# What the pixels must be


def _expected(pixels) -> np.ndarray:
    """(H, W, C) levels as the (C, H, W) float32 image that they are."""
    return np.moveaxis(pixels.astype(np.float32), -1, 0) / np.float32(255)


def _on_white(pixels, cover) -> np.ndarray:
    rgb, alpha = pixels / 255, (cover / 255)[..., np.newaxis]
    return np.moveaxis(rgb * alpha + 1 - alpha, -1, 0)


def _encode_srgb(light) -> np.ndarray:
    """IEC 61966-2-1: linear light to sRGB."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def _luminance(lightness) -> np.ndarray:
    """CIE 1976: L* from 0 to 100 to luminance from 0 to 1."""
    cube = ((lightness + 16) / 116) ** 3
    return np.where(lightness > 8, cube, lightness * 27 / 24389)


def _tiles() -> np.ndarray:
    """Flat 16 x 16 tiles, 3 x 2 of them, each of a colour of its own: JPEG keeps these."""
    colours = [[200, 40, 30], [20, 160, 60], [30, 50, 190], [240, 230, 220], [90, 80, 10], [0] * 3]
    grid = np.array(colours, np.uint8).reshape(3, 2, 3)
    return grid.repeat(16, axis=0).repeat(16, axis=1)


def _palette(rng):
    colours = rng.integers(0, 256, (7, 3), dtype=np.uint8)
    return colours, rng.integers(0, 7, (HEIGHT, WIDTH), dtype=np.uint8)


def _palette_picture(colours, indices) -> PIL.Image.Image:
    picture = PIL.Image.frombytes("P", indices.shape[::-1], indices.tobytes())
    picture.putpalette(colours.tobytes())
    return picture


def _cmyk_picture(inks) -> PIL.Image.Image:
    return PIL.Image.frombytes("CMYK", inks.shape[1::-1], inks.tobytes())


def _levels_16(rng) -> np.ndarray:
    levels = rng.integers(0, 65536, (HEIGHT, WIDTH))
    levels[0, :4] = 0, 65535, 255, 256  # the ends, and where bytes would be swapped
    return levels


def _as_the_camera_stores(scene, orientation) -> np.ndarray:
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
    return np.array(stored.tolist(), np.uint8)


# Formats


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        (".png", {}),
        (".webp", {"lossless": True}),
        (".tif", {}),
        (".tiff", {"compression": "tiff_lzw"}),
        (".tif", {"compression": "tiff_adobe_deflate"}),
    ],
)
def test_lossless_files_are_read_exactly(tmp_path, pixels, suffix, options):
    path = tmp_path / f"picture{suffix}"
    PIL.Image.fromarray(pixels).save(path, **options)
    rgb, alpha = images.load_with_alpha(path)
    assert rgb.dtype == np.float32
    assert rgb.flags.c_contiguous
    assert alpha is None
    np.testing.assert_array_equal(rgb, _expected(pixels))
    np.testing.assert_array_equal(images.load(str(path)), rgb)  # a str will do


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_lossy_files_are_read_nearly(tmp_path, suffix, options):
    tiles = _tiles()
    PIL.Image.fromarray(tiles).save(tmp_path / f"t{suffix}", quality=95, **options)
    rgb = images.load(tmp_path / f"t{suffix}")
    # a lossy file is wrong at the edges of tiles, and hardly within
    np.testing.assert_allclose(rgb[:, 4::16, 4::16], _expected(tiles)[:, 4::16, 4::16], atol=0.03)


def test_the_name_does_not_decide_on_the_format(tmp_path, pixels):
    PIL.Image.fromarray(pixels).save(tmp_path / "really_png.jpg", "PNG")
    rgb = images.load(tmp_path / "really_png.jpg")
    np.testing.assert_array_equal(rgb, _expected(pixels))


@pytest.mark.parametrize(
    ("kind", "options"),
    [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("MPO", {"quality": 100})],
)
def test_of_several_frames_the_first_is_taken(tmp_path, kind, options):
    first, second = _tiles(), _tiles()[::-1]
    rest = [PIL.Image.fromarray(second)]
    PIL.Image.fromarray(first).save(
        tmp_path / "frames", kind, save_all=True, append_images=rest, **options
    )
    rgb = images.load(tmp_path / "frames")
    np.testing.assert_allclose(rgb[:, 4::16, 4::16], _expected(first)[:, 4::16, 4::16], atol=0.03)


@POSIX
def test_a_pipe_will_do(tmp_path, pixels):
    PIL.Image.fromarray(pixels).save(tmp_path / "picture.png")
    code = "import sys; from nst import images; print(images.load('/dev/stdin').shape)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=(tmp_path / "picture.png").read_bytes(),
        capture_output=True,
    )
    assert done.stdout.decode() == f"(3, {HEIGHT}, {WIDTH})\n", done.stderr.decode()


# Orientation

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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", SIDES)
def test_exif_orientation_is_applied(tmp_path, orientation, kind):
    scene = _tiles()
    stored = _as_the_camera_stores(scene, orientation)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}
    PIL.Image.fromarray(stored).save(tmp_path / "photo", kind, exif=exif, **options.get(kind, {}))
    rgb = images.load(tmp_path / "photo")
    np.testing.assert_allclose(rgb, _expected(scene), atol=0.02 if kind == "JPEG" else 0)
    assert rgb.flags.c_contiguous


@pytest.mark.parametrize("orientation", SIDES)
def test_alpha_turns_with_the_picture(tmp_path, rng, orientation):
    scene = rng.integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    stored = PIL.Image.fromarray(_as_the_camera_stores(scene, orientation))
    stored.save(tmp_path / "photo.png", exif=exif)
    rgb, alpha = images.load_with_alpha(tmp_path / "photo.png")
    np.testing.assert_array_equal(alpha, np.float32(scene[..., 3]) / np.float32(255))
    np.testing.assert_allclose(rgb, _on_white(scene[..., :3], scene[..., 3]), atol=1e-6)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0rubbish",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01",
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_is_no_reason_to_refuse_a_picture(tmp_path, pixels, kind, exif):
    PIL.Image.fromarray(pixels).save(tmp_path / "photo", kind, exif=exif)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert images.load(tmp_path / "photo").shape == (3, HEIGHT, WIDTH)
    assert not warned


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_that_does_not_exist_is_upright(tmp_path, pixels, orientation):
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    PIL.Image.fromarray(pixels).save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(images.load(tmp_path / "photo.png"), _expected(pixels))


# Grey, palettes, transparency


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_has_three_equal_channels(tmp_path, pixels, suffix):
    grey = pixels[..., 0]
    PIL.Image.fromarray(grey).save(tmp_path / f"grey{suffix}")
    rgb = images.load(tmp_path / f"grey{suffix}")
    np.testing.assert_array_equal(rgb, _expected(np.stack([grey] * 3, axis=-1)))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_black_and_white(tmp_path, pixels, suffix):
    bits = pixels[..., 0] > 99
    PIL.Image.fromarray(bits).save(tmp_path / f"bits{suffix}")
    rgb = images.load(tmp_path / f"bits{suffix}")
    np.testing.assert_array_equal(rgb, np.stack([bits] * 3).astype(np.float32))


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_transparency_shows_white_and_is_returned(tmp_path, pixels, cover, suffix):
    rgba = PIL.Image.fromarray(np.dstack([pixels, cover]))
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    rgba.save(tmp_path / f"glass{suffix}", **options)
    rgb, alpha = images.load_with_alpha(tmp_path / f"glass{suffix}")
    assert alpha.dtype == np.float32
    np.testing.assert_array_equal(alpha, np.float32(cover) / np.float32(255))
    np.testing.assert_allclose(rgb, _on_white(pixels, cover), atol=1e-6)
    np.testing.assert_array_equal(rgb[:, 0, 0], [1, 1, 1])  # transparent: white, exactly
    np.testing.assert_array_equal(rgb[:, 0, 1], _expected(pixels)[:, 0, 1])  # opaque: itself


def test_an_opaque_alpha_channel_is_none(tmp_path, pixels):
    opaque = np.full((HEIGHT, WIDTH), 255, np.uint8)
    PIL.Image.fromarray(np.dstack([pixels, opaque])).save(tmp_path / "p.png")
    rgb, alpha = images.load_with_alpha(tmp_path / "p.png")
    assert alpha is None
    np.testing.assert_array_equal(rgb, _expected(pixels))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_with_alpha(tmp_path, pixels, cover, suffix):
    grey = pixels[..., 1]
    PIL.Image.fromarray(np.dstack([grey, cover])).save(tmp_path / f"la{suffix}")
    rgb, alpha = images.load_with_alpha(tmp_path / f"la{suffix}")
    np.testing.assert_array_equal(alpha, np.float32(cover) / np.float32(255))
    np.testing.assert_allclose(rgb, _on_white(np.dstack([grey] * 3), cover), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_premultiplied_tiff(tmp_path, pixels, cover, channels):
    """ExtraSamples 1: colours are stored times alpha, so over white they need only its rest."""
    alpha = np.maximum(cover, 128)  # enough left of the colours to divide by
    stored = np.round(pixels[..., :channels] * (alpha / 255)[..., np.newaxis]).astype(np.uint8)
    samples = np.dstack([stored, alpha])
    data = _tiff(samples, photometric=1 if channels == 1 else 2, extra=1)
    (tmp_path / "a.tif").write_bytes(data)
    rgb, read = images.load_with_alpha(tmp_path / "a.tif")
    over_white = np.moveaxis(stored / 255, -1, 0) + (1 - alpha / 255)
    np.testing.assert_array_equal(read, np.float32(alpha) / np.float32(255))
    np.testing.assert_allclose(rgb, np.broadcast_to(over_white, rgb.shape), atol=1.6 * ONE_LEVEL)


def test_palette(tmp_path, rng):
    colours, indices = _palette(rng)
    _palette_picture(colours, indices).save(tmp_path / "p.png")
    rgb, alpha = images.load_with_alpha(tmp_path / "p.png")
    assert alpha is None
    np.testing.assert_array_equal(rgb, _expected(colours[indices]))


@pytest.mark.parametrize("transparency", [2, bytes([255, 0, 128, 7, 255])])
def test_palette_with_transparency(tmp_path, rng, transparency):
    colours, indices = _palette(rng)
    alphas = np.full(len(colours), 255, np.uint8)
    if isinstance(transparency, int):
        alphas[transparency] = 0
    else:
        alphas[: len(transparency)] = list(transparency)
    _palette_picture(colours, indices).save(tmp_path / "p.png", transparency=transparency)
    rgb, alpha = images.load_with_alpha(tmp_path / "p.png")
    np.testing.assert_array_equal(alpha, np.float32(alphas[indices]) / np.float32(255))
    np.testing.assert_allclose(rgb, _on_white(colours[indices], alphas[indices]), atol=1e-6)


def test_palette_with_an_alpha_channel(tmp_path, rng, cover):
    colours, indices = _palette(rng)
    picture = _palette_picture(colours, indices).convert("PA")
    picture.putalpha(PIL.Image.fromarray(cover))
    picture.save(tmp_path / "pa.tif")
    rgb, alpha = images.load_with_alpha(tmp_path / "pa.tif")
    np.testing.assert_array_equal(alpha, np.float32(cover) / np.float32(255))
    np.testing.assert_allclose(rgb, _on_white(colours[indices], cover), atol=1e-6)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_grey_level_of_a_png_declared_transparent(tmp_path, rng, depth):
    """The tRNS chunk gives the level as it is stored: 3 is the white of two bits."""
    white = 2**depth - 1
    levels = rng.integers(0, white + 1, (HEIGHT, WIDTH))
    levels[3, 5] = key = white if depth < 8 else 77
    transparent = _chunk(b"tRNS", struct.pack(">H", key))
    (tmp_path / "key.png").write_bytes(_png(levels, depth, 0, transparent))
    rgb, alpha = images.load_with_alpha(tmp_path / "key.png")
    np.testing.assert_array_equal(alpha, levels != key)
    expected = np.where(levels == key, 1, levels / white)
    np.testing.assert_allclose(rgb, np.stack([expected] * 3), atol=1e-6)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_colour_of_a_png_declared_transparent(tmp_path, rng, depth):
    levels = rng.integers(0, 2**depth, (HEIGHT, WIDTH, 3))
    transparent = _chunk(b"tRNS", struct.pack(">3H", *levels[3, 5]))
    (tmp_path / "key.png").write_bytes(_png(levels, depth, 2, transparent))
    rgb, alpha = images.load_with_alpha(tmp_path / "key.png")
    opaque = (levels != levels[3, 5]).any(axis=-1)
    assert not opaque[3, 5]
    np.testing.assert_array_equal(alpha, opaque)
    np.testing.assert_allclose(rgb, _on_white(levels >> (depth - 8), opaque * 255), atol=1e-6)


# 16 bits


def test_16_bit_grey_png(tmp_path, rng):
    levels = _levels_16(rng)
    (tmp_path / "deep.png").write_bytes(_png(levels, 16, 0))
    rgb = images.load(tmp_path / "deep.png")
    np.testing.assert_allclose(rgb, np.stack([levels / 65535] * 3), atol=1e-7)


@pytest.mark.parametrize("order", ["<", ">"])
def test_16_bit_grey_tiff(tmp_path, rng, order):
    levels = _levels_16(rng)
    (tmp_path / "deep.tif").write_bytes(_tiff(levels.astype(np.uint16), 1, order=order))
    rgb = images.load(tmp_path / "deep.tif")
    np.testing.assert_allclose(rgb, np.stack([levels / 65535] * 3), atol=1e-7)


def test_16_bit_grey_tiff_whose_zero_is_white(tmp_path, rng):
    levels = _levels_16(rng)
    (tmp_path / "negative.tif").write_bytes(_tiff(levels.astype(np.uint16), 0))
    rgb = images.load(tmp_path / "negative.tif")
    np.testing.assert_allclose(rgb, np.stack([1 - levels / 65535] * 3), atol=1e-7)


def test_12_bit_grey_tiff(tmp_path, rng):
    levels = rng.integers(0, 4096, (HEIGHT, 28))
    first, second = levels[:, ::2], levels[:, 1::2]  # two levels in three bytes
    packed = np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], axis=-1)
    data = _tiff(packed.astype(np.uint8).reshape(HEIGHT, 42), 1, bits=12, width=28)
    (tmp_path / "scope.tif").write_bytes(data)
    rgb = images.load(tmp_path / "scope.tif")
    np.testing.assert_allclose(rgb, np.stack([levels / 4095] * 3), atol=1e-7)


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_16_bit_colour_keeps_its_upper_bits(tmp_path, rng, kind):
    levels = rng.integers(0, 65536, (HEIGHT, WIDTH, 3))
    data = _png(levels, 16, 2) if kind == "png" else _tiff(levels.astype(np.uint16), 2)
    (tmp_path / f"deep.{kind}").write_bytes(data)
    rgb = images.load(tmp_path / f"deep.{kind}")
    np.testing.assert_array_equal(rgb, _expected((levels >> 8).astype(np.uint8)))


@pytest.mark.parametrize("channels", [2, 4])
def test_16_bit_png_with_alpha(tmp_path, rng, channels):
    levels = rng.integers(0, 65536, (HEIGHT, WIDTH, channels))
    (tmp_path / "deep.png").write_bytes(_png(levels, 16, {2: 4, 4: 6}[channels]))
    rgb, alpha = images.load_with_alpha(tmp_path / "deep.png")
    true_alpha = levels[..., -1] / 65535
    true_rgb = np.moveaxis(levels[..., :-1] / 65535, -1, 0) * true_alpha + 1 - true_alpha
    np.testing.assert_allclose(alpha, true_alpha, atol=ONE_LEVEL)
    np.testing.assert_allclose(rgb, np.broadcast_to(true_rgb, rgb.shape), atol=2 * ONE_LEVEL)


# CMYK, other colour spaces and profiles


@pytest.mark.parametrize(("suffix", "atol"), [(".tif", ONE_LEVEL), (".jpg", 4 * ONE_LEVEL)])
def test_cmyk_without_a_profile(tmp_path, suffix, atol):
    inks = np.concatenate([_tiles(), _tiles()[::-1, :, :1] // 2], axis=-1)
    _cmyk_picture(inks).save(tmp_path / f"print{suffix}", quality=95)
    rgb = images.load(tmp_path / f"print{suffix}")
    cyan, magenta, yellow, black = np.moveaxis(inks / 255, -1, 0)
    expected = np.stack([(1 - ink) * (1 - black) for ink in (cyan, magenta, yellow)])
    np.testing.assert_allclose(rgb[:, 4::16, 4::16], expected[:, 4::16, 4::16], atol=atol)


def test_ycbcr_tiff(tmp_path):
    """Rec. 601 as JPEG has it: Y and the scaled differences B - Y and R - Y."""
    tiles = _tiles()
    PIL.Image.fromarray(tiles).convert("YCbCr").save(tmp_path / "video.tif")
    np.testing.assert_allclose(
        images.load(tmp_path / "video.tif"), _expected(tiles), atol=2 * ONE_LEVEL
    )


@pytest.mark.parametrize("with_profile", [False, True])
def test_lab_tiff(tmp_path, with_profile):
    """A neutral grey is L* alone; its luminance follows from the definition of L*."""
    lightness = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (HEIGHT, 1))
    neutral = np.zeros_like(lightness)  # a* and b* are signed
    samples = np.dstack([lightness, neutral, neutral])
    profile = _rgb_profile(SRGB_PRIMARIES, _gamma_curve(1)) if with_profile else b""
    (tmp_path / "lab.tif").write_bytes(_tiff(samples, 8, profile=profile))
    rgb = images.load(tmp_path / "lab.tif")
    expected = _encode_srgb(_luminance(lightness / 255 * 100))
    np.testing.assert_allclose(rgb, np.stack([expected] * 3), atol=2 * ONE_LEVEL)


PROFILED = [".png", ".jpg", ".tif", ".webp"]


@pytest.mark.parametrize("suffix", PROFILED)
def test_a_profile_with_swapped_primaries_swaps_the_channels(tmp_path, suffix):
    tiles = _tiles()
    swapped = _rgb_profile(SRGB_PRIMARIES[::-1], _srgb_curve())
    options = {".jpg": {"quality": 95, "subsampling": 0}, ".webp": {"lossless": True}}
    PIL.Image.fromarray(tiles).save(
        tmp_path / f"p{suffix}", icc_profile=swapped, **options.get(suffix, {})
    )
    rgb = images.load(tmp_path / f"p{suffix}")
    atol = (8 if suffix == ".jpg" else 2) * ONE_LEVEL
    np.testing.assert_allclose(rgb, _expected(tiles)[::-1], atol=atol)


def test_a_profile_in_linear_light_is_encoded_as_srgb(tmp_path, pixels):
    linear = _rgb_profile(SRGB_PRIMARIES, _gamma_curve(1))
    PIL.Image.fromarray(pixels).save(tmp_path / "linear.png", icc_profile=linear)
    rgb = images.load(tmp_path / "linear.png")
    np.testing.assert_allclose(rgb, _encode_srgb(_expected(pixels)), atol=1.5 * ONE_LEVEL)


def test_the_srgb_profile_changes_nothing(tmp_path, pixels):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    PIL.Image.fromarray(pixels).save(tmp_path / "srgb.png", icc_profile=srgb)
    np.testing.assert_array_equal(images.load(tmp_path / "srgb.png"), _expected(pixels))


def test_a_profile_leaves_alpha_alone(tmp_path, pixels, cover):
    swapped = _rgb_profile(SRGB_PRIMARIES[::-1], _srgb_curve())
    rgba = PIL.Image.fromarray(np.dstack([pixels, cover]))
    rgba.save(tmp_path / "p.png", icc_profile=swapped)
    rgb, alpha = images.load_with_alpha(tmp_path / "p.png")
    np.testing.assert_array_equal(alpha, np.float32(cover) / np.float32(255))
    np.testing.assert_allclose(rgb, _on_white(pixels[..., ::-1], cover), atol=2 * ONE_LEVEL)


def test_a_palette_with_a_profile(tmp_path, rng):
    colours, indices = _palette(rng)
    swapped = _rgb_profile(SRGB_PRIMARIES[::-1], _srgb_curve())
    _palette_picture(colours, indices).save(tmp_path / "p.png", icc_profile=swapped)
    rgb = images.load(tmp_path / "p.png")
    np.testing.assert_allclose(rgb, _expected(colours[indices])[::-1], atol=2 * ONE_LEVEL)


@pytest.mark.parametrize("space", ["grey", "rgb"])
@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_with_a_profile(tmp_path, pixels, cover, mode, space):
    linear = _gamma_curve(1)
    profile = _grey_profile(linear) if space == "grey" else _rgb_profile(SRGB_PRIMARIES, linear)
    grey = pixels[..., 2]
    opaque = np.full_like(cover, 255)
    samples = grey if mode == "L" else np.dstack([grey, opaque])
    PIL.Image.fromarray(samples).save(tmp_path / "g.png", icc_profile=profile)
    expected = _encode_srgb(grey / 255)
    rgb = images.load(tmp_path / "g.png")
    np.testing.assert_allclose(rgb, np.stack([expected] * 3), atol=1.5 * ONE_LEVEL)


def test_16_bit_grey_with_a_profile_stays_deep(tmp_path):
    levels = np.linspace(20000, 60000, HEIGHT * WIDTH).astype(int).reshape(HEIGHT, WIDTH)
    profile = _chunk(b"iCCP", b"grey\0\0" + zlib.compress(_grey_profile(_gamma_curve(1))))
    (tmp_path / "deep.png").write_bytes(_png(levels, 16, 0, profile))
    rgb = images.load(tmp_path / "deep.png")
    expected = _encode_srgb(levels / 65535)
    np.testing.assert_allclose(rgb, np.stack([expected] * 3), atol=1.5 * ONE_LEVEL)
    assert len(np.unique(rgb[0])) > 300  # 513 levels went in; 8 bits would leave 157


@pytest.mark.parametrize(("suffix", "atol"), [(".tif", 2.5), (".jpg", 5)])
def test_cmyk_with_a_profile(tmp_path, suffix, atol):
    """The profile says that only the black ink is seen, and L* = 100 (1 - black)."""
    inks = np.concatenate([_tiles(), _tiles()[::-1, :, :1]], axis=-1)
    picture = _cmyk_picture(inks)
    picture.save(tmp_path / f"p{suffix}", quality=95, icc_profile=_cmyk_profile())
    rgb = images.load(tmp_path / f"p{suffix}")[:, 4::16, 4::16]
    expected = _encode_srgb(_luminance(100 - inks[4::16, 4::16, 3] / 2.55))
    np.testing.assert_allclose(rgb, np.stack([expected] * 3), atol=atol * ONE_LEVEL)


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (b"rubbish", "cannot open profile from string"),
        ("cut", "cannot open profile from string"),
        ("grey", "a profile for 'GRAY' on a picture in RGB"),
        ("empty", "cannot build transform"),
    ],
)
def test_a_broken_profile_is_a_warning(tmp_path, pixels, profile, reason):
    made = {
        "cut": _rgb_profile(SRGB_PRIMARIES, _srgb_curve())[:150],
        "grey": _grey_profile(_gamma_curve(1)),
        "empty": _icc(b"RGB ", {}),
    }
    path = tmp_path / "photo.png"
    PIL.Image.fromarray(pixels).save(path, icc_profile=made.get(profile, profile))
    with pytest.warns(NstWarning) as warned:
        rgb = images.load(path)
    assert [str(w.message) for w in warned] == [
        f"{path}: its colour profile cannot be used ({reason}); its colours are taken as they "
        "are: convert it to sRGB if they look wrong"
    ]
    np.testing.assert_array_equal(rgb, _expected(pixels))


# Refused, each in one line


def _cut(kind: str, share: float) -> bytes:
    file = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {}
    noise = np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(file, kind, **options)
    return file.getvalue()[: int(len(file.getvalue()) * share)]


def _small(height: int, width: int) -> bytes:
    return _png(np.zeros((height, width), int), 8, 0)


def _gif() -> bytes:
    file = io.BytesIO()
    PIL.Image.new("L", (20, 20)).save(file, "GIF")
    return file.getvalue()


# For ~ any reason, in brackets, will do: it is Pillow's, and changes with its version.
UNUSUAL = "; copy it anew, or open it in an image editor and save it as PNG"
REFUSED = {
    "empty": (b"", "cannot read {}: the file is empty; give a JPEG, PNG, WebP or TIFF image"),
    "text": (
        b"To whom it may concern",
        "cannot read {}: it is not a JPEG, PNG, WebP or TIFF image, but begins with "
        "b'To whom it m'; convert it to one",
    ),
    "gif": (
        _gif(),
        "cannot read {}: it is not a JPEG, PNG, WebP or TIFF image, but begins with "
        "b'GIF87a\\x14\\x00\\x14\\x00\\x81\\x00'; convert it to one",
    ),
    "wave": (
        b"RIFF\x24\0\0\0WAVEfmt ",
        "cannot read {}: it is not a JPEG, PNG, WebP or TIFF image, but begins with "
        "b'RIFF$\\x00\\x00\\x00WAVE'; convert it to one",
    ),
    "one pixel": (
        _small(1, 1),
        "cannot use {}: it is 1 x 1 pixels, and both sides need 16 or more; choose a larger image",
    ),
    "narrow": (
        _small(40, 15),
        "cannot use {}: it is 15 x 40 pixels, and both sides need 16 or more; "
        "choose a larger image",
    ),
    "low": (
        _small(15, 40),
        "cannot use {}: it is 40 x 15 pixels, and both sides need 16 or more; "
        "choose a larger image",
    ),
    "bomb": (
        _png(np.zeros((20, 30), int), 8, 0, size=(30000, 20000)),
        "cannot use {}: Image size (600000000 pixels) exceeds limit of 178956970 pixels, could "
        "be decompression bomb DOS attack; make it smaller",
    ),
    "cut PNG header": (
        _cut("PNG", 0.003),
        "cannot read {}: this PNG is cut short, damaged or of an unusual kind~" + UNUSUAL,
    ),
    "cut PNG": (
        _cut("PNG", 0.5),
        "cannot read {}: this PNG is cut short, damaged or of an unusual kind~" + UNUSUAL,
    ),
    "cut JPEG": (
        _cut("JPEG", 0.5),
        "cannot read {}: this JPEG is cut short, damaged or of an unusual kind~" + UNUSUAL,
    ),
    "cut WebP": (
        _cut("WEBP", 0.5),
        "cannot read {}: this WebP is cut short, damaged or of an unusual kind~" + UNUSUAL,
    ),
    "cut TIFF": (
        _cut("TIFF", 0.5),
        "cannot read {}: this TIFF is cut short, damaged or of an unusual kind~" + UNUSUAL,
    ),
    "float TIFF": (
        _tiff(np.zeros((20, 30), np.float32), 1, kind=3),
        "cannot use {}: its pixels are floating-point numbers, which do not say what is white; "
        "convert it to 8 or 16 bits per channel",
    ),
    "float colour TIFF": (
        _tiff(np.zeros((20, 30, 3), np.float32), 2, kind=3),
        "cannot read {}: this TIFF is cut short, damaged or of an unusual kind~" + UNUSUAL,
    ),
    "integer TIFF": (
        _tiff(np.zeros((20, 30), np.int32), 1, kind=2),
        "cannot use {}: its pixels are signed or 32-bit integers, which do not say what is "
        "white; convert it to 8 or 16 bits per channel",
    ),
    "signed TIFF": (
        _tiff(np.zeros((20, 30), np.int16), 1, kind=2),
        "cannot use {}: its pixels are signed or 32-bit integers, which do not say what is "
        "white; convert it to 8 or 16 bits per channel",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, name):
    data, message = REFUSED[name]
    path = tmp_path / "picture.dat"
    path.write_bytes(data)
    expected = re.escape(message.format(path)).replace(r"\~", r"( \(.+\))?")
    assert re.fullmatch(expected, _refusal(images.load, path))
    assert re.fullmatch(expected, _refusal(images.read_metadata, path))


def test_a_missing_file_is_refused(tmp_path):
    path = tmp_path / "nowhere.png"
    assert _refusal(images.load, path) == (
        f"cannot read {path}: there is no such file; check the name"
    )


def test_a_folder_is_refused(tmp_path):
    assert _refusal(images.load, tmp_path) == (
        f"cannot read {tmp_path}: it is a folder; name an image in it"
    )


@POSIX
def test_a_name_that_is_too_long_is_refused(tmp_path):
    path = tmp_path / ("x" * 300 + ".png")
    assert _refusal(images.load, path) == (
        f"cannot read {path}: file name too long; check the file and its permissions"
    )


def test_a_file_without_read_permission_is_refused(tmp_path, monkeypatch):
    def refuse(*args, **options):  # root may read everything, so no real file will do
        raise PermissionError(errno.EACCES, "Permission denied", "locked.png")

    monkeypatch.setattr(PIL.Image, "open", refuse)
    path = tmp_path / "locked.png"
    path.touch()
    assert _refusal(images.load, path) == (
        f"cannot read {path}: permission denied; check the file and its permissions"
    )


def test_large_is_allowed_silently_until_pillow_calls_it_a_bomb(tmp_path, pixels, monkeypatch):
    path = tmp_path / "large.png"
    PIL.Image.fromarray(pixels).save(path)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH // 2 + 1)
    np.testing.assert_array_equal(images.load(path), _expected(pixels))
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", HEIGHT * WIDTH // 2)
    assert "exceeds limit of 512 pixels" in _refusal(images.load, path)


def _load_or_refuse(path):
    """Return the image, or the one line that refuses it."""
    try:
        return images.load(path)
    except NstError as error:
        return str(error)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_picture_cut_anywhere_is_whole_or_refused(tmp_path, kind):
    whole = _cut(kind, 1)
    path = tmp_path / "picture"
    path.write_bytes(whole)
    expected = images.load(path)
    refused = 0
    for length in [*range(0, len(whole), len(whole) // 50), len(whole) - 1]:
        path.write_bytes(whole[:length])
        result = _load_or_refuse(path)
        if isinstance(result, str):
            assert "\n" not in result
            refused += 1
        else:
            np.testing.assert_array_equal(result, expected)
    assert refused >= 49  # the last bytes may be padding or a checksum of nothing


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_damaged_picture_gives_an_image_or_one_line(tmp_path, rng, kind):
    whole = _cut(kind, 1)
    path = tmp_path / "picture"
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 600), 2):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        result = _load_or_refuse(path)
        if isinstance(result, str):
            assert "\n" not in result
            refused += 1
        else:
            assert result.shape[0] == 3
            assert 0 <= result.min() <= result.max() <= 1
    assert refused > 0


# Saving


def test_all_256_levels_survive_a_png(tmp_path):
    levels = np.arange(3 * 16 * 32).reshape(3, 16, 32) % 256
    image = (levels / 255).astype(np.float32)
    images.save(tmp_path / "ramp.png", image)
    np.testing.assert_array_equal(images.load(tmp_path / "ramp.png"), image)


def test_values_are_rounded_half_up_and_clipped():
    levels = np.array([-3, -0.6, 0.49, 0.5, 1.49, 2.5, 127.5, 254.4, 254.5, 255, 256, 999])
    image = np.zeros((2, 1, 12), np.float32)
    image[1, 0] = levels / 255
    rounded = images.as_uint8(image)
    assert rounded.shape == (1, 12, 2)
    assert rounded.dtype == np.uint8
    assert rounded.flags.c_contiguous
    assert rounded[0, :, 1].tolist() == [0, 0, 0, 1, 1, 3, 128, 254, 255, 255, 255, 255]
    assert not rounded[0, :, 0].any()


def test_what_is_not_an_image_is_the_callers_mistake(tmp_path):
    image = np.zeros((3, 16, 17), np.float32)
    path = tmp_path / "out.png"
    with pytest.raises(ValueError, match="not finite"):
        images.save(path, image + np.float32(np.nan))
    with pytest.raises(TypeError, match="uint8"):
        images.save(path, image.astype(np.uint8))
    with pytest.raises(ValueError, match=r"\(3, H, W\), got \(16, 17, 3\)"):
        images.save(path, image.transpose(1, 2, 0))
    with pytest.raises(ValueError, match=r"alpha \(17, 16\) does not fit .* \(3, 16, 17\)"):
        images.save(path, image, alpha=np.ones((17, 16), np.float32))
    assert not list(tmp_path.iterdir())


def test_a_png_keeps_colour_and_alpha_apart(tmp_path, pixels, cover):
    alpha = cover / np.float32(255)
    images.save(tmp_path / "glass.png", _expected(pixels), alpha)
    with PIL.Image.open(tmp_path / "glass.png") as written:
        np.testing.assert_array_equal(np.asarray(written), np.dstack([pixels, cover]))


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".JPG"])
def test_a_jpeg_lies_on_white(tmp_path, suffix):
    tiles = _tiles()
    alpha = np.full(tiles.shape[:2], 0.25, np.float32)
    path = tmp_path / f"out{suffix}"
    images.save(path, _expected(tiles), alpha)
    rgb, read_alpha = images.load_with_alpha(path)
    assert read_alpha is None
    np.testing.assert_allclose(rgb, _expected(tiles) / 4 + 0.75, atol=0.02)


def test_a_jpeg_has_quality_95_and_whole_chroma(tmp_path, pixels):
    images.save(tmp_path / "out.jpg", _expected(pixels))
    with PIL.Image.open(tmp_path / "out.jpg") as written:
        assert written.format == "JPEG"
        sampling = [(across, down) for _, across, down, _ in written.layer]
        quantization = written.quantization[0]
    assert sampling == [(1, 1)] * 3
    # the first row of Annex K's table, scaled by 200 - 2 * 95 = 10 percent
    annex_k = [16, 11, 10, 16, 24, 40, 51, 61]
    assert quantization[:8] == [max(1, (10 * step + 50) // 100) for step in annex_k]


def test_a_png_carries_its_metadata(tmp_path, pixels):
    metadata = {
        "Software": "nst 0.1",
        "settings": '{"content": "montaña 山.jpg",\n "steps": 300}',
        "seed": "",
        "losses": "x" * 5000,
    }
    path = tmp_path / "out.png"
    images.save(path, _expected(pixels), metadata=metadata)
    assert images.read_metadata(path) == metadata
    assert path.read_bytes().count(b"iTXt") == 4
    np.testing.assert_array_equal(images.load(path), _expected(pixels))


def test_metadata_of_others_are_read_and_of_a_jpeg_there_are_none(tmp_path, pixels):
    text = _chunk(b"tEXt", b"Author\0M\xfcnter")
    (tmp_path / "other.png").write_bytes(_png(pixels, 8, 2, text))
    assert images.read_metadata(tmp_path / "other.png") == {"Author": "M\xfcnter"}
    images.save(tmp_path / "out.jpg", _expected(pixels), metadata={"seed": "1"})
    assert images.read_metadata(tmp_path / "out.jpg") == {}


@pytest.mark.parametrize("keyword", ["", "x" * 80, "山", "two\nlines", "null\0"])
def test_a_keyword_that_png_cannot_hold_is_the_callers_mistake(tmp_path, pixels, keyword):
    with pytest.raises(ValueError, match="79 Latin-1 characters"):
        images.save(tmp_path / "out.png", _expected(pixels), metadata={keyword: "text"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("out.gif", "its name ends in '.gif'"),
        ("out.tiff", "its name ends in '.tiff'"),
        ("out", "its name has no ending"),
        (".png", "its name has no ending"),
    ],
)
def test_other_endings_are_refused(tmp_path, pixels, name, found):
    path = tmp_path / name
    message = f"cannot write {path}: {found}; end it in .png or .jpg"
    assert _refusal(images.save, path, _expected(pixels)) == message
    assert _refusal(images.check_output, path) == message


def test_a_jpeg_too_long_for_its_format_is_refused(tmp_path):
    path = tmp_path / "wall.jpg"
    image = np.zeros((3, 1, 65501), np.float32)
    assert _refusal(images.save, path, image) == (
        f"cannot write {path}: JPEG holds 65500 pixels a side, and the image is 65501 x 1; "
        "end the name in .png"
    )
    images.save(tmp_path / "wall.png", image)


# Whole or not at all


@pytest.fixture
def old(tmp_path):
    """A file that is already there."""
    path = tmp_path / "out.png"
    path.write_bytes(b"the old file")
    return path


def _untouched(path) -> bool:
    return path.read_bytes() == b"the old file" and list(path.parent.iterdir()) == [path]


FAILURES = {
    "disk full": (
        OSError(errno.ENOSPC, "No space left on device"),
        "the disk is full; free some space or choose another disk",
    ),
    "quota": (
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        "the disk is full; free some space or choose another disk",
    ),
    "read-only": (
        OSError(errno.EROFS, "Read-only file system"),
        "read-only file system; choose another name or folder",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_refuses_leaves_the_old_file(old, pixels, monkeypatch, call, name):
    failure, reason = FAILURES[name]
    monkeypatch.setattr(os, call, _raiser(failure))
    message = _refusal(images.save, old, _expected(pixels))
    assert message == f"cannot write {old}: {reason}"
    assert _untouched(old)


@POSIX
def test_a_write_that_fails_halfway_leaves_the_old_file(old, rng):
    """For real: the system stops a file of this process from growing beyond 1000 bytes."""
    import resource

    image = rng.random((3, 40, 50), np.float32)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        message = _refusal(images.save, old, image)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert message == f"cannot write {old}: file too large; choose another name or folder"
    assert _untouched(old)


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_ctrl_c_leaves_the_old_file(old, pixels, monkeypatch, call):
    monkeypatch.setattr(os, call, _raiser(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        images.save(old, _expected(pixels))
    assert _untouched(old)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ZeroDivisionError])
def test_a_block_that_fails_leaves_the_old_file(old, failure):
    def write():
        with images.replace_atomically(old) as file:
            file.write(b"half of the new")
            assert len(list(old.parent.iterdir())) == 2  # old and temporary, in one folder
            raise failure

    with pytest.raises(failure):
        write()
    assert _untouched(old)


def test_a_block_that_ends_well_replaces_the_old_file(old, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_size), fsync(fd)))
    with images.replace_atomically(old) as file:
        file.write(b"new")
        assert old.read_bytes() == b"the old file"
    assert old.read_bytes() == b"new"
    assert list(old.parent.iterdir()) == [old]
    assert synced == [3]  # all of it was on the disk before it took the name


@POSIX
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_permissions_follow_the_umask(tmp_path, pixels, umask, mode):
    before = os.umask(umask)
    try:
        images.save(tmp_path / "out.png", _expected(pixels))
    finally:
        os.umask(before)
    assert (tmp_path / "out.png").stat().st_mode & 0o777 == mode


@POSIX
def test_a_link_stays_a_link(tmp_path, pixels):
    (tmp_path / "folder").mkdir()
    link, real = tmp_path / "latest.png", tmp_path / "folder" / "real.png"
    link.symlink_to(real)
    images.save(link, _expected(pixels))
    assert link.is_symlink()
    np.testing.assert_array_equal(images.load(real), _expected(pixels))


@POSIX
def test_a_name_of_the_longest_length_is_no_trouble(tmp_path, pixels):
    path = tmp_path / ("x" * 251 + ".png")
    images.check_output(path)
    images.save(path, _expected(pixels))
    assert list(tmp_path.iterdir()) == [path]


def test_an_output_that_will_work_is_not_made_yet(tmp_path, old, monkeypatch):
    images.check_output(tmp_path / "new.jpg")
    images.check_output(old)
    assert _untouched(old)
    monkeypatch.chdir(tmp_path)
    images.check_output("new.png")
    assert _untouched(old)


@pytest.mark.parametrize("act", ["check", "save"])
def test_an_output_that_cannot_work_is_refused(tmp_path, pixels, act):
    def refusal(path):
        if act == "check":
            return _refusal(images.check_output, path)
        return _refusal(images.save, path, _expected(pixels))

    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    nowhere, folder = tmp_path / "nowhere" / "out.png", tmp_path / "folder.png"
    inside = tmp_path / "file" / "out.png"
    assert refusal(nowhere) == (
        f"cannot write {nowhere}: there is no folder {tmp_path / 'nowhere'}; "
        "make it or choose another"
    )
    assert refusal(inside) == (
        f"cannot write {inside}: there is no folder {tmp_path / 'file'}; make it or choose another"
    )
    assert refusal(folder).startswith(f"cannot write {folder}: ")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder.png"]


@POSIX
def test_an_output_with_too_long_a_name_is_refused_early(tmp_path):
    path = tmp_path / ("x" * 300 + ".png")
    assert _refusal(images.check_output, path) == (
        f"cannot write {path}: file name too long; choose another name or folder"
    )


def test_a_folder_that_takes_no_files_is_refused_early(tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "open", _raiser(PermissionError(errno.EACCES, "Permission denied")))
    path = tmp_path / "out.png"
    assert _refusal(images.check_output, path) == (
        f"cannot write {path}: permission denied; choose another name or folder"
    )


def test_a_write_protected_file_is_refused_early(old, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    assert _refusal(images.check_output, old) == (
        f"cannot write {old}: the file there is write-protected; choose another name"
    )


def test_other_files_than_images_can_be_checked_too(tmp_path, old):
    images.check_writable(tmp_path / "losses.csv")
    assert _untouched(old)
    path = tmp_path / "nowhere" / "losses.csv"
    assert _refusal(images.check_writable, path) == (
        f"cannot write {path}: there is no folder {tmp_path / 'nowhere'}; "
        "make it or choose another"
    )


# Sizes


def _lanczos(signal, size) -> np.ndarray:
    """Resample one row by the definition: sinc(x) sinc(x / 3), widened when shrinking."""
    scale = len(signal) / size
    reach = 3 * max(scale, 1)
    result = []
    for i in range(size):
        centre = (i + 0.5) * scale
        weighted = total = 0.0
        for j, value in enumerate(signal):
            x = (j + 0.5 - centre) / max(scale, 1)
            if abs(j + 0.5 - centre) < reach:
                weight = float(np.sinc(x) * np.sinc(x / 3))
                weighted, total = weighted + weight * value, total + weight
        result.append(weighted / total)
    return np.array(result)


@pytest.mark.parametrize("size", [(4, 11), (17, 3), (7, 9), (1, 1), (29, 9), (3, 20)])
def test_resize_is_lanczos(rng, size):
    image = rng.uniform(0.4, 0.6, (2, 7, 9)).astype(np.float32)  # no overshoot reaches 0 or 1
    resized = images.resize(image, *size)
    assert resized.shape == (2, *size)
    assert resized.dtype == np.float32
    for channel, out in zip(image, resized, strict=True):
        columns_done = np.array([_lanczos(row, size[1]) for row in channel])
        expected = np.array([_lanczos(column, size[0]) for column in columns_done.T]).T
        np.testing.assert_allclose(out, expected, atol=2e-6)


@pytest.mark.parametrize("size", [(5, 31), (50, 7), (19, 27), (64, 65)])
def test_resize_agrees_with_pillow_on_8_bits(pixels, size):
    pixels = pixels // 4 + 96  # no overshoot, which Pillow would clip between its two passes
    ours = images.resize(_expected(pixels), *size)
    theirs = PIL.Image.fromarray(pixels).resize(size[::-1], PIL.Image.Resampling.LANCZOS)
    np.testing.assert_allclose(ours, _expected(np.asarray(theirs)), atol=1.5 * ONE_LEVEL)


@pytest.mark.parametrize("value", [0, 0.3, 1])
@pytest.mark.parametrize("size", [(1, 1), (5, 31), (50, 7)])
def test_resize_keeps_a_constant(value, size):
    image = np.full((3, HEIGHT, WIDTH), value, np.float32)
    np.testing.assert_allclose(images.resize(image, *size), value, atol=1e-6)


@pytest.mark.parametrize("size", [(24, 36), (48, 24), (96, 144)])
def test_resize_keeps_the_mean(rng, size):
    image = rng.uniform(0.4, 0.6, (3, 48, 72)).astype(np.float32)
    before, after = image.mean(axis=(1, 2)), images.resize(image, *size).mean(axis=(1, 2))
    np.testing.assert_allclose(after, before, atol=1e-3)


def test_resize_clips_its_overshoot():
    edge = np.zeros((16, 16), np.float32)
    edge[:, 8:] = 1
    resized = images.resize(edge, 40, 40)
    assert resized.shape == (40, 40)
    assert (resized.min(), resized.max()) == (0, 1)
    assert (resized[0, -20:] == 1).sum() > 5  # there was overshoot to clip


def test_resize_takes_views_and_leaves_its_input_alone(rng):
    image = rng.random((3, 20, 30), np.float32)
    before = image.copy()
    flipped = images.resize(image[:, ::-1, ::2], 11, 13)
    np.testing.assert_array_equal(flipped, images.resize(image[:, ::-1, ::2].copy(), 11, 13))
    same = images.resize(image, 20, 30)
    np.testing.assert_array_equal(same, image)
    same[:] = 0
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    ("size", "longer", "expected"),
    [
        ((600, 800), 400, (300, 400)),
        ((800, 600), 400, (400, 300)),
        ((100, 100), 512, (512, 512)),
        ((333, 500), 512, (341, 512)),  # 340.99
        ((4, 8), 1, (1, 1)),  # 0.5 is rounded up
        ((1, 3000), 512, (1, 512)),  # 0.17 is not zero
        ((3000, 1), 512, (512, 1)),
        ((5, 2), 5, (5, 2)),
        ((2, 4), 5, (3, 5)),  # 2.5 is rounded up
        ((6, 4), 3, (3, 2)),
    ],
)
def test_fit(size, longer, expected):
    assert images.fit(*size, longer) == expected


@pytest.mark.parametrize(
    ("shape", "aspect", "rows", "columns"),
    [
        ((3, 10, 20), (1, 1), (0, 10), (5, 15)),
        ((3, 20, 10), (1, 1), (5, 15), (0, 10)),
        ((3, 10, 20), (50, 100), (0, 10), (0, 20)),
        ((3, 10, 20), (2, 3), (0, 10), (2, 17)),  # 15 columns of 20: two go left, three right
        ((3, 9, 20), (300, 200), (0, 9), (7, 13)),
        ((3, 20, 9), (200, 300), (7, 13), (0, 9)),
        ((3, 20, 7), (1, 100), (9, 10), (0, 7)),  # 0.07 rows: one
        ((10, 20), (1, 1), (0, 10), (5, 15)),
        ((3, 16, 17), (16, 16), (0, 16), (0, 16)),
    ],
)
def test_crop_to_aspect(rng, shape, aspect, rows, columns):
    image = rng.random(shape)
    cropped = images.crop_to_aspect(image, *aspect)
    np.testing.assert_array_equal(cropped, image[..., slice(*rows), slice(*columns)])


def test_sizes_below_one_are_the_callers_mistake():
    image = np.zeros((3, 20, 30), np.float32)
    with pytest.raises(ValueError, match="0 rows and 5 columns"):
        images.resize(image, 0, 5)
    with pytest.raises(ValueError, match="20 x 30 to a longer side of 0"):
        images.fit(20, 30, 0)
    with pytest.raises(ValueError, match="aspect of 3 x 0"):
        images.crop_to_aspect(image, 3, 0)


def test_importing_images_is_light():
    code = (
        "import sys, nst.images\n"
        "heavy = [m for m in sys.modules if m.endswith('ImagePlugin') or 'ImageCms' in m]\n"
        "assert not heavy, heavy\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def _refusal(function, *args) -> str:
    with pytest.raises(NstError) as raised:
        function(*args)
    message = str(raised.value)
    assert "\n" not in message
    return message


def _raiser(failure):
    def fail(*args, **options):
        raise failure

    return fail
